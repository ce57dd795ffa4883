//! Everything in the local AWS that a resource can make.

use std::collections::BTreeSet;

use agentless_tests::local_aws::LocalAws;
use aws_sdk_ec2::types::{Filter, InstanceStateName, NatGatewayState, Reservation, State};
use aws_sdk_iam::types::PolicyScopeType;

/// What there is of the kinds that the calls to these services make, each as a line.
pub(crate) async fn inventory(aws: &LocalAws, services: &BTreeSet<String>) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    if services.contains("ec2") {
        all.extend(ec2(aws).await);
    }
    if services.contains("autoscaling") {
        let client = aws_sdk_autoscaling::Client::new(&aws.harness_sdk_config());
        let groups = client.describe_auto_scaling_groups().send().await.expect("groups");
        all.extend(groups.auto_scaling_groups().iter().filter_map(|it| it.auto_scaling_group_name.clone()));
    }
    if services.contains("iam") {
        all.extend(iam(aws).await);
    }
    if services.contains("secretsmanager") {
        let client = aws_sdk_secretsmanager::Client::new(&aws.harness_sdk_config());
        let secrets = client.list_secrets().include_planned_deletion(true).send().await.expect("secrets");
        all.extend(secrets.secret_list().iter().filter_map(|it| it.arn.clone()));
    }
    all
}

async fn ec2(aws: &LocalAws) -> Vec<String> {
    let client = aws_sdk_ec2::Client::new(&aws.harness_sdk_config());
    let mut all: Vec<Option<String>> = Vec::new();
    macro_rules! list {
        ($describe:ident, $list:ident, $id:ident, $is_there:expr) => {{
            let answer = client.$describe().send().await.expect(stringify!($describe));
            all.extend(answer.$list().iter().filter($is_there).map(|it| it.$id.clone()));
        }};
    }
    list!(describe_vpcs, vpcs, vpc_id, |_| true);
    list!(describe_subnets, subnets, subnet_id, |_| true);
    list!(describe_route_tables, route_tables, route_table_id, |_| true);
    list!(describe_internet_gateways, internet_gateways, internet_gateway_id, |_| true);
    list!(
        describe_egress_only_internet_gateways,
        egress_only_internet_gateways,
        egress_only_internet_gateway_id,
        |_| true
    );
    list!(describe_nat_gateways, nat_gateways, nat_gateway_id, |it| it.state
        != Some(NatGatewayState::Deleted));
    list!(describe_addresses, addresses, allocation_id, |_| true);
    list!(describe_vpc_endpoints, vpc_endpoints, vpc_endpoint_id, |it| it.state != Some(State::Deleted));
    list!(describe_flow_logs, flow_logs, flow_log_id, |_| true);
    list!(describe_security_groups, security_groups, group_id, |_| true);
    list!(describe_launch_templates, launch_templates, launch_template_id, |_| true);
    let running = [InstanceStateName::Pending, InstanceStateName::Running];
    let running = running.map(|state| state.as_str().to_owned()).to_vec();
    let running = Filter::builder().name("instance-state-name").set_values(Some(running)).build();
    let answer = client.describe_instances().filters(running).send().await.expect("instances");
    let instances = answer.reservations().iter().flat_map(Reservation::instances);
    all.extend(instances.map(|it| it.instance_id.clone()));
    all.into_iter().flatten().collect()
}

async fn iam(aws: &LocalAws) -> Vec<String> {
    let client = aws_sdk_iam::Client::new(&aws.harness_sdk_config());
    let roles = client.list_roles().send().await.expect("roles");
    let profiles = client.list_instance_profiles().send().await.expect("profiles");
    let policies = client.list_policies().scope(PolicyScopeType::Local).send().await.expect("policies");
    let roles = roles.roles().iter().map(|it| it.arn.clone());
    let profiles = profiles.instance_profiles().iter().map(|it| it.arn.clone());
    roles.chain(profiles).chain(policies.policies().iter().filter_map(|it| it.arn.clone())).collect()
}
