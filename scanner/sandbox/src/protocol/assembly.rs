//! A report that is put together of its parts.
//!
//! The analyser's report is foreign input: who controls the analyser writes what he likes. [`Assembly`] takes the parts one
//! by one, counts them and their texts against the limits, and checks that whatever one part says about another exists. So
//! a report that lies about a machine is still a report of bounded size that no reader of it stumbles over, on the volumes
//! that the scanner gave and no others.

use agentless_core::limits::Limits;
use agentless_core::number::to_u64;
use agentless_core::package::{OperatingSystem, Package};
use agentless_core::report::{
    Container, Content, DeviceKind, DeviceReport, FilesystemReport, MountReport, StorageReport, TreeReport,
    VolumeReport, VolumeState,
};
use agentless_core::source::{Archive, Disk, DiskState, Source};

use super::frame::WireError;
use super::part::Part;
use super::texts::{MOST_SHORT, Room, Texts, longest_place, most_text, repeated};

/// A report that is being put together.
#[derive(Debug)]
pub struct Assembly {
    limits: Limits,
    /// Whether it is on a directory instead of disks.
    is_directory: bool,
    report: StorageReport,
    /// How many devices lie below each device, on the longest way to a volume.
    layers: Vec<u32>,
    /// Those of all trees together, as all below.
    packages: Room,
    places: Room,
    notes: Room,
}

impl Assembly {
    /// A report on the target `id`, of which nothing is known yet but what the scanner knows itself: which volumes there
    /// are, and which of them can be read.
    pub fn new(id: &str, source: &Source<'_>, limits: &Limits) -> Self {
        let (is_directory, volumes) = match source {
            Source::Disks(disks) => {
                let volume = |disk: &Disk| volume(&disk.id, disk.device.as_ref(), &disk.state);
                (false, disks.iter().map(volume).collect())
            }
            Source::Function(archives) => {
                let volume = |archive: &Archive| volume(&archive.id, None, &archive.state);
                (false, archives.iter().map(volume).collect())
            }
            Source::Directory(_) => {
                let state = VolumeState::Read;
                (true, vec![VolumeReport { id: id.to_owned(), device: None, size: None, state }])
            }
        };
        let mut assembly = Self {
            limits: limits.clone(),
            is_directory,
            report: StorageReport { volumes, ..StorageReport::default() },
            layers: Vec::new(),
            packages: Room::for_packages(limits),
            places: Room::for_places(limits),
            notes: Room::for_notes(limits),
        };
        assembly.make_room_for_cuts();
        assembly
    }

    /// What says that something was left out comes on top of what the limits allow: two lines for a device, one for
    /// everything else.
    fn make_room_for_cuts(&mut self) {
        /// With the names of the devices that it is on.
        const LINE: u64 = 4 << 10;

        let lines = self.most_devices().saturating_mul(2);
        let lines =
            lines.saturating_add(u64::from(self.limits.filesystems)).saturating_add(self.most_trees());
        self.notes.count = self.notes.count.saturating_add(lines);
        self.notes.bytes = self.notes.bytes.saturating_add(lines.saturating_mul(LINE));
    }

    /// Volumes are devices too, and are there before the limit counts.
    fn most_devices(&self) -> u64 {
        u64::from(self.limits.devices).saturating_add(to_u64(self.report.volumes.len()))
    }

    /// The systems, each filesystem that is part of none, and the containers.
    fn most_trees(&self) -> u64 {
        let Limits { systems, filesystems, containers, .. } = self.limits;
        [systems, filesystems, containers].into_iter().map(u64::from).fold(0, u64::saturating_add)
    }

    /// Takes the next part.
    ///
    /// # Errors
    ///
    /// [`WireError::Protocol`] if it cannot be the next part of any report.
    pub fn add(&mut self, part: Part) -> Result<(), WireError> {
        match part {
            Part::Devices(devices) => self.add_devices(devices),
            Part::Filesystems(filesystems) => self.add_filesystems(filesystems),
            Part::Tree { is_system, container, operating_system, agent_lists_packages } => {
                let container = container.map(|container| *container);
                if agent_lists_packages && (container.is_some() || !is_system) {
                    return Err(WireError::protocol("a report with an agent that is on no host"));
                }
                self.add_tree(is_system, container, operating_system)?;
                self.tree()?.agent_lists_packages = agent_lists_packages;
                Ok(())
            }
            Part::Mounts(mounts) => self.add_mounts(mounts),
            Part::Packages(packages) => self.add_packages(packages),
            Part::Unmounted(mut unmounted) => {
                self.note_all(&mut unmounted)?;
                self.tree()?.unmounted.extend(unmounted);
                Ok(())
            }
            Part::Gaps(mut gaps) => {
                self.note_all(&mut gaps)?;
                self.tree()?.findings.gaps.extend(gaps);
                Ok(())
            }
            Part::Sources(mut sources) => {
                self.note_all(&mut sources)?;
                self.tree()?.findings.sources.extend(sources);
                Ok(())
            }
            Part::HeldBy(held_by) => self.add_places(held_by),
        }
    }

    /// The report, when its last part was taken.
    ///
    /// # Errors
    ///
    /// [`WireError::Protocol`] if a part is missing.
    pub fn finish(self) -> Result<StorageReport, WireError> {
        let report = self.report;
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

    fn add_devices(&mut self, devices: Vec<DeviceReport>) -> Result<(), WireError> {
        if !self.report.filesystems.is_empty() || !self.report.trees.is_empty() {
            return Err(out_of_order("devices"));
        }
        let most = self.most_devices();
        check_count("devices", self.report.devices.len(), devices.len(), most)?;
        for mut device in devices {
            check_short(&mut device)?;
            self.note_all(&mut device.problems)?;
            self.note_all(&mut device.notes)?;
            self.check_kind(&device)?;
            check_indexes("device", &device.below, self.report.devices.len())?;
            let layer = self.layer(&device.below)?;
            self.layers.push(layer);
            self.report.devices.push(device);
        }
        Ok(())
    }

    /// How many devices lie below one that is made of these. Whoever shows devices indents them, and looks for their volumes.
    fn layer(&self, below: &[usize]) -> Result<u32, WireError> {
        let layers = below.iter().filter_map(|&below| self.layers.get(below));
        let layer = layers.max().map_or(0, |below| below.saturating_add(1));
        // One that is beyond the limit is named, and not read.
        if layer > self.limits.volume_layers.saturating_add(1) {
            return Err(too_many("layers of devices", self.limits.volume_layers.into()));
        }
        Ok(layer)
    }

    /// Checks that a device is one that can be of what the analyser was given.
    fn check_kind(&self, device: &DeviceReport) -> Result<(), WireError> {
        let is_directory = matches!(device.kind, DeviceKind::Directory);
        if is_directory != self.is_directory {
            return Err(WireError::protocol(
                "a report on disks for a directory, or on a directory for disks",
            ));
        }
        let DeviceKind::Disk { volume } = device.kind else { return Ok(()) };
        let Some(given) = self.report.volumes.get(volume) else {
            return Err(wrong_index("volume", volume, self.report.volumes.len()));
        };
        let has_content = !matches!(device.content, Content::Empty);
        match given.state {
            VolumeState::Unread { .. } => {
                Err(WireError::protocol("a report on a volume that could not be read"))
            }
            VolumeState::Empty if has_content => {
                Err(WireError::protocol("a report on what an empty volume holds"))
            }
            VolumeState::Empty | VolumeState::Read => Ok(()),
        }
    }

    fn add_filesystems(&mut self, filesystems: Vec<FilesystemReport>) -> Result<(), WireError> {
        if !self.report.trees.is_empty() {
            return Err(out_of_order("filesystems"));
        }
        let most = u64::from(self.limits.filesystems);
        check_count("filesystems", self.report.filesystems.len(), filesystems.len(), most)?;
        for mut filesystem in filesystems {
            check_short(&mut filesystem)?;
            self.note_all(&mut filesystem.features)?;
            if filesystem.devices.is_empty() {
                return Err(WireError::protocol("a filesystem on no device"));
            }
            check_indexes("device", &filesystem.devices, self.report.devices.len())?;
            self.report.filesystems.push(filesystem);
        }
        Ok(())
    }

    fn add_tree(
        &mut self,
        is_system: bool,
        mut container: Option<Container>,
        mut operating_system: Option<OperatingSystem>,
    ) -> Result<(), WireError> {
        check_count("trees", self.report.trees.len(), 1, self.most_trees())?;
        check_short(&mut operating_system)?;
        check_short(&mut container)?;
        if let Some(container) = &mut container {
            self.note_all(&mut container.tags)?;
            self.note_all(&mut container.layers)?;
        }
        let place = longest_place(&self.report.devices, &self.report.filesystems);
        self.notes.each = place;
        self.packages.each = place.saturating_add(repeated(operating_system.as_ref()));
        let mut tree = TreeReport { is_system, container, ..TreeReport::default() };
        tree.findings.operating_system = operating_system;
        self.report.trees.push(tree);
        Ok(())
    }

    fn add_mounts(&mut self, mounts: Vec<MountReport>) -> Result<(), WireError> {
        // The root is not mounted into anything.
        let most = u64::from(self.limits.mounts).saturating_add(1);
        check_count("mounts", self.tree()?.mounts.len(), mounts.len(), most)?;
        for mut mount in mounts {
            check_index("filesystem", mount.filesystem, self.report.filesystems.len())?;
            if self.tree()?.mounts.is_empty() {
                check_short(&mut mount)?;
                if mount.path != "/" {
                    return Err(WireError::protocol("a tree whose first filesystem is not its root"));
                }
            } else {
                self.note(&mut mount)?;
            }
            self.tree()?.mounts.push(mount);
        }
        Ok(())
    }

    fn add_packages(&mut self, mut packages: Vec<Package>) -> Result<(), WireError> {
        let longest = most_text(&self.limits);
        for package in &mut packages {
            let sum = check_texts(package, longest)?;
            if !self.packages.take(sum) {
                return Err(too_much("packages"));
            }
        }
        let known = &mut self.tree()?.findings.packages;
        for package in packages {
            if known.last().is_some_and(|last| last.identity() >= package.identity()) {
                return Err(WireError::protocol(
                    "a report whose packages are not in order, or one of them twice",
                ));
            }
            known.push(package);
        }
        Ok(())
    }

    fn add_places(&mut self, held_by: Vec<(String, usize)>) -> Result<(), WireError> {
        let longest = most_text(&self.limits);
        let filesystems = self.report.filesystems.len();
        for mut place in held_by {
            check_index("filesystem", place.1, filesystems)?;
            let sum = check_texts(&mut place, longest)?;
            if !self.places.take(sum) {
                return Err(too_much("places of packages"));
            }
            let (path, filesystem) = place;
            self.tree()?.held_by.insert(path, filesystem);
        }
        Ok(())
    }

    fn note_all(&mut self, items: &mut [impl Texts]) -> Result<(), WireError> {
        items.iter_mut().try_for_each(|item| self.note(item))
    }

    /// Counts what is no package, and what no report needs.
    fn note(&mut self, item: &mut impl Texts) -> Result<(), WireError> {
        let sum = check_texts(item, most_text(&self.limits))?;
        if self.notes.take(sum) {
            return Ok(());
        }
        Err(too_much("unknowns and notes"))
    }

    fn tree(&mut self) -> Result<&mut TreeReport, WireError> {
        self.report.trees.last_mut().ok_or_else(|| out_of_order("what is in a tree"))
    }
}

/// What the scanner says of a volume that it gave to the analyser.
fn volume(id: &str, device: Option<&String>, state: &DiskState) -> VolumeReport {
    let (size, state) = match state {
        DiskState::Open(volume) => (Some(volume.size()), VolumeState::Read),
        DiskState::Empty { size } => (Some(*size), VolumeState::Empty),
        DiskState::Unread { reason } => (None, VolumeState::Unread { reason: reason.clone() }),
    };
    VolumeReport { id: id.to_owned(), device: device.cloned(), size, state }
}

fn check_short(item: &mut impl Texts) -> Result<(), WireError> {
    check_texts(item, MOST_SHORT).map(drop)
}

/// Checks the length of each text, and gives that of all together.
fn check_texts(item: &mut impl Texts, most: u64) -> Result<u64, WireError> {
    let (longest, sum) = item.lengths();
    if longest <= most {
        return Ok(sum);
    }
    Err(WireError::protocol(format!("a report with a text of {longest} bytes, where {most} are the limit")))
}

/// Checks indexes of things that exist: no more than there are, so that following them ends soon.
fn check_indexes(what: &str, indexes: &[usize], count: usize) -> Result<(), WireError> {
    if indexes.len() > count {
        return Err(WireError::protocol(format!(
            "a report that names {} of {count} {what}s at one place",
            indexes.len()
        )));
    }
    indexes.iter().try_for_each(|&index| check_index(what, index, count))
}

fn check_index(what: &str, index: usize, count: usize) -> Result<(), WireError> {
    if index < count { Ok(()) } else { Err(wrong_index(what, index, count)) }
}

fn wrong_index(what: &str, index: usize, count: usize) -> WireError {
    WireError::protocol(format!("a report that speaks of {what} {index} of {count}"))
}

fn check_count(what: &str, so_far: usize, more: usize, most: u64) -> Result<(), WireError> {
    if to_u64(so_far.saturating_add(more)) <= most { Ok(()) } else { Err(too_many(what, most)) }
}

fn too_many(what: &str, most: u64) -> WireError {
    WireError::protocol(format!("a report with more than {most} {what}, which is the limit"))
}

fn too_much(what: &str) -> WireError {
    WireError::protocol(format!("a report with more {what}, or more text in them, than the limits allow"))
}

fn out_of_order(what: &str) -> WireError {
    WireError::protocol(format!("a report in which {what} come at the wrong place"))
}

#[cfg(test)]
mod tests;
