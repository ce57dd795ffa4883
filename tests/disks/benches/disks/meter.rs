//! CPU time of a work.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// CPU time in user and system mode.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cpu {
    /// Of this process, all threads.
    pub(crate) process: Duration,
    /// Of the kernel's worker threads in the same time: they read for a loop device, and decompress and verify for Btrfs.
    /// What else the machine does is in it too.
    pub(crate) workers: Duration,
}

impl Cpu {
    /// The median of a process's time, and the least of the workers': others can only add to that.
    pub(crate) fn typical(rounds: &[Self]) -> Self {
        let mut process: Vec<_> = rounds.iter().map(|round| round.process).collect();
        process.sort_unstable();
        // The two in the middle of an even number; of an odd one, twice the same.
        let middle = |length: usize| process.get(length / 2).copied().unwrap_or_default();
        Self {
            process: (middle(process.len().saturating_sub(1)) + middle(process.len())) / 2,
            workers: rounds.iter().map(|round| round.workers).min().unwrap_or_default(),
        }
    }

    pub(crate) fn total(&self) -> Duration {
        self.process + self.workers
    }
}

/// Does a work and measures it.
pub(crate) fn measured<T>(work: impl FnOnce() -> T) -> (Cpu, T) {
    let (workers, process) = (of_workers(), of_process());
    let done = work();
    let process = of_process().saturating_sub(process);
    // One that is new began at zero; one that has ended took what it used with it.
    let used = of_workers()
        .into_iter()
        .map(|(thread, now)| now.saturating_sub(workers.get(&thread).copied().unwrap_or_default()));
    (Cpu { process, workers: used.sum() }, done)
}

fn of_process() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let time = usage.user_time() + usage.system_time();
    Duration::from_micros(time.num_microseconds().try_into().unwrap())
}

/// The CPU time of each `kworker` so far: the first number of `/proc/<pid>/schedstat`, in nanoseconds
/// (`scheduler/sched-stats.rst`).
fn of_workers() -> HashMap<String, Duration> {
    let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let workers = processes.filter(|process| {
        fs::read_to_string(process.join("comm")).is_ok_and(|name| name.starts_with("kworker/"))
    });
    let times = workers.filter_map(|worker| {
        let statistics = fs::read_to_string(worker.join("schedstat")).ok()?;
        let nanoseconds = statistics.split(' ').next()?.parse().ok()?;
        Some((worker.to_str()?.to_owned(), Duration::from_nanos(nanoseconds)))
    });
    times.collect()
}
