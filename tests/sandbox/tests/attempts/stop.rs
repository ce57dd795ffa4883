//! Ending an analysis from another thread.

use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use agentless_core::source::{Disk, DiskState, Source};
use agentless_core::task::{Scope, Task};
use agentless_sandbox::parent::{Job, Mode, Sandbox, SandboxError, Stop};
use agentless_sandbox_tests::processes;
use agentless_sandbox_tests::recorded::Recorded;

use super::alone;
use super::world::World;

#[test]
fn an_analyser_that_says_nothing_is_stopped() {
    stops("silent-after-a-read");
}

#[test]
fn an_analyser_that_takes_no_answer_is_stopped() {
    stops("never-reading");
}

/// Stops an analysis as soon as it has read a block: it would take an hour by itself.
fn stops(attempt: &str) {
    let _alone = alone();
    let world = World::new();
    let (told, reads) = mpsc::channel();
    let disks = [Disk {
        id: "vol-0".to_owned(),
        device: None,
        state: DiskState::Open(Arc::new(Recorded::new(1 << 20, Some(told)))),
    }];
    let sandbox =
        Sandbox { program: world.program("malicious"), mode: Mode::Required, limits: world.limits() };
    let stop = Stop::default();
    let job = Job { task: Task::Packages(Scope::default()), id: attempt, source: Source::Disks(&disks) };
    let (result, waited) = thread::scope(|scope| {
        let running = scope.spawn(|| sandbox.run(job, &mut std::io::sink(), &stop));
        reads.recv().unwrap();
        assert_eq!(processes::left_over(world.limits().analyser_memory).len(), 1, "the analyser is not seen");
        let asked = Instant::now();
        stop.stop();
        (running.join().unwrap(), asked.elapsed())
    });
    assert!(matches!(result, Err(SandboxError::Stopped)), "{result:?}");
    assert!(waited < Duration::from_secs(2), "{waited:?}");
    let left = processes::left_over(world.limits().analyser_memory);
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_was_stopped_before_does_not_begin() {
    let _alone = alone();
    let world = World::new();
    let sandbox =
        Sandbox { program: world.program("malicious"), mode: Mode::Required, limits: world.limits() };
    let stop = Stop::default();
    stop.stop();
    let volume = Arc::new(Recorded::new(1 << 20, None));
    let state = DiskState::Open(volume.clone());
    let disks = [Disk { id: "vol-0".to_owned(), device: None, state }];
    let job =
        Job { task: Task::Packages(Scope::default()), id: "endless-reads", source: Source::Disks(&disks) };
    let result = sandbox.run(job, &mut std::io::sink(), &stop);
    assert!(matches!(result, Err(SandboxError::Stopped)), "{result:?}");
    assert_eq!(volume.reads(), 0);
}
