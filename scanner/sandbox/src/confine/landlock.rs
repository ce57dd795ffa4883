//! Landlock: rights to files, ports and other processes that a process gives up for itself and all that it starts.

use std::fmt::Debug;
use std::os::fd::OwnedFd;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, RestrictionStatus, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, Scope,
};

use super::report::{Confinement, Protection, State};

/// The newest version whose rights this code knows. What a kernel does not know of them is reported.
const NEWEST: ABI = ABI::V9;

/// Refuses every file, TCP port, signal and abstract socket to the calling thread.
pub(super) fn child(confinement: &mut Confinement) {
    let known = restrict_child().map_err(|error| error.to_string()).and_then(|status| version(&status));
    confinement.record(Protection::Filesystem, rights::<AccessFs>(&known, AccessFs::from_all(NEWEST)));
    confinement.record(Protection::Network, rights::<AccessNet>(&known, AccessNet::from_all(NEWEST)));
    confinement.record(Protection::Scope, rights::<Scope>(&known, Scope::from_all(NEWEST)));
}

fn restrict_child() -> Result<RestrictionStatus, RulesetError> {
    Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        // Only the check that follows can be refused, since seccomp comes before Landlock: not worth an audit record.
        .log_same_exec(false)?
        .restrict_self()
}

/// What the parent may go on doing.
#[derive(Debug)]
pub(super) struct Allowed {
    /// Writing to these files, and beneath these directories.
    pub(super) writes: Vec<OwnedFd>,
    /// Executing these files and no other; nothing is refused if this is not given.
    pub(super) executes: Option<Vec<OwnedFd>>,
}

/// Refuses changes to files, and with [`Allowed::executes`] execution, to the calling thread and all that it starts.
pub(super) fn parent(allowed: Allowed, confinement: &mut Confinement) {
    let executes = allowed.executes.is_some();
    let known =
        restrict_parent(allowed).map_err(|error| error.to_string()).and_then(|status| version(&status));
    confinement.record(Protection::Filesystem, rights(&known, changes()));
    if executes {
        confinement.record(Protection::Execution, rights(&known, AccessFs::Execute.into()));
    }
}

/// Every right by which something is changed. Connecting to sockets by their path is not one of them: names are looked up,
/// and the service manager is told of progress, over such sockets.
fn changes() -> BitFlags<AccessFs> {
    AccessFs::from_write(ABI::V5)
}

fn restrict_parent(allowed: Allowed) -> Result<RestrictionStatus, RulesetError> {
    let mut ruleset = Ruleset::default().handle_access(changes())?;
    if allowed.executes.is_some() {
        ruleset = ruleset.handle_access(AccessFs::Execute)?;
    }
    let mut ruleset = ruleset.create()?;
    for path in allowed.executes.into_iter().flatten() {
        ruleset = ruleset.add_rule(PathBeneath::new(path, AccessFs::Execute))?;
    }
    for path in allowed.writes {
        // Nothing that is written becomes a device, or executable.
        let writes = changes() & !(AccessFs::IoctlDev | AccessFs::MakeChar | AccessFs::MakeBlock);
        ruleset = ruleset.add_rule(PathBeneath::new(path, writes))?;
    }
    ruleset.restrict_self()
}

/// The version of Landlock that is in force, or why there is none.
fn version(status: &RestrictionStatus) -> Result<ABI, String> {
    match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => Ok(effective_abi),
        LandlockStatus::NotEnabled => {
            Err("this kernel has Landlock, but it was not enabled at boot (`lsm=`)".to_owned())
        }
        LandlockStatus::NotImplemented => {
            Err("this kernel has no Landlock (Linux 5.13 and later), or a container forbids it".to_owned())
        }
    }
}

/// The state of a set of rights under a version of Landlock.
fn rights<A>(known: &Result<ABI, String>, wanted: BitFlags<A>) -> State
where
    A: Access + Debug,
{
    match known {
        Err(reason) => State::missing(reason),
        Ok(version) => {
            let unknown = wanted & !A::from_all(*version);
            if unknown.is_empty() {
                State::Enforced
            } else if unknown == wanted {
                State::missing(format!("the Landlock of this kernel, version {version}, does not know it"))
            } else {
                let names: Vec<_> = unknown.iter().map(|right| format!("{right:?}")).collect();
                let names = names.join(", ");
                State::Partial {
                    gap: format!("the Landlock of this kernel, version {version}, does not know {names}"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_version_is_reported_as_what_it_lacks() {
        let lacks = |version, wanted| rights::<AccessFs>(&Ok(version), wanted);
        let all = AccessFs::from_all(NEWEST);
        assert_eq!(lacks(NEWEST, all), State::Enforced);
        let State::Partial { gap } = lacks(ABI::V4, all) else { panic!("not partial") };
        assert_eq!(gap, "the Landlock of this kernel, version 4, does not know IoctlDev, ResolveUnix");
        assert!(matches!(rights(&Ok(ABI::V3), AccessNet::from_all(NEWEST)), State::Missing { .. }));
        assert!(matches!(rights(&Ok(ABI::V4), Scope::from_all(NEWEST)), State::Missing { .. }));
        assert_eq!(lacks(ABI::V1, AccessFs::Execute.into()), State::Enforced);
    }
}
