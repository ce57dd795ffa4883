//! Bits that flip: every kind of disk with a few wrong bits gives a result or an error that says what is wrong, within the
//! limits of work and memory.
//!
//! A test binary of its own, because the peak of its memory is part of what is tested.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "the helpers of tests fail as tests do, and print figures"
)]

mod flipped;

use std::fs;
use std::os::unix::fs::symlink;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use agentless_analyser::fs::FsError;
use agentless_analyser::fs::survey::{self, Survey};
use agentless_analyser::limits::Limits;
use agentless_analyser::volume::{Volume, VolumeError};

use agentless_disk_tests::image::{Workspace, can_mount};
use agentless_disk_tests::kinds::{KINDS, Kind};
use agentless_disk_tests::peak_memory::peak_kib;
use agentless_disk_tests::{changes, fill, layout};

use self::flipped::{Content, Flipped};

/// Disks with flipped bits for each driver.
const SEEDS: usize = 10_000;
/// As much as a disk with few files needs.
const SIZE: u64 = 2 << 30;
/// What this process may need in all: its three tests at a time, and their disks.
const MOST_MEMORY: u64 = 192 << 20;

#[test]
fn ext2_ext3_ext4() {
    flip("ext");
}

#[test]
fn xfs() {
    flip("xfs");
}

#[test]
fn btrfs() {
    flip("btrfs");
}

/// Flips bits of every kind of disk of a driver.
fn flip(driver: &str) {
    if !can_mount() {
        return;
    }
    let started = Instant::now();
    // What is around a filesystem on several disks has flipped bits in tests of its own.
    let kinds = KINDS.iter().filter(|kind| kind.format().starts_with(driver) && kind.layout.is_one_disk());
    let kinds: Vec<_> = kinds.collect();
    let limits = limits();
    let disks: Vec<_> =
        kinds.iter().flat_map(|kind| disks(kind).map(|content| Disk::new(kind, content))).collect();
    let mut found = Found::default();
    let made = started.elapsed();
    for seed in 0..SEEDS {
        let Disk { kind, content, whole } = &disks[seed % disks.len()];
        let flipped = Arc::new(Flipped::new(content, seed));
        let volume: Arc<dyn Volume> = flipped.clone();
        let result = panic::catch_unwind(AssertUnwindSafe(|| survey::disk(&volume, &limits)));
        let Ok(result) = result else { panic!("{}, seed {seed}: {:?}", kind.name, flipped.flips()) };
        found.add(result, *whole, &flipped, &format!("{}, seed {seed}", kind.name));
    }
    let memory = peak_kib() << 10;
    println!(
        "{driver}: {SEEDS} disks of {} kinds in {:.1?}, made in {made:.1?}: {} as before, {} with other \
         files or problems, {} not read; at most \
         {} reads of {} KiB; peak of memory {} MiB",
        kinds.len(),
        started.elapsed(),
        found.same,
        found.other,
        found.refused,
        found.most_reads,
        found.most_bytes >> 10,
        memory >> 20,
    );
    assert!(memory <= MOST_MEMORY, "{memory}");
    // Most flips are in file data, which ext4 and XFS do not verify, or in what nobody reads.
    assert!(found.other + found.refused > SEEDS / 100, "the bits that were flipped were not noticed");
}

/// A disk before its bits are flipped.
struct Disk {
    kind: &'static Kind,
    content: Arc<Content>,
    /// What is found on it.
    whole: Survey,
}

impl Disk {
    fn new(kind: &'static Kind, content: Arc<Content>) -> Self {
        let volume: Arc<dyn Volume> = Arc::new(Flipped::none(&content));
        let whole = survey::disk(&volume, &limits()).unwrap();
        assert!(whole.entries > 150, "{}: {whole:?}", kind.name);
        Self { kind, content, whole }
    }
}

/// Small, but for the journals: those that `mkfs` makes have to be replayed.
fn limits() -> Limits {
    let mut limits = survey::small_limits();
    limits.journal_blocks = 1 << 18;
    limits
}

/// What came of the disks.
#[derive(Default)]
struct Found {
    same: usize,
    other: usize,
    refused: usize,
    most_reads: u64,
    most_bytes: u64,
}

impl Found {
    fn add(&mut self, result: Result<Survey, FsError>, whole: Survey, disk: &Flipped, which: &str) {
        match result {
            Ok(survey) if survey == whole => self.same += 1,
            Ok(_) => self.other += 1,
            Err(error) => {
                // What is wrong is the disk's structure, never that somebody read beyond its end.
                let beyond = matches!(error, FsError::Volume(VolumeError::OutOfRange { .. }));
                assert!(!beyond, "{which}: {error}");
                self.refused += 1;
            }
        }
        let limits = limits();
        let (reads, bytes) = disk.work();
        assert!(reads <= limits.steps, "{which}: {reads} reads");
        assert!(bytes <= 4 * limits.read_bytes, "{which}: {bytes} bytes");
        self.most_reads = self.most_reads.max(reads);
        self.most_bytes = self.most_bytes.max(bytes);
    }
}

/// The disk as it was unmounted, and as it was in use.
fn disks(kind: &Kind) -> [Arc<Content>; 2] {
    let workspace = Workspace::with_snapshots();
    let disk = layout::Disk::new(&workspace, kind.layout, SIZE);
    disk.format(kind.mkfs);
    let in_use = {
        let mount = disk.mount(&disk.image, kind.mount);
        few_files(mount.path());
        let everything = fs::File::open(mount.path()).unwrap();
        rustix::fs::syncfs(everything).unwrap();
        let service = mount.path().join("service");
        fs::create_dir(&service).unwrap();
        (0..4).for_each(|round| changes::serve(&service, round));
        workspace.snapshot(&disk.image, "in-use")
    };
    [Content::read(&disk.image), Content::read(&in_use)].map(Arc::new)
}

/// Some of everything, so little that a disk is read in a moment.
fn few_files(root: &Path) {
    fs::create_dir_all(root.join("usr/lib")).unwrap();
    fs::write(root.join("usr/lib/os-release"), "ID=test\n").unwrap();
    symlink("usr/lib", root.join("lib")).unwrap();
    symlink("x".repeat(200), root.join("long-link")).unwrap();
    fs::write(root.join("compressible"), "content ".repeat(2500)).unwrap();
    fs::write(root.join("random"), fill::content(1, 9000)).unwrap();
    let sparse = fs::File::create(root.join("sparse")).unwrap();
    for index in 0..12 {
        std::os::unix::fs::FileExt::write_all_at(&sparse, b"extent", index * 16_384).unwrap();
    }
    let many = root.join("many");
    fs::create_dir(&many).unwrap();
    for index in 0..150 {
        fs::hard_link(root.join("random"), many.join(format!("{index}-{}", "n".repeat(40)))).unwrap();
    }
    for name in ["user.test", "trusted.overlay.opaque", "security.test"] {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(root.join("random"), name, &[7; 300], flags).unwrap();
    }
}
