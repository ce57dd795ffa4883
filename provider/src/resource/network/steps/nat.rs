//! The public side: an internet gateway, small subnets, and the NAT gateways in them.

use std::collections::BTreeMap;

use super::super::addressing::allocate;
use super::super::wanted::Wanted;
use super::{EVERYWHERE, Planner};
use crate::aws::{Change, NewPart, Part, Route, What};

impl<'a> Planner<'a> {
    /// The public subnets and what is in them. Returns the NAT gateways by zone.
    pub(super) fn nat_gateways(&mut self, wanted: &Wanted) -> BTreeMap<String, &'a Part> {
        let mut nats = BTreeMap::new();
        let zones = wanted.nat_zones();
        if zones.is_empty() {
            return nats;
        }
        let vpc = &self.situation.vpc.id;
        let table = self.need(wanted, "routes/public", Some(NewPart::RouteTable(vpc.clone())));
        let gateway = self.need(wanted, "internet", Some(NewPart::InternetGateway));
        let mut is_attached = false;
        if let Some(Part { id, what: What::InternetGateway { is_attached: attached }, .. }) = gateway {
            is_attached = *attached;
            if !attached {
                self.change(Change::Attach(id.clone()), format!("internet gateway {id} is not attached"));
            }
        }
        if let Some(table) = table {
            let route = gateway
                .filter(|_| is_attached)
                .map(|gateway| Route { destination: EVERYWHERE.to_owned(), target: gateway.id.clone() });
            self.routes(table, route.as_slice(), "the public subnets");
        }
        let taken = self.taken("public/", |cidr| wanted.space.public_slot_of(cidr));
        let slots = allocate(zones, &taken, wanted.space.public_slots());
        for zone in zones {
            let Some(slot) = slots.get(zone) else {
                self.steps.unplaced.push(zone.clone());
                continue;
            };
            let new = wanted.space.public(*slot).map(|cidr| NewPart::Subnet {
                vpc: vpc.clone(),
                zone: zone.clone(),
                cidr,
                ipv6: None,
            });
            let subnet = self.need(wanted, &format!("public/{zone}"), new);
            if let Some(subnet) = subnet {
                self.keep_private(subnet);
                if let Some(table) = table {
                    self.associate(table, subnet);
                }
            }
            let address = self.need(wanted, &format!("address/{zone}"), Some(NewPart::Address));
            let new = match (subnet, address) {
                // EC2 wants the gateway attached first ("NAT gateway basics").
                (Some(subnet), Some(address)) if is_attached => {
                    Some(NewPart::NatGateway { subnet: subnet.id.clone(), allocation: address.id.clone() })
                }
                _ => None,
            };
            if let Some(nat) = self.need(wanted, &format!("nat/{zone}"), new) {
                nats.insert(zone.clone(), nat);
            }
        }
        nats
    }
}
