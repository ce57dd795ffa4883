//! What a scan says about a target.

mod container;
mod place;
mod unknown;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use container::Container;
pub use unknown::Unknown;

use crate::findings::Findings;
use crate::package::{OperatingSystem, Package, PackageKind};

/// The property of a function that names the managed runtime that it runs on.
pub const RUNTIME: &str = "agentless-scanner:function:runtime";

/// What a whole target holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetReport {
    /// What was scanned, as the user named it: an id or a path.
    pub target: String,
    /// Its kind: `instance`, `volume`, `snapshot`, `ami`, `function`, `image`, `device` or `directory`.
    pub kind: &'static str,
    /// What AWS says of it, under the names of properties in package lists.
    pub about: BTreeMap<&'static str, String>,
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
    /// The systems with what their `/etc/fstab` joins to them, then each filesystem that is part of none. Behind each of
    /// them are the containers whose files are in it.
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

/// One tree of files: a system, a container, or a filesystem that is part of none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeReport {
    /// Whether its root is that of a system.
    pub is_system: bool,
    /// The container whose files these are, if it is one.
    pub container: Option<Container>,
    /// Whether a Datadog agent on this system is configured to list its packages by itself.
    pub agent_lists_packages: bool,
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
    /// The directory of the filesystem that is seen there: a subvolume, the source of a bind mount, or the upper layer of a
    /// container. None for the filesystem's own root.
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

    /// Whether a Datadog agent on a system of it is configured to list the packages of its host by itself.
    pub fn has_listing_agent(&self) -> bool {
        self.storage.trees.iter().any(|tree| tree.agent_lists_packages)
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

impl FilesystemReport {
    fn first_device(&self) -> usize {
        self.devices.first().copied().unwrap_or(usize::MAX)
    }
}
