//! [`Networks`]: a VPC and what is in it.
//!
//! A network has some ten kinds of parts, each with calls of its own to make, change and remove it. Here they are data
//! ([`Part`], [`NewPart`], [`Change`]): what should happen can then be decided in one place, without calls, and
//! compared.

mod change;
mod describe;

use std::collections::BTreeSet;
use std::fmt::{self, Display};

use scanner_policy::Region;

use super::{Answer, Rule, RuleSpec, Tags};

/// A VPC, as EC2 has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vpc {
    /// Such as `vpc-0123456789abcdef0`.
    pub id: String,
    /// The account it belongs to.
    pub owner: String,
    /// Its IPv4 addresses, such as `10.0.0.0/16`.
    pub cidr: String,
    /// Its IPv6 addresses, where Amazon gave it some.
    pub ipv6: Option<Ipv6Block>,
    /// Its tags.
    pub tags: Tags,
}

/// IPv6 addresses of a VPC.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ipv6Block {
    /// Such as `2001:db8:1234:1a00::/56`. Empty while EC2 has not chosen them.
    pub cidr: String,
    /// Whether they can be used yet.
    pub is_ready: bool,
}

/// Whether the names of AWS services and of instances are resolved in a VPC.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Dns {
    /// The attribute `enableDnsSupport`.
    pub support: bool,
    /// The attribute `enableDnsHostnames`.
    pub hostnames: bool,
}

/// One thing in a VPC.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Such as `subnet-0123456789abcdef0`.
    pub id: String,
    /// Its tags.
    pub tags: Tags,
    /// Whether it can be used.
    pub status: Status,
    /// What it is.
    pub what: What,
}

/// Whether a part can be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Status {
    /// Not yet.
    Pending,
    /// It can.
    Ready,
    /// It never will, for this reason.
    Failed(String),
    /// It is being deleted.
    Leaving,
}

/// The kinds of parts, each with what is of interest of it.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A subnet.
    Subnet {
        /// Its availability zone, by name.
        zone: String,
        /// Its IPv4 addresses.
        cidr: String,
        /// Its IPv6 addresses.
        ipv6: Option<String>,
        /// Whether instances get public IPv4 addresses unless they say otherwise.
        maps_public: bool,
        /// Whether instances get IPv6 addresses unless they say otherwise.
        assigns_ipv6: bool,
    },
    /// A route table.
    RouteTable {
        /// Whether it serves the subnets that have no other.
        is_main: bool,
        /// Its routes but those within the VPC.
        routes: Vec<Route>,
        /// Those of gateway endpoints, which EC2 itself keeps: from the service's prefix list to the endpoint.
        endpoint_routes: Vec<Route>,
        /// The subnets it serves: id of the association, id of the subnet.
        subnets: Vec<(String, String)>,
    },
    /// An internet gateway.
    InternetGateway {
        /// Whether it is attached to the VPC.
        is_attached: bool,
    },
    /// An egress-only internet gateway, for IPv6.
    EgressGateway,
    /// An Elastic IP address.
    Address {
        /// The address.
        ip: String,
    },
    /// A NAT gateway.
    NatGateway {
        /// Its subnet.
        subnet: String,
        /// The Elastic IP addresses it uses, by their allocation ids.
        allocations: Vec<String>,
    },
    /// A VPC endpoint.
    Endpoint(Endpoint),
    /// A security group.
    Group {
        /// Its name; `default` is that of the group that every VPC has.
        name: String,
        /// Its rules, in both directions.
        rules: Vec<Rule>,
    },
    /// A flow log of the VPC.
    FlowLog(FlowLog),
}

/// A VPC endpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Endpoint {
    /// The service's name, such as `com.amazonaws.eu-central-1.ec2`.
    pub service: String,
    /// Whether it is a route and not a network interface.
    pub is_gateway: bool,
    /// What may be done through it, as JSON.
    pub policy: String,
    /// The route tables of a gateway.
    pub tables: Vec<String>,
    /// The subnets of an interface.
    pub subnets: Vec<String>,
    /// The security groups of an interface.
    pub groups: Vec<String>,
    /// Whether the service's usual name leads to it.
    pub private_dns: bool,
}

/// Where a record of the connections goes. EC2 cannot change one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FlowLog {
    /// The ARN of a bucket, with a folder or not, or of a log group.
    pub destination: String,
    /// Whether the destination is a log group and not a bucket.
    pub is_log_group: bool,
    /// The role that writes to a log group.
    pub role: Option<String>,
    /// `ALL`, `ACCEPT` or `REJECT`.
    pub traffic: String,
}

/// A route.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Route {
    /// An IPv4 or IPv6 block or a prefix list.
    pub destination: String,
    /// The id of what the traffic goes to.
    pub target: String,
}

/// A service that endpoints can lead to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EndpointService {
    /// Its name, such as `com.amazonaws.eu-central-1.ec2`.
    pub name: String,
    /// Whether its endpoints are routes and not network interfaces.
    pub is_gateway: bool,
    /// The availability zones in which it can have network interfaces.
    pub zones: Vec<String>,
    /// Whether its endpoints can have a policy.
    pub has_policy: bool,
    /// Whether its usual name can lead to an endpoint.
    pub has_private_dns: bool,
}

/// A network interface that stands in the way of a deletion.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interface {
    /// Such as `eni-0123456789abcdef0`.
    pub id: String,
    /// Its subnet.
    pub subnet: String,
    /// What made it says what it is for.
    pub description: String,
    /// The instance it belongs to.
    pub instance: Option<String>,
}

/// A part to be made.
#[derive(Clone, Debug, PartialEq)]
pub enum NewPart {
    /// A subnet.
    Subnet {
        /// The VPC.
        vpc: String,
        /// The availability zone, by name.
        zone: String,
        /// Its IPv4 addresses.
        cidr: String,
        /// Its IPv6 addresses.
        ipv6: Option<String>,
    },
    /// A route table of this VPC.
    RouteTable(String),
    /// An internet gateway.
    InternetGateway,
    /// An egress-only internet gateway of this VPC.
    EgressGateway(String),
    /// An Elastic IP address.
    Address,
    /// A NAT gateway.
    NatGateway {
        /// Its subnet.
        subnet: String,
        /// Its address.
        allocation: String,
    },
    /// An endpoint.
    Endpoint {
        /// The VPC.
        vpc: String,
        /// What it is to be. An empty policy leaves it to EC2.
        endpoint: Endpoint,
    },
    /// A security group.
    Group {
        /// The VPC.
        vpc: String,
        /// Its name.
        name: String,
        /// What it is for.
        description: String,
    },
    /// A flow log.
    FlowLog {
        /// The VPC.
        vpc: String,
        /// What it is to be.
        log: FlowLog,
    },
}

/// A change of something that is there.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Have names resolved in a VPC. EC2 changes one attribute a call, and wants support before hostnames.
    Dns(Dns),
    /// Give the VPC IPv6 addresses.
    VpcIpv6,
    /// Give a subnet IPv6 addresses.
    SubnetIpv6 {
        /// The subnet.
        subnet: String,
        /// The addresses.
        cidr: String,
    },
    /// Give instances of a subnet no public IPv4 address.
    KeepPrivate(String),
    /// Give instances of a subnet an IPv6 address.
    AssignIpv6(String),
    /// Attach an internet gateway to the VPC.
    Attach(String),
    /// Detach an internet gateway from the VPC.
    Detach(String),
    /// Let a route table serve a subnet.
    Associate {
        /// The route table.
        table: String,
        /// The subnet.
        subnet: String,
        /// The association with another table.
        instead_of: Option<String>,
    },
    /// End an association of a route table.
    Disassociate(String),
    /// Add a route.
    AddRoute(String, Route),
    /// Lead a route elsewhere.
    ReplaceRoute(String, Route),
    /// Remove a route.
    DeleteRoute(String, Route),
    /// Change an endpoint from the first to the second.
    Endpoint {
        /// The endpoint.
        id: String,
        /// What it is.
        from: Endpoint,
        /// What it is to be. An empty policy is left alone.
        to: Endpoint,
    },
    /// Allow inbound traffic.
    Allow(String, RuleSpec),
    /// Remove rules of one direction.
    Revoke {
        /// The security group.
        group: String,
        /// Whether they are about outbound traffic.
        is_egress: bool,
        /// Their ids.
        rules: Vec<String>,
    },
    /// Set tags and remove others by key.
    Tag {
        /// What has them.
        id: String,
        /// What they are to be.
        set: Tags,
        /// The keys of those to go.
        remove: Vec<String>,
    },
}

/// The kinds of things that a network is made of.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum PartKind {
    /// The VPC itself.
    Vpc,
    /// A subnet.
    Subnet,
    /// A route table.
    RouteTable,
    /// An internet gateway.
    InternetGateway,
    /// An egress-only internet gateway.
    EgressGateway,
    /// An Elastic IP address.
    Address,
    /// A NAT gateway.
    NatGateway,
    /// An endpoint.
    Endpoint,
    /// A security group.
    Group,
    /// A flow log.
    FlowLog,
}

/// Some kinds of parts.
pub type PartKinds = BTreeSet<PartKind>;

impl PartKind {
    /// All kinds.
    pub const ALL: [Self; 10] = [
        Self::Vpc,
        Self::Subnet,
        Self::RouteTable,
        Self::InternetGateway,
        Self::EgressGateway,
        Self::Address,
        Self::NatGateway,
        Self::Endpoint,
        Self::Group,
        Self::FlowLog,
    ];
}

impl NewPart {
    /// The kind.
    pub fn kind(&self) -> PartKind {
        match self {
            Self::Subnet { .. } => PartKind::Subnet,
            Self::RouteTable(_) => PartKind::RouteTable,
            Self::InternetGateway => PartKind::InternetGateway,
            Self::EgressGateway(_) => PartKind::EgressGateway,
            Self::Address => PartKind::Address,
            Self::NatGateway { .. } => PartKind::NatGateway,
            Self::Endpoint { .. } => PartKind::Endpoint,
            Self::Group { .. } => PartKind::Group,
            Self::FlowLog { .. } => PartKind::FlowLog,
        }
    }
}

impl Change {
    /// The kind of what is changed. `None` for tags, which all kinds have.
    pub fn kind(&self) -> Option<PartKind> {
        Some(match self {
            Self::Dns(_) | Self::VpcIpv6 => PartKind::Vpc,
            Self::SubnetIpv6 { .. } | Self::KeepPrivate(_) | Self::AssignIpv6(_) => PartKind::Subnet,
            Self::Attach(_) | Self::Detach(_) => PartKind::InternetGateway,
            Self::Associate { .. }
            | Self::Disassociate(_)
            | Self::AddRoute(..)
            | Self::ReplaceRoute(..)
            | Self::DeleteRoute(..) => PartKind::RouteTable,
            Self::Endpoint { .. } => PartKind::Endpoint,
            Self::Allow(..) | Self::Revoke { .. } => PartKind::Group,
            Self::Tag { .. } => return None,
        })
    }
}

impl What {
    /// The kind.
    pub fn kind(&self) -> PartKind {
        match self {
            Self::Subnet { .. } => PartKind::Subnet,
            Self::RouteTable { .. } => PartKind::RouteTable,
            Self::InternetGateway { .. } => PartKind::InternetGateway,
            Self::EgressGateway => PartKind::EgressGateway,
            Self::Address { .. } => PartKind::Address,
            Self::NatGateway { .. } => PartKind::NatGateway,
            Self::Endpoint(_) => PartKind::Endpoint,
            Self::Group { .. } => PartKind::Group,
            Self::FlowLog(_) => PartKind::FlowLog,
        }
    }
}

impl Display for PartKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Vpc => "VPC",
            Self::Subnet => "subnet",
            Self::RouteTable => "route table",
            Self::InternetGateway => "internet gateway",
            Self::EgressGateway => "egress-only internet gateway",
            Self::Address => "Elastic IP address",
            Self::NatGateway => "NAT gateway",
            Self::Endpoint => "VPC endpoint",
            Self::Group => "security group",
            Self::FlowLog => "flow log",
        })
    }
}

/// VPCs and what is in them.
pub trait Networks: Send + Sync + 'static {
    /// The region's availability zones that the account may use, by name, in alphabetical order.
    fn zones(&self, region: &Region) -> impl Answer<Vec<String>>;
    /// Amazon's services that endpoints can lead to.
    fn endpoint_services(&self, region: &Region) -> impl Answer<Vec<EndpointService>>;
    /// Makes a VPC and returns its id.
    fn create_vpc(&self, region: &Region, cidr: &str, ipv6: bool, tags: &Tags) -> impl Answer<String>;
    /// Looks a VPC up.
    fn vpc(&self, region: &Region, id: &str) -> impl Answer<Option<Vpc>>;
    /// The VPCs that have this tag.
    fn vpcs_tagged(&self, region: &Region, key: &str, value: &str) -> impl Answer<Vec<Vpc>>;
    /// How names are resolved in a VPC.
    fn dns(&self, region: &Region, vpc: &str) -> impl Answer<Dns>;
    /// What there is of these kinds in a VPC; and the addresses and gateways that have this tag, which belong to no VPC
    /// while they are not attached.
    fn parts(
        &self,
        region: &Region,
        vpc: &str,
        tag: (&str, &str),
        kinds: &PartKinds,
    ) -> impl Answer<Vec<Part>>;
    /// The network interfaces in a VPC.
    fn interfaces(&self, region: &Region, vpc: &str) -> impl Answer<Vec<Interface>>;
    /// Makes a part and returns its id.
    fn create_part(&self, region: &Region, part: &NewPart, tags: &Tags) -> impl Answer<String>;
    /// Changes something of a VPC.
    fn change_part(&self, region: &Region, vpc: &str, change: &Change) -> impl Answer<()>;
    /// Removes a part, which nothing may use. That it is gone already is a success.
    fn delete_part(&self, region: &Region, kind: PartKind, id: &str) -> impl Answer<()>;
}
