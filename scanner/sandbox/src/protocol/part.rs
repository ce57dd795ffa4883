//! Reports in parts, and their way back to a whole.
//!
//! The analyser's report is foreign input: who controls the analyser writes what he likes. [`Assembly`] takes the parts one
//! by one, counts them against the limits, and checks that whatever one part says about another exists. So a report that
//! lies about a machine is still a report of bounded size that no reader of it stumbles over.

use std::collections::BTreeMap;

use agentless_core::findings::{Findings, Gap, Source};
use agentless_core::limits::Limits;
use agentless_core::number::to_u64;
use agentless_core::package::{OperatingSystem, Package};
use agentless_core::report::{
    Content, DeviceKind, DeviceReport, FilesystemReport, MountReport, StorageReport, TreeReport, Unmounted,
    VolumeReport,
};
use serde::{Deserialize, Serialize};

use super::frame::WireError;

/// A part of a report. What follows a tree belongs to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Part {
    /// Volumes.
    Volumes(Vec<VolumeReport>),
    /// Devices.
    Devices(Vec<DeviceReport>),
    /// Filesystems.
    Filesystems(Vec<FilesystemReport>),
    /// The next tree begins.
    Tree {
        /// Whether it is that of a system.
        is_system: bool,
        /// What the system calls itself.
        operating_system: Option<OperatingSystem>,
    },
    /// What is mounted in the tree.
    Mounts(Vec<MountReport>),
    /// What is not.
    Unmounted(Vec<Unmounted>),
    /// The packages of the tree.
    Packages(Vec<Package>),
    /// What could not be read in it.
    Gaps(Vec<Gap>),
    /// Its package databases.
    Sources(Vec<Source>),
    /// The filesystems of the files in which something was found.
    HeldBy(Vec<(String, usize)>),
}

/// Divides a report into parts that fit into frames.
pub fn parts(report: StorageReport) -> impl Iterator<Item = Part> {
    let StorageReport { volumes, devices, filesystems, trees } = report;
    let storage = batches(volumes, Part::Volumes)
        .chain(batches(devices, Part::Devices))
        .chain(batches(filesystems, Part::Filesystems));
    let trees = trees.into_iter().flat_map(|tree| {
        let TreeReport { is_system, mounts, unmounted, findings, held_by } = tree;
        let Findings { operating_system, packages, gaps, sources } = findings;
        std::iter::once(Part::Tree { is_system, operating_system })
            .chain(batches(mounts, Part::Mounts))
            .chain(batches(unmounted, Part::Unmounted))
            .chain(batches(packages, Part::Packages))
            .chain(batches(gaps, Part::Gaps))
            .chain(batches(sources, Part::Sources))
            .chain(batches(held_by.into_iter().collect(), Part::HeldBy))
    });
    storage.chain(trees)
}

/// Divides items into lists that fit into a frame.
fn batches<T: Serialize>(items: Vec<T>, part: fn(Vec<T>) -> Part) -> impl Iterator<Item = Part> {
    /// Bytes of one list: a fraction of what a frame may have, as the last item can be of any size.
    const ENOUGH: u64 = 128 << 10;

    let mut items = items.into_iter();
    std::iter::from_fn(move || {
        let (mut batch, mut length) = (Vec::new(), 0_u64);
        while length < ENOUGH
            && let Some(item) = items.next()
        {
            length = length.saturating_add(encoded_length(&item));
            batch.push(item);
        }
        (!batch.is_empty()).then(|| part(batch))
    })
}

/// How many bytes an item has in a message.
fn encoded_length(item: &impl Serialize) -> u64 {
    /// Counts what is written to it.
    struct Counter(u64);

    impl std::io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.saturating_add(to_u64(bytes.len()));
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let mut counter = Counter(0);
    match rmp_serde::encode::write_named(&mut counter, item) {
        Ok(()) => counter.0,
        // It fails again where it is sent, and is reported there.
        Err(_) => u64::MAX,
    }
}

/// A report that is being put together.
#[derive(Debug)]
pub struct Assembly {
    limits: Limits,
    /// The volumes that were given to the analyser: what it says about them is not believed.
    volumes: Vec<VolumeHead>,
    report: StorageReport,
    /// Packages of all trees so far.
    packages: u64,
    /// Everything else of all trees so far.
    others: u64,
}

/// What the scanner knows of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeHead {
    /// Its id.
    pub id: String,
    /// The name by which it is attached.
    pub device: Option<String>,
}

impl Assembly {
    /// A report on these volumes, or on the one directory, of which nothing is known yet.
    pub fn new(volumes: Vec<VolumeHead>, limits: Limits) -> Self {
        Self { limits, volumes, report: StorageReport::default(), packages: 0, others: 0 }
    }

    /// Takes the next part.
    ///
    /// # Errors
    ///
    /// [`WireError::Protocol`] if it cannot be the next part of any report.
    pub fn add(&mut self, part: Part) -> Result<(), WireError> {
        match part {
            Part::Volumes(volumes) => self.add_volumes(volumes),
            Part::Devices(devices) => self.add_devices(devices),
            Part::Filesystems(filesystems) => self.add_filesystems(filesystems),
            Part::Tree { is_system, operating_system } => {
                let most = u64::from(self.limits.systems).saturating_add(u64::from(self.limits.filesystems));
                check_count("trees", self.report.trees.len(), 1, most)?;
                let findings = Findings { operating_system, ..Findings::default() };
                self.report.trees.push(TreeReport { is_system, findings, ..TreeReport::default() });
                Ok(())
            }
            Part::Mounts(mounts) => self.add_mounts(mounts),
            Part::Unmounted(unmounted) => {
                self.count_others(unmounted.len())?;
                self.tree()?.unmounted.extend(unmounted);
                Ok(())
            }
            Part::Packages(packages) => self.add_packages(packages),
            Part::Gaps(gaps) => {
                self.count_others(gaps.len())?;
                self.tree()?.findings.gaps.extend(gaps);
                Ok(())
            }
            Part::Sources(sources) => {
                self.count_others(sources.len())?;
                self.tree()?.findings.sources.extend(sources);
                Ok(())
            }
            Part::HeldBy(held_by) => {
                self.count_others(held_by.len())?;
                for (_, filesystem) in &held_by {
                    self.check_filesystem(*filesystem)?;
                }
                self.tree()?.held_by.extend(BTreeMap::from_iter(held_by));
                Ok(())
            }
        }
    }

    /// The report, when its last part was taken.
    ///
    /// # Errors
    ///
    /// [`WireError::Protocol`] if a part is missing.
    pub fn finish(self) -> Result<StorageReport, WireError> {
        let report = self.report;
        if report.volumes.len() != self.volumes.len() {
            let (said, given) = (report.volumes.len(), self.volumes.len());
            return Err(WireError::protocol(format!("a report on {said} volumes instead of {given}")));
        }
        for device in &report.devices {
            if let Content::Filesystem { filesystem } = device.content {
                check_index("filesystem", filesystem, report.filesystems.len())?;
            }
        }
        if report.trees.iter().any(|tree| tree.mounts.is_empty()) {
            return Err(WireError::protocol("a tree without a root"));
        }
        Ok(report)
    }

    fn add_volumes(&mut self, volumes: Vec<VolumeReport>) -> Result<(), WireError> {
        if !self.report.devices.is_empty() {
            return Err(out_of_order("volumes"));
        }
        for volume in volumes {
            let VolumeReport { id, device, .. } = &volume;
            let given = self.volumes.get(self.report.volumes.len());
            if given.is_none_or(|given| (&given.id, &given.device) != (id, device)) {
                return Err(WireError::protocol("a report on a volume that it was not given"));
            }
            self.report.volumes.push(volume);
        }
        Ok(())
    }

    fn add_devices(&mut self, devices: Vec<DeviceReport>) -> Result<(), WireError> {
        if !self.report.filesystems.is_empty() {
            return Err(out_of_order("devices"));
        }
        // Volumes are devices too, and are there before they are counted.
        let most = u64::from(self.limits.devices).saturating_add(to_u64(self.volumes.len()));
        check_count("devices", self.report.devices.len(), devices.len(), most)?;
        for device in devices {
            if let DeviceKind::Disk { volume } = device.kind {
                check_index("volume", volume, self.report.volumes.len())?;
            }
            for &below in &device.below {
                check_index("device", below, self.report.devices.len())?;
            }
            self.report.devices.push(device);
        }
        Ok(())
    }

    fn add_filesystems(&mut self, filesystems: Vec<FilesystemReport>) -> Result<(), WireError> {
        if !self.report.trees.is_empty() {
            return Err(out_of_order("filesystems"));
        }
        let most = u64::from(self.limits.filesystems);
        check_count("filesystems", self.report.filesystems.len(), filesystems.len(), most)?;
        for filesystem in filesystems {
            if filesystem.devices.is_empty() {
                return Err(WireError::protocol("a filesystem on no device"));
            }
            for &device in &filesystem.devices {
                check_index("device", device, self.report.devices.len())?;
            }
            self.report.filesystems.push(filesystem);
        }
        Ok(())
    }

    fn add_mounts(&mut self, mounts: Vec<MountReport>) -> Result<(), WireError> {
        // The root is not mounted into anything.
        let most = u64::from(self.limits.mounts).saturating_add(1);
        for mount in &mounts {
            self.check_filesystem(mount.filesystem)?;
        }
        let tree = self.tree()?;
        check_count("mounts", tree.mounts.len(), mounts.len(), most)?;
        tree.mounts.extend(mounts);
        Ok(())
    }

    fn add_packages(&mut self, packages: Vec<Package>) -> Result<(), WireError> {
        self.packages = self.packages.saturating_add(to_u64(packages.len()));
        if self.packages > self.limits.packages {
            return Err(too_many("packages", self.limits.packages));
        }
        let longest = self.limits.text_bytes;
        if packages.iter().any(|package| to_u64(package.longest_text()) > longest) {
            return Err(WireError::protocol(format!("a package with a text of more than {longest} bytes")));
        }
        self.tree()?.findings.packages.extend(packages);
        Ok(())
    }

    fn count_others(&mut self, count: usize) -> Result<(), WireError> {
        self.others = self.others.saturating_add(to_u64(count));
        if self.others > self.limits.notes {
            return Err(too_many("unknowns and notes", self.limits.notes));
        }
        Ok(())
    }

    fn tree(&mut self) -> Result<&mut TreeReport, WireError> {
        self.report.trees.last_mut().ok_or_else(|| out_of_order("what is in a tree"))
    }

    fn check_filesystem(&self, filesystem: usize) -> Result<(), WireError> {
        check_index("filesystem", filesystem, self.report.filesystems.len())
    }
}

fn check_index(what: &str, index: usize, count: usize) -> Result<(), WireError> {
    if index < count {
        return Ok(());
    }
    Err(WireError::protocol(format!("a report that speaks of {what} {index} of {count}")))
}

fn check_count(what: &str, so_far: usize, more: usize, most: u64) -> Result<(), WireError> {
    if to_u64(so_far.saturating_add(more)) <= most { Ok(()) } else { Err(too_many(what, most)) }
}

fn too_many(what: &str, most: u64) -> WireError {
    WireError::protocol(format!("a report with more than {most} {what}, which is the limit"))
}

fn out_of_order(what: &str) -> WireError {
    WireError::protocol(format!("a report in which {what} come at the wrong place"))
}
