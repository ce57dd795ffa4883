//! A disk as it was while something wrote to it: the kernel's recovery is the truth.

use std::fmt::{self, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use agentless_scanner::fs::{self, FileSystem, Journal};
use agentless_scanner::limits::Limits;
use agentless_scanner::volume::{FileVolume, Volume, partition};

use agentless_disk_tests::image::{Mount, Workspace};
use agentless_disk_tests::kinds::Kind;
use agentless_disk_tests::manifest::{self, Manifest};

/// What is left of a comparison.
#[derive(Clone, Copy)]
pub(crate) struct Count {
    pub(crate) entries: usize,
    pub(crate) different: usize,
}

impl Count {
    /// Counts what differs, and adds the first differences to `report`.
    pub(crate) fn new(kernel: &Manifest, ours: &Manifest, what: &str, report: &mut String) -> Self {
        let differences = manifest::differences(kernel, ours);
        if !differences.is_empty() {
            write!(report, "{what}:\n{}", manifest::describe(&differences, 10)).unwrap();
        }
        Self { entries: kernel.len(), different: differences.len() }
    }
}

/// What a snapshot showed.
pub(crate) struct InUse {
    pub(crate) count: Count,
    /// What we did about its journal.
    pub(crate) journal: Journal,
    /// How many entries the kernel itself shows differently if it may not recover them.
    pub(crate) without_recovery: usize,
}

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count { entries, different } = self.count;
        write!(f, "{entries:7} entries {different:6} differ")?;
        write!(f, ", {:6} if nothing is recovered ({:?})", self.without_recovery, self.journal)
    }
}

impl InUse {
    /// Compares what we show of a snapshot with what the kernel makes of a copy of it.
    pub(crate) fn compare(
        workspace: &Workspace,
        kind: &Kind,
        snapshot: &Path,
        place: &Range<u64>,
        report: &mut String,
    ) -> Self {
        let recovered = workspace.snapshot(snapshot, "recovered");
        let kernel = manifest::of_kernel(Mount::part(&recovered, place, "rw").path());
        let opened = open(snapshot, place);
        let journal = opened.journal();
        let count = Count::new(&kernel, &manifest::of_ours(opened), "in use", report);

        let options = match kind.format() {
            "xfs" => "ro,norecovery",
            "btrfs" => "ro,rescue=nologreplay",
            _ => "ro,noload",
        };
        let stale = manifest::of_kernel_without_recovery(Mount::part(snapshot, place, options).path());
        Self { count, journal, without_recovery: manifest::differences(&kernel, &stale).len() }
    }
}

/// Opens the filesystem that a disk has at `place`.
pub(crate) fn open(disk: &Path, place: &Range<u64>) -> Box<dyn FileSystem> {
    let limits = Limits::default();
    let disk: Arc<dyn Volume> = Arc::new(FileVolume::open(disk).unwrap());
    let table = partition::read(&disk, &limits).unwrap();
    assert_eq!(table.problems, []);
    let found = table.partitions.iter().find(|found| (found.offset..found.offset + found.size) == *place);
    let found = found.unwrap_or_else(|| panic!("no partition is at {place:?}: {:?}", table.partitions));
    fs::open(Arc::new(found.open(&disk).unwrap()), &limits).unwrap()
}
