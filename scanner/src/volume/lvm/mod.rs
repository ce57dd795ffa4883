//! LVM2: volumes made of parts of disks.
//!
//! A disk that LVM2 uses is a *physical volume*: a label, one or two areas of metadata, and extents, all of one size. The
//! metadata is a text, the same on each physical volume of a *volume group*, that says of which extents each *logical
//! volume* is made. [`PhysicalVolume::read`] reads what one disk says, [`assemble`] puts the groups together. Nothing is
//! activated: a logical volume is another [`Volume`] that finds its bytes through the metadata.

mod build;
mod checksum;
mod config;
mod group;
mod label;
mod metadata_area;
mod raid;
mod segment;
mod snapshot;
mod thin;
mod uuid;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::sync::Arc;

pub use uuid::Uuid;

use self::group::Group;
use super::{Unreadable, Volume};
use crate::fs::FsError;
use crate::limits::Limits;

/// What a disk says that is a physical volume.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PhysicalVolume {
    /// Its own identifier.
    pub uuid: Uuid,
    /// The size of the disk in bytes when it became a physical volume.
    pub device_size: u64,
    /// What is wrong with its metadata areas. Another area, or another physical volume of the group, may have what is
    /// missing here.
    pub problems: Vec<String>,
    /// Its newest metadata. None on a disk that belongs to no group, or that leaves the metadata to others.
    group: Option<Arc<Group>>,
}

/// A volume group.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VolumeGroup {
    /// Its name.
    pub name: String,
    /// Its identifier.
    pub uuid: Uuid,
    /// The size of an extent in bytes.
    pub extent_size: u64,
    /// How often the metadata has been changed.
    pub sequence_number: u64,
    /// The disks it is on, in the metadata's order.
    pub physical_volumes: Vec<GroupMember>,
    /// Its logical volumes, in the metadata's order, with those that only serve others.
    pub logical_volumes: Vec<LogicalVolume>,
    /// What is wrong with the group as a whole. Problems of a logical volume stand with it.
    pub problems: Vec<String>,
}

/// A physical volume of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupMember {
    /// Its identifier.
    pub uuid: Uuid,
    /// The device that it was when the metadata was last written: a hint for people.
    pub device: Option<String>,
    /// Whether it is among the disks that were given.
    pub is_present: bool,
}

/// A logical volume.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LogicalVolume {
    /// Its name within the group.
    pub name: String,
    /// Its identifier, where the metadata has one.
    pub uuid: Option<Uuid>,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it is there to be mounted. Images of mirrors, pools and caches only serve other volumes, and what they
    /// hold is seen through those.
    pub visible: bool,
    /// What it is, in LVM2's terms: the type of its first segment, such as `striped`, or `snapshot` for a snapshot of
    /// the older kind. Empty if its segments are damaged.
    pub kind: String,
    /// Its content, or why it cannot be read.
    pub volume: Result<Arc<dyn Volume>, Unreadable>,
}

impl PhysicalVolume {
    /// Reads the label and the metadata of a disk. `None` if it is no physical volume.
    ///
    /// Reads the first four sectors, and of each metadata area the header and the current text.
    ///
    /// # Errors
    ///
    /// [`FsError::Corrupt`] if the label is damaged, [`FsError::Volume`] if the disk could not be read.
    pub fn read(volume: &Arc<dyn Volume>, limits: &Limits) -> Result<Option<Self>, FsError> {
        let Some(header) = label::Header::read(&**volume)? else { return Ok(None) };
        let mut found =
            Self { uuid: header.uuid, device_size: header.device_size, problems: Vec::new(), group: None };
        for area in &header.metadata_areas {
            match read_area(&**volume, area, limits) {
                Ok(Some(group)) if found.group.as_ref().is_none_or(|other| other.seqno < group.seqno) => {
                    found.group = Some(Arc::new(group));
                }
                Ok(_) => {}
                Err(error) => found.problems.push(crate::chain(&error)),
            }
        }
        Ok(Some(found))
    }

    /// The name of the volume group, if the disk itself says it.
    pub fn group_name(&self) -> Option<&str> {
        self.group.as_ref().map(|group| group.name.as_str())
    }
}

fn read_area(volume: &dyn Volume, area: &Range<u64>, limits: &Limits) -> Result<Option<Group>, FsError> {
    let Some(text) = metadata_area::read(volume, area, limits)? else { return Ok(None) };
    Group::parse(&text).map(Some).map_err(metadata_area::damaged)
}

/// Puts the volume groups of these physical volumes together, in the order of their names.
///
/// The newest metadata of a group counts. A disk that is missing costs those logical volumes only that need it. Nothing
/// is read from the disks but what thin pools and snapshots need to be opened.
pub fn assemble(members: Vec<(PhysicalVolume, Arc<dyn Volume>)>, limits: &Limits) -> Vec<VolumeGroup> {
    let mut newest: HashMap<Uuid, Arc<Group>> = HashMap::new();
    for group in members.iter().filter_map(|(pv, _)| pv.group.as_ref()) {
        let known = newest.entry(group.uuid).or_insert_with(|| Arc::clone(group));
        if known.seqno < group.seqno {
            *known = Arc::clone(group);
        }
    }
    let mut duplicates = Vec::new();
    let mut disks: HashMap<Uuid, Arc<dyn Volume>> = HashMap::new();
    for (pv, volume) in members {
        match disks.entry(pv.uuid) {
            Entry::Occupied(_) => duplicates.push(pv.uuid),
            Entry::Vacant(free) => drop(free.insert(volume)),
        }
    }
    let mut groups: Vec<VolumeGroup> =
        newest.into_values().map(|group| assemble_group(&group, &disks, &duplicates, limits)).collect();
    groups.sort_by(|a, b| (&a.name, a.uuid).cmp(&(&b.name, b.uuid)));
    groups
}

fn assemble_group(
    group: &Group,
    disks: &HashMap<Uuid, Arc<dyn Volume>>,
    duplicates: &[Uuid],
    limits: &Limits,
) -> VolumeGroup {
    let members: Vec<GroupMember> = group
        .physical_volumes
        .iter()
        .map(|pv| GroupMember {
            uuid: pv.uuid,
            device: pv.device.clone(),
            is_present: disks.contains_key(&pv.uuid),
        })
        .collect();
    let mut problems = group.problems.clone();
    for member in &members {
        if duplicates.contains(&member.uuid) {
            problems
                .push(format!("several disks are physical volume {}: the first one was used", member.uuid));
        }
        if !member.is_present {
            problems.push(format!("physical volume {} is missing", member.uuid));
        }
    }
    VolumeGroup {
        name: group.name.clone(),
        uuid: group.uuid,
        extent_size: group.extent_size,
        sequence_number: group.seqno,
        physical_volumes: members,
        logical_volumes: build::logical_volumes(group, disks, limits),
        problems,
    }
}
