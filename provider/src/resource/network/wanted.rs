//! What a network is to be, in terms of EC2.

use std::collections::{BTreeMap, BTreeSet};

use crate::aws::{Endpoint, EndpointService, FlowLog, Peer, RuleSpec, Tags};

use super::addressing::{SLOTS, Space};
use super::endpoint_policy::is_same;

/// The tag that everything of one network carries; its value is unique.
pub(super) const TOKEN_TAG: &str = "DatadogAgentlessScannerNetwork";

/// The tag that says which part of the network something is.
pub(super) const PART_TAG: &str = "DatadogAgentlessScannerNetworkPart";

/// The tag that AWS shows as the name.
pub(super) const NAME_TAG: &str = "Name";

/// The name of the endpoints' security group: not the network's, because EC2 cannot change it.
pub(super) const GROUP_NAME: &str = "agentless-scanner-endpoints";

/// How the network reaches what is outside.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Egress {
    /// One NAT gateway, in the first zone.
    Nat,
    /// One in each zone.
    NatPerZone,
    /// Not at all: there are only endpoints.
    Endpoints,
}

impl Egress {
    pub(super) const NAMES: [&str; 3] = ["nat", "nat_per_zone", "endpoints"];

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "nat" => Self::Nat,
            "nat_per_zone" => Self::NatPerZone,
            "endpoints" => Self::Endpoints,
            _ => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nat => "nat",
            Self::NatPerZone => "nat_per_zone",
            Self::Endpoints => "endpoints",
        }
    }

    /// The zones that have a NAT gateway.
    pub(super) fn nat_zones(self, zones: &[String]) -> &[String] {
        match self {
            Self::Nat => zones.get(..1).unwrap_or_default(),
            Self::NatPerZone => zones,
            Self::Endpoints => &[],
        }
    }
}

/// A network as it is to be.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) token: String,
    pub(super) tags: Tags,
    pub(super) space: Space,
    pub(super) cidr: String,
    /// In the order of the user.
    pub(super) zones: Vec<String>,
    pub(super) egress: Egress,
    /// By their short names, such as `ec2`, with their policies.
    pub(super) services: BTreeMap<String, (EndpointService, String)>,
    pub(super) ipv6: bool,
    pub(super) flow_log: Option<FlowLog>,
    /// What the tags of the VPC remember for an import.
    pub(super) features: BTreeSet<String>,
}

impl Wanted {
    /// All tags of a part.
    pub(super) fn tags_of(&self, key: &str) -> Tags {
        let mut tags = self.tags.clone();
        tags.insert(NAME_TAG.to_owned(), format!("{}-{}", self.name, key.replace('/', "-")));
        tags.insert(TOKEN_TAG.to_owned(), self.token.clone());
        tags.insert(PART_TAG.to_owned(), key.to_owned());
        tags
    }

    /// All tags of the VPC.
    pub(super) fn vpc_tags(&self) -> Tags {
        let features: Vec<&str> = self.features.iter().map(String::as_str).collect();
        let mut tags = self.tags_of(&format!("vpc {} {}", self.egress.name(), features.join("+")));
        tags.insert(NAME_TAG.to_owned(), self.name.clone());
        tags
    }

    pub(super) fn has_interfaces(&self) -> bool {
        self.services.values().any(|(service, _)| !service.is_gateway)
    }

    /// Which zones have NAT gateways, and so a public subnet.
    pub(super) fn nat_zones(&self) -> &[String] {
        self.egress.nat_zones(&self.zones)
    }

    /// The one inbound rule of the endpoints' security group.
    pub(super) fn endpoint_rule(&self) -> RuleSpec {
        let peer = Peer::Ipv4(self.cidr.clone());
        RuleSpec { protocol: "tcp".to_owned(), from_port: 443, to_port: 443, peer }
    }
}

/// How many zones a network can have.
pub(super) fn slots(space: Space, egress: Egress) -> u32 {
    match egress {
        Egress::NatPerZone => space.public_slots(),
        Egress::Nat | Egress::Endpoints => SLOTS,
    }
}

/// The tags that users have given, out of all tags of the VPC.
pub(super) fn tags_of_users(mut tags: Tags) -> Tags {
    for ours in [NAME_TAG, TOKEN_TAG, PART_TAG] {
        tags.remove(ours);
    }
    tags
}

/// Egress and features, as the tags of a VPC remember them.
pub(super) fn remembered(tags: &Tags) -> Option<(Egress, BTreeSet<String>)> {
    let mut words = tags.get(PART_TAG)?.split(' ');
    let ("vpc", egress, features) = (words.next()?, words.next()?, words.next()?) else { return None };
    Some((Egress::from_name(egress)?, features.split('+').map(str::to_owned).collect()))
}

/// The services that have an endpoint unless the user says which.
///
/// Those that the scanner calls in any case, and those of its features. With a way to the internet only S3, whose endpoint
/// costs nothing and saves the NAT gateway's price for its traffic.
pub(super) fn default_services(egress: Egress, features: &BTreeSet<String>) -> BTreeSet<String> {
    let mut names = vec!["s3"];
    if egress == Egress::Endpoints {
        names.extend(["autoscaling", "ebs", "ec2", "secretsmanager", "ssm", "sts"]);
        if features.contains("functions") {
            names.extend(["ecr.api", "ecr.dkr", "lambda"]);
        }
    }
    names.into_iter().map(str::to_owned).collect()
}

/// The service of this short name among those of the region.
///
/// Names differ between partitions and even within one: most are `com.amazonaws.REGION.SERVICE`, in China many are
/// `cn.com.amazonaws.REGION.SERVICE`, in isolated regions they begin with the reversed domain. So they are not made up but
/// looked up (`DescribeVpcEndpointServices`) by their end. Of two the gateway is taken, which costs nothing.
pub(super) fn find_service(
    services: &[EndpointService],
    region: &str,
    short: &str,
) -> Option<EndpointService> {
    let end = format!(".{region}.{short}");
    let mut found: Vec<&EndpointService> = services.iter().filter(|it| it.name.ends_with(&end)).collect();
    found.sort_by_key(|it| (!it.is_gateway, it.name.len()));
    found.first().map(|it| (*it).clone())
}

/// Whether an endpoint is as it is to be. An empty policy is one that EC2 chooses.
pub(super) fn fits(endpoint: &Endpoint, wanted: &Endpoint) -> bool {
    let sorted = |list: &[String]| list.iter().cloned().collect::<BTreeSet<String>>();
    sorted(&endpoint.tables) == sorted(&wanted.tables)
        && sorted(&endpoint.subnets) == sorted(&wanted.subnets)
        && sorted(&endpoint.groups) == sorted(&wanted.groups)
        && endpoint.private_dns == wanted.private_dns
        && (wanted.policy.is_empty() || is_same(&endpoint.policy, &wanted.policy))
}

/// Whether a flow log is as it is to be. EC2 may tell of a log group only its name.
pub(super) fn is_logged(log: &FlowLog, wanted: &FlowLog) -> bool {
    let same_group = || {
        let name = wanted.destination.split(":log-group:").nth(1).unwrap_or_default();
        wanted.is_log_group && name.trim_end_matches(":*") == log.destination
    };
    log.is_log_group == wanted.is_log_group
        && log.role == wanted.role
        && log.traffic == wanted.traffic
        && (log.destination == wanted.destination || same_group())
}
