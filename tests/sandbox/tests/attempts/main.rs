//! What an analyser can do that somebody took over: each attempt is made by a real one, and watched by others.
//!
//! `cargo test --test attempts -- --nocapture` prints the table. Nothing is left out: where the kernel cannot confine, the
//! tests fail and say what it lacks.

#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "the helpers of tests fail as tests do, and print figures"
)]

mod directory;
mod layers;
mod rows;
mod stop;
mod table;
mod world;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::geteuid;

use self::rows::ATTEMPTS;
use self::table::Table;
use self::world::World;

/// One test at a time: they measure this process, and look for processes that it left.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn every_attempt_is_stopped() {
    let _alone = alone();
    let world = World::new();
    let mut table = Table::new(&["attempt", "stopped by", "outcome", "time"]);
    let mut wrong = Vec::new();
    for attempt in ATTEMPTS {
        let made = world.make(attempt);
        table.add([attempt.what, attempt.stopped.by(), &made.essence(), &made.seconds()]);
        wrong
            .extend(made.problems(attempt).into_iter().map(|problem| format!("{}: {problem}", attempt.what)));
    }
    table.print();
    world.assert_untouched();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Root tests both: an ordinary user has neither its rights nor some of its confinement.
#[test]
fn every_attempt_is_stopped_for_an_ordinary_user() {
    const ORDINARY: u32 = 65533;

    if !geteuid().is_root() {
        // The test above is this one.
        return;
    }
    let _alone = alone();
    // The build may be in a home directory that others may not enter.
    let reachable = tempfile::tempdir().unwrap();
    fs::set_permissions(reachable.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = reachable.path().join("malicious");
    fs::copy(world::BUILT, &program).unwrap();
    let output = Command::new("/proc/self/exe")
        .args(["--exact", "every_attempt_is_stopped", "layers::each_layer_stops_what_it_can"])
        .uid(ORDINARY)
        .gid(ORDINARY)
        .env("TMPDIR", "/tmp")
        .env(world::PROGRAM, program)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("2 passed"), "{said}");
}
