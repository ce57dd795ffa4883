//! Where a device or a filesystem is, in the words of the report, and on which volumes.

use std::collections::BTreeSet;

use super::{DeviceKind, DeviceReport, FilesystemReport, StorageReport, TreeReport};

impl StorageReport {
    /// The first device of a filesystem.
    pub fn device_of(&self, filesystem: usize) -> usize {
        self.filesystems.get(filesystem).map_or(usize::MAX, FilesystemReport::first_device)
    }

    /// A device's name, with the volumes that it is on where the name does not say them.
    pub fn place(&self, device: usize) -> String {
        let Some(found) = self.devices.get(device) else { return String::new() };
        if self.is_named_after_volume(device) {
            return found.name.clone();
        }
        let volumes = self.volumes_of(device);
        if volumes.is_empty() {
            return found.name.clone();
        }
        format!("{} on {}", found.name, first_few(&volumes))
    }

    /// Whether it is a volume, or a partition of one, or of one of its partitions.
    fn is_named_after_volume(&self, device: usize) -> bool {
        let mut here = device;
        while let Some(found) = self.devices.get(here) {
            match (&found.kind, found.below.first()) {
                (DeviceKind::Disk { .. } | DeviceKind::Directory, _) => return true,
                (DeviceKind::Partition { .. }, Some(&below)) if below < here => here = below,
                _ => return false,
            }
        }
        false
    }

    /// Where a filesystem is: its devices, and their volumes where the names do not say them.
    pub fn place_of(&self, filesystem: usize) -> String {
        let Some(found) = self.filesystems.get(filesystem) else { return String::new() };
        let mut places: Vec<_> = found.devices.iter().take(FEW).map(|&device| self.place(device)).collect();
        // How many there are is all that is wanted of the others.
        places.resize(found.devices.len(), String::new());
        first_few(&places)
    }

    /// The places of all filesystems, by index: for who needs them again and again.
    pub fn places(&self) -> Vec<String> {
        (0..self.filesystems.len()).map(|filesystem| self.place_of(filesystem)).collect()
    }

    /// The volumes, or the directory, that a device is on.
    pub fn volumes_of(&self, device: usize) -> Vec<String> {
        let volumes = self.indexes_of_volumes(device);
        let volumes = volumes.into_iter().filter_map(|volume| self.volumes.get(volume));
        volumes.map(|volume| volume.id.clone()).collect()
    }

    /// The volumes, or the directory, that what is mounted in a tree is on.
    pub fn volumes_of_tree(&self, tree: &TreeReport) -> BTreeSet<String> {
        let filesystems = tree.mounts.iter().filter_map(|mount| self.filesystems.get(mount.filesystem));
        let devices: BTreeSet<_> = filesystems.flat_map(|filesystem| &filesystem.devices).collect();
        devices.into_iter().flat_map(|&device| self.volumes_of(device)).collect()
    }

    /// The index of the first of the volumes that a device is on.
    pub fn first_volume(&self, device: usize) -> Option<usize> {
        self.indexes_of_volumes(device).first().copied()
    }

    fn indexes_of_volumes(&self, device: usize) -> BTreeSet<usize> {
        let mut volumes = BTreeSet::new();
        let mut seen = vec![false; self.devices.len()];
        // Before it waits: a thousand devices that are each made of all below them are named half a million times.
        let mut is_new =
            |index: usize| seen.get_mut(index).is_some_and(|seen| !std::mem::replace(seen, true));
        let mut waiting = Vec::new();
        waiting.extend(Some(device).filter(|&device| is_new(device)));
        while let Some(index) = waiting.pop() {
            let Some(found) = self.devices.get(index) else { continue };
            match found.kind {
                DeviceKind::Disk { volume } => {
                    volumes.insert(volume);
                }
                DeviceKind::Directory => {
                    volumes.insert(0);
                }
                _ => waiting.extend(found.below.iter().copied().filter(|&below| is_new(below))),
            }
        }
        volumes
    }

    /// The devices that are parts of a device, or made of it, by their index.
    pub fn above(&self, device: usize) -> impl Iterator<Item = usize> {
        let is_above = move |above: &(usize, &DeviceReport)| above.1.below.contains(&device);
        self.devices.iter().enumerate().filter(is_above).map(|(index, _)| index)
    }
}

/// Of several things, as many are named.
const FEW: usize = 3;

/// The first few of several things, and how many more there are.
fn first_few(things: &[String]) -> String {
    match things.split_at_checked(FEW) {
        Some((few, rest)) if !rest.is_empty() => format!("{} and {} more", few.join(", "), rest.len()),
        _ => things.join(", "),
    }
}
