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
#[cfg(test)]
mod test_image;
mod thin;
mod uuid;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::sync::Arc;

pub use uuid::Uuid;

use self::group::Group;
use self::snapshot::Room;
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
    // The nodes of all thin pools are kept in memory.
    let pools =
        newest.values().flat_map(|group| &group.logical_volumes).filter(|lv| lv.kind() == "thin-pool");
    let limits = limits.shared_by(pools.count());
    let room = Room::new(&limits);
    let assemble = |group: Arc<Group>| assemble_group(&group, &disks, &duplicates, &room, &limits);
    let mut groups: Vec<VolumeGroup> = newest.into_values().map(assemble).collect();
    groups.sort_by(|a, b| (&a.name, a.uuid).cmp(&(&b.name, b.uuid)));
    groups
}

/// Puts the volume group together that a text of metadata describes, as if each of its physical volumes were `disk`.
///
/// # Errors
///
/// [`FsError::Corrupt`] if the text does not describe a group.
pub fn assemble_text(text: &[u8], disk: &Arc<dyn Volume>, limits: &Limits) -> Result<VolumeGroup, FsError> {
    let group = Group::parse(text).map_err(metadata_area::damaged)?;
    let disks = group.physical_volumes.iter().map(|pv| (pv.uuid, Arc::clone(disk))).collect();
    Ok(assemble_group(&group, &disks, &[], &Room::new(limits), limits))
}

fn assemble_group(
    group: &Group,
    disks: &HashMap<Uuid, Arc<dyn Volume>>,
    duplicates: &[Uuid],
    room: &Arc<Room>,
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
        logical_volumes: build::logical_volumes(group, disks, room, limits),
        problems,
    }
}

#[cfg(test)]
mod tests {
    use super::test_image::{AREA, AREA_SIZE, SECTOR, disk, group, seal_area, seal_label};
    use super::*;
    use crate::volume::MemoryVolume;
    use crate::volume::survey::numbers;

    const SIZE: usize = 256 << 10;
    const LINEAR: &str =
        "start_extent = 0 extent_count = 4 type = \"striped\" stripe_count = 1 stripes = [\"pv0\", 2]";

    fn read(disk: Vec<u8>) -> Result<Option<PhysicalVolume>, FsError> {
        PhysicalVolume::read(&volume(disk), &Limits::default())
    }

    fn volume(bytes: Vec<u8>) -> Arc<dyn Volume> {
        Arc::new(MemoryVolume::new(bytes))
    }

    /// The group on one disk of 256 KiB, whose content begins at 64 KiB.
    fn assembled(volumes: &[(&str, &[&str])]) -> VolumeGroup {
        let mut bytes = disk(b'a', group(b'a', volumes).as_bytes(), SECTOR, SIZE);
        for (index, byte) in bytes.iter_mut().enumerate().skip(64 << 10) {
            *byte = u8::try_from(index / 4096).unwrap();
        }
        let disk = volume(bytes);
        let pv = PhysicalVolume::read(&disk, &Limits::default()).unwrap().unwrap();
        assert_eq!(pv.problems, [""; 0]);
        let mut groups = assemble(vec![(pv, disk)], &Limits::default());
        assert_eq!(groups.len(), 1);
        groups.remove(0)
    }

    fn reasons(volumes: &[(&str, &[&str])]) -> Vec<String> {
        let volumes = assembled(volumes).logical_volumes;
        volumes
            .into_iter()
            .map(|lv| lv.volume.map_or_else(|reason| reason.to_string(), |_| String::new()))
            .collect()
    }

    #[test]
    fn a_linear_volume_is_read_behind_the_start_of_the_extents() {
        let group = assembled(&[("root", &[LINEAR])]);
        let root = group.logical_volumes[0].volume.as_ref().unwrap();
        assert_eq!(root.size(), 16 << 10);
        let mut content = vec![0; 16 << 10];
        root.read_at(0, &mut content).unwrap();
        // The third extent behind 64 KiB.
        assert_eq!((content[0], content[4096], content[(16 << 10) - 1]), (18, 19, 21));
        assert!(root.read_at(1, &mut content).is_err());
    }

    #[test]
    fn texts_go_round_the_end_of_their_area() {
        let text = group(b'a', &[("root", &[LINEAR])]);
        for start in [SECTOR, 1024, AREA_SIZE - SECTOR, AREA_SIZE - 1] {
            let found = read(disk(b'a', text.as_bytes(), start, SIZE)).unwrap().unwrap();
            assert_eq!((found.group_name(), &*found.problems), (Some("vg"), &[][..]), "{start}");
        }
    }

    #[test]
    fn labels_count_in_the_first_four_sectors_and_whole() {
        let whole = disk(b'a', b"", 0, SIZE);
        assert_eq!(
            read(whole.clone()).unwrap().unwrap().uuid.to_string(),
            "aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa"
        );
        let mut moved = whole.clone();
        moved.copy_within(SECTOR..2 * SECTOR, 3 * SECTOR);
        moved[SECTOR..2 * SECTOR].fill(0);
        assert_eq!(
            read(moved.clone()).unwrap_err().to_string(),
            "the label of the physical volume is damaged: it is a copy from another sector"
        );
        moved[3 * SECTOR + 8] = 3;
        seal_label(&mut moved[3 * SECTOR..4 * SECTOR]);
        assert!(read(moved).unwrap().is_some());
        let mut damaged = whole.clone();
        damaged[SECTOR + 40] ^= 1;
        assert!(read(damaged).unwrap_err().to_string().ends_with("its checksum is wrong"));
        let mut endless = whole;
        endless[SECTOR + 72..2 * SECTOR].fill(1);
        seal_label(&mut endless[SECTOR..2 * SECTOR]);
        assert!(read(endless).unwrap_err().to_string().ends_with("its lists of areas do not end"));
        assert!(read(vec![0; SIZE]).unwrap().is_none());
        assert!(read(Vec::new()).unwrap().is_none());
    }

    #[test]
    fn forged_metadata_areas_cost_only_themselves() {
        let text = group(b'a', &[]);
        for (at, value, problem) in [
            (24, 0_u64, "its header is a copy from another place"),
            (32, 1 << 60, "it has 1152921504606846976 bytes, more than the volume"),
            (40, 1 << 60, "its text is outside of it"),
            (40, 8, "its text is outside of it"),
            (48, 60 << 10, "its text is outside of it"),
            (48, 20, "the checksum of its text is wrong"),
            (16, 0, "its header has no magic number"),
        ] {
            let mut bytes = disk(b'a', text.as_bytes(), SECTOR, SIZE);
            bytes[AREA + at..AREA + at + 8].copy_from_slice(&value.to_le_bytes());
            seal_area(&mut bytes[AREA..AREA + SECTOR]);
            let found = read(bytes).unwrap().unwrap();
            assert_eq!(found.problems, [format!("the LVM2 metadata area is damaged: {problem}")]);
        }
        let mut endless = disk(b'a', text.as_bytes(), SECTOR, SIZE);
        endless[AREA + 48..AREA + 56].copy_from_slice(&(1_u64 << 40).to_le_bytes());
        seal_area(&mut endless[AREA..AREA + SECTOR]);
        let found = read(endless).unwrap().unwrap();
        assert_eq!(
            found.problems,
            ["the size of LVM2 metadata (`lvm_text_bytes`) exceeds the limit of 8388608"]
        );
        let mut ignored = disk(b'a', text.as_bytes(), SECTOR, SIZE);
        ignored[AREA + 60] = 1;
        seal_area(&mut ignored[AREA..AREA + SECTOR]);
        let found = read(ignored).unwrap().unwrap();
        assert_eq!((found.group_name(), &*found.problems), (None, &[][..]));
    }

    #[test]
    fn volumes_that_contain_themselves_are_refused() {
        let on = |volume: &str| {
            format!(
                "start_extent = 0 extent_count = 4 type = \"striped\" stripe_count = 1 stripes = [\"{volume}\", 0]"
            )
        };
        assert_eq!(
            reasons(&[
                ("a", &[&on("b")]),
                ("b", &[&on("a")]),
                ("c", &[&on("c")]),
                ("d", &[&on("e")]),
                ("f", &[LINEAR])
            ]),
            [
                "volume a is a part of itself",
                "volume a is a part of itself",
                "volume c is a part of itself",
                "there is no volume e in the group",
                "",
            ]
        );
        let names: Vec<String> = (0..40).map(|number| format!("v{number}")).collect();
        let segments: Vec<String> = (0..40)
            .map(|number| if number == 0 { LINEAR.to_owned() } else { on(&names[number - 1]) })
            .collect();
        let slices: Vec<[&str; 1]> = segments.iter().map(|segment| [segment.as_str()]).collect();
        let volumes: Vec<(&str, &[&str])> =
            names.iter().zip(&slices).map(|(name, segments)| (name.as_str(), &segments[..])).collect();
        let deep = "more than 16 volumes are made of each other, which is the limit (`volume_layers`)";
        let expected: Vec<&str> = (0..40).map(|number| if number < 16 { "" } else { deep }).collect();
        assert_eq!(reasons(&volumes), expected);
    }

    #[test]
    fn segments_that_do_not_fit_cost_their_volume() {
        let at = |start: u64, count: u64, kind: &str| {
            format!("start_extent = {start} extent_count = {count} type = \"{kind}\"")
        };
        let linear =
            |count: u64, first: u64| format!("{} stripes = [\"pv0\", {first}]", at(0, count, "striped"));
        for (segments, reason) in [
            (vec![at(0, 2, "zero"), at(1, 2, "zero")], "one of its segments begins at extent 1 and not at 2"),
            (vec![at(0, 2, "zero"), at(3, 2, "zero")], "one of its segments begins at extent 3 and not at 2"),
            (vec![at(0, 0, "zero")], "its segment1 has 0 extents from 0 on"),
            (vec![at(0, 1 << 62, "zero")], "4611686018427387904 extents are more than 2^64 bytes"),
            (vec![at(0, 1, "striped")], "its segment1 has no stripes in pairs of volume and extent"),
            (
                vec![linear(2, 99)],
                "it uses extents up to 101 of physical volume aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa, which has 100",
            ),
            (
                vec![linear(2, 60)],
                "physical volume aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa has 262144 bytes, and 8192 at 311296 are needed: the image was cut short, or the metadata is not this disk's",
            ),
            (
                vec![format!("{} stripe_size = 8 stripes = [\"pv0\", 0, \"pv0\", 1]", at(0, 3, "striped"))],
                "its extents are not a multiple of its stripes",
            ),
            (
                vec![format!("{} stripe_size = 0 stripes = [\"pv0\", 0, \"pv0\", 1]", at(0, 2, "striped"))],
                "its stripes have 0 bytes",
            ),
            (vec![at(0, 1, "vdo")], "a logical volume of type vdo is not supported"),
        ] {
            let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
            assert_eq!(reasons(&[("bad", &segments), ("good", &[LINEAR])]), [reason, ""]);
        }
    }

    #[test]
    fn one_disk_in_two_copies_is_used_once_and_named() {
        let disk = volume(disk(b'a', group(b'a', &[("root", &[LINEAR])]).as_bytes(), SECTOR, SIZE));
        let pv = PhysicalVolume::read(&disk, &Limits::default()).unwrap().unwrap();
        let groups = assemble(vec![(pv.clone(), Arc::clone(&disk)), (pv, disk)], &Limits::default());
        assert_eq!(
            groups[0].problems,
            [
                "several disks are physical volume aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa: the first one was used"
            ]
        );
    }

    /// Thousands of changes to a text with every kind of segment, each with its checksum made right again.
    #[test]
    fn hostile_texts_end() {
        let on =
            |kind: &str, rest: &str| format!("start_extent = 0 extent_count = 4 type = \"{kind}\" {rest}");
        let raids = "raids = [\"r\", \"a\", \"r\", \"b\"]";
        let segments = [
            ("a", LINEAR.to_owned()),
            ("b", on("striped", "stripe_size = 8 stripes = [\"pv0\", 0, \"a\", 0]")),
            ("r", on("zero", "")),
            ("c", on("raid1", raids)),
            ("d", on("raid10", &format!("stripe_size = 8 {raids}"))),
            ("e", on("raid0", "stripe_size = 8 raid0_lvs = [\"a\", \"b\", \"c\", \"d\"]")),
            ("f", on("mirror", "mirrors = [\"c\", 0, \"d\", 0]")),
            ("p", on("thin-pool", "metadata = \"a\" pool = \"b\" chunk_size = 128")),
            ("t", on("thin", "thin_pool = \"p\" device_id = 1 external_origin = \"e\"")),
            ("s", on("snapshot", "chunk_size = 8 origin = \"f\" cow_store = \"e\"")),
            ("h", on("cache", "cache_pool = \"p\" origin = \"e\" cache_mode = \"writethrough\"")),
            ("z", on("error", "")),
        ];
        let slices: Vec<[&str; 1]> = segments.iter().map(|(_, segment)| [segment.as_str()]).collect();
        let volumes: Vec<(&str, &[&str])> =
            segments.iter().zip(&slices).map(|((name, _), segment)| (*name, &segment[..])).collect();
        let text = group(b'a', &volumes).into_bytes();
        let mut random = numbers();
        let words: [&[u8]; 10] = [
            b"0",
            b"9223372036854775807",
            b"\"a\"",
            b"\"b\"",
            b"\"e\"",
            b"[",
            b"]",
            b"{ }",
            b"\"zero\"",
            b"65536",
        ];
        let (mut readable, mut refused) = (0, 0);
        for _ in 0..3000 {
            let mut text = text.clone();
            for _ in 0..=random(4) {
                let at = random(text.len());
                // A word in place of another one, most of the time; else any byte.
                if random(4) == 0 {
                    text[at] = u8::try_from(random(256)).unwrap();
                    continue;
                }
                let space = |byte: &u8| *byte == b' ';
                let start = text[..at].iter().rposition(space).map_or(0, |space| space + 1);
                let end = text[start..].iter().position(space).map_or(text.len(), |space| start + space);
                text.splice(start..end, words[random(words.len())].iter().copied());
            }
            let disk = volume(disk(b'a', &text, SECTOR, SIZE));
            let pv = PhysicalVolume::read(&disk, &Limits::default()).unwrap().unwrap();
            for lv in
                assemble(vec![(pv, disk)], &Limits::default()).into_iter().flat_map(|vg| vg.logical_volumes)
            {
                let Ok(volume) = lv.volume else {
                    refused += 1;
                    continue;
                };
                readable += 1;
                assert!(lv.size <= u64::MAX / 2, "a mapped volume has its size: {}", lv.size);
                volume.prefetch(std::slice::from_ref(&(0..volume.size())));
                let mut buffer = vec![0; 20_000];
                let _ = volume.read_at(0, &mut buffer[..volume.size().min(20_000).try_into().unwrap()]);
            }
        }
        assert!(readable > 2000 && refused > 2000, "{readable} {refused}");
    }
}
