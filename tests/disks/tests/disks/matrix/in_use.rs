//! A disk as it was while something wrote to it: the kernel's recovery is the truth.

use std::fmt::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agentless_analyser::fs::btrfs::BtrfsDriver;
use agentless_analyser::fs::{self, Driver, FileSystem, Journal};
use agentless_analyser::limits::Limits;
use agentless_analyser::volume::lvm::{self, PhysicalVolume};
use agentless_analyser::volume::raid::{self, Member};
use agentless_analyser::volume::{Volume, partition};
use agentless_core::volume::FileVolume;

use agentless_disk_tests::image::Workspace;
use agentless_disk_tests::kinds::Kind;
use agentless_disk_tests::layout::{Disk, Layout};
use agentless_disk_tests::manifest::{self, Manifest};
use agentless_disk_tests::truncations;

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
    /// How many entries were being cut, see [`truncations`].
    being_cut: usize,
}

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count { entries, different } = self.count;
        write!(f, "{entries:7} entries {different:6} differ")?;
        write!(f, ", {:6} if nothing is recovered ({:?})", self.without_recovery, self.journal)?;
        if self.being_cut > 0 {
            write!(f, ", {} being cut", self.being_cut)?;
        }
        Ok(())
    }
}

impl InUse {
    /// Compares what we show of a snapshot with what the kernel makes of a copy of it.
    pub(crate) fn compare(
        workspace: &Workspace,
        kind: &Kind,
        disk: &Disk,
        snapshot: &Path,
        report: &mut String,
    ) -> Self {
        let recovered = workspace.snapshot(snapshot, "recovered");
        let (kernel, being_cut) = {
            let mount = disk.mount(&recovered, "rw");
            let mut kernel = manifest::of_kernel(mount.path());
            let being_cut = if kind.format().starts_with("ext") {
                let copy = workspace.snapshot(snapshot, "recovered-by-e2fsck");
                truncations::take_times_of_disk(&mut kernel, mount.path(), &copy, Some(&disk.place)).unwrap()
            } else {
                0
            };
            (kernel, being_cut)
        };
        let opened = open(&disk.assemble(workspace, snapshot), kind.layout, &disk.place);
        let journal = opened.journal();
        let count = Count::new(&kernel, &manifest::of_ours(opened), "in use", report);

        let options = match kind.format() {
            "xfs" => "ro,norecovery",
            "btrfs" => "ro,rescue=nologreplay",
            _ => "ro,noload",
        };
        let stale = manifest::of_kernel_without_recovery(disk.mount(snapshot, options).path());
        let without_recovery = manifest::differences(&kernel, &stale).len();
        Self { count, journal, without_recovery, being_cut }
    }
}

/// Opens the filesystem that disks have at `place`, or in what is made of them.
pub(crate) fn open(disks: &[PathBuf], layout: Layout, place: &Range<u64>) -> Box<dyn FileSystem> {
    let limits = Limits::default();
    let mut found: Vec<(Range<u64>, Arc<dyn Volume>)> = Vec::new();
    for disk in disks {
        let disk: Arc<dyn Volume> = Arc::new(FileVolume::open(disk).unwrap());
        let table = partition::read(&disk, &limits).unwrap();
        assert_eq!(table.problems, []);
        found.extend(table.partitions.iter().map(|found| -> (_, Arc<dyn Volume>) {
            (found.offset..found.offset + found.size, Arc::new(found.open(&disk).unwrap()))
        }));
    }
    let volumes = found.iter().map(|(_, volume)| Arc::clone(volume));
    let volume = match layout {
        Layout::Lvm | Layout::LvmStriped => {
            let members =
                volumes.filter_map(|volume| Some((PhysicalVolume::read(&volume, &limits).unwrap()?, volume)));
            let groups = lvm::assemble(members.collect(), &limits);
            let mut volumes = groups.into_iter().flat_map(|group| group.logical_volumes);
            volumes.find(|volume| volume.name == "root").unwrap().volume.unwrap()
        }
        Layout::Raid1 => {
            let members = volumes.filter_map(|volume| Some((Member::read(&volume).unwrap()?, volume)));
            let mut arrays = raid::assemble(members.collect());
            assert_eq!((arrays.len(), arrays[0].present), (1, 2), "{:?}", arrays[0].problems);
            arrays.remove(0).volume.unwrap()
        }
        Layout::TwoDisks => return BtrfsDriver.open(&volumes.collect::<Vec<_>>(), &limits).unwrap(),
        Layout::Bare | Layout::Gpt | Layout::MbrLogical => {
            let here = found.iter().find(|(range, _)| range == place);
            let (_, volume) = here.unwrap_or_else(|| panic!("no partition is at {place:?}: {found:?}"));
            Arc::clone(volume)
        }
    };
    fs::open(volume, &limits).unwrap()
}
