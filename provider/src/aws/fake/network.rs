//! VPCs and what is in them: what takes time takes one look, and what is in use cannot be deleted.

use std::collections::BTreeMap;

use scanner_policy::Region;

use super::{ACCOUNT, FakeAws, World, missing, retag};
use crate::aws::{
    AwsError, Change, Dns, Endpoint, EndpointService, Interface, Ipv6Block, Networks, NewPart, Part,
    PartKind, PartKinds, Peer, Route, Rule, RuleSpec, Status, Tags, Vpc, What,
};

/// The networks of the fake.
#[derive(Debug, Default)]
pub(crate) struct FakeNetworks {
    pub(crate) vpcs: BTreeMap<String, (Vpc, Dns)>,
    /// With the VPC of each.
    pub(crate) parts: BTreeMap<String, (String, Part)>,
    pub(crate) interfaces: Vec<Interface>,
    /// The next creation by this operation is carried out, its answer lost, and asked for again.
    pub(crate) repeats: Option<&'static str>,
}

impl FakeNetworks {
    fn parts_of(&self, vpc: &str) -> impl Iterator<Item = &Part> {
        self.parts.values().filter(move |(of, _)| of == vpc).map(|(_, part)| part)
    }

    fn part(&mut self, operation: &'static str, id: &str) -> Result<&mut Part, AwsError> {
        self.parts.get_mut(id).map(|(_, part)| part).ok_or_else(|| missing(operation))
    }

    fn table(&mut self, operation: &'static str, id: &str) -> Result<&mut Vec<Route>, AwsError> {
        match &mut self.part(operation, id)?.what {
            What::RouteTable { routes, .. } => Ok(routes),
            _ => Err(missing(operation)),
        }
    }

    fn is_used(&self, id: &str) -> bool {
        let is_it = |other: &String| other == id;
        self.parts.values().any(|(_, user)| match &user.what {
            What::NatGateway { subnet, allocations } => is_it(subnet) || allocations.iter().any(is_it),
            What::Endpoint(endpoint) => endpoint.subnets.iter().chain(&endpoint.groups).any(is_it),
            _ => false,
        })
    }
}

impl World {
    /// What every VPC has from the beginning.
    fn make_vpc(&mut self, cidr: &str, ipv6: bool, tags: &Tags) -> String {
        let id = self.id("vpc");
        let block = |index| Ipv6Block { cidr: format!("2001:db8:0:{index:x}00::/56"), is_ready: true };
        let vpc = Vpc {
            id: id.clone(),
            owner: ACCOUNT.to_owned(),
            cidr: cidr.to_owned(),
            ipv6: ipv6.then(|| block(1)),
            tags: tags.clone(),
        };
        self.networks.vpcs.insert(id.clone(), (vpc, Dns { support: true, hostnames: false }));
        let everything = |peer: Peer| RuleSpec { protocol: "-1".into(), from_port: -1, to_port: -1, peer };
        let rule = self.id("sgr");
        let rules =
            vec![Rule { id: rule, is_egress: true, spec: everything(Peer::Ipv4("0.0.0.0/0".to_owned())) }];
        let table = What::RouteTable {
            is_main: true,
            routes: Vec::new(),
            endpoint_routes: Vec::new(),
            subnets: Vec::new(),
        };
        for (prefix, what) in [("sg", What::Group { name: "default".to_owned(), rules }), ("rtb", table)] {
            self.put(&id, prefix, what, Status::Ready, &Tags::new());
        }
        id
    }

    fn put(&mut self, vpc: &str, prefix: &str, what: What, status: Status, tags: &Tags) -> String {
        let id = self.id(prefix);
        let part = Part { id: id.clone(), tags: tags.clone(), status, what };
        self.networks.parts.insert(id.clone(), (vpc.to_owned(), part));
        id
    }

    fn make_part(&mut self, part: &NewPart, tags: &Tags) -> Result<String, AwsError> {
        let operation = operation_of(part);
        let refused = |code: &str| Err(AwsError::answered(operation, code, "no"));
        let ready = Status::Ready;
        Ok(match part.clone() {
            NewPart::Subnet { vpc, zone, cidr, ipv6 } => {
                let is_taken =
                    |it: &Part| matches!(&it.what, What::Subnet { cidr: other, .. } if *other == cidr);
                if self.networks.parts_of(&vpc).any(is_taken) {
                    return refused("InvalidSubnet.Conflict");
                }
                let what = What::Subnet { zone, cidr, ipv6, maps_public: false, assigns_ipv6: false };
                self.put(&vpc, "subnet", what, ready, tags)
            }
            NewPart::RouteTable(vpc) => {
                let what = What::RouteTable {
                    is_main: false,
                    routes: Vec::new(),
                    endpoint_routes: Vec::new(),
                    subnets: Vec::new(),
                };
                self.put(&vpc, "rtb", what, ready, tags)
            }
            NewPart::InternetGateway => {
                self.put("", "igw", What::InternetGateway { is_attached: false }, ready, tags)
            }
            NewPart::EgressGateway(vpc) => self.put(&vpc, "eigw", What::EgressGateway, ready, tags),
            NewPart::Address => {
                let ip = format!("203.0.113.{}", self.next_id % 250);
                self.put("", "eipalloc", What::Address { ip }, ready, tags)
            }
            NewPart::NatGateway { subnet, allocation } => {
                if self.networks.is_used(&allocation) {
                    return refused("Resource.AlreadyAssociated");
                }
                let (vpc, _) = self.networks.parts.get(&subnet).ok_or_else(|| missing(operation))?.clone();
                let what = What::NatGateway { subnet, allocations: vec![allocation] };
                self.put(&vpc, "nat", what, Status::Pending, tags)
            }
            NewPart::Endpoint { vpc, endpoint } => {
                let is_same = |it: &Part| matches!(&it.what, What::Endpoint(other) if other.service == endpoint.service);
                if self.networks.parts_of(&vpc).any(is_same) {
                    // As EC2 says that a private DNS name is taken.
                    return refused("InvalidParameter");
                }
                let tables = endpoint.tables.clone();
                let id = self.put(&vpc, "vpce", What::Endpoint(endpoint), Status::Pending, tags);
                for table in tables {
                    let table = self.networks.part(operation, &table)?;
                    if let What::RouteTable { endpoint_routes, .. } = &mut table.what {
                        endpoint_routes.push(Route { destination: "pl-1".to_owned(), target: id.clone() });
                    }
                }
                id
            }
            NewPart::Group { vpc, name, .. } => {
                let is_same =
                    |it: &Part| matches!(&it.what, What::Group { name: other, .. } if *other == name);
                if self.networks.parts_of(&vpc).any(is_same) {
                    return refused("InvalidGroup.Duplicate");
                }
                let spec = RuleSpec {
                    protocol: "-1".to_owned(),
                    from_port: -1,
                    to_port: -1,
                    peer: Peer::Ipv4("0.0.0.0/0".to_owned()),
                };
                let rules = vec![Rule { id: self.id("sgr"), is_egress: true, spec }];
                self.put(&vpc, "sg", What::Group { name, rules }, ready, tags)
            }
            NewPart::FlowLog { vpc, log } => {
                let is_same = |it: &Part| matches!(&it.what, What::FlowLog(other) if *other == log);
                if self.networks.parts_of(&vpc).any(is_same) {
                    return refused("FlowLogAlreadyExists");
                }
                self.put(&vpc, "fl", What::FlowLog(log), ready, tags)
            }
        })
    }
}

fn operation_of(part: &NewPart) -> &'static str {
    match part {
        NewPart::Subnet { .. } => "ec2:CreateSubnet",
        NewPart::RouteTable(_) => "ec2:CreateRouteTable",
        NewPart::InternetGateway => "ec2:CreateInternetGateway",
        NewPart::EgressGateway(_) => "ec2:CreateEgressOnlyInternetGateway",
        NewPart::Address => "ec2:AllocateAddress",
        NewPart::NatGateway { .. } => "ec2:CreateNatGateway",
        NewPart::Endpoint { .. } => "ec2:CreateVpcEndpoint",
        NewPart::Group { .. } => "ec2:CreateSecurityGroup",
        NewPart::FlowLog { .. } => "ec2:CreateFlowLogs",
    }
}

fn change_operation(change: &Change) -> &'static str {
    match change {
        Change::Dns(_) => "ec2:ModifyVpcAttribute",
        Change::VpcIpv6 => "ec2:AssociateVpcCidrBlock",
        Change::SubnetIpv6 { .. } => "ec2:AssociateSubnetCidrBlock",
        Change::KeepPrivate(_) | Change::AssignIpv6(_) => "ec2:ModifySubnetAttribute",
        Change::Attach(_) => "ec2:AttachInternetGateway",
        Change::Detach(_) => "ec2:DetachInternetGateway",
        Change::Associate { .. } => "ec2:AssociateRouteTable",
        Change::Disassociate(_) => "ec2:DisassociateRouteTable",
        Change::AddRoute(..) => "ec2:CreateRoute",
        Change::ReplaceRoute(..) => "ec2:ReplaceRoute",
        Change::DeleteRoute(..) => "ec2:DeleteRoute",
        Change::Endpoint { .. } => "ec2:ModifyVpcEndpoint",
        Change::Allow(..) => "ec2:AuthorizeSecurityGroupIngress",
        Change::Revoke { .. } => "ec2:RevokeSecurityGroupEgress",
        Change::Tag { .. } => "ec2:CreateTags",
    }
}

fn delete_operation(kind: PartKind) -> &'static str {
    match kind {
        PartKind::Vpc => "ec2:DeleteVpc",
        PartKind::Subnet => "ec2:DeleteSubnet",
        PartKind::RouteTable => "ec2:DeleteRouteTable",
        PartKind::InternetGateway => "ec2:DeleteInternetGateway",
        PartKind::EgressGateway => "ec2:DeleteEgressOnlyInternetGateway",
        PartKind::Address => "ec2:ReleaseAddress",
        PartKind::NatGateway => "ec2:DeleteNatGateway",
        PartKind::Endpoint => "ec2:DeleteVpcEndpoints",
        PartKind::Group => "ec2:DeleteSecurityGroup",
        PartKind::FlowLog => "ec2:DeleteFlowLogs",
    }
}

impl Networks for FakeAws {
    async fn zones(&self, region: &Region) -> Result<Vec<String>, AwsError> {
        drop(self.call("ec2:DescribeAvailabilityZones")?);
        Ok(["a", "b", "c"].iter().map(|letter| format!("{region}{letter}")).collect())
    }

    async fn endpoint_services(&self, region: &Region) -> Result<Vec<EndpointService>, AwsError> {
        drop(self.call("ec2:DescribeVpcEndpointServices")?);
        let names = [
            "autoscaling",
            "ebs",
            "ec2",
            "ecr.api",
            "ecr.dkr",
            "kms",
            "lambda",
            "secretsmanager",
            "ssm",
            "sts",
        ];
        let service = |short: &str, is_gateway| EndpointService {
            name: format!("com.amazonaws.{region}.{short}"),
            is_gateway,
            zones: vec![format!("{region}a"), format!("{region}b")],
            has_policy: true,
            has_private_dns: true,
        };
        let interfaces = names.iter().map(|short| service(short, false));
        Ok(interfaces.chain([service("s3", false), service("s3", true)]).collect())
    }

    async fn create_vpc(&self, _: &Region, cidr: &str, ipv6: bool, tags: &Tags) -> Result<String, AwsError> {
        const OPERATION: &str = "ec2:CreateVpc";
        let mut world = self.call(OPERATION)?;
        if world.networks.repeats.take_if(|it| *it == OPERATION).is_some() {
            world.make_vpc(cidr, ipv6, tags);
        }
        Ok(world.make_vpc(cidr, ipv6, tags))
    }

    async fn vpc(&self, _: &Region, id: &str) -> Result<Option<Vpc>, AwsError> {
        Ok(self.call("ec2:DescribeVpcs")?.networks.vpcs.get(id).map(|(vpc, _)| vpc.clone()))
    }

    async fn vpcs_tagged(&self, _: &Region, key: &str, value: &str) -> Result<Vec<Vpc>, AwsError> {
        let world = self.call("ec2:DescribeVpcs")?;
        let vpcs = world.networks.vpcs.values().map(|(vpc, _)| vpc);
        Ok(vpcs.filter(|vpc| vpc.tags.get(key).is_some_and(|it| it == value)).cloned().collect())
    }

    async fn dns(&self, _: &Region, vpc: &str) -> Result<Dns, AwsError> {
        const OPERATION: &str = "ec2:DescribeVpcAttribute";
        let world = self.call(OPERATION)?;
        world.networks.vpcs.get(vpc).map(|(_, dns)| *dns).ok_or_else(|| missing(OPERATION))
    }

    async fn parts(
        &self,
        _: &Region,
        vpc: &str,
        tag: (&str, &str),
        kinds: &PartKinds,
    ) -> Result<Vec<Part>, AwsError> {
        let mut world = self.call("ec2:DescribeSubnets")?;
        let is_tagged = |part: &Part| part.tags.get(tag.0).is_some_and(|value| value == tag.1);
        let is_asked = |part: &Part| kinds.contains(&part.what.kind());
        let parts = world.networks.parts.values();
        let found = parts
            .filter(|(of, part)| (of == vpc || is_tagged(part)) && is_asked(part))
            .map(|(_, part)| part.clone());
        let found = found.collect();
        world.networks.parts.retain(|_, (_, part)| !(part.status == Status::Leaving && is_asked(part)));
        for (_, part) in world.networks.parts.values_mut().filter(|(_, part)| is_asked(part)) {
            if part.status == Status::Pending {
                part.status = Status::Ready;
            }
        }
        Ok(found)
    }

    async fn interfaces(&self, _: &Region, _vpc: &str) -> Result<Vec<Interface>, AwsError> {
        Ok(self.call("ec2:DescribeNetworkInterfaces")?.networks.interfaces.clone())
    }

    async fn create_part(&self, _: &Region, part: &NewPart, tags: &Tags) -> Result<String, AwsError> {
        let operation = operation_of(part);
        let mut world = self.call(operation)?;
        if world.networks.repeats.take_if(|it| *it == operation).is_some() {
            world.make_part(part, tags)?;
        }
        world.make_part(part, tags)
    }

    async fn change_part(&self, _: &Region, vpc: &str, change: &Change) -> Result<(), AwsError> {
        let operation = change_operation(change);
        let mut world = self.call(operation)?;
        let (association, rule) = (world.id("rtbassoc"), world.id("sgr"));
        let networks = &mut world.networks;
        match change.clone() {
            Change::Dns(_) => {
                networks.vpcs.get_mut(vpc).unwrap().1 = Dns { support: true, hostnames: true };
            }
            Change::VpcIpv6 => {
                let block = Ipv6Block { cidr: "2001:db8:0:200::/56".to_owned(), is_ready: true };
                networks.vpcs.get_mut(vpc).unwrap().0.ipv6 = Some(block);
            }
            Change::SubnetIpv6 { subnet, cidr } => {
                if let What::Subnet { ipv6, .. } = &mut networks.part(operation, &subnet)?.what {
                    *ipv6 = Some(cidr);
                }
            }
            Change::KeepPrivate(subnet) => {
                if let What::Subnet { maps_public, .. } = &mut networks.part(operation, &subnet)?.what {
                    *maps_public = false;
                }
            }
            Change::AssignIpv6(subnet) => {
                if let What::Subnet { assigns_ipv6, .. } = &mut networks.part(operation, &subnet)?.what {
                    *assigns_ipv6 = true;
                }
            }
            Change::Attach(id) => {
                networks.part(operation, &id)?.what = What::InternetGateway { is_attached: true };
            }
            Change::Detach(id) => {
                networks.part(operation, &id)?.what = What::InternetGateway { is_attached: false };
            }
            Change::Associate { table, subnet, instead_of } => {
                for (_, part) in networks.parts.values_mut() {
                    if let What::RouteTable { subnets, .. } = &mut part.what {
                        subnets.retain(|(id, _)| Some(id) != instead_of.as_ref());
                    }
                }
                if let What::RouteTable { subnets, .. } = &mut networks.part(operation, &table)?.what {
                    subnets.push((association, subnet));
                }
            }
            Change::Disassociate(id) => {
                for (_, part) in networks.parts.values_mut() {
                    if let What::RouteTable { subnets, .. } = &mut part.what {
                        subnets.retain(|(other, _)| *other != id);
                    }
                }
            }
            Change::AddRoute(table, route) => networks.table(operation, &table)?.push(route),
            Change::ReplaceRoute(table, route) => {
                let routes = networks.table(operation, &table)?;
                routes.retain(|it| it.destination != route.destination);
                routes.push(route);
            }
            Change::DeleteRoute(table, route) => {
                networks.table(operation, &table)?.retain(|it| it.destination != route.destination);
            }
            Change::Endpoint { id, to, .. } => {
                if let What::Endpoint(endpoint) = &mut networks.part(operation, &id)?.what {
                    let policy =
                        if to.policy.is_empty() { endpoint.policy.clone() } else { to.policy.clone() };
                    *endpoint = Endpoint { policy, ..to };
                }
            }
            Change::Allow(group, spec) => {
                if let What::Group { rules, .. } = &mut networks.part(operation, &group)?.what {
                    rules.push(Rule { id: rule, is_egress: false, spec });
                }
            }
            Change::Revoke { group, rules: ids, .. } => {
                if let What::Group { rules, .. } = &mut networks.part(operation, &group)?.what {
                    rules.retain(|rule| !ids.contains(&rule.id));
                }
            }
            Change::Tag { id, set, remove } => match networks.vpcs.get_mut(&id) {
                Some((vpc, _)) => retag(&mut vpc.tags, &set, &remove),
                None => retag(&mut networks.part(operation, &id)?.tags, &set, &remove),
            },
        }
        Ok(())
    }

    async fn delete_part(&self, _: &Region, kind: PartKind, id: &str) -> Result<(), AwsError> {
        let operation = delete_operation(kind);
        let mut world = self.call(operation)?;
        let in_use = || Err(AwsError::answered(operation, "DependencyViolation", "has dependencies"));
        if kind == PartKind::Vpc {
            let is_built_in = |part: &Part| match &part.what {
                What::Group { name, .. } => name == "default",
                What::RouteTable { is_main, .. } => *is_main,
                What::FlowLog(_) => true,
                _ => false,
            };
            if !world.networks.interfaces.is_empty() || !world.networks.parts_of(id).all(is_built_in) {
                return in_use();
            }
            world.networks.parts.retain(|_, (vpc, _)| vpc != id);
            world.networks.vpcs.remove(id);
            return Ok(());
        }
        if world.networks.is_used(id) {
            return in_use();
        }
        let Some((_, part)) = world.networks.parts.get_mut(id) else { return Ok(()) };
        match &part.what {
            What::RouteTable { subnets, .. } if !subnets.is_empty() => return in_use(),
            What::InternetGateway { is_attached: true } => return in_use(),
            What::NatGateway { .. } | What::Endpoint(_) => part.status = Status::Leaving,
            _ => _ = world.networks.parts.remove(id),
        }
        Ok(())
    }
}
