//! Every kind of disk, filled with a real system and with what is hard to read: our view equals the kernel's, of the
//! disk as it was unmounted, and as it was in use.
//!
//! `AGENTLESS_DISK_KINDS=XFS` compares only the kinds whose names contain that.

pub(crate) mod in_use;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use agentless_disk_tests::image::{self, Mount, Workspace, can_mount};
use agentless_disk_tests::kinds::{KINDS, Kind};
use agentless_disk_tests::layout::Disk;
use agentless_disk_tests::loop_device::Loop;
use agentless_disk_tests::manifest;
use agentless_disk_tests::{changes, debian, fill};

use self::in_use::{Count, InUse};

const SIZE: u64 = 2 << 30;

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
    /// The disk as it was in use, of a format that can be recovered.
    in_use: Option<InUse>,
    /// The first differences, if there are any.
    report: String,
    seconds: f32,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count { entries, different } = self.clean;
        let layout = format!("{:?}", self.kind.layout);
        write!(f, "{:45} {layout:11} {entries:7} entries {different:6} differ", self.kind.name)?;
        if let Some(in_use) = &self.in_use {
            write!(f, ", in use {in_use}")?;
        }
        write!(f, " {:5.1} s", self.seconds)
    }
}

fn compare(kind: &'static Kind) -> Row {
    let started = Instant::now();
    let workspace = Workspace::with_snapshots();
    let disk = Disk::new(&workspace, kind.layout, SIZE);
    image::format(Loop::writable_part(&disk.image, &disk.place).path(), kind.mkfs);
    let snapshot = {
        let mount = Mount::part(&disk.image, &disk.place, kind.mount);
        debian::install(mount.path());
        fill::fill(mount.path(), kind.many);
        kind.has_journal().then(|| {
            changes::make(mount.path());
            workspace.snapshot(&disk.image, "in-use")
        })
    };
    let mut report = String::new();
    let clean = {
        let kernel = manifest::of_kernel(Mount::part(&disk.image, &disk.place, "ro").path());
        let seen = disk.assemble(&workspace, &disk.image);
        let ours = manifest::of_ours(in_use::open(&seen, kind.layout, &disk.place));
        Count::new(&kernel, &ours, "unmounted", &mut report)
    };
    let in_use = snapshot.map(|snapshot| InUse::compare(&workspace, kind, &disk, &snapshot, &mut report));
    Row { kind, clean, in_use, report, seconds: started.elapsed().as_secs_f32() }
}
