//! The endpoints and their security group.

use std::collections::BTreeMap;

use super::super::wanted::{GROUP_NAME, Wanted, fits};
use super::Planner;
use crate::aws::{Change, Endpoint, EndpointService, NewPart, Part, Rule, What};

impl<'a> Planner<'a> {
    pub(super) fn endpoints(
        &mut self,
        wanted: &Wanted,
        subnets: &BTreeMap<String, &'a Part>,
        tables: &BTreeMap<String, &'a Part>,
    ) {
        let group = if wanted.has_interfaces() { self.endpoint_group(wanted) } else { None };
        let is_placed = |zone: &&String| !self.steps.unplaced.contains(zone);
        let zones = wanted.zones.iter().filter(is_placed).count();
        let has_all = |found: usize| found >= zones;
        for (short, (service, policy)) in &wanted.services {
            let endpoint = if service.is_gateway {
                has_all(tables.len()).then(|| Endpoint {
                    tables: tables.values().map(|table| table.id.clone()).collect(),
                    is_gateway: true,
                    ..Endpoint::default()
                })
            } else {
                group.filter(|_| has_all(subnets.len())).map(|group| Endpoint {
                    subnets: supported(service, subnets),
                    groups: vec![group.id.clone()],
                    private_dns: service.has_private_dns,
                    ..Endpoint::default()
                })
            };
            let policy = if service.has_policy { policy.clone() } else { String::new() };
            let endpoint =
                endpoint.map(|endpoint| Endpoint { service: service.name.clone(), policy, ..endpoint });
            let names = self.situation.dns;
            // Private names need both attributes of the VPC.
            let new = endpoint.clone().filter(|_| service.is_gateway || names.support && names.hostnames);
            let vpc = self.situation.vpc.id.clone();
            let new = new.map(|endpoint| NewPart::Endpoint { vpc, endpoint });
            let Some(part) = self.need(wanted, &format!("endpoint/{short}"), new) else { continue };
            if let (What::Endpoint(have), Some(want)) = (&part.what, endpoint)
                && !fits(have, &want)
            {
                let why = format!("endpoint of {short} ({}) is not as it should be", part.id);
                self.change(Change::Endpoint { id: part.id.clone(), from: have.clone(), to: want }, why);
            }
        }
    }

    fn endpoint_group(&mut self, wanted: &Wanted) -> Option<&'a Part> {
        let new = NewPart::Group {
            vpc: self.situation.vpc.id.clone(),
            name: GROUP_NAME.to_owned(),
            description: "VPC endpoints of agentless scanners: HTTPS from the VPC".to_owned(),
        };
        let group = self.need(wanted, "endpoint-group", Some(new))?;
        let What::Group { rules, .. } = &group.what else { return None };
        let rule = wanted.endpoint_rule();
        let is_wanted = |it: &Rule| !it.is_egress && it.spec == rule;
        if !rules.iter().any(is_wanted) {
            let why = format!("the endpoints' security group does not allow {rule}");
            self.change(Change::Allow(group.id.clone(), rule.clone()), why);
        }
        for other in rules.iter().filter(|it| !is_wanted(it)) {
            self.revoke(&group.id, other, "the endpoints' security group");
        }
        Some(group)
    }
}

/// The subnets in which a service can have an interface.
fn supported(service: &EndpointService, subnets: &BTreeMap<String, &Part>) -> Vec<String> {
    let is_there = |zone: &String| service.zones.is_empty() || service.zones.contains(zone);
    subnets.iter().filter(|(zone, _)| is_there(zone)).map(|(_, subnet)| subnet.id.clone()).collect()
}
