//! What is to be done next, so that a network becomes what it is to be.
//!
//! Nothing here calls AWS. From what is wanted and what is there follow the calls that can be made now, side by side;
//! when they are done, one looks again. So there is one way for creating, going on after a failure, changing, repairing
//! and destroying, and what is left to do is also what differs from the plan.

mod endpoints;
mod nat;
mod remove;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};

use super::super::tagging;
use super::addressing::{SLOTS, allocate, ipv6_subnet};
use super::wanted::{PART_TAG, TOKEN_TAG, Wanted, is_logged};
use crate::aws::{Change, Dns, NewPart, Part, PartKind, Route, Rule, Status, Tags, Vpc, What};

/// Everywhere, in IPv4.
pub(super) const EVERYWHERE: &str = "0.0.0.0/0";

/// Everywhere, in IPv6.
pub(super) const EVERYWHERE_IPV6: &str = "::/0";

/// A network as it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Situation {
    pub(super) vpc: Vpc,
    pub(super) dns: Dns,
    pub(super) parts: Vec<Part>,
}

/// One call, and what is wrong without it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// Make a part.
    Create { key: String, part: NewPart },
    /// Change something.
    Change { change: Change, why: String },
    /// Remove a part.
    Delete { kind: PartKind, id: String, why: String },
}

/// What is to be done next.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// What makes the network what it is to be.
    pub(super) build: Vec<Step>,
    /// What removes the rest, when nothing is left to build.
    pub(super) remove: Vec<Step>,
    /// What EC2 is still about.
    pub(super) waiting: Vec<String>,
    /// Zones for which there are no addresses until others are gone.
    pub(super) unplaced: Vec<String>,
}

impl Situation {
    /// The part with this key that is of use: neither failed nor leaving. Of several that a repeated request has made,
    /// always the same one.
    pub(super) fn find(&self, token: &str, key: &str) -> Option<&Part> {
        let of_key = self.parts.iter().filter(|part| key_of(part, token) == Some(key) && is_alive(part));
        of_key.min_by_key(|part| (part.status != Status::Ready, &part.id))
    }

    fn has(&self, id: &str) -> bool {
        self.parts.iter().any(|part| part.id == id)
    }
}

/// Which part of the network with this token it is.
pub(super) fn key_of<'a>(part: &'a Part, token: &str) -> Option<&'a str> {
    let is_ours = !token.is_empty() && part.tags.get(TOKEN_TAG).is_some_and(|tag| tag == token);
    is_ours.then(|| part.tags.get(PART_TAG).map(String::as_str).unwrap_or_default())
}

fn is_alive(part: &Part) -> bool {
    matches!(part.status, Status::Pending | Status::Ready)
}

/// What is to be done next. `made` are the parts that were made just now, by key: EC2 may not list them yet.
pub(super) fn next(
    token: &str,
    wanted: Option<&Wanted>,
    situation: &Situation,
    made: &BTreeMap<String, String>,
) -> Steps {
    let mut planner = Planner { situation, token, made, kept: BTreeSet::new(), steps: Steps::default() };
    if let Some(wanted) = wanted {
        planner.build(wanted);
    }
    planner.remove();
    planner.steps
}

struct Planner<'a> {
    situation: &'a Situation,
    token: &'a str,
    made: &'a BTreeMap<String, String>,
    /// The ids of parts that are to stay.
    kept: BTreeSet<&'a str>,
    steps: Steps,
}

impl<'a> Planner<'a> {
    fn change(&mut self, change: Change, why: impl Into<String>) {
        self.steps.build.push(Step::Change { change, why: why.into() });
    }

    /// The part with this key when it can be used. One that is missing is made, when `new` can tell how.
    fn need(&mut self, wanted: &Wanted, key: &str, new: Option<NewPart>) -> Option<&'a Part> {
        if let Some(part) = self.situation.find(self.token, key) {
            self.kept.insert(&part.id);
            self.tags(&part.id, &part.tags, &wanted.tags_of(key), key);
            if part.status == Status::Pending {
                self.steps.waiting.push(format!("{} {}", part.what.kind(), part.id));
                return None;
            }
            return Some(part);
        }
        let same_key = |part: &&Part| key_of(part, self.token) == Some(key);
        if self.situation.parts.iter().filter(same_key).any(|part| part.status == Status::Leaving) {
            // What takes its place may need what it still holds: an address, a name.
            self.steps.waiting.push(format!("the deletion of the old {key}"));
            return None;
        }
        match (self.made.get(key), new) {
            (Some(id), _) if !self.situation.has(id) => self.steps.waiting.push(format!("{key} ({id})")),
            (_, Some(part)) => self.steps.build.push(Step::Create { key: key.to_owned(), part }),
            (_, None) => {}
        }
        None
    }

    fn tags(&mut self, id: &str, have: &Tags, want: &Tags, what: &str) {
        let tags = tagging::Change::between(&have.clone().into(), &want.clone().into());
        if !tags.is_empty() {
            let tagging::Change { set, remove } = tags;
            let names: Vec<&str> = set.keys().chain(&remove).map(String::as_str).collect();
            let why = format!("tags of {what} ({id}): {}", names.join(", "));
            self.change(Change::Tag { id: id.to_owned(), set, remove }, why);
        }
    }

    fn build(&mut self, wanted: &Wanted) {
        let vpc = &self.situation.vpc;
        self.tags(&vpc.id, &vpc.tags, &wanted.vpc_tags(), "the VPC");
        let dns = self.situation.dns;
        if !(dns.support && dns.hostnames) {
            let what = if dns.support { "DNS hostnames" } else { "DNS support" };
            self.change(Change::Dns(dns), format!("{what} of the VPC: off"));
        }
        let ipv6 = vpc.ipv6.as_ref().filter(|_| wanted.ipv6);
        match ipv6 {
            None if wanted.ipv6 => self.change(Change::VpcIpv6, "the VPC has no IPv6 addresses"),
            Some(block) if !block.is_ready => self.steps.waiting.push("the IPv6 addresses".to_owned()),
            _ => {}
        }
        let ipv6 = ipv6.filter(|block| block.is_ready).map(|block| block.cidr.as_str());
        self.default_group();
        self.flow_log(wanted);
        let private = self.private_subnets(wanted, ipv6);
        let tables = self.private_tables(wanted, &private);
        let nats = self.nat_gateways(wanted);
        let egress_gateway = match ipv6 {
            Some(_) if !wanted.nat_zones().is_empty() => {
                self.need(wanted, "egress-only", Some(NewPart::EgressGateway(vpc.id.clone())))
            }
            _ => None,
        };
        for (zone, table) in &tables {
            let mut routes = Vec::new();
            let nat =
                nats.get(zone).or_else(|| nats.values().next().filter(|_| wanted.nat_zones().len() == 1));
            if let Some(nat) = nat {
                routes.push(Route { destination: EVERYWHERE.to_owned(), target: nat.id.clone() });
            }
            if let Some(gateway) = egress_gateway {
                routes.push(Route { destination: EVERYWHERE_IPV6.to_owned(), target: gateway.id.clone() });
            }
            self.routes(table, &routes, &format!("the private subnet in {zone}"));
        }
        let main =
            self.situation.parts.iter().find(|it| matches!(it.what, What::RouteTable { is_main: true, .. }));
        if let Some(main) = main {
            self.routes(main, &[], "subnets without a route table of their own");
        }
        self.endpoints(wanted, &private, &tables);
    }

    /// The security group that every VPC has. Nothing here uses it, and it is to allow nothing to what does.
    fn default_group(&mut self) {
        let group = self.situation.parts.iter().find_map(|part| match &part.what {
            What::Group { name, rules } if name == "default" => Some((part, rules)),
            _ => None,
        });
        let Some((group, rules)) = group else { return };
        for rule in rules {
            self.revoke(&group.id, rule, "the default security group");
        }
    }

    fn revoke(&mut self, group: &str, rule: &Rule, what: &str) {
        let direction = if rule.is_egress { "outbound" } else { "inbound" };
        let why = format!("{direction} rule of {what}: {} ({})", rule.spec, rule.id);
        let change = Change::Revoke {
            group: group.to_owned(),
            is_egress: rule.is_egress,
            rules: vec![rule.id.clone()],
        };
        self.change(change, why);
    }

    fn flow_log(&mut self, wanted: &Wanted) {
        let Some(log) = &wanted.flow_log else { return };
        let new = NewPart::FlowLog { vpc: self.situation.vpc.id.clone(), log: log.clone() };
        let Some(part) = self.need(wanted, "flow-log", Some(new)) else { return };
        if let What::FlowLog(have) = &part.what
            && !is_logged(have, log)
        {
            // EC2 cannot change one. It is made anew when the old one is gone.
            let why = format!("flow log {}: to {}", part.id, have.destination);
            self.steps.build.push(Step::Delete { kind: PartKind::FlowLog, id: part.id.clone(), why });
        }
    }

    /// Which slots the subnets whose keys begin so have.
    fn taken(&self, prefix: &str, slot_of: impl Fn(&str) -> Option<u32>) -> BTreeMap<String, u32> {
        let parts = self.situation.parts.iter().filter(|part| is_alive(part));
        parts
            .filter_map(|part| {
                let zone = key_of(part, self.token)?.strip_prefix(prefix)?;
                match &part.what {
                    What::Subnet { cidr, .. } => Some((zone.to_owned(), slot_of(cidr)?)),
                    _ => None,
                }
            })
            .collect()
    }

    fn private_subnets(&mut self, wanted: &Wanted, ipv6: Option<&str>) -> BTreeMap<String, &'a Part> {
        let taken = self.taken("private/", |cidr| wanted.space.private_slot_of(cidr));
        let slots = allocate(&wanted.zones, &taken, SLOTS);
        let mut subnets = BTreeMap::new();
        for zone in &wanted.zones {
            let Some(slot) = slots.get(zone) else {
                self.steps.unplaced.push(zone.clone());
                continue;
            };
            let own_ipv6 = ipv6.and_then(|vpc| ipv6_subnet(vpc, *slot));
            // With IPv6 it is made when the addresses are known.
            let new = wanted.space.private(*slot).filter(|_| ipv6.is_some() || !wanted.ipv6).map(|cidr| {
                let (vpc, zone) = (self.situation.vpc.id.clone(), zone.clone());
                NewPart::Subnet { vpc, zone, cidr, ipv6: own_ipv6.clone() }
            });
            let Some(part) = self.need(wanted, &format!("private/{zone}"), new) else { continue };
            subnets.insert(zone.clone(), part);
            self.keep_private(part);
            if let (What::Subnet { ipv6: have, assigns_ipv6, .. }, Some(cidr)) = (&part.what, own_ipv6) {
                let subnet = part.id.clone();
                if have.is_none() {
                    let why = format!("subnet {subnet} has no IPv6 addresses");
                    self.change(Change::SubnetIpv6 { subnet, cidr }, why);
                } else if !assigns_ipv6 {
                    let why = format!("subnet {subnet} gives instances no IPv6 address");
                    self.change(Change::AssignIpv6(subnet), why);
                }
            }
        }
        subnets
    }

    fn keep_private(&mut self, part: &Part) {
        if let What::Subnet { maps_public: true, .. } = part.what {
            let why = format!("subnet {} gives instances public addresses", part.id);
            self.change(Change::KeepPrivate(part.id.clone()), why);
        }
    }

    fn private_tables(
        &mut self,
        wanted: &Wanted,
        subnets: &BTreeMap<String, &'a Part>,
    ) -> BTreeMap<String, &'a Part> {
        let mut tables = BTreeMap::new();
        for zone in &wanted.zones {
            let new = NewPart::RouteTable(self.situation.vpc.id.clone());
            let Some(table) = self.need(wanted, &format!("routes/{zone}"), Some(new)) else { continue };
            tables.insert(zone.clone(), table);
            if let Some(subnet) = subnets.get(zone) {
                self.associate(table, subnet);
            }
        }
        tables
    }

    fn associate(&mut self, table: &Part, subnet: &Part) {
        let now = self.situation.parts.iter().find_map(|part| match &part.what {
            What::RouteTable { subnets, .. } => {
                let (association, _) = subnets.iter().find(|(_, id)| *id == subnet.id)?;
                Some((part.id.as_str(), association.clone()))
            }
            _ => None,
        });
        if now.as_ref().is_some_and(|(id, _)| *id == table.id) {
            return;
        }
        let other = now.as_ref().map_or("no route table", |(id, _)| id);
        let why = format!("subnet {} is served by {other}, not by {}", subnet.id, table.id);
        let (table, subnet) = (table.id.clone(), subnet.id.clone());
        let instead_of = now.map(|(_, association)| association);
        self.change(Change::Associate { table, subnet, instead_of }, why);
    }

    /// The routes of a table. One that leads to a part of the network is removed with that part, when what takes its place
    /// is there; any other at once.
    fn routes(&mut self, table: &Part, wanted: &[Route], whose: &str) {
        let What::RouteTable { routes, .. } = &table.what else { return };
        for route in wanted {
            let Route { destination, target } = route;
            match routes.iter().find(|it| it.destination == *destination) {
                None => {
                    let why = format!("no route from {whose} to {destination}");
                    self.change(Change::AddRoute(table.id.clone(), route.clone()), why);
                }
                Some(have) if have.target != *target => {
                    let why = format!("route from {whose} to {destination}: by {}", have.target);
                    self.change(Change::ReplaceRoute(table.id.clone(), route.clone()), why);
                }
                Some(_) => {}
            }
        }
        for route in
            routes.iter().filter(|it| !wanted.iter().any(|other| other.destination == it.destination))
        {
            let is_own = self
                .situation
                .parts
                .iter()
                .any(|it| it.id == route.target && key_of(it, self.token).is_some());
            let (change, why) = (
                Change::DeleteRoute(table.id.clone(), route.clone()),
                format!("route from {whose} to {}: by {}", route.destination, route.target),
            );
            let step = Step::Change { change, why };
            // A way to the internet gateway is never what was there before.
            let may_stay = is_own && !route.target.starts_with("igw-");
            if may_stay { self.steps.remove.push(step) } else { self.steps.build.push(step) }
        }
    }
}

impl Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { key, part: _ } => write!(formatter, "missing: {key}"),
            Self::Change { why, .. } | Self::Delete { why, .. } => formatter.write_str(why),
        }
    }
}
