//! What confined processes still can do, and what they no longer can.
//!
//! Each attempt is a process of its own: this program, started again with the name of what it shall try.

#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "the helpers of tests fail as tests do, and print outcomes"
)]

mod attempt;
mod child;
mod lacking;
mod parent;

use std::os::unix::process::CommandExt as _;
use std::panic::catch_unwind;
use std::process::{Command, ExitCode};

use rustix::process::geteuid;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments.as_slice() {
        ["confined-child", what] => attempt::run(what),
        ["parent-of-a-child"] => child::start_one(),
        ["lacking", what, attempt] => lacking::run(what, attempt),
        ["confined-parent", what, directory] => parent::run(what, directory.as_ref()),
        ["itself"] => parent::ITSELF,
        ["--list", ..] => ExitCode::SUCCESS,
        _ => run(arguments.iter().find(|argument| !argument.starts_with('-')).copied().unwrap_or("")),
    }
}

/// Runs the tests whose name contains a text, one after the other: no process here may have a second thread.
///
/// As root they also start processes of an ordinary user, and drop what only root has.
fn run(filter: &str) -> ExitCode {
    let variable = |name, wanted| std::env::var_os(name).is_some_and(|value| value == wanted);
    let without_root = variable("AGENTLESS_TESTS_WITHOUT_ROOT", "1") && !variable("CI", "true");
    if !geteuid().is_root() && !without_root {
        println!("these tests need root; AGENTLESS_TESTS_WITHOUT_ROOT=1 runs what can do without");
        return ExitCode::FAILURE;
    }
    let mut failed = 0_usize;
    for (name, test) in child::TESTS.iter().chain(lacking::TESTS).chain(parent::TESTS) {
        if name.contains(filter) {
            let outcome = catch_unwind(*test);
            println!("test {name} ... {}", if outcome.is_ok() { "ok" } else { "FAILED" });
            failed = failed.saturating_add(usize::from(outcome.is_err()));
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A test and its name.
type Test = (&'static str, fn());

/// Who a process is when it is started.
#[derive(Clone, Copy, Debug)]
enum User {
    /// Whoever runs the tests.
    Same,
    /// An ordinary user without supplementary groups.
    Ordinary,
}

impl User {
    /// Of the ordinary one, and its group.
    const ID: u32 = 65533;

    /// Root starts processes as both; anyone else only as itself.
    fn all() -> &'static [Self] {
        if geteuid().is_root() { &[Self::Same, Self::Ordinary] } else { &[Self::Same] }
    }

    /// This program, to be started as this user.
    fn command(self) -> Command {
        let mut command = Command::new("/proc/self/exe");
        if let Self::Ordinary = self {
            command.uid(Self::ID).gid(Self::ID);
        }
        command
    }
}
