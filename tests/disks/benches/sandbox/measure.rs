//! One measurement, in a process of its own.

use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agentless_core::fs::Directory;
use agentless_core::limits::Limits;
use agentless_core::report::StorageReport;
use agentless_core::source::{Disk, DiskState, Source};
use agentless_core::volume::{FileVolume, Volume};
use agentless_disk_tests::confined;
use agentless_disk_tests::peak_memory::peak_kib;
use agentless_disk_tests::scanner::Scanner;
use agentless_sandbox::child::Given;
use agentless_sandbox::parent::{Job, Mode, Program, Sandbox, Stop};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use crate::cases::{Case, Reading};
use crate::counted::{Counted, Counts};

/// What doing a work once took.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    /// CPU time of this process, and of the analyser.
    pub(crate) cpu: [Duration; 2],
    pub(crate) wall: Duration,
    pub(crate) reads: u64,
    pub(crate) hints: u64,
    pub(crate) bytes: u64,
    /// Peak memory in KiB of this process, and of the analyser.
    pub(crate) peak: [u64; 2],
    /// The hash of the result.
    pub(crate) seen: u64,
}

/// Has another process measure.
pub(crate) fn in_process_of_its_own(case: usize, disk: &Path, confined: bool) -> Vec<Run> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("--measure").arg(case.to_string()).arg("--disk").arg(disk);
    if confined {
        command.arg("--confined");
    }
    let output = command.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    printed.lines().map(parse).collect()
}

fn parse(line: &str) -> Run {
    let numbers: Vec<u64> = line.split(' ').map(|number| number.parse().unwrap()).collect();
    let [own, analyser, wall, reads, hints, bytes, peak, analyser_peak, seen] = numbers[..] else {
        panic!("{line}");
    };
    let time = Duration::from_micros;
    let (cpu, peak) = ([time(own), time(analyser)], [peak, analyser_peak]);
    Run { cpu, wall: time(wall), reads, hints, bytes, peak, seen }
}

/// Measures a case, and prints a line for each run.
pub(crate) fn in_child(case: &Case, disk: &Path, confined: bool) {
    // The threads of a runtime are there before the first scan.
    let scanner = Scanner::new().with_latency(match case.reading {
        Reading::SlowBlocks => Duration::from_millis(100),
        _ => Duration::ZERO,
    });
    for _ in 0..case.runs {
        let counts = Arc::new(Counts::default());
        let volume: Option<Arc<dyn Volume>> = match case.reading {
            Reading::File => Some(Arc::new(FileVolume::open(disk).unwrap())),
            Reading::Blocks | Reading::SlowBlocks => Some(scanner.verified(disk)),
            Reading::Directory => None,
        };
        let before = cpu();
        let began = Instant::now();
        let mut seen = Seen::default();
        let report = if confined {
            by_analyser(case, disk, volume, &counts, &mut seen)
        } else {
            by_us(case, disk, volume, &mut seen)
        };
        let wall = began.elapsed();
        let after = cpu();
        seen.write_all(format!("{report:?}").as_bytes()).unwrap();
        let [own, analyser] = [0, 1].map(|who| after[who].saturating_sub(before[who]).as_micros());
        println!(
            "{own} {analyser} {} {} {} {} {} {} {}",
            wall.as_micros(),
            counts.reads(),
            counts.hints(),
            counts.bytes(),
            peak_kib(),
            if confined { getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss() } else { 0 },
            seen.0.finish(),
        );
    }
}

fn by_us(case: &Case, path: &Path, volume: Option<Arc<dyn Volume>>, out: &mut dyn Write) -> StorageReport {
    let limits = Limits::default();
    let disks = disks(volume);
    let source = source(path, &disks, &limits);
    confined::perform(Given { task: &case.what.task(), id: "disk", source, limits: &limits, out }).unwrap()
}

fn by_analyser(
    case: &Case,
    path: &Path,
    volume: Option<Arc<dyn Volume>>,
    counts: &Arc<Counts>,
    out: &mut dyn Write,
) -> StorageReport {
    let limits = Limits::default();
    let counted =
        volume.map(|volume| -> Arc<dyn Volume> { Arc::new(Counted::new(volume, Arc::clone(counts))) });
    let disks = disks(counted);
    let source = source(path, &disks, &limits);
    let program = Program::at(env!("CARGO_BIN_EXE_analyser"));
    let sandbox = Sandbox { program, mode: Mode::Required, limits: limits.clone() };
    sandbox.run(Job { task: case.what.task(), id: "disk", source }, out, &Stop::default()).unwrap()
}

fn disks(volume: Option<Arc<dyn Volume>>) -> Vec<Disk> {
    let disk =
        volume.map(|volume| Disk { id: "disk".to_owned(), device: None, state: DiskState::Open(volume) });
    disk.into_iter().collect()
}

fn source<'a>(path: &Path, disks: &'a [Disk], limits: &Limits) -> Source<'a> {
    if disks.is_empty() {
        Source::Directory(Box::new(Directory::open(path, limits).unwrap()))
    } else {
        Source::Disks(disks)
    }
}

/// CPU time so far of this process, and of those that it waited for.
fn cpu() -> [Duration; 2] {
    [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN].map(|who| {
        let usage = getrusage(who).unwrap();
        let time = usage.user_time() + usage.system_time();
        Duration::from_micros(time.num_microseconds().try_into().unwrap())
    })
}

/// Takes the output, and of it what shows whether it is the same.
#[derive(Debug, Default)]
struct Seen(DefaultHasher);

impl Write for Seen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
