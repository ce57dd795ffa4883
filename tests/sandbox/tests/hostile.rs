//! Disks that were made to do harm, read by the product's analyser in a process without power.
//!
//! What comes out must be what the same code says in this process, byte for byte; and no analyser may die of a disk.

#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "the helpers of tests fail as tests do, and print figures"
)]

#[path = "../../../scanner/fuzz/mutate.rs"]
mod mutate;
#[path = "../../../scanner/fuzz/seal/xfs.rs"]
mod seal;

use std::io::sink;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use agentless_analyser::analyse;
use agentless_analyser::volume::{SliceVolume, SparseVolume, Volume};
use agentless_core::source::{Disk, DiskState, Source};
use agentless_core::task::{Scope, Task};
use agentless_sandbox::parent::{Job, Mode, Program, Sandbox, Stop};

use self::mutate::Mutator;

/// The corpora whose seeds are disks, how they are, and how many mutations of each seed are read.
const CORPORA: &[(&str, Decode, usize)] = &[
    ("machine", analyse::survey::encoded_disks, 200),
    ("partition_table", one_disk, 50),
    ("ext4", one_disk, 50),
    ("xfs", sealed_xfs, 50),
    ("xfs_log", sealed_xfs, 50),
    ("btrfs", one_disk, 50),
    ("members", two_disks, 50),
];

type Decode = fn(&[u8]) -> Vec<Disk>;

fn one_disk(encoded: &[u8]) -> Vec<Disk> {
    vec![disk(0, Arc::new(SparseVolume::decode(encoded)))]
}

/// With right checksums: hardly a change would get past them otherwise.
fn sealed_xfs(encoded: &[u8]) -> Vec<Disk> {
    let mut sealed = encoded.to_vec();
    seal::seal(&mut sealed);
    one_disk(&sealed)
}

/// The halves of one.
fn two_disks(encoded: &[u8]) -> Vec<Disk> {
    let whole: Arc<dyn Volume> = Arc::new(SparseVolume::decode(encoded));
    let half = (whole.size() / 1024) * 512;
    let slice = |start| SliceVolume::new(Arc::clone(&whole), start, half).unwrap();
    vec![disk(0, Arc::new(slice(0))), disk(1, Arc::new(slice(half)))]
}

fn disk(number: u32, volume: Arc<dyn Volume>) -> Disk {
    Disk { id: format!("vol-{number}"), device: None, state: DiskState::Open(volume) }
}

#[test]
fn a_confined_analyser_says_of_hostile_disks_what_one_says_that_is_not() {
    let started = Instant::now();
    let limits = analyse::survey::small_limits();
    let program = Program::at(env!("CARGO_BIN_EXE_confined-analyser"));
    let sandbox = Sandbox { program, mode: Mode::Required, limits };
    let figures = Mutex::new(Figures::default());
    // The seeds of all corpora, for as many analysers at a time as there are processors.
    let waiting = Mutex::new(
        CORPORA
            .iter()
            .flat_map(|corpus| mutate::corpus(corpus.0).into_iter().map(move |seed| (corpus, seed))),
    );
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().unwrap().get() {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap().next();
                    let Some(((target, decode, mutations), (name, seed))) = next else { return };
                    let mut mutator = Mutator::new();
                    let whole = std::iter::once(seed.clone());
                    for encoded in whole.chain((0..*mutations).map(|_| mutator.mutate(&seed))) {
                        compare(&sandbox, &format!("{target}/{name}"), &decode(&encoded), &figures);
                    }
                }
            });
        }
    });
    let Figures { disks, filesystems, packages, confined, in_process } = figures.into_inner().unwrap();
    assert!(filesystems > 1000 && packages > 0, "{filesystems} filesystems, {packages} packages");
    println!(
        "{disks} targets with {filesystems} filesystems and {packages} packages in {:.1?}: {confined:.1?} by confined \
         analysers, {in_process:.1?} in this process",
        started.elapsed()
    );
}

#[derive(Default)]
struct Figures {
    disks: usize,
    filesystems: usize,
    packages: usize,
    confined: Duration,
    in_process: Duration,
}

fn compare(sandbox: &Sandbox, seed: &str, disks: &[Disk], figures: &Mutex<Figures>) {
    let began = Instant::now();
    let here = analyse::perform(
        &Task::Packages(Scope::default()),
        "target",
        Source::Disks(disks),
        &sandbox.limits,
        &mut sink(),
    );
    let in_process = began.elapsed();
    let job = Job { task: Task::Packages(Scope::default()), id: "target", source: Source::Disks(disks) };
    let there = sandbox.run(job, &mut sink(), &Stop::default());
    let confined = began.elapsed().saturating_sub(in_process);
    let there = there.unwrap_or_else(|error| panic!("{seed}: {}", agentless_core::chain(&error)));
    let here = here.unwrap();
    assert_eq!(there, here, "{seed}");
    let mut figures = figures.lock().unwrap();
    figures.disks += 1;
    figures.filesystems += here.filesystems.len();
    figures.packages += here.trees.iter().map(|tree| tree.findings.packages.len()).sum::<usize>();
    figures.confined += confined;
    figures.in_process += in_process;
}
