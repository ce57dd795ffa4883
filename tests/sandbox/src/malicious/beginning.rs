//! The first message, and what is done before it.

use std::collections::BTreeMap;

use agentless_sandbox::confine::{ChildLimits, Confinement, Part, Protection, Role, State, child};
use agentless_sandbox::protocol::message::{FromChild, VERSION};
use nix::libc;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// Gives up power, or does not, and says that it did. By the name of the program's file:
///
/// - `boastful` keeps its power and claims to have none;
/// - `insufficient` keeps it and says so;
/// - `early` asks for a block of the disk instead of saying anything;
/// - `stranger` speaks another version of the protocol;
/// - `without-filter` and `without-landlock` lack one layer, as on a kernel that does not have it;
/// - any other gives its power up.
pub(super) fn first_message(limits: &ChildLimits) -> FromChild {
    let program = std::env::current_exe().unwrap();
    let (version, confinement) = match program.file_name().unwrap().to_str().unwrap() {
        "early" => return FromChild::Read { volume: 0, piece: 0 },
        "boastful" => (VERSION, claimed(&State::Enforced)),
        "insufficient" => {
            (VERSION, claimed(&State::Missing { reason: "\u{1b}[2Jnothing was wanted".to_owned() }))
        }
        "stranger" => (VERSION.wrapping_add(1), child(limits)),
        "without-filter" => {
            take_away(libc::SYS_seccomp);
            (VERSION, child(limits))
        }
        "without-landlock" => {
            take_away(libc::SYS_landlock_create_ruleset);
            (VERSION, child(limits))
        }
        _ => (VERSION, child(limits)),
    };
    FromChild::Ready { version, confinement }
}

/// A report in which all is well, but for the filter of system calls.
fn claimed(filter: &State) -> Confinement {
    use Protection::{
        Capabilities, CoreDumps, Descriptors, Environment, Filesystem, Inspection, Memory, NoNewPrivileges,
        ProcessorTime, SystemCalls, Threads, Verification,
    };
    let parts = [
        Environment,
        Descriptors,
        Threads,
        Memory,
        ProcessorTime,
        CoreDumps,
        Inspection,
        Capabilities,
        NoNewPrivileges,
        Filesystem,
        Verification,
    ];
    let enforced = parts.map(|what| Part { what, state: State::Enforced });
    let filter = Part { what: SystemCalls, state: filter.clone() };
    Confinement { role: Role::Child, parts: enforced.into_iter().chain([filter]).collect() }
}

/// Makes a system call one that this kernel does not have.
fn take_away(number: i64) {
    const NOT_IMPLEMENTED: u32 = 38;

    rustix::thread::set_no_new_privs(true).unwrap();
    let rules = BTreeMap::from([(number, Vec::new())]);
    let architecture = std::env::consts::ARCH.try_into().unwrap();
    let action = SeccompAction::Errno(NOT_IMPLEMENTED);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, architecture).unwrap();
    seccompiler::apply_filter(&BpfProgram::try_from(filter).unwrap()).unwrap();
}
