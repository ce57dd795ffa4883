//! Users, groups and capabilities.

use rustix::process::{Gid, Uid, geteuid, getgroups};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

use super::report::{Confinement, Protection, State};

/// The user and group `nobody`, who own nothing.
const NOBODY: u32 = 65534;

/// Drops supplementary groups, and root's identity and capabilities.
///
/// An ordinary user stays who it is: it cannot become another. Its groups stay as well, and are reported.
pub(super) fn drop_all(confinement: &mut Confinement) {
    // Each step takes a capability that a later one gives away.
    confinement.record(Protection::BoundingSet, drop_bounding_set());
    confinement.record(Protection::Groups, drop_groups());
    if geteuid().is_root() {
        confinement.record(Protection::Identity, become_nobody());
    } else {
        confinement.record(Protection::Identity, State::Enforced);
    }
    confinement.record(Protection::Capabilities, drop_capabilities());
}

fn drop_bounding_set() -> State {
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match capability_is_in_bounding_set(capability) {
            Ok(false) => {}
            // Beyond the last capability that this kernel knows.
            Err(_) => break,
            Ok(true) => {
                if let Err(error) = remove_capability_from_bounding_set(capability) {
                    return State::missing(format!("dropping capability {number}: {error}"));
                }
            }
        }
    }
    State::Enforced
}

fn drop_groups() -> State {
    if getgroups().is_ok_and(|groups| groups.is_empty()) {
        return State::Enforced;
    }
    State::of("dropping the supplementary groups", set_thread_groups(&[]))
}

fn become_nobody() -> State {
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    let outcome = set_thread_res_gid(group, group, group).and_then(|()| set_thread_res_uid(user, user, user));
    State::of("becoming user and group 65534", outcome)
}

fn drop_capabilities() -> State {
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    let outcome = clear_ambient_capability_set().and_then(|()| set_capabilities(None, sets));
    State::of("dropping the capabilities", outcome)
}
