//! The attributes of `datadog_agentless_scanner_network`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use scanner_policy::{AccountId, Feature};

use super::super::place::region_attribute;
use super::super::tagging;
use super::addressing::{SLOTS, Space};
use super::wanted::Egress;
use crate::aws::Tags;
use crate::model;
use crate::sdk::{Attribute, Raw, Schema, TimeoutDefaults, Timeouts, Type, Value, validator};

model! {
    /// State of one network.
    pub struct Model {
        /// The VPC's id.
        pub id: Value<String>,
        /// The VPC's ARN.
        pub arn: Value<String>,
        /// The VPC's id.
        pub vpc_id: Value<String>,
        /// What the parts are known by.
        pub token: Value<String>,
        /// The name.
        pub name: Value<String>,
        /// The region.
        pub region: Value<String>,
        /// The VPC's addresses.
        pub cidr_block: Value<String>,
        /// How many zones.
        pub availability_zone_count: Value<i64>,
        /// Which zones.
        pub availability_zones: Value<Vec<String>>,
        /// How it reaches what is outside.
        pub egress: Value<String>,
        /// What scanners in it do.
        pub features: Value<BTreeSet<String>>,
        /// The services that have an endpoint.
        pub endpoint_services: Value<BTreeSet<String>>,
        /// The accounts whose principals may use the endpoints.
        pub endpoint_account_ids: Value<BTreeSet<String>>,
        /// A policy for all endpoints.
        pub endpoint_policy: Value<String>,
        /// Whether it has IPv6.
        pub ipv6: Value<bool>,
        /// Where a record of its connections goes.
        pub flow_logs: Value<FlowLogs>,
        /// The VPC's IPv6 addresses.
        pub ipv6_cidr_block: Value<String>,
        /// Private subnets, in the order of the zones.
        pub private_subnet_ids: Value<Vec<String>>,
        /// Public subnets.
        pub public_subnet_ids: Value<Vec<String>>,
        /// Route tables of the private subnets.
        pub private_route_table_ids: Value<Vec<String>>,
        /// Route table of the public subnets.
        pub public_route_table_id: Value<String>,
        /// Addresses of the NAT gateways.
        pub nat_addresses: Value<Vec<String>>,
        /// Endpoints by service.
        pub endpoint_ids: Value<BTreeMap<String, String>>,
        /// Prefix lists of the gateway endpoints by service.
        pub prefix_list_ids: Value<BTreeMap<String, String>>,
        /// The endpoints' security group.
        pub endpoint_security_group_id: Value<String>,
        /// What is not as it should be.
        pub deviations: Value<BTreeSet<String>>,
        /// Own tags.
        pub tags: Value<Tags>,
        /// All tags.
        pub tags_all: Value<Tags>,
        /// How long operations may take.
        pub timeouts: Value<Timeouts>,
    }

    /// The attribute `flow_logs`.
    pub struct FlowLogs {
        /// A bucket.
        pub s3_arn: Value<String>,
        /// A log group.
        pub log_group_arn: Value<String>,
        /// The role that writes to the log group.
        pub role_arn: Value<String>,
        /// Which connections.
        pub traffic: Value<String>,
    }
}

pub(super) fn schema() -> Schema {
    Schema::new(
        "A VPC for scanners that nothing outside can reach: private subnets over several availability zones, a way out \
         through NAT gateways or none at all, VPC endpoints of the AWS services that the scanner calls, and a default \
         security group without rules. No subnet gives its instances public addresses.\n\n\
         What somebody changes in it, such as a route to the internet, a rule of a security group or an endpoint that is \
         gone, shows in the plan as `deviations`, and apply undoes it.\n\n\
         ~> Destroying waits until nothing is left in the VPC that this resource did not make, and then says what it is.",
    )
    .attribute(Attribute::string("id", "The VPC's id.").computed().keeps_state())
    .attribute(Attribute::string("arn", "The VPC's ARN.").computed().keeps_state())
    .attribute(
        Attribute::string("vpc_id", "The VPC's id, such as `vpc-0123456789abcdef0`.").computed().keeps_state(),
    )
    .attribute(
        Attribute::string(
            "token",
            "The value of the tag `DatadogAgentlessScannerNetwork`, which everything of this network carries and nothing \
             else does. The tag must stay: parts without it are not known any more.",
        )
        .computed()
        .keeps_state(),
    )
    .attribute(
        Attribute::string("name", "The name, as the tag `Name` of the VPC; the names of its parts begin with it.")
            .required()
            .validate(validator::length(1..=128))
            .validate(validator::characters("letters, digits, spaces and `._-:/=+@`", |character| {
                character.is_ascii_alphanumeric() || " ._-:/=+@".contains(character)
            })),
    )
    .attribute(region_attribute(" of the network"))
    .attribute(
        Attribute::string(
            "cidr_block",
            "The IPv4 addresses of the VPC, from /16 to /24. Cut into eight blocks: six private subnets, one a zone, and \
             two blocks for the small public subnets of NAT gateways. A /24 has room for four zones with a NAT gateway \
             each. A change makes a new network.",
        )
        .default("10.0.0.0/16")
        .replaces()
        .validate(validator::pattern("an IPv4 network of /16 to /24 without host bits, such as 10.0.0.0/16", |text| {
            Space::parse(text).is_some()
        })),
    )
    .attribute(
        Attribute::int(
            "availability_zone_count",
            "How many availability zones to use, unless `availability_zones` names them: the first of the region by \
             name. Default: 2. Zones that come or go leave the subnets of the others as they are.",
        )
        .optional()
        .computed()
        .keeps_state()
        .validate(validator::range(1..=i64::from(SLOTS))),
    )
    .attribute(
        Attribute::list(
            "availability_zones",
            Type::String,
            "The names of the availability zones to use, such as `eu-central-1a`. The first has the NAT gateway with \
             `egress = \"nat\"`.",
        )
        .optional()
        .computed()
        .keeps_state()
        .validate(validator::items(1..=6))
        .validate(validator::each(validator::pattern(
            "the name of an availability zone, such as eu-central-1a",
            is_zone,
        ))),
    )
    .attribute(
        Attribute::string(
            "egress",
            "How the private subnets reach what is outside. `nat`: one NAT gateway, in the first zone. `nat_per_zone`: \
             one in each zone, so that the loss of a zone is only its own. `endpoints`: not at all, there is no internet \
             gateway; AWS services are reached through VPC endpoints, and nothing else is. Can be changed in place.",
        )
        .default(Egress::Nat.name())
        .validate(validator::one_of(Egress::NAMES)),
    )
    .attribute(
        Attribute::set(
            "features",
            Type::String,
            "What the scanners in the network do; decides which endpoints there are unless `endpoint_services` says so. \
             As the argument of `datadog_agentless_scanner_role`.",
        )
        .default([Feature::Hosts.name()])
        .validate(validator::items(1..=Feature::ALL.len()))
        .validate(validator::each(validator::one_of(["hosts", "images", "functions"]))),
    )
    .attribute(
        Attribute::set(
            "endpoint_services",
            Type::String,
            "The AWS services that have an endpoint, by the last part of their names, such as `ec2`, `kms`, `logs` or \
             `ecr.api`. S3 is a gateway endpoint, which costs nothing; the others are interfaces in every zone that has \
             the service, with its private DNS name. Default: `s3`, and with `egress = \"endpoints\"` also \
             `autoscaling`, `ebs`, `ec2`, `secretsmanager`, `ssm` and `sts`, and for the feature `functions` `ecr.api`, \
             `ecr.dkr` and `lambda`. Add `sqs`, `logs` or `kms` where the scanner is set up to use them.",
        )
        .optional()
        .computed()
        .keeps_state()
        .validate(validator::items(0..=40))
        .validate(validator::each(validator::pattern("the name of a service, such as ec2 or ecr.api", is_service))),
    )
    .attribute(
        Attribute::set(
            "endpoint_account_ids",
            Type::String,
            "Further accounts whose principals may use the endpoints, by their twelve digits: those that the scanner \
             scans through delegate roles. Those of the VPC's own account always may, and nobody else.",
        )
        .default(Raw::List(Vec::new()))
        .validate(validator::each(validator::pattern("an AWS account id of twelve digits", |text| {
            text.parse::<AccountId>().is_ok()
        }))),
    )
    .attribute(
        Attribute::string(
            "endpoint_policy",
            "A policy for all endpoints, as JSON, instead of the one that lets the principals of the known accounts \
             through.",
        )
        .optional()
        .validate(validator::pattern("a JSON object", |text| {
            serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).is_ok()
        })),
    )
    .attribute(
        Attribute::bool(
            "ipv6",
            "Whether the network has IPv6 addresses too, with an egress-only internet gateway where there is a way to the \
             internet. Can be switched on in place; switching it off makes a new network.",
        )
        .default(false),
    )
    .attribute(
        Attribute::nested("flow_logs", "Where a record of the VPC's connections goes. Left out, there is none.", [
            Attribute::string("s3_arn", "The ARN of a bucket, with a folder or not. Or `log_group_arn`.")
                .optional()
                .validate(validator::pattern("the ARN of a bucket", |arn| {
                    arn.starts_with("arn:") && arn.contains(":s3:::")
                })),
            Attribute::string("log_group_arn", "The ARN of a log group of CloudWatch Logs. Or `s3_arn`.")
                .optional()
                .validate(validator::pattern("the ARN of a log group", |arn| {
                    arn.starts_with("arn:") && arn.contains(":log-group:")
                })),
            Attribute::string("role_arn", "The ARN of the role that writes to `log_group_arn`. Only with it.")
                .optional()
                .validate(validator::pattern("the ARN of a role", |arn| {
                    arn.starts_with("arn:") && arn.contains(":role/")
                })),
            Attribute::string("traffic", "Which connections: `ALL`, those that were let through (`ACCEPT`), or the others (`REJECT`).")
                .default("ALL")
                .validate(validator::one_of(["ALL", "ACCEPT", "REJECT"])),
        ])
        .optional(),
    )
    .attribute(Attribute::string("ipv6_cidr_block", "The IPv6 addresses of the VPC, with `ipv6`.").computed())
    .attribute(
        Attribute::list("private_subnet_ids", Type::String, "The private subnets, in the order of `availability_zones`: those for scanners.")
            .computed(),
    )
    .attribute(
        Attribute::list("public_subnet_ids", Type::String, "The subnets of the NAT gateways, in the order of the zones. Nothing else belongs there.")
            .computed(),
    )
    .attribute(
        Attribute::list("private_route_table_ids", Type::String, "The route tables of the private subnets, in the order of the zones.")
            .computed(),
    )
    .attribute(
        Attribute::string("public_route_table_id", "The route table of the public subnets, where there are any.").computed(),
    )
    .attribute(
        Attribute::list("nat_addresses", Type::String, "The public addresses that connections to the outside come from, in the order of the zones.")
            .computed(),
    )
    .attribute(
        Attribute::map("endpoint_ids", Type::String, "The ids of the endpoints, by service.").computed(),
    )
    .attribute(
        Attribute::map(
            "prefix_list_ids",
            Type::String,
            "The prefix lists of the services with a gateway endpoint, such as `s3`, by service: for the \
             `egress_prefix_list_ids` of a `datadog_agentless_scanner_security_group`, where it does not allow all \
             addresses.",
        )
        .computed(),
    )
    .attribute(
        Attribute::string("endpoint_security_group_id", "The security group of the interface endpoints: TCP 443 from the VPC's addresses, and nothing else.")
            .computed(),
    )
    .attribute(
        Attribute::set(
            "deviations",
            Type::String,
            "What is not as this resource makes it: missing parts, foreign routes and rules, public addresses, changed \
             policies. Always planned as empty, so that apply repairs it.",
        )
        .computed()
        .keeps_state(),
    )
    .attributes(tagging::attributes())
    .timeouts(TimeoutDefaults {
        // NAT gateways and endpoints take two to five minutes each, side by side.
        create: Duration::from_mins(20),
        update: Duration::from_mins(30),
        // Instances of the scanner may take their time to shut down.
        delete: Duration::from_mins(30),
    })
}

fn is_zone(text: &str) -> bool {
    let is_name = |byte: u8| byte == b'-' || byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let (region, letter) = text.split_at_checked(text.len().saturating_sub(1)).unwrap_or_default();
    text.bytes().all(is_name)
        && letter.bytes().all(|byte| byte.is_ascii_lowercase())
        && region.parse::<scanner_policy::Region>().is_ok()
}

fn is_service(text: &str) -> bool {
    let is_name =
        |byte: u8| byte == b'-' || byte == b'.' || byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.bytes().all(is_name)
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && !text.ends_with('.')
}
