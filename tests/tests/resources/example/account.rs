//! An account of the local AWS in which nothing is but what one test makes.

use std::collections::BTreeSet;

use agentless_tests::local_aws::{LocalAws, Network, Options, SessionCredentials};
use agentless_tests::terraform::Terraform;
use aws_config::{Region, SdkConfig};
use aws_sdk_ec2::types::{ArchitectureValues, NatGatewayState, ResourceType, Tag, TagSpecification};

use crate::shared::local_aws;

/// An account, seen by its administrator.
pub(super) struct Account {
    /// Twelve digits.
    pub(super) id: String,
    regions: Vec<&'static str>,
    aws: LocalAws,
    session: SessionCredentials,
}

impl Account {
    /// A new account, of which these regions are looked at.
    pub(super) async fn new(regions: &[&'static str]) -> Self {
        // Of its own, so that the calls of other tests are not this one's.
        let aws = local_aws().await.share(Options::default()).expect("a local AWS");
        let id = format!("{:012}", uuid::Uuid::new_v4().as_u128() % 1_000_000_000_000);
        let sts = aws_sdk_sts::Client::new(&aws.sdk_config());
        let assumed = sts.assume_role().role_arn(administrator(&id)).role_session_name("test").send().await;
        let issued = assumed.expect("a session").credentials.expect("credentials");
        let session = SessionCredentials {
            access_key_id: issued.access_key_id,
            secret_access_key: issued.secret_access_key,
            session_token: issued.session_token,
            expiration: issued.expiration.try_into().expect("a time"),
        };
        Self { id, regions: regions.to_vec(), aws, session }
    }

    /// The role with which the organization's first account works in this one.
    pub(super) fn administrator(&self) -> String {
        administrator(&self.id)
    }

    /// A copy of an example, with the credentials of this account.
    pub(super) fn terraform(&self, example: &str) -> Terraform {
        let mut terraform = Terraform::with_example(&self.aws, example).expect("a working directory");
        terraform.set_environment("AWS_ACCESS_KEY_ID", &self.session.access_key_id);
        terraform.set_environment("AWS_SECRET_ACCESS_KEY", &self.session.secret_access_key);
        terraform.set_environment("AWS_SESSION_TOKEN", &self.session.session_token);
        terraform
    }

    /// A network with two private subnets.
    pub(super) async fn network(&self, region: &'static str) -> Network {
        let ec2 = self.ec2(region);
        let vpc = ec2.create_vpc().cidr_block("10.42.0.0/16").send().await.expect("a VPC").vpc;
        let vpc_id = vpc.and_then(|vpc| vpc.vpc_id).expect("its id");
        let mut subnet_ids = Vec::new();
        for (zone, cidr) in [("a", "10.42.0.0/20"), ("b", "10.42.16.0/20")] {
            let request = ec2.create_subnet().vpc_id(&vpc_id).cidr_block(cidr);
            let made = request.availability_zone(format!("{region}{zone}")).send().await.expect("a subnet");
            subnet_ids.push(made.subnet.and_then(|subnet| subnet.subnet_id).expect("its id"));
        }
        Network { vpc_id, subnet_ids, security_group_id: String::new() }
    }

    /// An image of the scanner for arm64 instances.
    pub(super) async fn image(&self, region: &'static str) -> String {
        let version = Tag::builder().key("DatadogAgentlessScannerVersion").value("1.2.3").build();
        let tags = TagSpecification::builder().resource_type(ResourceType::Image).tags(version).build();
        let request = self.ec2(region).register_image().name(format!("scanner-{}", uuid::Uuid::new_v4()));
        let request = request.architecture(ArchitectureValues::Arm64).root_device_name("/dev/sda1");
        let made = request.virtualization_type("hvm").tag_specifications(tags).send().await;
        made.expect("an image").image_id.expect("its id")
    }

    /// Everything that is in the account and can cost, open or permit something.
    pub(super) async fn inventory(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for region in &self.regions {
            let here = self.inventory_of(region).await;
            found.extend(here.into_iter().flatten().map(|id| format!("{region} {id}")));
        }
        let iam = aws_sdk_iam::Client::new(&self.config("us-east-1"));
        let roles = iam.list_roles().send().await.expect("roles").roles;
        found.extend(roles.into_iter().map(|role| role.arn));
        let profiles = iam.list_instance_profiles().send().await.expect("profiles").instance_profiles;
        found.extend(profiles.into_iter().map(|profile| profile.arn));
        let own = aws_sdk_iam::types::PolicyScopeType::Local;
        let policies = iam.list_policies().scope(own).send().await.expect("policies").policies;
        found.extend(policies.into_iter().flatten().filter_map(|policy| policy.arn));
        found
    }

    /// The account is as it was, and nothing was called on the way that the local AWS does not implement.
    pub(super) async fn assert_as(&self, before: &BTreeSet<String>) {
        assert_eq!(self.inventory().await, *before, "account {} is not as before", self.id);
        self.aws.assert_no_unimplemented();
    }

    async fn inventory_of(&self, region: &'static str) -> Vec<Option<String>> {
        let (ec2, mut found) = (self.ec2(region), Vec::new());
        let vpcs = ec2.describe_vpcs().send().await.expect("VPCs").vpcs;
        found.extend(vpcs.into_iter().flatten().map(|it| it.vpc_id));
        let subnets = ec2.describe_subnets().send().await.expect("subnets").subnets;
        found.extend(subnets.into_iter().flatten().map(|it| it.subnet_id));
        let tables = ec2.describe_route_tables().send().await.expect("route tables").route_tables;
        found.extend(tables.into_iter().flatten().map(|it| it.route_table_id));
        let gateways = ec2.describe_internet_gateways().send().await.expect("gateways").internet_gateways;
        found.extend(gateways.into_iter().flatten().map(|it| it.internet_gateway_id));
        let addresses = ec2.describe_addresses().send().await.expect("addresses").addresses;
        found.extend(addresses.into_iter().flatten().map(|it| it.allocation_id));
        let endpoints = ec2.describe_vpc_endpoints().send().await.expect("endpoints").vpc_endpoints;
        found.extend(endpoints.into_iter().flatten().map(|it| it.vpc_endpoint_id));
        let groups = ec2.describe_security_groups().send().await.expect("groups").security_groups;
        found.extend(groups.into_iter().flatten().map(|it| it.group_id));
        let templates = ec2.describe_launch_templates().send().await.expect("templates").launch_templates;
        found.extend(templates.into_iter().flatten().map(|it| it.launch_template_id));
        let volumes = ec2.describe_volumes().send().await.expect("volumes").volumes;
        found.extend(volumes.into_iter().flatten().map(|it| it.volume_id));

        // NAT gateways and instances stay visible for a while after their end.
        let nats = ec2.describe_nat_gateways().send().await.expect("NAT gateways").nat_gateways;
        let nats = nats.into_iter().flatten().filter(|it| it.state != Some(NatGatewayState::Deleted));
        found.extend(nats.map(|it| it.nat_gateway_id));
        let ended = "terminated";
        let instances = ec2.describe_instances().send().await.expect("instances").reservations;
        let instances = instances.into_iter().flatten().flat_map(|it| it.instances.unwrap_or_default());
        let running = instances.filter(|it| {
            it.state.as_ref().and_then(|state| state.name.as_ref()).is_none_or(|name| name.as_str() != ended)
        });
        found.extend(running.map(|it| it.instance_id));

        let groups = aws_sdk_autoscaling::Client::new(&self.config(region)).describe_auto_scaling_groups();
        let groups = groups.send().await.expect("Auto Scaling groups").auto_scaling_groups;
        found.extend(groups.into_iter().flatten().map(|it| it.auto_scaling_group_name));
        let secrets = aws_sdk_secretsmanager::Client::new(&self.config(region)).list_secrets();
        let secrets = secrets.include_planned_deletion(true).send().await.expect("secrets").secret_list;
        found.extend(secrets.into_iter().flatten().map(|it| it.arn));
        found
    }

    fn ec2(&self, region: &'static str) -> aws_sdk_ec2::Client {
        aws_sdk_ec2::Client::new(&self.config(region))
    }

    fn config(&self, region: &'static str) -> SdkConfig {
        let config = self.aws.sdk_config_with(&self.session).to_builder();
        config.region(Region::from_static(region)).build()
    }
}

/// The role that each account of an organization has from its beginning.
fn administrator(account: &str) -> String {
    format!("arn:aws:iam::{account}:role/OrganizationAccountAccessRole")
}
