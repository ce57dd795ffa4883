//! What a target's disks are made of, for people and for programs.

use std::fmt::{Result as Written, Write};

use agentless_core::text::printable;
use serde::Serialize;

use super::text::bytes;
use crate::report::{Content, DeviceKind, Journal, StorageReport, TreeReport, Unknown, Unmounted};

/// One block device.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceSummary {
    name: String,
    #[serde(flatten)]
    kind: Kind,
    /// The devices that it is made of, by name.
    on: Vec<String>,
    /// The volumes that it is on.
    volumes: Vec<String>,
    size_bytes: Option<u64>,
    uuid: Option<String>,
    label: Option<String>,
    content: Holds,
    problems: Vec<String>,
    notes: Vec<String>,
    /// How many devices lie below it on the way to its first volume, itself counted: the depth in the tree.
    #[serde(skip)]
    depth: usize,
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Kind {
    Disk,
    Partition { number: u32, offset_bytes: u64, code: String, part_uuid: Option<String>, part_label: String },
    LogicalVolume { group: String, volume: String, layout: String, lv_uuid: String },
    Raid { array: Option<String>, level: String, raid_uuid: String },
    Directory,
}

/// What is on a device: as [`Content`], with the filesystem itself and not its index.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "is", rename_all = "lowercase")]
enum Holds {
    Table {
        scheme: String,
    },
    Member {
        format: String,
        of: String,
    },
    Filesystem {
        format: String,
        journal: Journal,
        size_bytes: Option<u64>,
        block_size: Option<u32>,
        features: Vec<String>,
    },
    Irrelevant {
        what: String,
    },
    Unread {
        format: Option<String>,
        reason: String,
    },
    Empty,
}

/// One mount of a tree.
#[derive(Clone, Debug, Serialize)]
pub struct MountSummary {
    path: String,
    /// Where the filesystem is.
    place: String,
    format: String,
    /// The directory of the filesystem that is seen there; null for its root.
    part: Option<String>,
    /// Why it is taken for what `/etc/fstab` means; null where that is certain.
    assumed: Option<String>,
}

/// The devices of a target.
pub fn devices(storage: &StorageReport) -> Vec<DeviceSummary> {
    let mut depths: Vec<usize> = Vec::new();
    let mut summaries = Vec::new();
    for (index, device) in storage.devices.iter().enumerate() {
        let is_partition = matches!(device.kind, DeviceKind::Partition { .. });
        let below = device.below.first().and_then(|&below| depths.get(below)).filter(|_| is_partition);
        let depth = below.map_or(0, |depth| depth.saturating_add(1));
        depths.push(depth);
        let on = device.below.iter().filter_map(|&below| Some(storage.devices.get(below)?.name.clone()));
        summaries.push(DeviceSummary {
            name: device.name.clone(),
            kind: Kind::of(&device.kind),
            on: on.collect(),
            volumes: storage.volumes_of(index),
            size_bytes: device.size,
            uuid: device.uuid.clone(),
            label: device.label.clone(),
            content: Holds::of(&device.content, storage),
            problems: device.problems.clone(),
            notes: device.notes.clone(),
            depth,
        });
    }
    summaries
}

/// What is mounted in a tree. The places of the filesystems are those of the report: to name one takes a while, and a report
/// may have a hundred thousand mounts.
pub fn mounts(storage: &StorageReport, places: &[String], tree: &TreeReport) -> Vec<MountSummary> {
    let mount = |mount: &crate::report::MountReport| MountSummary {
        path: mount.path.clone(),
        place: places.get(mount.filesystem).cloned().unwrap_or_default(),
        format: storage
            .filesystems
            .get(mount.filesystem)
            .map(|found| found.format.clone())
            .unwrap_or_default(),
        part: mount.part.clone(),
        assumed: mount.assumed.clone(),
    };
    tree.mounts.iter().map(mount).collect()
}

/// Writes the devices on a volume: what it is divided into, and what it holds.
pub(super) fn write_devices(out: &mut String, devices: &[DeviceSummary], volume: &str) -> Written {
    let of_volume = |device: &&DeviceSummary| {
        !matches!((&device.kind, &device.content), (Kind::Disk, Holds::Table { .. } | Holds::Empty))
            && device.is_part_of_a_disk(devices)
            && device.volumes.first().is_some_and(|first| first == volume)
    };
    for device in devices.iter().filter(of_volume) {
        device.write_line(out)?;
    }
    Ok(())
}

/// Writes the devices that are made of others, with what they are divided into.
pub(super) fn write_assembled(out: &mut String, devices: &[DeviceSummary]) -> Written {
    for device in devices.iter().filter(|device| !device.is_part_of_a_disk(devices)) {
        match &device.kind {
            Kind::LogicalVolume { .. } | Kind::Raid { .. } => {
                let size = device.size_bytes.map(|size| format!(", {}", bytes(size))).unwrap_or_default();
                writeln!(out, "Device    {}{size}, {}", printable(&device.name), device.kind.text(device))?;
            }
            _ => {}
        }
        device.write_line(out)?;
    }
    Ok(())
}

/// Writes all that is known of the devices on a volume.
pub(super) fn describe_devices(out: &mut String, devices: &[DeviceSummary], volume: &str) -> Written {
    let of_volume = |device: &&DeviceSummary| {
        device.is_part_of_a_disk(devices) && device.volumes.first().is_some_and(|first| first == volume)
    };
    devices.iter().filter(of_volume).try_for_each(|device| device.describe(out))
}

/// Writes all that is known of the devices that are made of others.
pub(super) fn describe_assembled(out: &mut String, devices: &[DeviceSummary]) -> Written {
    devices
        .iter()
        .filter(|device| !device.is_part_of_a_disk(devices))
        .try_for_each(|device| device.describe(out))
}

/// Writes what is mounted in a tree: with its root, or only where there is more to say.
pub(super) fn write_mounts(out: &mut String, mounts: &[MountSummary], with_root: bool) -> Written {
    for (index, MountSummary { path, place, part, assumed, .. }) in mounts.iter().enumerate() {
        let part = part.as_ref().map(|part| format!(", its {}", printable(part))).unwrap_or_default();
        let assumed =
            assumed.as_ref().map(|reason| format!(" (assumed: {})", printable(reason))).unwrap_or_default();
        if with_root || index > 0 || !part.is_empty() {
            writeln!(out, "  {} is {}{part}{assumed}", printable(path), printable(place))?;
        }
    }
    Ok(())
}

/// Writes what is not mounted and no gap: gaps stand with the unknowns.
pub(super) fn write_unmounted(out: &mut String, unmounted: &[Unmounted]) -> Written {
    /// Some systems have dozens, such as one for each application that is an image of its own.
    const MOST: usize = 8;

    let notes: Vec<_> = unmounted.iter().filter(|entry| !entry.is_gap).collect();
    for Unmounted { path, source, reason, .. } in notes.iter().take(MOST) {
        writeln!(out, "  {} is not mounted ({}): {}", printable(path), printable(source), printable(reason))?;
    }
    match notes.len().checked_sub(MOST) {
        Some(more @ 1..) => writeln!(out, "  {more} more are not mounted: --summary and --json name them"),
        _ => Ok(()),
    }
}

/// Writes what could not be read, and why.
pub(super) fn write_unknowns(out: &mut String, unknowns: &[Unknown]) -> Written {
    unknowns.iter().try_for_each(|unknown| {
        writeln!(out, "  {}: {}", printable(&unknown.text()), printable(&unknown.reason))
    })
}

impl DeviceSummary {
    /// Whether it is a disk, or a partition of one.
    fn is_part_of_a_disk(&self, devices: &[Self]) -> bool {
        let mut here = self;
        loop {
            match here.kind {
                Kind::Disk | Kind::Directory => return true,
                Kind::LogicalVolume { .. } | Kind::Raid { .. } => return false,
                Kind::Partition { .. } => {
                    let below =
                        here.on.first().and_then(|name| devices.iter().find(|other| other.name == *name));
                    match below.filter(|below| below.depth < here.depth) {
                        Some(below) => here = below,
                        None => return false,
                    }
                }
            }
        }
    }

    /// A line with what it is, and one each for its identities, its features and its journal.
    fn describe(&self, out: &mut String) -> Written {
        let indent = "  ".repeat(self.depth.saturating_add(1));
        let size = self.size_bytes.map(|size| format!(", {}", bytes(size))).unwrap_or_default();
        match &self.kind {
            Kind::Disk | Kind::Directory => writeln!(out, "{indent}{}", self.content.text())?,
            Kind::Partition { number, part_label, .. } => {
                let name = Some(part_label).filter(|name| !name.is_empty());
                let name = name.map(|name| format!(" \"{}\"", printable(name))).unwrap_or_default();
                writeln!(out, "{indent}partition {number}{name}{size}: {}", self.content.text())?;
            }
            kind => {
                writeln!(out, "{}{size}: {}", printable(&self.name), self.content.text())?;
                writeln!(out, "{indent}  {}", kind.text(self))?;
            }
        }
        let mut identities = Vec::new();
        identities.extend(self.uuid.as_ref().map(|uuid| format!("UUID {uuid}")));
        identities.extend(self.label.as_ref().map(|label| format!("label \"{label}\"")));
        match &self.kind {
            Kind::Partition { code, part_uuid, .. } => {
                identities.extend(part_uuid.as_ref().map(|uuid| format!("partition UUID {uuid}")));
                identities.push(format!("type {code}"));
            }
            Kind::LogicalVolume { lv_uuid, .. } => identities.push(format!("LV UUID {lv_uuid}")),
            Kind::Raid { array, raid_uuid, .. } => {
                identities.extend(array.as_ref().map(|name| format!("name {name}")));
                identities.push(format!("array UUID {raid_uuid}"));
            }
            Kind::Disk | Kind::Directory => {}
        }
        if !identities.is_empty() {
            writeln!(out, "{indent}  {}", printable(&identities.join(", ")))?;
        }
        if let Holds::Filesystem { size_bytes, block_size, features, .. } = &self.content {
            let size = size_bytes.map(|size| format!("filesystem of {}", bytes(size)));
            let block = block_size.map(|size| format!("blocks of {}", bytes(size.into())));
            let figures: Vec<_> = size.into_iter().chain(block).collect();
            if !figures.is_empty() {
                writeln!(out, "{indent}  {}", figures.join(", "))?;
            }
            if !features.is_empty() {
                writeln!(out, "{indent}  features {}", printable(&features.join(" ")))?;
            }
        }
        for note in &self.notes {
            writeln!(out, "{indent}  {}", printable(note))?;
        }
        Ok(())
    }

    /// One line below that of the volume, or of the device that it is a part of.
    fn write_line(&self, out: &mut String) -> Written {
        let (number, size) = match self.kind {
            Kind::Partition { number, .. } => (
                format!("{number:>4}"),
                self.size_bytes.map(|size| format!(" {}", bytes(size))).unwrap_or_default(),
            ),
            _ => ("    ".to_owned(), String::new()),
        };
        let indent = "    ".repeat(self.depth.saturating_sub(1));
        write!(out, "{indent}{number}{size} {}", self.content.text())?;
        if let Some(label) = &self.label {
            write!(out, " \"{}\"", printable(label))?;
        }
        writeln!(out)?;
        for note in &self.notes {
            writeln!(out, "{indent}     {}", printable(note))?;
        }
        Ok(())
    }
}

impl Kind {
    fn of(kind: &DeviceKind) -> Self {
        match kind.clone() {
            DeviceKind::Disk { .. } => Self::Disk,
            DeviceKind::Partition { number, offset, code, uuid, name } => {
                Self::Partition { number, offset_bytes: offset, code, part_uuid: uuid, part_label: name }
            }
            DeviceKind::LogicalVolume { group, volume, layout, uuid } => {
                Self::LogicalVolume { group, volume, layout, lv_uuid: uuid }
            }
            DeviceKind::Raid { array, level, uuid } => Self::Raid { array, level, raid_uuid: uuid },
            DeviceKind::Directory => Self::Directory,
        }
    }

    /// What kind of assembled device it is, and of what.
    fn text(&self, device: &DeviceSummary) -> String {
        let on = match device.on.as_slice() {
            [first, second, third, rest @ ..] if !rest.is_empty() => {
                format!("{first}, {second}, {third} and {} more", rest.len())
            }
            few => few.join(", "),
        };
        let what = match self {
            Self::LogicalVolume { layout, .. } if layout.is_empty() => "logical volume".to_owned(),
            Self::LogicalVolume { layout, .. } => format!("{layout} logical volume"),
            Self::Raid { level, .. } => format!("{level} array"),
            _ => String::new(),
        };
        printable(&format!("{what} on {on}"))
    }
}

impl Holds {
    fn of(content: &Content, storage: &StorageReport) -> Self {
        match content.clone() {
            Content::Table { scheme } => Self::Table { scheme },
            Content::Member { format, of } => Self::Member { format, of },
            Content::Filesystem { filesystem } => match storage.filesystems.get(filesystem).cloned() {
                Some(found) => Self::Filesystem {
                    format: found.format,
                    journal: found.journal,
                    size_bytes: found.size,
                    block_size: found.block_size,
                    features: found.features,
                },
                None => Self::Empty,
            },
            Content::Irrelevant { what } => Self::Irrelevant { what },
            Content::Unread { format, reason } => Self::Unread { format, reason },
            Content::Empty => Self::Empty,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Table { scheme } if scheme == "gpt" => "GPT".to_owned(),
            Self::Table { .. } => "MBR".to_owned(),
            Self::Member { format, of } => format!("{} of {}", printable(format), printable(of)),
            Self::Filesystem { format, journal, .. } => {
                let format = printable(format);
                match journal {
                    Journal::Clean => format,
                    Journal::Replayed { transactions } => {
                        format!("{format}, journal replayed ({transactions} transactions)")
                    }
                    Journal::Partial { .. } => format!("{format}, journal replayed only in part"),
                    Journal::Ignored { .. } => format!("{format}, journal not replayed"),
                }
            }
            Self::Irrelevant { what } => printable(what),
            Self::Unread { format: Some(format), .. } => format!("{}, not read", printable(format)),
            Self::Unread { format: None, .. } => "not read".to_owned(),
            Self::Empty => "never written to".to_owned(),
        }
    }
}
