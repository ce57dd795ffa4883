//! Networks: each way out, changes between them, drift, import.

use agentless_tests::terraform::{State, Terraform};
use aws_sdk_ec2::types::{AttributeBooleanValue, Filter, IpPermission, IpRange, Tag};
use serde_json::json;

use crate::shared::{assert_repaired, ec2, local_aws, terraform, text, unique};

const NETWORK: &str = "datadog_agentless_scanner_network.this";

fn config(name: &str, more: &str) -> String {
    format!("resource \"datadog_agentless_scanner_network\" \"this\" {{\n  name = \"{name}\"\n{more}\n}}\n")
}

fn texts(state: &State, name: &str) -> Vec<String> {
    let value = state.attribute(NETWORK, name).expect("the attribute is there");
    let list = value.as_array().expect("the attribute is a list");
    list.iter().map(|item| item.as_str().expect("a text").to_owned()).collect()
}

async fn assert_settled(terraform: &Terraform, id: &str) {
    terraform.assert_empty_plans().await.expect("nothing is left to do");
    terraform.assert_import_verifies(NETWORK, id, &[]).await.expect("everything is read back");
}

#[tokio::test]
async fn the_life_of_a_network() {
    let name = unique("network");
    let terraform = terraform(&config(&name, "")).await;
    terraform.plan().await.unwrap().expect_actions(NETWORK, &["create"]).unwrap();
    terraform.apply().await.unwrap();
    let state = terraform.state().await.unwrap();
    let (id, token) = (text(&state, NETWORK, "vpc_id"), text(&state, NETWORK, "token"));
    assert_settled(&terraform, &id).await;
    terraform.assert_import_verifies(NETWORK, &format!("{id}@us-east-1"), &[]).await.unwrap();
    terraform.assert_import_block_is_no_op(NETWORK, &id).await.unwrap();
    assert_eq!(texts(&state, "availability_zones"), ["us-east-1a", "us-east-1b"]);
    assert_eq!(texts(&state, "nat_addresses").len(), 1);
    let subnets = texts(&state, "private_subnet_ids");
    assert_eq!(subnets.len(), 2);
    assert_eq!(default_routes(&subnets[0]).await, default_routes(&subnets[1]).await);

    // Each zone its own way out, three zones, IPv6, a flow log, tags: all in place.
    let more = "cidr_block = \"10.0.0.0/16\"\navailability_zone_count = 3\negress = \"nat_per_zone\"\nipv6 = true\n\
                flow_logs = {\n log_group_arn = \"arn:aws:logs:us-east-1:123456789012:log-group:flows\"\n \
                role_arn = \"arn:aws:iam::123456789012:role/flows\"\n}\ntags = { team = \"security\" }";
    terraform.set_config(&config(&name, more)).unwrap();
    terraform.plan().await.unwrap().expect_actions(NETWORK, &["update"]).unwrap();
    terraform.apply().await.unwrap();
    assert_settled(&terraform, &id).await;
    let state = terraform.state().await.unwrap();
    assert_eq!(texts(&state, "nat_addresses").len(), 3);
    assert_eq!(texts(&state, "private_subnet_ids")[..2], subnets);
    assert!(text(&state, NETWORK, "ipv6_cidr_block").ends_with("/56"));
    assert_eq!(default_routes(&subnets[0]).await.len(), 2);

    // No way out at all.
    terraform
        .set_config(&config(&name, "egress = \"endpoints\"\nfeatures = [\"functions\"]\nipv6 = true\nendpoint_account_ids = [\"444455556666\"]"))
        .unwrap();
    terraform.plan().await.unwrap().expect_actions(NETWORK, &["update"]).unwrap();
    terraform.apply().await.unwrap();
    assert_settled(&terraform, &id).await;
    let state = terraform.state().await.unwrap();
    assert_eq!(texts(&state, "private_subnet_ids"), subnets);
    assert_eq!(state.attribute(NETWORK, "endpoint_ids").unwrap().as_object().unwrap().len(), 10);
    assert!(default_routes(&subnets[0]).await.is_empty());
    assert_eq!(addresses(&token).await, 0);

    // And one again, with other endpoints.
    terraform.set_config(&config(&name, "ipv6 = true\nendpoint_services = [\"s3\", \"kms\"]")).unwrap();
    terraform.apply().await.unwrap();
    assert_settled(&terraform, &id).await;
    assert_eq!(text(&terraform.state().await.unwrap(), NETWORK, "vpc_id"), id);

    terraform.set_config(&config(&name, "cidr_block = \"10.1.0.0/20\"")).unwrap();
    terraform.plan().await.unwrap().expect_actions(NETWORK, &["delete", "create"]).unwrap();
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    assert_gone(&id, &token).await;
    let state = terraform.state().await.unwrap();
    let (id, token) = (text(&state, NETWORK, "vpc_id"), text(&state, NETWORK, "token"));
    terraform.destroy().await.unwrap();
    assert_gone(&id, &token).await;
    local_aws().await.assert_no_unimplemented();
}

#[tokio::test]
async fn what_somebody_changes_is_shown_and_repaired() {
    let name = unique("network");
    let more = "egress = \"endpoints\"\navailability_zone_count = 1\nendpoint_services = [\"s3\", \"ec2\"]";
    let terraform = terraform(&config(&name, more)).await;
    terraform.apply().await.unwrap();
    let (state, ec2) = (terraform.state().await.unwrap(), ec2().await);
    let (id, token) = (text(&state, NETWORK, "vpc_id"), text(&state, NETWORK, "token"));
    let subnet = texts(&state, "private_subnet_ids").remove(0);
    let table = texts(&state, "private_route_table_ids").remove(0);
    let group = text(&state, NETWORK, "endpoint_security_group_id");

    // A way in and out.
    let gateway = ec2.create_internet_gateway().send().await.unwrap().internet_gateway.unwrap();
    let gateway = gateway.internet_gateway_id.unwrap();
    ec2.attach_internet_gateway().internet_gateway_id(&gateway).vpc_id(&id).send().await.unwrap();
    ec2.create_route()
        .route_table_id(&table)
        .destination_cidr_block("0.0.0.0/0")
        .gateway_id(&gateway)
        .send()
        .await
        .unwrap();
    let plan = terraform.plan().await.unwrap();
    assert!(plan.text.contains(&format!("0.0.0.0/0: by {gateway}")), "{}", plan.text);
    assert_eq!(plan.change(NETWORK).unwrap().pointer("/after/deviations"), Some(&json!([])));
    assert_repaired(&terraform, NETWORK).await;
    assert!(default_routes(&subnet).await.is_empty());
    ec2.detach_internet_gateway().internet_gateway_id(&gateway).vpc_id(&id).send().await.unwrap();

    // A peering.
    let other =
        ec2.create_vpc().cidr_block("10.99.0.0/16").send().await.unwrap().vpc.unwrap().vpc_id.unwrap();
    let peering = ec2.create_vpc_peering_connection().vpc_id(&id).peer_vpc_id(&other).send().await.unwrap();
    let peering = peering.vpc_peering_connection.unwrap().vpc_peering_connection_id.unwrap();
    ec2.create_route()
        .route_table_id(&table)
        .destination_cidr_block("10.99.0.0/16")
        .vpc_peering_connection_id(&peering)
        .send()
        .await
        .unwrap();
    let plan = terraform.plan().await.unwrap();
    assert!(plan.text.contains(&format!("10.99.0.0/16: by {peering}")), "{}", plan.text);
    assert_repaired(&terraform, NETWORK).await;
    ec2.delete_vpc_peering_connection().vpc_peering_connection_id(&peering).send().await.unwrap();

    // Public addresses.
    let on = AttributeBooleanValue::builder().value(true).build();
    ec2.modify_subnet_attribute().subnet_id(&subnet).map_public_ip_on_launch(on).send().await.unwrap();
    assert_repaired(&terraform, NETWORK).await;

    // Rules, in the default group and in that of the endpoints.
    let default = Filter::builder().name("group-name").values("default").build();
    let of_vpc = Filter::builder().name("vpc-id").values(&id).build();
    let groups = ec2.describe_security_groups().filters(default).filters(of_vpc).send().await.unwrap();
    let default = groups.security_groups.unwrap().remove(0).group_id.unwrap();
    for group in [default, group] {
        let range = IpRange::builder().cidr_ip("0.0.0.0/0").build();
        let ssh =
            IpPermission::builder().ip_protocol("tcp").from_port(22).to_port(22).ip_ranges(range).build();
        ec2.authorize_security_group_ingress().group_id(&group).ip_permissions(ssh).send().await.unwrap();
        let plan = terraform.plan().await.unwrap();
        assert!(plan.text.contains("tcp 22 0.0.0.0/0"), "{}", plan.text);
        assert_repaired(&terraform, NETWORK).await;
    }

    // An endpoint that is gone, one whose policy was widened, a tag.
    let endpoints = state.attribute(NETWORK, "endpoint_ids").unwrap().clone();
    let endpoint = |name: &str| endpoints[name].as_str().unwrap().to_owned();
    let wide = r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}"#;
    ec2.modify_vpc_endpoint().vpc_endpoint_id(endpoint("s3")).policy_document(wide).send().await.unwrap();
    assert_repaired(&terraform, NETWORK).await;
    ec2.delete_vpc_endpoints().vpc_endpoint_ids(endpoint("ec2")).send().await.unwrap();
    assert_repaired(&terraform, NETWORK).await;
    let tag = Tag::builder().key("who").value("me").build();
    ec2.create_tags().resources(&subnet).resources(&id).tags(tag).send().await.unwrap();
    assert_repaired(&terraform, NETWORK).await;

    terraform.destroy().await.unwrap();
    assert_gone(&id, &token).await;
}

#[tokio::test]
async fn mistakes_are_told_when_planning() {
    let name = unique("network");
    let terraform = terraform("").await;
    for (more, problem) in [
        ("cidr_block = \"10.0.0.1/16\"", "without host bits"),
        (
            "cidr_block = \"10.0.0.0/24\"\negress = \"nat_per_zone\"\navailability_zone_count = 5",
            "room for 4",
        ),
        ("availability_zones = [\"frankfurt\"]", "name of an availability zone"),
        ("region = \"us-east-1\"\navailability_zones = [\"eu-west-1a\"]", "not in us-east-1"),
        ("flow_logs = {}", "Give one destination"),
        (
            "flow_logs = {\n s3_arn = \"arn:aws:s3:::b\"\n log_group_arn = \"arn:aws:logs:us-east-1:1:log-group:g\"\n}",
            "Give only one destination",
        ),
        ("tags = { Name = \"x\" }", "argument name"),
    ] {
        terraform.set_config(&config(&name, more)).unwrap();
        let failed = terraform.plan_fails().await.unwrap();
        let said = failed.stderr.replace("\n│ ", " ").replace('\n', " ");
        assert!(said.contains(problem), "{more}: {}", failed.stderr);
    }
}

/// The targets of the routes to everywhere that a subnet has.
async fn default_routes(subnet: &str) -> Vec<String> {
    let of_subnet = Filter::builder().name("association.subnet-id").values(subnet).build();
    let answer = ec2().await.describe_route_tables().filters(of_subnet).send().await.expect("route tables");
    let table = answer.route_tables.unwrap_or_default().remove(0);
    let mut targets: Vec<String> = table
        .routes
        .unwrap_or_default()
        .into_iter()
        .filter(|route| {
            route.destination_cidr_block() == Some("0.0.0.0/0")
                || route.destination_ipv6_cidr_block() == Some("::/0")
        })
        .map(|route| {
            let id = route.nat_gateway_id.or(route.egress_only_internet_gateway_id).or(route.gateway_id);
            id.unwrap_or_default()
        })
        .collect();
    targets.sort();
    targets
}

async fn addresses(token: &str) -> usize {
    let ours = Filter::builder().name("tag:DatadogAgentlessScannerNetwork").values(token).build();
    let answer = ec2().await.describe_addresses().filters(ours).send().await.expect("addresses");
    answer.addresses().len()
}

async fn assert_gone(id: &str, token: &str) {
    assert!(ec2().await.describe_vpcs().vpc_ids(id).send().await.is_err(), "VPC {id} is still there");
    let ours = Filter::builder().name("tag:DatadogAgentlessScannerNetwork").values(token).build();
    let vpcs = ec2().await.describe_vpcs().filters(ours.clone()).send().await.expect("VPCs");
    assert!(vpcs.vpcs().is_empty(), "{:?} are still there", vpcs.vpcs());
    let gateways = ec2().await.describe_internet_gateways().filters(ours).send().await.expect("gateways");
    assert!(gateways.internet_gateways().is_empty(), "an internet gateway is still there");
    assert_eq!(addresses(token).await, 0);
}
