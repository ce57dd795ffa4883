//! What a program uses, by the kernel's account of it.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// What one run used, of all its processes together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// In user and system mode.
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
    /// Of the largest process.
    pub(crate) peak_kib: u64,
}

impl Usage {
    /// The median of each figure.
    pub(crate) fn typical(rounds: &[Self]) -> Self {
        Self {
            cpu: median(rounds.iter().map(|round| round.cpu)),
            wall: median(rounds.iter().map(|round| round.wall)),
            peak_kib: median(rounds.iter().map(|round| round.peak_kib)),
        }
    }
}

fn median<T: Ord + Copy>(values: impl Iterator<Item = T>) -> T {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable();
    values[values.len() / 2]
}

/// Runs a program with its standard output in the file `output`. It has to succeed.
///
/// Children are accounted for together, so each run has a process of this program between: [`in_child`].
pub(crate) fn run(program: &Command, output: &Path) -> Usage {
    let mut meter = Command::new(std::env::current_exe().unwrap());
    meter.arg(METER).arg(output).arg(program.get_program()).args(program.get_args());
    for (name, value) in program.get_envs() {
        meter.env(name, value.unwrap_or_default());
    }
    let began = Instant::now();
    let done = meter.output().unwrap();
    let wall = began.elapsed();
    assert!(done.status.success(), "{program:?}: {}", String::from_utf8_lossy(&done.stderr));
    let printed = String::from_utf8(done.stdout).unwrap();
    let [cpu, peak_kib] =
        printed.split_whitespace().map(|number| number.parse().unwrap()).collect::<Vec<u64>>()[..]
    else {
        panic!("{printed:?} is not what was used")
    };
    Usage { cpu: Duration::from_micros(cpu), wall, peak_kib }
}

/// The first argument of a process that measures.
const METER: &str = "--meter";

/// If this process was started to measure: runs the program, and prints its CPU time in microseconds and its peak memory in
/// KiB (`getrusage(2)`).
pub(crate) fn in_child() -> bool {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|first| first != METER) {
        return false;
    }
    let output = File::create(arguments.next().unwrap()).unwrap();
    let status = Command::new(arguments.next().unwrap()).args(arguments).stdout(output).status().unwrap();
    assert!(status.success(), "{status}");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let cpu = usage.user_time() + usage.system_time();
    println!("{} {}", cpu.num_microseconds(), usage.max_rss());
    true
}

/// What a run wrote.
pub(crate) fn read(output: &Path) -> String {
    fs::read_to_string(output).unwrap()
}
