//! The confinement of the process that reads foreign bytes.

use std::env;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, TcpListener};

use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::{Pid, getpid, getppid, getsid, setsid};
use rustix::process::{DumpableBehavior, Signal, set_dumpable_behavior, set_parent_process_death_signal};
use rustix::thread::set_no_new_privs;

use super::evidence::{self, Evidence};
use super::limits::{self, ChildLimits};
use super::report::{Confinement, Protection, Role, State};
use super::{descriptors, identity, landlock, syscalls};

/// Confines the calling process for good. What it needs no more is what is left: to read and write the descriptors that it
/// has, to compute within `limits`, and to end.
///
/// It must be called before anything else, by a process that was just started with an empty environment, one thread, and
/// three descriptors: a socket to the parent as standard input, one to which nothing is written as standard output, and a
/// pipe as standard error. Any other descriptor is closed, whoever owns it.
///
/// The kernel ends the process when the *thread* that started it ends, not only when the parent does: the parent must start
/// it from a thread that stays as long.
///
/// Nothing here fails: what is not in force is in the report, and the caller decides.
pub fn child(limits: &ChildLimits) -> Confinement {
    let mut confinement = Confinement::new(Role::Child);
    confinement.record(Protection::Environment, environment());
    // While files can be opened: what needs /proc.
    confinement.record(Protection::Descriptors, descriptors::close_others());
    let evidence = Evidence::open();

    confinement.record(Protection::Session, session());
    identity::drop_all(&mut confinement);
    // A change of user resets both of these.
    let outcome = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    confinement.record(Protection::Inspection, State::of("forbidding inspection", outcome));
    confinement.record(Protection::ParentDeath, parent_death());
    // Before Landlock and the filter, which the kernel takes from an ordinary user only after this.
    confinement
        .record(Protection::NoNewPrivileges, State::of("giving up privileges", set_no_new_privs(true)));

    landlock::child(&mut confinement);
    if confinement.state(Protection::Filesystem).is_some_and(State::is_in_force) {
        confinement.record(Protection::Filesystem, refused("opening the root directory", File::open("/")));
    }
    if confinement.state(Protection::Network).is_some_and(State::is_in_force) {
        // Any free port, and nothing is sent.
        let outcome = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        confinement.record(Protection::Network, refused("binding a TCP port", outcome));
    }
    // After the checks, which take a descriptor each.
    let rows = limits::of_child(limits);
    limits::apply(&rows, &mut confinement);
    confinement.record(Protection::SystemCalls, syscalls::restrict());

    evidence::check(evidence, &rows, &mut confinement);
    confinement
}

fn environment() -> State {
    match env::vars_os().count() {
        0 => State::Enforced,
        count => State::missing(format!("it has {count} variables")),
    }
}

fn session() -> State {
    // Zero, which some wrappers take for impossible, is a leader outside of the PID namespace of this process.
    if getsid(None) == Ok(getpid()) {
        return State::Enforced;
    }
    State::of("starting a session", setsid().map(drop))
}

/// Asks to be ended with the parent, which could have ended before.
fn parent_death() -> State {
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return State::missing(format!("asking for a signal: {error}"));
    }
    // Whoever made the socket, against whoever the parent is now.
    match getsockopt(&io::stdin(), sockopt::PeerCredentials) {
        Err(error) => State::missing(format!("asking who is at the other end of standard input: {error}")),
        // Zero is anyone outside of the PID namespace of this process, pid_namespaces(7).
        Ok(maker) if maker.pid() == 0 => {
            State::missing("the process at the other end of standard input is in another PID namespace")
        }
        Ok(maker) if Pid::from_raw(maker.pid()) == getppid() => State::Enforced,
        Ok(_) => State::missing(
            "the process at the other end of standard input is not the parent, which may have ended",
        ),
    }
}

/// The state that is shown by something which must be refused.
fn refused<T>(what: &str, outcome: io::Result<T>) -> State {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => State::Enforced,
        Err(error) => State::missing(format!("{what} failed otherwise than by a refusal: {error}")),
        Ok(_) => State::missing(format!("{what} was possible all the same")),
    }
}
