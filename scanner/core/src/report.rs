//! What a scan says about a target.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::findings::Findings;
use crate::package::{OperatingSystem, Package, PackageKind};

/// What a whole target holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetReport {
    /// What was scanned, as the user named it: an id or a path.
    pub target: String,
    /// Its kind: `instance`, `volume`, `snapshot`, `image`, `device` or `directory`.
    pub kind: &'static str,
    /// Its volumes, and what is on them.
    pub storage: StorageReport,
}

/// The volumes of a target, the block devices that they make, and the trees of files on these.
///
/// Everything in it comes from disks: a reader of this report must expect any text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageReport {
    /// The volumes, the root volume first.
    pub volumes: Vec<VolumeReport>,
    /// The block devices: those that a device is made of stand before it.
    pub devices: Vec<DeviceReport>,
    /// The filesystems that were read.
    pub filesystems: Vec<FilesystemReport>,
    /// The systems with what their `/etc/fstab` joins to them, then each filesystem that is part of none.
    pub trees: Vec<TreeReport>,
}

/// One volume, or one directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeReport {
    /// Its id: `vol-…` or `snap-…`, or the path of a local one.
    pub id: String,
    /// The name by which it is attached to its instance, such as `/dev/xvda`.
    pub device: Option<String>,
    /// Its size in bytes; none for a directory.
    pub size: Option<u64>,
    /// Whether it was read.
    pub state: VolumeState,
}

/// Whether a volume was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "lowercase")]
pub enum VolumeState {
    /// It was read.
    Read,
    /// Nothing was ever written to it.
    Empty,
    /// It was not read.
    Unread {
        /// Why not.
        reason: String,
    },
}

/// One block device, or one directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceReport {
    /// What it is called: `vol-1`, `vol-1 partition 2`, `group/volume`.
    pub name: String,
    /// What kind of device it is.
    pub kind: DeviceKind,
    /// The devices that it is a part of, or that it is made of, by their index; none for a volume.
    pub below: Vec<usize>,
    /// Its size in bytes; none for a directory, and where it is not known.
    pub size: Option<u64>,
    /// The UUID of what it holds, as `UUID=` names it.
    pub uuid: Option<String>,
    /// The label of what it holds, as `LABEL=` names it.
    pub label: Option<String>,
    /// What was recognised on it.
    pub content: Content,
    /// What is wrong with it, beside its content.
    pub problems: Vec<String>,
    /// What else is to be known of it: nothing is missing because of it.
    pub notes: Vec<String>,
}

/// What kind of device something is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum DeviceKind {
    /// A volume as a whole.
    Disk {
        /// The index of the volume.
        volume: usize,
    },
    /// A partition.
    Partition {
        /// Its number as Linux counts, from 1.
        number: u32,
        /// Where it begins on the device below, in bytes.
        offset: u64,
        /// Its type: an MBR's byte or a GUID.
        code: String,
        /// What `PARTUUID=` names it by.
        uuid: Option<String>,
        /// Its name in the partition table, as `PARTLABEL=` names it; often empty.
        name: String,
    },
    /// An LVM2 logical volume.
    LogicalVolume {
        /// Its volume group.
        group: String,
        /// Its name in the group.
        volume: String,
        /// `linear`, `striped`, `thin` and the like.
        layout: String,
        /// Its UUID in the group's metadata.
        uuid: String,
    },
    /// A Linux RAID array.
    Raid {
        /// The name in its superblock, if it has one.
        array: Option<String>,
        /// `raid1` and the like.
        level: String,
        /// The UUID in its superblock.
        uuid: String,
    },
    /// Not a device: a directory of this machine.
    Directory,
}

/// What is on a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "lowercase")]
pub enum Content {
    /// A partition table.
    Table {
        /// `gpt` or `mbr`.
        scheme: String,
    },
    /// A part of a device that is made of several.
    Member {
        /// Its format, such as `LVM2 physical volume`.
        format: String,
        /// What it is a member of, by name.
        of: String,
    },
    /// A filesystem that was read, or a part of one.
    Filesystem {
        /// The index of the filesystem.
        filesystem: usize,
    },
    /// Something that holds no installed software, such as swap or the firmware's own partition.
    Irrelevant {
        /// What it is.
        what: String,
    },
    /// Something that could hold installed software and was not read.
    Unread {
        /// Its format, where that was recognised.
        format: Option<String>,
        /// Why it was not read.
        reason: String,
    },
    /// Nothing was ever written to it.
    Empty,
}

/// One filesystem that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesystemReport {
    /// Its format, such as `ext4`.
    pub format: String,
    /// The devices that it is on, by their index: several for Btrfs at most. Never empty.
    pub devices: Vec<usize>,
    /// What was done about its journal.
    pub journal: Journal,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// The size of its blocks in bytes.
    pub block_size: Option<u32>,
    /// The features that it was made with, by the names that the format's own tools print.
    pub features: Vec<String>,
}

/// What was done about a filesystem's journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Journal {
    /// It was empty.
    Clean,
    /// It was replayed in memory.
    Replayed {
        /// How many transactions it held.
        transactions: u64,
    },
    /// A part of it was replayed in memory.
    Partial {
        /// How many transactions were.
        transactions: u64,
        /// Why the rest was not.
        reason: String,
    },
    /// It was not replayed, so the filesystem shows an older state.
    Ignored {
        /// Why not.
        reason: String,
    },
}

/// One tree of files: a system, or a filesystem that is part of none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeReport {
    /// Whether its root is that of a system.
    pub is_system: bool,
    /// What is mounted in it, the root first. Never empty.
    pub mounts: Vec<MountReport>,
    /// What its `/etc/fstab` would have mounted beside, and is not.
    pub unmounted: Vec<Unmounted>,
    /// What the extractors found.
    pub findings: Findings,
    /// The filesystems of the files that packages were found in, by path; of those that are not in the root's.
    pub held_by: BTreeMap<String, usize>,
}

/// One filesystem in a tree, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountReport {
    /// Where it is mounted.
    pub path: String,
    /// The index of the filesystem.
    pub filesystem: usize,
    /// The directory of the filesystem that is seen there: a subvolume, or the source of a bind mount. None for the
    /// filesystem's own root.
    pub part: Option<String>,
    /// Why it is taken for what `/etc/fstab` means, where that is not certain.
    pub assumed: Option<String>,
}

/// Something that is not where `/etc/fstab` would have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmounted {
    /// Where it would be.
    pub path: String,
    /// The device, in the words of `/etc/fstab`.
    pub source: String,
    /// Why it is not.
    pub reason: String,
    /// Whether packages may be missing because of it.
    pub is_gap: bool,
}

/// Something that could not be read, with everything needed to find it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unknown {
    /// The device or directory, and the volumes under it where its name does not say them.
    pub place: String,
    /// The volumes or the directory that it is on.
    pub volumes: Vec<String>,
    /// The file or directory in it.
    pub path: Option<String>,
    /// The extractor that wanted it.
    pub extractor: Option<String>,
    /// Why it could not be read.
    pub reason: String,
}

impl Unknown {
    /// Where it is, for people.
    pub fn text(&self) -> String {
        let path = self.path.as_ref().map(|path| format!(" {path}")).unwrap_or_default();
        format!("{}{path}", self.place)
    }
}

/// One package with where it is.
#[derive(Clone, Copy, Debug)]
pub struct Installed<'a> {
    /// The tree.
    pub tree: &'a TreeReport,
    /// The filesystem of the file that records it, by its index.
    pub filesystem: usize,
    /// The package.
    pub package: &'a Package,
}

impl TargetReport {
    /// The packages of all trees.
    pub fn packages(&self) -> impl Iterator<Item = Installed<'_>> {
        self.storage.trees.iter().flat_map(|tree| {
            tree.findings.packages.iter().map(move |package| {
                let filesystem = tree.filesystem_of(&package.evidence.path);
                Installed { tree, filesystem, package }
            })
        })
    }

    /// The number of packages by format.
    pub fn packages_by_kind(&self) -> BTreeMap<PackageKind, u64> {
        let mut counts: BTreeMap<_, u64> = BTreeMap::new();
        for tree in &self.storage.trees {
            for (kind, count) in tree.findings.packages_by_kind() {
                let sum = counts.entry(kind).or_default();
                *sum = sum.saturating_add(count);
            }
        }
        counts
    }

    /// The operating systems of all trees, each with the filesystem of the file that names it.
    pub fn operating_systems(&self) -> impl Iterator<Item = (usize, &OperatingSystem)> {
        self.storage.trees.iter().filter_map(|tree| {
            let system = tree.findings.operating_system.as_ref()?;
            Some((tree.filesystem_of(&system.evidence.path), system))
        })
    }

    /// Everything that could not be read.
    pub fn unknowns(&self) -> Vec<Unknown> {
        self.storage.unknowns()
    }
}

impl TreeReport {
    /// The filesystem of the root, by its index.
    pub fn root(&self) -> usize {
        self.mounts.first().map_or(usize::MAX, |mount| mount.filesystem)
    }

    /// The filesystem that has a file in which something was found.
    pub fn filesystem_of(&self, path: &str) -> usize {
        self.held_by.get(path).copied().unwrap_or_else(|| self.root())
    }
}

impl StorageReport {
    /// Everything that could not be read.
    pub fn unknowns(&self) -> Vec<Unknown> {
        let mut unknowns = Vec::new();
        let mut places = Places { report: self, known: BTreeMap::new() };
        for volume in &self.volumes {
            if let VolumeState::Unread { reason } = &volume.state {
                let (place, volumes) = (volume.id.clone(), vec![volume.id.clone()]);
                unknowns.push(Unknown {
                    place,
                    volumes,
                    path: None,
                    extractor: None,
                    reason: reason.clone(),
                });
            }
        }
        for (index, device) in self.devices.iter().enumerate() {
            unknowns.extend(device.problems.iter().map(|reason| places.unknown(index, reason)));
            if let Content::Unread { reason, .. } = &device.content {
                unknowns.push(places.unknown(index, reason));
            }
        }
        for filesystem in &self.filesystems {
            let (what, reason) = match &filesystem.journal {
                Journal::Clean | Journal::Replayed { .. } => continue,
                Journal::Partial { reason, .. } => ("replayed only in part", reason),
                Journal::Ignored { reason } => ("not replayed", reason),
            };
            let reason = format!("the journal was {what}, so older contents may show: {reason}");
            unknowns.push(places.unknown(filesystem.first_device(), &reason));
        }
        for tree in &self.trees {
            for Unmounted { path, source, reason, .. } in tree.unmounted.iter().filter(|entry| entry.is_gap) {
                let reason = match source.as_str() {
                    "" => reason.clone(),
                    source => format!("/etc/fstab mounts {source} there: {reason}"),
                };
                let path = Some(path.clone());
                unknowns.push(Unknown { path, ..places.unknown(self.device_of(tree.root()), &reason) });
            }
            unknowns.extend(tree.findings.gaps.iter().map(|gap| {
                let held = gap.path.as_ref().map_or_else(|| tree.root(), |path| tree.filesystem_of(path));
                Unknown {
                    path: gap.path.clone(),
                    extractor: gap.extractor.clone(),
                    ..places.unknown(self.device_of(held), &gap.reason)
                }
            }));
        }
        unknowns
    }

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

/// The places of devices, each of which is worked out once: a report can have a hundred thousand unknowns on a device that is
/// made of a thousand others.
struct Places<'a> {
    report: &'a StorageReport,
    known: BTreeMap<usize, (String, Vec<String>)>,
}

impl Places<'_> {
    /// Something on a device, or on what it is made of, that could not be read.
    fn unknown(&mut self, device: usize, reason: &str) -> Unknown {
        let Self { report, known } = self;
        let place = || (report.place(device), report.volumes_of(device));
        let (place, volumes) = known.entry(device).or_insert_with(place).clone();
        Unknown { place, volumes, path: None, extractor: None, reason: reason.to_owned() }
    }
}

impl FilesystemReport {
    fn first_device(&self) -> usize {
        self.devices.first().copied().unwrap_or(usize::MAX)
    }
}
