//! The superblock of a member, version 1: `struct mdp_superblock_1` of the kernel's `include/uapi/linux/raid/md_p.h`. All
//! numbers are little-endian, sizes are in sectors of 512 bytes.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::{Level, Version};
use crate::fs::FsError;
use crate::volume::Volume;
use crate::volume::bytes::{Bytes, Truncated, to_usize};

pub(super) const SECTOR: u64 = 512;
/// `MD_SB_MAGIC`
const MAGIC: u32 = 0xa92b_4efc;
/// The superblock and its table of roles are at most one page: `super_1_load` of the kernel's `drivers/md/md.c`.
const SIZE: usize = 4096;
/// Where `dev_roles` begins.
const ROLES: usize = 256;

/// `MD_FEATURE_RECOVERY_OFFSET`: the member is still being filled.
const FEATURE_RECOVERY_OFFSET: u32 = 1 << 1;
/// `MD_FEATURE_RESHAPE_ACTIVE`: the array is changing its shape.
const FEATURE_RESHAPE_ACTIVE: u32 = 1 << 2;
/// `MD_FEATURE_REPLACEMENT`: the member will take the place of another.
const FEATURE_REPLACEMENT: u32 = 1 << 4;
/// `MD_FEATURE_RAID0_LAYOUT`: the layout of a RAID0 says how its zones are striped.
const FEATURE_RAID0_LAYOUT: u32 = 1 << 12;

/// What one member says.
#[derive(Clone, Debug)]
pub(super) struct Superblock {
    pub(super) version: Version,
    pub(super) array: [u8; 16],
    /// `set_name`, up to its first zero: `host:name`.
    pub(super) name: String,
    pub(super) level: Level,
    /// The layout of a RAID0 of several zones, where it is recorded.
    pub(super) raid0_layout: Option<u32>,
    /// How much of each member is used, in bytes. For the levels where all use the same.
    pub(super) used: u64,
    /// In bytes.
    pub(super) chunk: u64,
    /// How many members a whole array has.
    pub(super) devices: u32,
    /// Where this member's data is, in bytes. It lies within the volume.
    pub(super) data_offset: u64,
    pub(super) data_size: u64,
    pub(super) device: [u8; 16],
    pub(super) events: u64,
    pub(super) role: Role,
    /// The array is changing its shape.
    pub(super) is_reshaping: bool,
}

/// What a member is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It has data, in this place of the array.
    Active(u32),
    /// It takes part, but does not have all of the data yet.
    Rebuilding(u32),
    /// It waits for another one to fail.
    Spare,
    /// It was thrown out.
    Faulty,
    /// It has a journal.
    Journal,
}

/// Where superblocks are: version 1.0 at least 8 KiB before the end, on a boundary of 4 KiB, 1.1 at the start, 1.2 at
/// 4 KiB. `super_1_load`.
fn places(size: u64) -> impl Iterator<Item = (Version, u64)> {
    let end = (size & !0x1ff).checked_sub(8 << 10).map(|position| position & !0xfff);
    // Where there are several, the later ones are what is left of an earlier use. The kernel's tools look in this order.
    [(Version::V1_1, Some(0)), (Version::V1_2, Some(4096)), (Version::V1_0, end)]
        .into_iter()
        .filter_map(move |(version, place)| Some((version, place.filter(|&place| place < size)?)))
}

impl Superblock {
    /// `None` if the volume has none.
    pub(super) fn read(volume: &dyn Volume) -> Result<Option<Self>, FsError> {
        let mut damage = None;
        for (version, place) in places(volume.size()) {
            let length = SIZE.min(to_usize(volume.size().saturating_sub(place)));
            let mut bytes = vec![0; length];
            volume.read_at(place, &mut bytes)?;
            if !Bytes(&bytes).le32(0).is_ok_and(|magic| magic == MAGIC) {
                continue;
            }
            match Self::parse(&bytes, version, place, volume.size())? {
                Ok(superblock) => return Ok(Some(superblock)),
                Err(problem) => damage = Some((version, problem)),
            }
        }
        damage.map_or(Ok(None), |(version, problem)| {
            Err(FsError::corrupt(format!("the RAID superblock of version {version}"), problem))
        })
    }

    /// Inner errors say what is wrong.
    fn parse(
        bytes: &[u8],
        version: Version,
        place: u64,
        volume_size: u64,
    ) -> Result<Result<Self, String>, Truncated> {
        let sb = Bytes(bytes);
        let major = sb.le32(4)?;
        if major != 1 {
            return Ok(Err(format!("it says that its version is {major}")));
        }
        let roles = to_usize(sb.le32(220)?);
        let Ok(whole) = sb.get(0, roles.saturating_mul(2).saturating_add(ROLES)) else {
            return Ok(Err(format!("it has {roles} roles, more than fit")));
        };
        if checksum(whole) != sb.le32(216)? {
            return Ok(Err("its checksum is wrong".to_owned()));
        }
        let sectors = |at| Ok::<_, Truncated>(sb.le64(at)?.saturating_mul(SECTOR));
        if sectors(144)? != place {
            return Ok(Err("it is a copy from another place".to_owned()));
        }
        let (data_offset, data_size) = (sectors(128)?, sectors(136)?);
        if data_offset.saturating_add(data_size) > volume_size {
            return Ok(Err(format!(
                "its data ends at byte {}, but the disk has only {volume_size} bytes: the image was cut short",
                data_offset.saturating_add(data_size)
            )));
        }
        let features = sb.le32(8)?;
        let number = to_usize(sb.le32(160)?);
        let role = match whole.get(ROLES..).and_then(|table| table.as_chunks::<2>().0.get(number)) {
            // `MD_DISK_ROLE_*`
            None | Some([0xff, 0xff]) => Role::Spare,
            Some([0xfe, 0xff]) => Role::Faulty,
            Some([0xfd, 0xff]) => Role::Journal,
            Some(&place) => {
                let place = u32::from(u16::from_le_bytes(place));
                // `recovery_offset` is how far it has been filled; a replacement is a spare until it is whole.
                if features & (FEATURE_RECOVERY_OFFSET | FEATURE_REPLACEMENT) == 0 {
                    Role::Active(place)
                } else {
                    Role::Rebuilding(place)
                }
            }
        };
        let layout = sb.le32(76)?;
        let name = sb.get(32, 32)?.split(|&byte| byte == 0).next().unwrap_or_default();
        Ok(Ok(Self {
            version,
            array: sb.array(16)?,
            name: String::from_utf8_lossy(name).into_owned(),
            level: Level::from_number(sb.le32(72)?),
            raid0_layout: (features & FEATURE_RAID0_LAYOUT != 0).then_some(layout),
            used: sectors(80)?,
            chunk: u64::from(sb.le32(88)?).saturating_mul(SECTOR),
            devices: sb.le32(92)?,
            data_offset,
            data_size,
            device: sb.array(168)?,
            events: sb.le64(200)?,
            role,
            is_reshaping: features & FEATURE_RESHAPE_ACTIVE != 0,
        }))
    }
}

/// The sum of the 32-bit words with the checksum's own taken as zero, the upper half added to the lower one:
/// `calc_sb_1_csum`. An odd number of roles leaves half a word.
fn checksum(superblock: &[u8]) -> u32 {
    let (words, rest) = superblock.as_chunks::<4>();
    let own = words.get(216 / 4).copied().map_or(0, u32::from_le_bytes);
    let half = <[u8; 2]>::try_from(rest).map_or(0, u16::from_le_bytes);
    let sum: u64 = words
        .iter()
        .map(|&word| u64::from(u32::from_le_bytes(word)))
        .fold(u64::from(half), u64::saturating_add)
        .saturating_sub(u64::from(own));
    let low = |sum: u64| u32::try_from(sum & 0xffff_ffff).unwrap_or(0);
    low(sum).wrapping_add(low(sum >> 32))
}

/// Whether the volume has a superblock of version 0.90, at the start of the last whole 64 KiB before the last 64 KiB, in the
/// byte order of the machine that wrote it: `MD_NEW_SIZE_SECTORS`.
pub(super) fn is_version_0_90(volume: &dyn Volume) -> Result<Option<[u8; 16]>, FsError> {
    let Some(place) = (volume.size() & !0xffff).checked_sub(64 << 10) else { return Ok(None) };
    let mut bytes = [0; 64];
    volume.read_at(place, &mut bytes)?;
    let sb = Bytes(&bytes);
    let magic = sb.le32(0)?;
    if magic != MAGIC && magic != MAGIC.swap_bytes() {
        return Ok(None);
    }
    // `set_uuid0`, and `set_uuid1` to `set_uuid3`.
    let mut uuid = [0; 16];
    for (part, at) in uuid.as_chunks_mut::<4>().0.iter_mut().zip([20, 52, 56, 60]) {
        *part = sb.array(at)?;
    }
    Ok(Some(uuid))
}

/// Where version 1.2 is.
#[cfg(test)]
pub(super) const PLACE: usize = 4096;

/// Makes the checksum of a superblock right, where its number of roles is.
#[cfg(test)]
pub(super) fn seal(superblock: &mut [u8]) {
    let roles = to_usize(Bytes(superblock).le32(220).unwrap_or(0));
    let end = (ROLES + 2 * roles).min(superblock.len());
    let sum = checksum(&superblock[..end]);
    superblock[216..220].copy_from_slice(&sum.to_le_bytes());
}
