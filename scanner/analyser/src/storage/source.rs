//! Which device the first field of an `/etc/fstab` entry means.
//!
//! Names that udev and device-mapper give come from what is on the disk, and are certain. The kernel's names for disks, such
//! as `/dev/nvme1n1`, are given in the order in which a machine finds them, and EC2 promises none: they are resolved by the
//! name of the attachment, or where only one device can be meant, and then said to be assumed.

use crate::fs::FsPath;
use crate::fs::fstab::Spec;
use crate::report::{Content, DeviceKind, DeviceReport, StorageReport};

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Resolved {
    /// This device, by its index.
    Device(usize),
    /// Most likely this device.
    Assumed {
        /// Its index.
        device: usize,
        /// Why it is taken for it.
        reason: String,
    },
    /// None of the target's, or one that cannot be told.
    Nothing {
        /// Why not.
        reason: String,
    },
}

/// Whose `/etc/fstab` it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Root<'a> {
    /// The device of the root.
    pub(super) device: usize,
    /// How the same file names it.
    pub(super) spec: Option<&'a Spec>,
}

/// Finds the device that `spec` names. Where several could be meant, the root tells which disk it is on, or is not on.
pub(super) fn resolve(storage: &StorageReport, spec: &Spec, root: Root<'_>) -> Resolved {
    let is_filesystem =
        |device: &DeviceReport| !matches!(device.content, Content::Member { .. } | Content::Table { .. });
    let only = |what, fits: &dyn Fn(&DeviceReport) -> bool| only(storage, root.device, what, fits);
    match spec {
        Spec::Uuid(wanted) => only("UUID", &|device| {
            is_filesystem(device)
                && device.uuid.as_ref().is_some_and(|uuid| uuid.eq_ignore_ascii_case(wanted))
        }),
        Spec::Label(wanted) => only("label", &|device| {
            is_filesystem(device)
                && device.label.as_ref().is_some_and(|label| label.as_bytes() == wanted.as_bytes())
        }),
        Spec::PartUuid(wanted) => only("partition UUID", &|device| match &device.kind {
            DeviceKind::Partition { uuid: Some(uuid), .. } => uuid.eq_ignore_ascii_case(wanted),
            _ => false,
        }),
        Spec::PartLabel(wanted) => only("partition label", &|device| match &device.kind {
            DeviceKind::Partition { name, .. } => name.as_bytes() == wanted.as_bytes(),
            _ => false,
        }),
        Spec::Id(name) => by_id(storage, root, &String::from_utf8_lossy(name.as_bytes())),
        Spec::Device(path) => {
            if let Some((group, volume)) = spec.logical_volume() {
                return by_logical_volume(storage, root, &group, &volume);
            }
            let name = String::from_utf8_lossy(path.as_relative_bytes()).into_owned();
            if let Some(array) = name.strip_prefix("md") {
                return by_array(storage, root, array.strip_prefix('/').unwrap_or(array));
            }
            match DiskName::parse(&name) {
                Some(disk) => by_disk_name(storage, &disk, root),
                None if name.starts_with("mapper/") => {
                    nothing("no logical volume of the target has this name")
                }
                None => nothing("what it is called depends on the machine"),
            }
        }
        _ => nothing("it is no device"),
    }
}

fn nothing(reason: impl Into<String>) -> Resolved {
    Resolved::Nothing { reason: reason.into() }
}

/// The one device that fits. Several do where a disk was copied: the copy on the root's own volumes is then meant.
fn only(storage: &StorageReport, root: usize, what: &str, fits: &dyn Fn(&DeviceReport) -> bool) -> Resolved {
    let fitting = || storage.devices.iter().enumerate().filter(|(_, device)| fits(device));
    let Some((first, device)) = fitting().next() else {
        return nothing(format!("no device of the target has this {what}"));
    };
    // The members of one filesystem, as with Btrfs, all have its identity.
    let same = |other: &DeviceReport| {
        matches!(other.content, Content::Filesystem { .. }) && other.content == device.content
    };
    if fitting().skip(1).all(|(_, other)| same(other)) {
        return Resolved::Device(first);
    }
    let own = storage.volumes_of(root);
    let mut near = fitting().map(|(index, _)| index).filter(|&index| storage.volumes_of(index) == own);
    match (near.next(), near.next()) {
        (Some(device), None) => Resolved::Device(device),
        (device, _) => Resolved::Assumed {
            device: device.unwrap_or(first),
            reason: format!("several devices have this {what}, and it is the first of them"),
        },
    }
}

/// Links that udev makes from identities. On EC2, the serial number of a disk is the id of its volume without the dash.
fn by_id(storage: &StorageReport, root: Root<'_>, name: &str) -> Resolved {
    let only = |what, fits: &dyn Fn(&DeviceReport) -> bool| only(storage, root.device, what, fits);
    if let Some(mapped) = name.strip_prefix("dm-name-") {
        let path = FsPath::new("/mapper").join(mapped.as_bytes());
        return match Spec::Device(path).logical_volume() {
            Some((group, volume)) => by_logical_volume(storage, root, &group, &volume),
            None => nothing("no logical volume of the target has this name"),
        };
    }
    if let Some(wanted) = name.strip_prefix("dm-uuid-LVM-") {
        // The group's identifier and the volume's, 32 characters each.
        return only("identifier", &|device| match &device.kind {
            DeviceKind::LogicalVolume { uuid, .. } => {
                let uuid = uuid.replace('-', "");
                !uuid.is_empty() && wanted.ends_with(&uuid)
            }
            _ => false,
        });
    }
    if let Some(wanted) = name.strip_prefix("md-uuid-") {
        return only("identifier", &|device| match &device.kind {
            DeviceKind::Raid { uuid, .. } => uuid.eq_ignore_ascii_case(wanted),
            _ => false,
        });
    }
    if let Some(array) = name.strip_prefix("md-name-") {
        return only("name", &|device| array_is_named(device, array));
    }
    let Some(serial) = name.strip_prefix("nvme-Amazon_Elastic_Block_Store_") else {
        return nothing("no device of the target has this identity");
    };
    let (disk, partition) = match serial.split_once("-part") {
        Some((disk, number)) => (disk, number.parse().ok()),
        None => (serial, None),
    };
    // Newer versions of udev append the number of the namespace.
    let disk = disk.split_once('_').map_or(disk, |(disk, _)| disk);
    let wanted = disk.replacen("vol", "vol-", 1);
    let found = storage.devices.iter().position(|device| match device.kind {
        DeviceKind::Disk { volume } => storage.volumes.get(volume).is_some_and(|volume| volume.id == wanted),
        _ => false,
    });
    match found.and_then(|disk| part_of(storage, disk, partition)) {
        Some(device) => Resolved::Device(device),
        None => nothing(format!("{wanted} is not a volume of the target, or has no such partition")),
    }
}

fn by_logical_volume(
    storage: &StorageReport,
    root: Root<'_>,
    wanted_group: &[u8],
    wanted: &[u8],
) -> Resolved {
    only(storage, root.device, "name", &|device| match &device.kind {
        DeviceKind::LogicalVolume { group, volume, .. } => {
            group.as_bytes() == wanted_group && volume.as_bytes() == wanted
        }
        _ => false,
    })
}

/// `/dev/md0` or `/dev/md/name`.
fn by_array(storage: &StorageReport, root: Root<'_>, array: &str) -> Resolved {
    let found = only(storage, root.device, "name", &|device| array_is_named(device, array));
    if !matches!(found, Resolved::Nothing { .. }) {
        return found;
    }
    // Numbers are given by mdadm.conf, or from 127 down.
    let is_array = |device: &DeviceReport| matches!(device.kind, DeviceKind::Raid { .. });
    let mut arrays = storage.devices.iter().enumerate().filter(|(_, device)| is_array(device));
    match (arrays.next(), arrays.next()) {
        (Some((device, _)), None) => Resolved::Assumed {
            device,
            reason: "the numbers of arrays are not on the disk, and it is the only one".to_owned(),
        },
        _ => found,
    }
}

/// The name in a superblock is often preceded by the name of the machine that made the array: `host:name`.
fn array_is_named(device: &DeviceReport, wanted: &str) -> bool {
    match &device.kind {
        DeviceKind::Raid { array: Some(array), .. } => {
            array == wanted || array.split_once(':').is_some_and(|(_, name)| name == wanted)
        }
        _ => false,
    }
}

/// A partition of a device by its number, or the device itself.
fn part_of(storage: &StorageReport, device: usize, partition: Option<u32>) -> Option<usize> {
    let Some(wanted) = partition else { return Some(device) };
    storage.above(device).find(|&above| {
        let kind = storage.devices.get(above).map(|device| &device.kind);
        matches!(kind, Some(DeviceKind::Partition { number, .. }) if *number == wanted)
    })
}

/// The kernel's name of a disk or a partition.
#[derive(Debug, PartialEq, Eq)]
struct DiskName<'a> {
    /// Such as `xvda` or `nvme0n1`.
    disk: &'a str,
    /// What stays the same whichever driver the disk has: the letters behind `sd`, `xvd` and the like.
    letters: Option<&'a str>,
    partition: Option<u32>,
}

impl<'a> DiskName<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        if let Some(rest) = name.strip_prefix("nvme") {
            let (controller, behind) = rest.split_once('n')?;
            let (namespace, partition) = match behind.split_once('p') {
                Some((namespace, number)) => (namespace, Some(number.parse().ok()?)),
                None => (behind, None),
            };
            let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let disk = name.split_once('p').map_or(name, |(disk, _)| disk);
            return (is_number(controller) && is_number(namespace)).then_some(Self {
                disk,
                letters: None,
                partition,
            });
        }
        let letters = ["xvd", "sd", "vd", "hd"].iter().find_map(|prefix| name.strip_prefix(prefix))?;
        let end = letters.find(|character: char| !character.is_ascii_lowercase()).unwrap_or(letters.len());
        let (letters, number) = letters.split_at_checked(end)?;
        let partition = if number.is_empty() { None } else { Some(number.parse().ok()?) };
        let disk = name.strip_suffix(number)?;
        (!letters.is_empty()).then_some(Self { disk, letters: Some(letters), partition })
    }
}

fn by_disk_name(storage: &StorageReport, name: &DiskName<'_>, root: Root<'_>) -> Resolved {
    let disks: Vec<(usize, Option<DiskName<'_>>)> = storage
        .devices
        .iter()
        .enumerate()
        .filter_map(|(index, device)| match device.kind {
            DeviceKind::Disk { volume } => {
                let attached = storage.volumes.get(volume)?.device.as_deref();
                Some((index, attached.and_then(|name| DiskName::parse(name.strip_prefix("/dev/")?))))
            }
            _ => None,
        })
        .collect();
    let part = |disk| {
        part_of(storage, disk, name.partition).or_else(|| {
            // A filesystem without a partition table may be attached as if it were the first partition.
            let is_bare = storage.above(disk).next().is_none();
            let attached = disks.iter().find(|(index, _)| *index == disk).and_then(|(_, name)| name.as_ref());
            (is_bare && attached.is_some_and(|attached| attached.partition == name.partition)).then_some(disk)
        })
    };

    // Xen keeps the letters of an attachment.
    if name.letters.is_some() {
        let attached = disks
            .iter()
            .find(|(_, attached)| attached.as_ref().is_some_and(|attached| attached.letters == name.letters));
        if let Some(device) = attached.and_then(|(disk, _)| part(*disk)) {
            return Resolved::Device(device);
        }
    }
    let own_disk = disk_below(storage, root.device);
    let own_path = match root.spec {
        Some(Spec::Device(path)) => str::from_utf8(path.as_relative_bytes()).unwrap_or_default(),
        _ => "",
    };
    let own_name = DiskName::parse(own_path);
    if let (Some(disk), Some(own_name)) = (own_disk, &own_name)
        && own_name.disk == name.disk
        && let Some(device) = part(disk)
    {
        return Resolved::Assumed { device, reason: format!("{} is the disk of the root", name.disk) };
    }
    let mut fitting = disks
        .iter()
        // A root with a name of its own is on another disk.
        .filter(|(disk, _)| own_name.is_none() || Some(*disk) != own_disk)
        .filter_map(|(disk, _)| part(*disk))
        .filter(|&device| device != root.device)
        .filter(|&device| {
            let content = storage.devices.get(device).map(|device| &device.content);
            matches!(content, Some(Content::Filesystem { .. } | Content::Unread { .. }))
        });
    match (fitting.next(), fitting.next()) {
        (Some(device), None) => {
            let reason =
                "the names of disks depend on the machine, and no other device can be meant".to_owned();
            Resolved::Assumed { device, reason }
        }
        (Some(_), Some(_)) => {
            nothing("the names of disks depend on the machine, and several devices can be meant")
        }
        (None, _) => nothing("no volume of the target is attached by this name"),
    }
}

/// The disk that a partition is on.
fn disk_below(storage: &StorageReport, device: usize) -> Option<usize> {
    let mut here = device;
    loop {
        let found = storage.devices.get(here)?;
        match (&found.kind, found.below.as_slice()) {
            (DeviceKind::Disk { .. }, _) => return Some(here),
            (DeviceKind::Partition { .. }, &[below]) if below < here => here = below,
            _ => return None,
        }
    }
}
