//! Which addresses the subnets get.
//!
//! The VPC's block of prefix length *p* is cut into eight blocks of length *p* + 3. The first six are the private
//! subnets, one a zone. The last two are cut again, into small public subnets, in which only NAT gateways live: of length
//! *p* + 5, but no smaller than /28, the least that EC2 allows ("Subnet CIDR blocks"). Each subnet has a slot, which it keeps:
//! those that come later take the free ones.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The longest prefix of a VPC that has room for private subnets that are of use: /27, with 27 free addresses.
const LONGEST: u32 = 24;

/// The shortest prefix that EC2 allows for a VPC ("VPC CIDR blocks").
const SHORTEST: u32 = 16;

/// The longest prefix that EC2 allows for a subnet.
const LONGEST_OF_SUBNET: u32 = 28;

/// How many zones a network can have. No region has more.
pub(super) const SLOTS: u32 = 6;

/// The addresses of a VPC.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Space {
    base: u32,
    length: u32,
}

impl Space {
    /// Reads a block in the form in which EC2 writes it: without host bits or leading zeros, /16 to /24.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/')?;
        let (address, length): (Ipv4Addr, u32) = (address.parse().ok()?, length.parse().ok()?);
        let space = Self { base: address.to_bits(), length };
        let is_usable = (SHORTEST..=LONGEST).contains(&length) && format!("{address}/{length}") == text;
        (is_usable && space.base & (u32::MAX >> length) == 0).then_some(space)
    }

    /// The private subnet of a slot.
    pub(super) fn private(self, slot: u32) -> Option<String> {
        (slot < SLOTS).then(|| self.block(0, self.length + 3, slot))
    }

    /// The public subnet of a slot.
    pub(super) fn public(self, slot: u32) -> Option<String> {
        (slot < self.public_slots()).then(|| {
            let behind_private = SLOTS << (32 - self.length - 3);
            self.block(behind_private, self.public_length(), slot)
        })
    }

    /// How many zones can have a public subnet.
    pub(super) fn public_slots(self) -> u32 {
        SLOTS.min(1 << (self.public_length() - self.length - 2))
    }

    /// The slot whose private subnet this is.
    pub(super) fn private_slot_of(self, cidr: &str) -> Option<u32> {
        (0..SLOTS).find(|slot| self.private(*slot).as_deref() == Some(cidr))
    }

    /// The slot whose public subnet this is.
    pub(super) fn public_slot_of(self, cidr: &str) -> Option<u32> {
        (0..SLOTS).find(|slot| self.public(*slot).as_deref() == Some(cidr))
    }

    fn public_length(self) -> u32 {
        LONGEST_OF_SUBNET.min(self.length + 5)
    }

    fn block(self, offset: u32, length: u32, index: u32) -> String {
        let address = Ipv4Addr::from_bits(self.base | (offset + (index << (32 - length))));
        format!("{address}/{length}")
    }
}

/// Gives each of `zones` a slot below `slots`: the one it has, or the first that is free. A zone for which none is left
/// has none.
pub(super) fn allocate(zones: &[String], taken: &BTreeMap<String, u32>, slots: u32) -> BTreeMap<String, u32> {
    let mut free = (0..slots).filter(|slot| !taken.values().any(|it| it == slot));
    zones
        .iter()
        .filter_map(|zone| {
            let slot = taken.get(zone).copied().or_else(|| free.next())?;
            Some((zone.clone(), slot))
        })
        .collect()
}

/// The /64 of a slot in the /56 that Amazon gives a VPC ("IPv6 VPC CIDR blocks").
pub(super) fn ipv6_subnet(vpc: &str, slot: u32) -> Option<String> {
    let (address, length) = vpc.split_once('/')?;
    let (address, length): (Ipv6Addr, u32) = (address.parse().ok()?, length.parse().ok()?);
    if length > 64 || slot.checked_shr(64 - length).unwrap_or_default() != 0 {
        return None;
    }
    let mask = u128::MAX.checked_shl(128 - length).unwrap_or_default();
    let subnet = Ipv6Addr::from_bits((address.to_bits() & mask) | (u128::from(slot) << 64));
    Some(format!("{subnet}/64"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// First and last address.
    fn bounds(cidr: &str) -> (u64, u64) {
        let (address, length) = cidr.split_once('/').unwrap();
        let first = u64::from(address.parse::<Ipv4Addr>().unwrap().to_bits());
        (first, first + (1 << (32 - length.parse::<u32>().unwrap())) - 1)
    }

    fn spaces() -> impl Strategy<Value = Space> {
        (any::<u32>(), SHORTEST..=LONGEST)
            .prop_map(|(base, length)| Space { base: base & !(u32::MAX >> length), length })
    }

    fn all(space: Space) -> Vec<String> {
        (0..SLOTS).flat_map(|slot| [space.private(slot), space.public(slot)]).flatten().collect()
    }

    proptest! {
        #[test]
        fn subnets_are_disjoint_and_within_the_vpc(space in spaces()) {
            let (first, last) = bounds(&format!("{}/{}", Ipv4Addr::from_bits(space.base), space.length));
            let mut blocks: Vec<_> = all(space).iter().map(|cidr| bounds(cidr)).collect();
            blocks.sort_unstable();
            prop_assert!(blocks.first().unwrap().0 >= first && blocks.last().unwrap().1 <= last);
            prop_assert!(blocks.windows(2).all(|pair| pair[0].1 < pair[1].0));
            prop_assert!(blocks.iter().all(|(first, last)| last - first >= 15));
        }

        #[test]
        fn a_subnet_tells_its_slot(space in spaces(), slot in 0..SLOTS) {
            let private = space.private(slot).unwrap();
            prop_assert_eq!((space.private_slot_of(&private), space.public_slot_of(&private)), (Some(slot), None));
            if let Some(public) = space.public(slot) {
                prop_assert_eq!((space.private_slot_of(&public), space.public_slot_of(&public)), (None, Some(slot)));
            }
            prop_assert_eq!(Space::parse(&format!("{}/{}", Ipv4Addr::from_bits(space.base), space.length)), Some(space));
        }

        #[test]
        fn zones_keep_their_slots_whatever_comes_and_goes(
            steps in proptest::collection::vec(proptest::collection::hash_set(0u8..8, 1..6), 1..8),
        ) {
            let mut taken = BTreeMap::new();
            for zones in steps {
                let zones: Vec<String> = zones.iter().map(|zone| format!("zone-{zone}")).collect();
                // First those that go make room, as `apply` does it.
                taken.retain(|zone, _| zones.contains(zone));
                let slots = allocate(&zones, &taken, SLOTS);
                prop_assert_eq!(slots.len(), zones.len());
                prop_assert!(taken.iter().all(|(zone, slot)| slots.get(zone) == Some(slot)));
                let mut distinct: Vec<_> = slots.values().collect();
                distinct.sort_unstable();
                distinct.dedup();
                prop_assert_eq!(distinct.len(), zones.len());
                taken = slots;
            }
        }

        #[test]
        fn ipv6_subnets_are_disjoint_and_within_the_vpc(base in any::<u128>(), one in 0..256u32, other in 0..256u32) {
            let base = base & !(u128::MAX >> 56);
            let vpc = format!("{}/56", Ipv6Addr::from_bits(base));
            let (one_cidr, other_cidr) = (ipv6_subnet(&vpc, one).unwrap(), ipv6_subnet(&vpc, other).unwrap());
            prop_assert_eq!(one == other, one_cidr == other_cidr);
            let address: Ipv6Addr = one_cidr.strip_suffix("/64").unwrap().parse().unwrap();
            prop_assert_eq!(address.to_bits() & !(u128::MAX >> 56), base);
            prop_assert_eq!(address.to_bits() << 64, 0);
            prop_assert_eq!(ipv6_subnet(&vpc, 256), None);
        }
    }

    #[test]
    fn a_network_is_cut_as_documented() {
        let space = Space::parse("10.0.0.0/16").unwrap();
        assert_eq!(space.private(0).as_deref(), Some("10.0.0.0/19"));
        assert_eq!(space.private(5).as_deref(), Some("10.0.160.0/19"));
        assert_eq!(space.public(0).as_deref(), Some("10.0.192.0/21"));
        assert_eq!((space.private(6), space.public(6), space.public_slots()), (None, None, 6));
        let small = Space::parse("192.168.7.0/24").unwrap();
        assert_eq!(small.private(1).as_deref(), Some("192.168.7.32/27"));
        assert_eq!(small.public(3).as_deref(), Some("192.168.7.240/28"));
        assert_eq!((small.public(4), small.public_slots()), (None, 4));
    }

    #[test]
    fn only_canonical_blocks_of_a_usable_size_are_taken() {
        for bad in [
            "",
            "10.0.0.0",
            "10.0.0.0/15",
            "10.0.0.0/25",
            "10.0.0.1/16",
            "10.0.0.0/016",
            "010.0.0.0/16",
            "::/16",
        ] {
            assert_eq!(Space::parse(bad), None, "{bad}");
        }
    }
}
