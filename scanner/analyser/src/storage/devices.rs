//! The block devices of a target: disks, their partitions, and what several of these make together.
//!
//! A device is looked at once. What it is a member of is put together when all devices that there are have been looked at,
//! and is a device to look at itself, until nothing new appears: volume groups on arrays, arrays of logical volumes.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::identity;
use super::members::Members;
use super::{Disk, DiskState};
use crate::chain;
use crate::contain::contained;
use crate::fs::{self, Driver, FsError, Recognised};
use crate::limits::Limits;
use crate::report::{Content, DeviceKind, DeviceReport, VolumeReport, VolumeState};
use crate::volume::Volume;
use crate::volume::bytes::{to_u64, to_usize};
use crate::volume::partition::{self, Partition, PartitionKind, Scheme};

/// One block device.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) report: DeviceReport,
    /// Its bytes, where there are any to read.
    pub(super) volume: Option<Arc<dyn Volume>>,
    /// What the partition table says of it.
    partition: Option<PartitionKind>,
    /// How many devices lie below it on the longest way to a disk.
    layer: u32,
    /// How many partition tables lie below it on that way.
    tables: u32,
}

/// A device with the signature of a filesystem.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) device: usize,
    pub(super) driver: &'static dyn Driver,
    /// Whether it was made sure that it is no half of a mirror.
    is_checked: bool,
}

/// All devices of a target, while they are found.
#[derive(Debug)]
pub(super) struct Devices<'a> {
    pub(super) list: Vec<Device>,
    pub(super) candidates: Vec<Candidate>,
    limits: &'a Limits,
    waiting: VecDeque<usize>,
    members: Members,
}

/// Partition tables on the way from a disk to a filesystem: the disk's own, and one more in a partition or in a logical
/// volume, such as that of a virtual machine's disk.
const TABLES: u32 = 2;

/// How much of a volume its recognition looks at.
const HEAD: u64 = 256 << 10;

impl<'a> Devices<'a> {
    /// Finds the devices of these disks.
    pub(super) fn find(disks: &[Disk], limits: &'a Limits) -> (Vec<VolumeReport>, Self) {
        let mut devices = Self {
            list: Vec::new(),
            candidates: Vec::new(),
            limits,
            waiting: VecDeque::new(),
            members: Members::default(),
        };
        let volumes = disks.iter().enumerate().map(|(index, disk)| devices.add_disk(index, disk)).collect();
        devices.look_at_all();
        (volumes, devices)
    }

    fn add_disk(&mut self, volume: usize, disk: &Disk) -> VolumeReport {
        let Disk { id, device, state } = disk;
        let (size, bytes, state) = match state {
            DiskState::Open(bytes) => (Some(bytes.size()), Some(Arc::clone(bytes)), VolumeState::Read),
            DiskState::Empty { size } => (Some(*size), None, VolumeState::Empty),
            DiskState::Unread { reason } => (None, None, VolumeState::Unread { reason: reason.clone() }),
        };
        if size.is_some() {
            self.add(id.clone(), DeviceKind::Disk { volume }, Vec::new(), size, Ok(bytes));
        }
        VolumeReport { id: id.clone(), device: device.clone(), size, state }
    }

    /// Adds a device, to be looked at if it can be read. Returns its index, if there is room for it.
    pub(super) fn add(
        &mut self,
        name: String,
        kind: DeviceKind,
        below: Vec<usize>,
        size: Option<u64>,
        volume: Result<Option<Arc<dyn Volume>>, String>,
    ) -> Option<usize> {
        let index = self.list.len();
        if to_u64(index) >= u64::from(self.limits.devices) {
            let problem = format!(
                "the target has more than {} devices, which is the limit (`devices`)",
                self.limits.devices
            );
            if let Some(last) = self.list.last_mut()
                && !last.report.problems.contains(&problem)
            {
                last.report.problems.push(problem);
            }
            return None;
        }
        let parents = || below.iter().filter_map(|&below| self.list.get(below));
        let layer = parents().map(|parent| parent.layer.saturating_add(1)).max().unwrap_or(0);
        let tables = parents().map(|parent| parent.tables).max().unwrap_or(0);
        let volume = if layer > self.limits.volume_layers {
            Err(format!(
                "it is more than {} layers above a disk, which is the limit (`volume_layers`)",
                self.limits.volume_layers
            ))
        } else {
            volume
        };
        let (volume, content) = match volume {
            Ok(volume) => (volume, Content::Empty),
            Err(reason) => (None, Content::Unread { format: None, reason }),
        };
        if volume.is_some() {
            self.waiting.push_back(index);
        }
        let report = DeviceReport {
            name,
            kind,
            below,
            size,
            uuid: None,
            label: None,
            content,
            problems: Vec::new(),
            notes: Vec::new(),
        };
        self.list.push(Device { report, volume, partition: None, layer, tables });
        Some(index)
    }

    /// The report on a device. Indexes are those of this list.
    pub(super) fn report(&mut self, device: usize) -> Option<&mut DeviceReport> {
        self.list.get_mut(device).map(|device| &mut device.report)
    }

    /// What is wrong with a device beside its content.
    pub(super) fn problem(&mut self, device: usize, problem: impl Into<String>) {
        if let Some(report) = self.report(device) {
            report.problems.push(problem.into());
        }
    }

    pub(super) fn set_content(&mut self, device: usize, content: Content) {
        if let Some(report) = self.report(device) {
            report.content = content;
        }
    }

    fn look_at_all(&mut self) {
        loop {
            while let Some(device) = self.waiting.pop_front() {
                self.look_at(device);
            }
            self.find_mirrors();
            // What is put together adds devices here, and no members.
            let mut members = std::mem::take(&mut self.members);
            let is_any = contained(|| members.assemble(self, self.limits)).unwrap_or_else(|error| {
                self.problem(0, format!("its volume groups and arrays: {}", chain(&error)));
                false
            });
            self.members = members;
            if !is_any {
                break;
            }
        }
        let members = std::mem::take(&mut self.members);
        members.finish(self);
    }

    fn look_at(&mut self, device: usize) {
        let Some((volume, kind)) = self
            .list
            .get(device)
            .and_then(|found| Some((Arc::clone(found.volume.as_ref()?), found.partition)))
        else {
            return;
        };
        let is_disk =
            self.list.get(device).is_some_and(|device| matches!(device.report.kind, DeviceKind::Disk { .. }));
        let reason = match contained(|| self.recognise(device, &volume, kind, is_disk)) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => chain(&error),
            Err(error) => chain(&error),
        };
        self.set_content(device, Content::Unread { format: None, reason });
    }

    fn recognise(
        &mut self,
        device: usize,
        volume: &Arc<dyn Volume>,
        kind: Option<PartitionKind>,
        is_disk: bool,
    ) -> Result<(), FsError> {
        if is_disk && self.read_table(device, volume)? {
            return Ok(());
        }
        // Some versions of md's metadata are at the end, with the filesystem's own signature at the start.
        if kind.is_some_and(PartitionKind::is_raid) && self.members.read_raid(device, volume)? {
            return Ok(());
        }
        let is_firmware = kind.is_some_and(PartitionKind::is_firmware);
        // Of what only starts the machine, such as GRUB's partition, the end is not worth a block.
        let probed = if is_firmware { fs::probe_head(&**volume) } else { fs::probe(&**volume) };
        let content = match probed? {
            Recognised::Driver(driver) => {
                self.candidates.push(Candidate { device, driver, is_checked: false });
                return Ok(());
            }
            Recognised::Other { name, holds_files } => {
                if self.members.read(device, volume, name, self.limits)? {
                    return Ok(());
                }
                let identity = identity::of(name, &head(&**volume)?);
                if let Some(report) = self.report(device) {
                    (report.uuid, report.label) = (identity.uuid, identity.label);
                }
                // A machine starts from its root filesystem whatever the table says of it, so the table alone is not
                // believed.
                if is_firmware && name == "FAT" {
                    Content::Irrelevant { what: "firmware".to_owned() }
                } else if holds_files {
                    let reason = format!("{name}: this version does not read it");
                    Content::Unread { format: Some(name.to_owned()), reason }
                } else {
                    Content::Irrelevant { what: name.to_owned() }
                }
            }
            Recognised::Unknown if is_firmware => Content::Irrelevant { what: "firmware".to_owned() },
            Recognised::Unknown if !is_disk && self.read_table(device, volume)? => return Ok(()),
            Recognised::Unknown => {
                let what = if is_disk {
                    "neither a partition table nor a filesystem was recognised"
                } else {
                    "no filesystem was recognised"
                };
                Content::Unread { format: None, reason: what.to_owned() }
            }
        };
        self.set_content(device, content);
        Ok(())
    }

    /// Adds the partitions of a device. Whether it has a table.
    fn read_table(&mut self, device: usize, volume: &Arc<dyn Volume>) -> Result<bool, FsError> {
        let Some((name, tables)) =
            self.list.get(device).map(|found| (found.report.name.clone(), found.tables))
        else {
            return Ok(false);
        };
        if tables >= TABLES {
            return Ok(false);
        }
        let table = partition::read(volume, self.limits)?;
        let scheme = match table.scheme {
            Scheme::Bare => return Ok(false),
            Scheme::Mbr => "mbr",
            Scheme::Gpt { .. } => "gpt",
        };
        self.set_content(device, Content::Table { scheme: scheme.to_owned() });
        for problem in &table.problems {
            self.problem(device, format!("partition table: {problem}"));
        }
        for partition in table.partitions {
            let bytes = partition.open(volume).map_err(|error| chain(&error));
            let Partition { number, kind, name: label, uuid, offset, size } = partition;
            let code = kind.to_string();
            let report = DeviceKind::Partition { number, offset, code, uuid, name: label };
            let bytes = bytes.map(|slice| -> Option<Arc<dyn Volume>> { Some(Arc::new(slice)) });
            let name = format!("{name} partition {number}");
            let Some(index) = self.add(name, report, vec![device], Some(size), bytes) else { break };
            if let Some(added) = self.list.get_mut(index) {
                added.partition = Some(kind);
                added.tables = tables.saturating_add(1);
            }
        }
        Ok(true)
    }

    /// Looks whether filesystems of the same kind and size are halves of a mirror: with md's metadata at the end, which
    /// costs a read that other filesystems are spared, each half looks like the whole.
    fn find_mirrors(&mut self) {
        let mut alike: HashMap<(&'static str, Option<u64>), u32> = HashMap::new();
        let size = |list: &[Device], candidate: &Candidate| {
            list.get(candidate.device).and_then(|device| device.report.size)
        };
        for candidate in &self.candidates {
            let count = alike.entry((candidate.driver.name(), size(&self.list, candidate))).or_default();
            *count = count.saturating_add(1);
        }
        for mut candidate in std::mem::take(&mut self.candidates) {
            let has_twin = alike
                .get(&(candidate.driver.name(), size(&self.list, &candidate)))
                .is_some_and(|&count| count > 1);
            let is_member = has_twin && !candidate.is_checked && {
                candidate.is_checked = true;
                let volume = self.list.get(candidate.device).and_then(|device| device.volume.clone());
                volume
                    .is_some_and(|volume| self.members.read_raid(candidate.device, &volume).unwrap_or(false))
            };
            if !is_member {
                self.candidates.push(candidate);
            }
        }
    }
}

/// The first bytes of a volume, which its recognition has read before.
pub(super) fn head(volume: &dyn Volume) -> Result<Vec<u8>, FsError> {
    let mut head = vec![0; to_usize(volume.size().min(HEAD))];
    volume.read_at(0, &mut head)?;
    Ok(head)
}
