//! Linux software RAID, `md`: several disks as one volume, with a superblock on each.
//!
//! [`Member::read`] reads what one disk says of itself, [`assemble`] puts the arrays together. RAID1, RAID0 and linear
//! arrays with metadata of version 1 are read; others are named.

mod raid0;
mod superblock;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::Arc;

use self::superblock::{Role, Superblock};
use super::mapped::{MappedVolume, Target};
use super::{SliceVolume, Unreadable, Volume};
use crate::fs::FsError;

/// What a disk says that is a member of an array.
#[derive(Clone, Debug)]
pub struct Member(Record);

#[derive(Clone, Debug)]
enum Record {
    Version1(Superblock),
    Version0 { array: [u8; 16] },
}

/// Where the superblock is, and in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Version {
    /// Before the last 64 KiB. The members have no table of roles and at most 2 TiB.
    V0_90,
    /// At the end.
    V1_0,
    /// At the start.
    V1_1,
    /// 4 KiB behind the start: the default.
    V1_2,
}

/// What an array does with its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Level {
    /// One behind the other.
    Linear,
    /// RAID0: in turn.
    Raid0,
    /// RAID1: all the same.
    Raid1,
    /// Another one, such as 5 for RAID5; negative for what is no RAID.
    Other(i32),
}

/// An array.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Array {
    /// Its identifier as `mdadm` prints it: four groups of eight digits.
    pub uuid: String,
    /// Its name, usually with the machine's in front: `host:name`. Empty if it has none.
    pub name: String,
    /// Where its superblocks are.
    pub version: Version,
    /// What it does with its members. None where version 0.90 would say it.
    pub level: Option<Level>,
    /// How many members a whole array has. Unknown for version 0.90.
    pub devices: Option<u32>,
    /// How many of those that were given are in use by it.
    pub present: u32,
    /// What is wrong with the array or its members.
    pub problems: Vec<String>,
    /// Its content, or why it cannot be read.
    pub volume: Result<Arc<dyn Volume>, Unreadable>,
}

impl Member {
    /// Reads the superblock of a disk. `None` if it has none.
    ///
    /// # Errors
    ///
    /// [`FsError::Corrupt`] if it is damaged, [`FsError::Volume`] if the disk could not be read.
    pub fn read(volume: &Arc<dyn Volume>) -> Result<Option<Self>, FsError> {
        if let Some(superblock) = Superblock::read(&**volume)? {
            return Ok(Some(Self(Record::Version1(superblock))));
        }
        let array = superblock::is_version_0_90(&**volume)?;
        Ok(array.map(|array| Self(Record::Version0 { array })))
    }

    /// The identifier of the array, as in [`Array::uuid`].
    pub fn array_uuid(&self) -> String {
        written(&self.identifier())
    }

    fn identifier(&self) -> [u8; 16] {
        match &self.0 {
            Record::Version1(superblock) => superblock.array,
            Record::Version0 { array } => *array,
        }
    }
}

/// Puts the arrays of these members together, in the order of their identifiers.
///
/// A member that is not up to date is not used: one that was thrown out, waits as a spare, is still being rebuilt, or
/// missed changes. Reads nothing.
pub fn assemble(members: Vec<(Member, Arc<dyn Volume>)>) -> Vec<Array> {
    let mut arrays: BTreeMap<[u8; 16], Vec<_>> = BTreeMap::new();
    for (member, volume) in members {
        arrays.entry(member.identifier()).or_default().push((member.0, volume));
    }
    arrays.into_iter().map(|(uuid, members)| assemble_array(uuid, members)).collect()
}

fn assemble_array(uuid: [u8; 16], members: Vec<(Record, Arc<dyn Volume>)>) -> Array {
    let mut disks: Vec<Disk> = Vec::new();
    for (record, volume) in members {
        if let Record::Version1(superblock) = record {
            disks.push(Disk { superblock, volume });
        }
    }
    // The member with the most events has seen every change, so it knows what the array is.
    let Some(newest) = disks.iter().map(|disk| &disk.superblock).max_by_key(|sb| sb.events).cloned() else {
        return Array {
            uuid: written(&uuid),
            name: String::new(),
            version: Version::V0_90,
            level: None,
            devices: None,
            present: 0,
            problems: Vec::new(),
            volume: Err(Unreadable::unsupported("a RAID array with metadata of version 0.90")),
        };
    };
    let mut problems = Vec::new();
    let mut active: BTreeMap<u32, Disk> = BTreeMap::new();
    for disk in disks {
        let place = match disk.superblock.state(&newest) {
            Ok(place) => place,
            Err(problem) => {
                problems.push(format!("member {} {problem}", written(&disk.superblock.device)));
                continue;
            }
        };
        match active.entry(place) {
            Entry::Vacant(free) => drop(free.insert(disk)),
            Entry::Occupied(_) => {
                problems.push(format!("several members have place {place}: the first one was used"));
            }
        }
    }
    let present = u32::try_from(active.len()).unwrap_or(u32::MAX);
    if present < newest.devices {
        problems.push(format!("{present} of its {} members are present and up to date", newest.devices));
    }
    Array {
        uuid: written(&uuid),
        name: newest.name.clone(),
        version: newest.version,
        level: Some(newest.level),
        devices: Some(newest.devices),
        present,
        problems,
        volume: volume(&newest, &active),
    }
}

/// A member with its superblock.
struct Disk {
    superblock: Superblock,
    volume: Arc<dyn Volume>,
}

impl Disk {
    /// The first `size` bytes of its data.
    fn data(&self, size: u64) -> Result<SliceVolume, Unreadable> {
        let sb = &self.superblock;
        let slice = || {
            let data = SliceVolume::new(Arc::clone(&self.volume), sb.data_offset, sb.data_size).ok()?;
            SliceVolume::new(Arc::new(data), 0, size).ok()
        };
        slice().ok_or_else(|| {
            Unreadable::damaged(format!(
                "member {} has {} bytes of data, less than the {size} it should have",
                written(&sb.device),
                sb.data_size
            ))
        })
    }
}

impl Superblock {
    /// The place of a member with current data, or why it has none.
    fn state(&self, newest: &Self) -> Result<u32, String> {
        match self.role {
            Role::Spare => Err("is a spare".to_owned()),
            Role::Faulty => Err("was thrown out of the array".to_owned()),
            Role::Journal => Err("has a journal, which is not read".to_owned()),
            Role::Rebuilding(_) => Err("is not rebuilt yet".to_owned()),
            Role::Active(place) if place >= newest.devices => {
                Err(format!("has place {place} of an array of {} members", newest.devices))
            }
            // One event may be missing where all members stopped at once: `super_1_validate` of the kernel's
            // `drivers/md/md.c`.
            Role::Active(_) if self.events.saturating_add(1) < newest.events => {
                Err(format!("is out of date: it has seen {} events, others {}", self.events, newest.events))
            }
            Role::Active(place) => Ok(place),
        }
    }
}

fn volume(newest: &Superblock, active: &BTreeMap<u32, Disk>) -> Result<Arc<dyn Volume>, Unreadable> {
    if newest.is_reshaping {
        return Err(Unreadable::unsupported(format!("a {} array that is changing its shape", newest.level)));
    }
    match newest.level {
        Level::Raid1 => {
            let best = active.values().max_by(|a, b| {
                // Of equals the first one, which is what a new array's others are filled from.
                a.superblock.events.cmp(&b.superblock.events).then(std::cmp::Ordering::Greater)
            });
            let best = best.ok_or_else(|| Unreadable::missing("a member with all of the data"))?;
            Ok(Arc::new(best.data(newest.used)?))
        }
        Level::Raid0 | Level::Linear => {
            let disks = (0..newest.devices)
                .map(|place| {
                    active
                        .get(&place)
                        .ok_or_else(|| Unreadable::missing(format!("the member with place {place}")))
                })
                .collect::<Result<Vec<_>, _>>()?;
            let targets = match newest.level {
                Level::Raid0 => raid0::targets(newest, &disks)?,
                _ => linear(newest, &disks)?,
            };
            Ok(Arc::new(MappedVolume::new(targets)?))
        }
        Level::Other(_) => Err(Unreadable::unsupported(format!("a {} array", newest.level))),
    }
}

/// One behind the other, of each as many whole chunks as it has: `linear_conf` of the kernel's `drivers/md/md-linear.c`.
fn linear(newest: &Superblock, disks: &[&Disk]) -> Result<Vec<(u64, Target)>, Unreadable> {
    disks
        .iter()
        .map(|disk| {
            let size = disk.superblock.data_size;
            let size = size.saturating_sub(size.checked_rem(newest.chunk).unwrap_or(0));
            Ok((size, Target::Linear(disk.data(size)?)))
        })
        .collect()
}

/// As `mdadm` writes identifiers.
fn written(uuid: &[u8; 16]) -> String {
    let words = uuid.as_chunks::<4>().0.iter().map(|&word| format!("{:08x}", u32::from_be_bytes(word)));
    words.collect::<Vec<_>>().join(":")
}

impl Level {
    pub(super) fn from_number(number: u32) -> Self {
        match number.cast_signed() {
            -1 => Self::Linear,
            0 => Self::Raid0,
            1 => Self::Raid1,
            other => Self::Other(other),
        }
    }
}

/// As `mdadm` calls it.
impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Linear => f.write_str("linear"),
            Self::Raid0 => f.write_str("RAID0"),
            Self::Raid1 => f.write_str("RAID1"),
            Self::Other(-4) => f.write_str("multipath"),
            Self::Other(-5) => f.write_str("faulty"),
            Self::Other(level) => write!(f, "RAID{level}"),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V0_90 => "0.90",
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::superblock::{PLACE, seal};
    use super::*;
    use crate::volume::MemoryVolume;
    use crate::volume::survey::numbers;

    const SIZE: usize = 64 << 10;

    /// A member of an array of two, with superblock version 1.2 and 32 KiB of data, all of which have its place.
    fn member(level: u32, place: u8) -> Vec<u8> {
        let mut disk = vec![place; SIZE];
        disk[PLACE..2 * PLACE].fill(0);
        let mut put = |at: usize, value: u64, bytes: usize| {
            disk[PLACE + at..PLACE + at + bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
        };
        for (at, value) in
            [(0, 0xa92b_4efc), (4, 1), (72, level), (88, 8), (92, 2), (160, place.into()), (220, 4)]
        {
            put(at, value.into(), 4);
        }
        for (at, value) in [(80, 64), (128, 32), (136, 64), (144, 8), (200, 5)] {
            put(at, value, 8);
        }
        put(256, 0xffff_ffff_0001_0000, 8);
        seal(&mut disk[PLACE..2 * PLACE]);
        disk
    }

    type Found = Option<(Member, Arc<dyn Volume>)>;

    fn read(disk: Vec<u8>) -> Result<Found, FsError> {
        let volume: Arc<dyn Volume> = Arc::new(MemoryVolume::new(disk));
        Ok(Member::read(&volume)?.map(|member| (member, volume)))
    }

    #[test]
    fn superblocks_that_contradict_the_format_are_damaged() {
        let damage = |at: usize, bytes: &[u8], sealed: bool| {
            let mut disk = member(1, 0);
            disk[PLACE + at..PLACE + at + bytes.len()].copy_from_slice(bytes);
            if sealed {
                seal(&mut disk[PLACE..2 * PLACE]);
            }
            read(disk).unwrap_err().to_string()
        };
        let error = |problem| format!("the RAID superblock of version 1.2 is damaged: {problem}");
        assert_eq!(damage(72, &[9], false), error("its checksum is wrong"));
        assert_eq!(damage(4, &[2], true), error("it says that its version is 2"));
        assert_eq!(damage(220, &[0, 0, 1, 0], false), error("it has 65536 roles, more than fit"));
        assert_eq!(damage(144, &[9], true), error("it is a copy from another place"));
        assert_eq!(
            damage(136, &[0xff; 8], true),
            error(
                "its data ends at byte 18446744073709551615, but the disk has only 65536 bytes: the image was cut short"
            )
        );
        assert!(read(vec![0; SIZE]).unwrap().is_none());
        assert!(read(Vec::new()).unwrap().is_none());
        let mut short = member(1, 0);
        short.truncate(PLACE + 100);
        assert!(read(short).is_err());
    }

    #[test]
    fn version_0_90_is_recognised_in_both_byte_orders() {
        for magic in [0xa92b_4efc_u32.to_le_bytes(), 0xa92b_4efc_u32.to_be_bytes()] {
            let mut disk = vec![0; 3 * SIZE + 512];
            disk[2 * SIZE..2 * SIZE + 4].copy_from_slice(&magic);
            let arrays = assemble(vec![read(disk).unwrap().unwrap()]);
            assert_eq!(
                arrays[0].volume.as_ref().unwrap_err().to_string(),
                "a RAID array with metadata of version 0.90 is not supported"
            );
        }
    }

    #[test]
    fn one_place_is_taken_once() {
        let disks = [0, 0, 1].map(|place| read(member(0, place)).unwrap().unwrap());
        let array = assemble(disks.into()).remove(0);
        assert_eq!(array.problems, ["several members have place 0: the first one was used"]);
        let mut content = [9; 8192];
        array.volume.unwrap().read_at(0, &mut content).unwrap();
        assert_eq!((content[0], content[4095], content[4096], content[8191]), (0, 0, 1, 1));
    }

    /// Thousands of changes to every field, each with its checksum made right again.
    #[test]
    fn hostile_superblocks_end() {
        let mut random = numbers();
        let (mut readable, mut refused) = (0, 0);
        for _ in 0..3000 {
            let mut members = Vec::new();
            let level = [0, 1, u32::MAX][random(3)];
            for place in 0..2 {
                let mut disk = member(level, place);
                for _ in 0..random(3) {
                    let at = PLACE + [72, 76, 80, 88, 92, 128, 136, 160, 200, 220, 256, 258][random(12)];
                    let value = [0_u64, 1, 2, 7, 16, 63, 64, 65, 1 << 40, u64::MAX][random(10)];
                    disk[at..at + 4].copy_from_slice(&value.to_le_bytes()[..4]);
                }
                seal(&mut disk[PLACE..2 * PLACE]);
                members.extend(read(disk).ok().flatten());
            }
            for array in assemble(members) {
                let Ok(volume) = array.volume else {
                    refused += 1;
                    continue;
                };
                let size = volume.size();
                volume.prefetch(std::slice::from_ref(&(0..size)));
                let mut content = vec![0; usize::try_from(size).unwrap()];
                volume.read_at(0, &mut content).unwrap();
                readable += 1;
            }
        }
        assert!(readable > 500 && refused > 500, "{readable} {refused}");
    }
}
