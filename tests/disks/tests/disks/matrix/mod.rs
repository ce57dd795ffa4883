//! Every kind of disk, filled with a real system and with what is hard to read: our view equals the kernel's, of the
//! disk as it was unmounted, and as it was in use.
//!
//! `AGENTLESS_DISK_KINDS=XFS` compares only the kinds whose names contain that.

mod changes;

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use agentless_scanner::fs::{self, FileSystem, Journal};
use agentless_scanner::limits::Limits;
use agentless_scanner::volume::{FileVolume, Volume, partition};

use agentless_disk_tests::debian;
use agentless_disk_tests::fill;
use agentless_disk_tests::image::{self, Loop, Mount, Workspace, can_mount};
use agentless_disk_tests::kinds::{KINDS, Kind};
use agentless_disk_tests::manifest::{self, Manifest};

const SIZE: u64 = 1 << 30;

#[test]
fn every_kind_of_disk_equals_what_the_kernel_shows() {
    if !can_mount() {
        return;
    }
    let wanted = std::env::var("AGENTLESS_DISK_KINDS").unwrap_or_default();
    let waiting: Mutex<VecDeque<_>> =
        Mutex::new(KINDS.iter().filter(|kind| kind.name.contains(&wanted)).collect());
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().unwrap().get() {
            scope.spawn(|| {
                while let Some(kind) = { waiting.lock().unwrap().pop_front() } {
                    // A thread of its own, so that a panic is the failure of this kind alone.
                    let row = thread::scope(|scope| scope.spawn(|| compare(kind)).join());
                    match &row {
                        Ok(row) => println!("{row}"),
                        Err(_) => println!("{:45} panicked", kind.name),
                    }
                    done.lock().unwrap().push(row);
                }
            });
        }
    });
    let done = done.into_inner().unwrap();
    let compared: Vec<_> = done.iter().flatten().collect();
    let entries: usize = compared.iter().map(|row| row.clean.entries).sum();
    let differ: Vec<_> = compared.iter().filter(|row| !row.report.is_empty()).collect();
    for row in &differ {
        println!("{row}\n{}", row.report);
    }
    let panicked = done.len() - compared.len();
    println!(
        "{} kinds of disks, {entries} entries; {} differ, {panicked} panicked",
        done.len(),
        differ.len()
    );
    assert!(!done.is_empty(), "no kind of disk has {wanted:?} in its name");
    assert!(differ.is_empty() && panicked == 0, "not every kind of disk equals what the kernel shows");
}

/// What was found for one kind.
struct Row {
    kind: &'static Kind,
    clean: Count,
    /// The disk as it was in use, of those that can be in use when they are copied; and how many entries are different
    /// from what the kernel shows if nothing is recovered.
    dirty: Option<(Count, usize, Journal)>,
    /// The first differences, if there are any.
    report: String,
    seconds: f32,
}

#[derive(Clone, Copy)]
struct Count {
    entries: usize,
    different: usize,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count { entries, different } = self.clean;
        let layout = format!("{:?}", self.kind.layout);
        write!(f, "{:45} {layout:11} {entries:7} entries {different:6} differ", self.kind.name)?;
        if let Some((Count { entries, different }, without, journal)) = self.dirty {
            write!(
                f,
                ", in use {entries:7} entries {different:6} differ, {without:6} if nothing is recovered"
            )?;
            write!(f, " ({journal:?})")?;
        }
        write!(f, " {:5.1} s", self.seconds)
    }
}

fn compare(kind: &'static Kind) -> Row {
    let started = Instant::now();
    let workspace = Workspace::with_snapshots();
    let disk = workspace.image("disk", kind.layout.disk_size(SIZE));
    let place = kind.layout.write(&disk, SIZE);
    image::format(Loop::writable(&disk, &place).path(), kind.mkfs);
    let in_use = {
        let mount = Mount::part(&disk, &place, kind.mount);
        debian::install(mount.path());
        fill::fill(mount.path(), kind.many);
        kind.has_journal().then(|| {
            changes::make(mount.path());
            workspace.snapshot(&disk, "in-use")
        })
    };
    let mut report = String::new();

    let kernel = manifest::of_kernel(Mount::part(&disk, &place, "ro").path());
    let ours = manifest::of_ours(open(&disk, &place));
    let clean = count("unmounted", &kernel, &ours, &mut report);
    drop((kernel, ours));

    let dirty = in_use.map(|in_use| {
        let recovered = workspace.snapshot(&in_use, "recovered");
        let kernel = manifest::of_kernel(Mount::part(&recovered, &place, "rw").path());
        let opened = open(&in_use, &place);
        let journal = opened.journal();
        let ours = manifest::of_ours(opened);
        let dirty = count("in use", &kernel, &ours, &mut report);
        drop(ours);
        (dirty, without_recovery(kind, &in_use, &place, &kernel), journal)
    });
    Row { kind, clean, dirty, report, seconds: started.elapsed().as_secs_f32() }
}

fn count(what: &str, kernel: &Manifest, ours: &Manifest, report: &mut String) -> Count {
    let differences = manifest::differences(kernel, ours);
    if !differences.is_empty() {
        write!(report, "{what}:\n{}", manifest::describe(&differences, 10)).unwrap();
    }
    Count { entries: kernel.len(), different: differences.len() }
}

/// How many entries the kernel itself shows differently if it may not recover what was in use.
fn without_recovery(kind: &Kind, in_use: &Path, place: &Range<u64>, recovered: &Manifest) -> usize {
    let options = match kind.format() {
        "xfs" => "ro,norecovery",
        "btrfs" => "ro,rescue=nologreplay",
        _ => "ro,noload",
    };
    let stale = manifest::of_kernel_without_recovery(Mount::part(in_use, place, options).path());
    manifest::differences(recovered, &stale).len()
}

/// Opens the filesystem that the disk has at `place`.
fn open(disk: &Path, place: &Range<u64>) -> Box<dyn FileSystem> {
    let limits = Limits::default();
    let disk: Arc<dyn Volume> = Arc::new(FileVolume::open(disk).unwrap());
    let table = partition::read(&disk, &limits).unwrap();
    assert_eq!(table.problems, []);
    let found = table.partitions.iter().find(|found| (found.offset..found.offset + found.size) == *place);
    let found = found.unwrap_or_else(|| panic!("no partition is at {place:?}: {:?}", table.partitions));
    fs::open(Arc::new(found.open(&disk).unwrap()), &limits).unwrap()
}
