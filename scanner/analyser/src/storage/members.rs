//! Devices that are parts of volume groups and arrays, and what these make of them.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::sync::Arc;

use super::devices::Devices;
use crate::chain;
use crate::fs::FsError;
use crate::limits::Limits;
use crate::report::{Content, DeviceKind};
use crate::volume::Volume;
use crate::volume::lvm::{self, LogicalVolume, PhysicalVolume, VolumeGroup};
use crate::volume::raid::{self, Array, Member};

/// As [`probe`](crate::fs::probe) names them.
const LVM_MEMBER: &str = "LVM2 physical volume";
const RAID_MEMBER: &str = "Linux RAID member";

/// Members that were found and are not part of anything yet.
#[derive(Debug, Default)]
pub(super) struct Members {
    physical_volumes: Vec<(usize, PhysicalVolume, Arc<dyn Volume>)>,
    raid: Vec<(usize, Member, Arc<dyn Volume>)>,
}

impl Members {
    /// Reads what a device says that has the signature of such a member. Whether it is one; what it then holds is said
    /// when it has been put together.
    pub(super) fn read(
        &mut self,
        device: usize,
        volume: &Arc<dyn Volume>,
        signature: &str,
        limits: &Limits,
    ) -> Result<bool, FsError> {
        match signature {
            LVM_MEMBER => {
                let found = PhysicalVolume::read(volume, limits)?;
                let is_member = found.is_some();
                self.physical_volumes.extend(found.map(|found| (device, found, Arc::clone(volume))));
                Ok(is_member)
            }
            RAID_MEMBER => self.read_raid(device, volume),
            _ => Ok(false),
        }
    }

    /// Reads the superblock of an array's member, wherever it is on the device. Whether there is one.
    pub(super) fn read_raid(&mut self, device: usize, volume: &Arc<dyn Volume>) -> Result<bool, FsError> {
        let found = Member::read(volume)?;
        let is_member = found.is_some();
        self.raid.extend(found.map(|found| (device, found, Arc::clone(volume))));
        Ok(is_member)
    }

    /// Puts together what is whole. Where nothing is, a part of it may be on a device that is yet to come; where nothing
    /// comes any more, what there is must do: arrays first, because groups may be on them. Whether anything was.
    pub(super) fn assemble(&mut self, devices: &mut Devices<'_>, limits: &Limits) -> bool {
        let whole = [self.assemble_arrays(devices, true), self.assemble_groups(devices, limits, true)];
        whole.contains(&true)
            || self.assemble_arrays(devices, false)
            || self.assemble_groups(devices, limits, false)
    }

    fn assemble_arrays(&mut self, devices: &mut Devices<'_>, only_whole: bool) -> bool {
        let given =
            self.raid.iter().map(|(_, member, volume)| (member.clone(), Arc::clone(volume))).collect();
        let mut is_any = false;
        for array in raid::assemble(given) {
            if only_whole && array.devices.is_some_and(|devices| array.present < devices) {
                continue;
            }
            is_any = true;
            let below: Vec<_> = self
                .raid
                .extract_if(.., |(_, member, _)| member.array_uuid() == array.uuid)
                .map(|(device, ..)| device)
                .collect();
            add_array(devices, array, below);
        }
        is_any
    }

    fn assemble_groups(&mut self, devices: &mut Devices<'_>, limits: &Limits, only_whole: bool) -> bool {
        let given = self
            .physical_volumes
            .iter()
            .map(|(_, found, volume)| (found.clone(), Arc::clone(volume)))
            .collect();
        let mut is_any = false;
        for group in lvm::assemble(given, limits) {
            if only_whole && group.physical_volumes.iter().any(|member| !member.is_present) {
                continue;
            }
            is_any = true;
            let is_part = |found: &PhysicalVolume| {
                group.physical_volumes.iter().any(|member| member.is_present && member.uuid == found.uuid)
            };
            let below: Vec<_> = self
                .physical_volumes
                .extract_if(.., |(_, found, _)| is_part(found))
                .map(|(device, found, _)| (device, found.problems))
                .collect();
            add_group(devices, group, below);
        }
        is_any
    }

    /// Says of the physical volumes that are part of no group why they were not read.
    pub(super) fn finish(self, devices: &mut Devices<'_>) {
        for (device, found, _) in self.physical_volumes {
            let content = if found.problems.is_empty() {
                Content::Irrelevant { what: format!("{LVM_MEMBER} without a volume group") }
            } else {
                let reason = format!("{LVM_MEMBER}: {}", found.problems.join("; "));
                Content::Unread { format: Some(LVM_MEMBER.to_owned()), reason }
            };
            devices.set_content(device, content);
        }
    }
}

fn add_array(devices: &mut Devices<'_>, array: Array, below: Vec<usize>) {
    let Array { uuid, name: label, level, problems, volume, .. } = array;
    let level = level.map_or_else(|| "RAID".to_owned(), |level| level.to_string());
    // The machine that made it says nothing about this one.
    let short = label.split_once(':').map_or(&*label, |(_, name)| name);
    let name = format!("md/{}", if short.is_empty() { &uuid } else { short });
    for &member in &below {
        let content = Content::Member { format: RAID_MEMBER.to_owned(), of: name.clone() };
        devices.set_content(member, content);
    }
    let size = volume.as_ref().ok().map(Volume::size);
    let kind = DeviceKind::Raid { array: (!label.is_empty()).then_some(label), level, uuid };
    let is_read = volume.is_ok();
    let volume = volume.map(Some).map_err(|error| chain(&error));
    if let Some(report) =
        devices.add(name, kind, below, size, volume).and_then(|device| devices.report(device))
    {
        // A mirror that lost a half is still whole to its reader.
        if is_read {
            report.notes.extend(problems);
        } else {
            report.problems.extend(problems);
        }
    }
}

fn add_group(devices: &mut Devices<'_>, group: VolumeGroup, below: Vec<(usize, Vec<String>)>) {
    let VolumeGroup { name: group, problems, logical_volumes, .. } = group;
    for (member, problems) in &below {
        let content = Content::Member { format: LVM_MEMBER.to_owned(), of: group.clone() };
        devices.set_content(*member, content);
        for problem in problems {
            devices.problem(*member, problem.clone());
        }
    }
    if let Some((first, _)) = below.first() {
        for problem in problems {
            devices.problem(*first, format!("volume group {group}: {problem}"));
        }
    }
    let below: Vec<_> = below.into_iter().map(|(member, _)| member).collect();
    // What only serves others is seen through those.
    for LogicalVolume { name, uuid, size, kind: layout, volume, .. } in
        logical_volumes.into_iter().filter(|volume| volume.visible)
    {
        let uuid = uuid.map(|uuid| uuid.to_string()).unwrap_or_default();
        let kind = DeviceKind::LogicalVolume { group: group.clone(), volume: name.clone(), layout, uuid };
        let volume = volume.map(Some).map_err(|error| chain(&error));
        devices.add(format!("{group}/{name}"), kind, below.clone(), Some(size), volume);
    }
}
