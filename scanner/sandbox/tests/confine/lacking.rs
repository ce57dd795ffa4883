//! Children on systems that lack a part: it is named, and the other parts still hold.

use std::collections::BTreeMap;
use std::fs;
use std::iter;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitCode};

use agentless_sandbox::confine::{Confinement, Protection, State};
use nix::libc;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use rustix::process::geteuid;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use super::attempt::NOT_STOPPED;
use super::child::{Confined, SIGSYS};
use super::{Test, User};

pub(crate) const TESTS: &[Test] = &[
    ("without_landlock_system_calls_are_restricted", without_landlock_system_calls_are_restricted),
    ("without_the_filter_landlock_and_limits_hold", without_the_filter_landlock_and_limits_hold),
    ("without_proc_nothing_is_verified", without_proc_nothing_is_verified),
    ("in_a_pid_namespace_of_its_own_all_but_the_parent_is_known", in_a_pid_namespace),
];

fn start(lacking: &str, attempt: &str) -> Confined {
    let mut command = User::Same.command();
    command.args(["lacking", lacking, attempt]).env_clear();
    Confined::started_by(command)
}

fn essentials(report: &Confinement) -> Vec<Protection> {
    assert_eq!(report.is_sufficient(), report.missing_essentials().count() == 0);
    report.missing_essentials().map(|part| part.what).collect()
}

fn without_landlock_system_calls_are_restricted() {
    let child = start("landlock", "open");
    assert_eq!(essentials(&child.report), [Protection::Filesystem]);
    for what in [Protection::Filesystem, Protection::Network, Protection::Scope] {
        let Some(State::Missing { reason }) = child.report.state(what) else { panic!("{:?}", child.report) };
        assert!(reason.contains("has no Landlock"), "{reason}");
    }
    assert_eq!(child.end().0.signal(), Some(SIGSYS));
}

fn without_the_filter_landlock_and_limits_hold() {
    // By number: the C libraries word them differently. EACCES, EPERM, EMFILE and EAGAIN.
    for (attempt, outcome) in [
        ("execute", "os error 13"),
        ("kill the parent", "os error 1)"),
        ("trace the parent", "EPERM"),
        ("open", "os error 24"),
        ("socket", "os error 24"),
        ("start a thread", "os error 11"),
        ("raise a limit", "os error 1)"),
    ] {
        let child = start("filter", attempt);
        assert_eq!(essentials(&child.report), [Protection::SystemCalls]);
        let (status, said, _) = child.end();
        println!("  {attempt}: {said}");
        assert_eq!(status.code(), Some(i32::from(NOT_STOPPED)), "{status}");
        assert!(said.contains(outcome), "{attempt}: {said}");
    }
}

/// Needs root, who can take /proc away.
fn without_proc_nothing_is_verified() {
    if !geteuid().is_root() {
        println!("  needs root: left out");
        return;
    }
    let child = start("proc", "open");
    let missing = [Protection::Descriptors, Protection::Threads, Protection::Verification];
    assert_eq!(essentials(&child.report), missing);
    assert_eq!(child.end().0.signal(), Some(SIGSYS));
}

/// The session of such a child, and the maker of its socket, have no number that it knows. Needs root, who can make one.
fn in_a_pid_namespace() {
    if !geteuid().is_root() {
        println!("  needs root: left out");
        return;
    }
    let child = start("pid namespace", "echo");
    assert_eq!(essentials(&child.report), []);
    assert_eq!(child.report.state(Protection::Session), Some(&State::Enforced));
    let Some(State::Missing { reason }) = child.report.state(Protection::ParentDeath) else {
        panic!("{:?}", child.report)
    };
    assert!(reason.contains("in another PID namespace"), "{reason}");
    assert_eq!(child.end().0.code(), Some(0));
}

/// Takes something away from this process, and goes on as a confined child.
pub(crate) fn run(what: &str, attempt: &str) -> ExitCode {
    let program = fs::read_link("/proc/self/exe").unwrap();
    match what {
        "landlock" => absent(libc::SYS_landlock_create_ruleset),
        "filter" => absent(libc::SYS_seccomp),
        "proc" => {
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
                .unwrap();
            // Several may be mounted on top of each other, as in a PID namespace that got its own.
            let taken_away = iter::from_fn(|| umount2("/proc", MntFlags::MNT_DETACH).ok()).count();
            assert!(taken_away > 0);
        }
        "pid namespace" => {
            unshare(CloneFlags::CLONE_NEWPID).unwrap();
            // Not this process is in it, only those that it starts.
            let status =
                Command::new(program).args(["confined-child", attempt]).env_clear().status().unwrap();
            return if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        _ => panic!("nothing that can be taken away: {what}"),
    }
    let error = Command::new(program).args(["confined-child", attempt]).env_clear().exec();
    panic!("{error}");
}

/// Makes a system call one that this kernel does not have.
fn absent(number: i64) {
    const NOT_IMPLEMENTED: u32 = 38;

    let rules = BTreeMap::from([(number, Vec::new())]);
    let architecture = std::env::consts::ARCH.try_into().unwrap();
    let action = SeccompAction::Errno(NOT_IMPLEMENTED);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, architecture).unwrap();
    seccompiler::apply_filter(&BpfProgram::try_from(filter).unwrap()).unwrap();
}
