//! Systems that are not Linux: limits on resources, and a report of what is not there.

use std::env;

use rustix::process::setsid;

use super::limits::{self, ChildLimits};
use super::report::{Confinement, Protection, Role, State};
use super::rights::{ConfineError, ParentRights};

/// What only Linux offers in the way that is asked for here.
const ABSENT: &str = "only there on Linux";

/// Limits what the calling process may use up. It keeps all its rights otherwise, as the report says.
pub fn child(limits: &ChildLimits) -> Confinement {
    let mut confinement = Confinement::new(Role::Child);
    let environment = match env::vars_os().count() {
        0 => State::Enforced,
        count => State::missing(format!("it has {count} variables")),
    };
    confinement.record(Protection::Environment, environment);
    confinement.record(Protection::Session, State::of("starting a session", setsid().map(drop)));
    limits::apply(&limits::of_child(limits), &mut confinement);
    absent(&mut confinement);
    confinement
}

/// Forbids core dumps. The calling process keeps all its rights otherwise, as the report says.
pub fn parent(_rights: &ParentRights) -> Result<Confinement, ConfineError> {
    let mut confinement = Confinement::new(Role::Parent);
    limits::apply(&[limits::NO_CORE], &mut confinement);
    absent(&mut confinement);
    Ok(confinement)
}

/// Names every essential protection that was not asked for.
fn absent(confinement: &mut Confinement) {
    for what in confinement.role.essential() {
        if confinement.state(*what).is_none() {
            confinement.record(*what, State::missing(ABSENT));
        }
    }
}
