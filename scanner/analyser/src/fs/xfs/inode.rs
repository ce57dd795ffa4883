//! Inodes. Names and offsets are those of the kernel's `fs/xfs/libxfs/xfs_format.h`, `struct xfs_dinode`.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::blocks::Blocks;
use super::crc;
use super::fork::{Fork, Format};
use super::superblock::Superblock;
use super::{FsError, Inode};
use crate::fs::{DeviceNumbers, FileType, Stat};
use crate::volume::bytes::{Bytes, Truncated, to_usize};

/// `XFS_DINODE_MAGIC`
const MAGIC: &[u8; 2] = b"IN";
/// Where the checksum is, in version 3; the fields before it are all that versions 1 and 2 have.
const CRC_OFFSET: usize = 100;
/// The fields of version 3.
const V3_SIZE: usize = 176;
/// `XFS_DIFLAG_REALTIME`
const FLAG_REALTIME: u16 = 0x1;
/// `XFS_DIFLAG2_BIGTIME`: times count nanoseconds.
const FLAG2_BIGTIME: u64 = 0x8;
/// `XFS_DIFLAG2_NREXT64`: numbers of extents have more bits.
const FLAG2_NREXT64: u64 = 0x10;
/// `XFS_BIGTIME_EPOCH_OFFSET`: big times begin in 1901, where the times of 32 bits do.
const BIGTIME_EPOCH: i64 = 1 << 31;

/// One inode, read and checked.
#[derive(Debug)]
pub(super) struct InodeRecord {
    pub(super) number: u64,
    pub(super) stat: Stat,
    /// Whether the content is on the realtime device.
    pub(super) is_realtime: bool,
    pub(super) data: Fork,
    /// The extended attributes, if there are any.
    pub(super) attributes: Option<Fork>,
}

/// Whether there can be an inode of this number.
pub(super) fn is_possible(sb: &Superblock, number: u64) -> bool {
    location(sb, number).is_some()
}

/// Where an inode is: the block, as an offset into the volume, and the offset within the block. `None` if the number names
/// none (`xfs_verify_ino`).
pub(super) fn location(sb: &Superblock, number: u64) -> Option<(u64, usize)> {
    let group = number.checked_shr(sb.agino_bits())?;
    let within_group = number.checked_sub(group.checked_shl(sb.agino_bits())?)?;
    let block = within_group.checked_shr(u32::from(sb.inopblog))?;
    let index = within_group.checked_sub(block.checked_shl(u32::from(sb.inopblog))?)?;
    // The first block of a group has its headers.
    if block == 0 {
        return None;
    }
    let offset = sb.ag_block_offset(group, block)?;
    Some((offset, to_usize(index.saturating_mul(u64::from(sb.inodesize)))))
}

impl InodeRecord {
    pub(super) fn read(blocks: &Blocks, inode: Inode) -> Result<Self, FsError> {
        let (block, offset) = location(&blocks.sb, inode.0).ok_or_else(|| {
            FsError::corrupt(format!("a reference to inode {}", inode.0), "there is no such inode")
        })?;
        let content = blocks.plain(block, blocks.sb.blocksize)?;
        let raw = Bytes(&content).get(offset, usize::from(blocks.sb.inodesize))?;
        let mut record = Self::parse(&blocks.sb, inode.0, raw)?;
        if let Some(data) = blocks.remapped.get(&inode.0) {
            record.data = data.clone();
        }
        Ok(record)
    }

    fn parse(sb: &Superblock, number: u64, raw: &[u8]) -> Result<Self, FsError> {
        let damaged = |problem: &str| FsError::corrupt(format!("inode {number}"), problem);
        let inode = Bytes(raw);
        if inode.get(0, 2)? != MAGIC {
            return Err(damaged("it is not in use: it has no magic number"));
        }
        let version = inode.u8(4)?;
        if sb.has_crc() {
            if version != 3 {
                return Err(damaged(&format!("it has version {version}")));
            }
            if !crc::is_right(raw, CRC_OFFSET)? {
                return Err(damaged("its checksum is wrong"));
            }
            if inode.be64(152)? != number || inode.array(160)? != sb.meta_uuid {
                return Err(damaged("it is another inode"));
            }
        } else if !matches!(version, 1 | 2) {
            return Err(damaged(&format!("it has version {version}")));
        }
        let mode = inode.be16(2)?;
        if mode == 0 {
            return Err(damaged("it is not in use"));
        }
        let file_type =
            FileType::from_mode(u32::from(mode)).ok_or_else(|| damaged("it has an unknown type"))?;
        let size = inode.be64(56)?;
        if size > i64::MAX.cast_unsigned() {
            return Err(damaged("it has a negative size"));
        }
        let flags2 = if version == 3 { inode.be64(120)? } else { 0 };
        let (data, attributes) = forks(inode, version, flags2).map_err(|error| match error {
            FsError::Corrupt { structure, problem } => damaged(&format!("{structure}: {problem}")),
            other => other,
        })?;
        let is_device = matches!(file_type, FileType::CharacterDevice | FileType::BlockDevice);
        Ok(Self {
            number,
            stat: Stat {
                file_type,
                mode: mode & 0o7777,
                size,
                uid: inode.be32(8)?,
                gid: inode.be32(12)?,
                // di_onlink, di_nlink
                links: if version == 1 { u32::from(inode.be16(6)?) } else { inode.be32(16)? },
                mtime: seconds(inode, 40, flags2)?,
                device: if is_device { Some(data.device()?) } else { None },
            },
            is_realtime: inode.be16(90)? & FLAG_REALTIME != 0,
            data,
            attributes,
        })
    }
}

/// The data fork, and that of the attributes: one behind the other, in what the inode's fields leave of it.
fn forks(inode: Bytes<'_>, version: u8, flags2: u64) -> Result<(Fork, Option<Fork>), FsError> {
    let start = if version == 3 { V3_SIZE } else { CRC_OFFSET };
    let area = inode.get(start, inode.0.len().saturating_sub(start))?;
    let (extents, attribute_extents) = if flags2 & FLAG2_NREXT64 == 0 {
        (u64::from(inode.be32(76)?), u64::from(inode.be16(80)?))
    } else {
        (inode.be64(24)?, u64::from(inode.be32(76)?))
    };
    // `di_forkoff` counts 8 bytes; 0 stands for no fork of attributes.
    let boundary = usize::from(inode.u8(82)?).saturating_mul(8);
    if boundary == 0 {
        return Ok((Fork::parse("the data fork", inode.u8(5)?, area, extents)?, None));
    }
    let (data, attributes) = area
        .split_at_checked(boundary)
        .ok_or_else(|| FsError::corrupt("the fork of attributes", "it lies behind the inode"))?;
    let data = Fork::parse("the data fork", inode.u8(5)?, data, extents)?;
    let attributes = Fork::parse("the fork of attributes", inode.u8(83)?, attributes, attribute_extents)?;
    // What was emptied stays as a fork without extents.
    let is_empty = attributes.format == Format::Extents && attribute_extents == 0;
    Ok((data, (!is_empty).then_some(attributes)))
}

/// The seconds since 1970 of the time at `at`.
fn seconds(inode: Bytes<'_>, at: usize, flags2: u64) -> Result<i64, Truncated> {
    if flags2 & FLAG2_BIGTIME == 0 {
        return Ok(i64::from(inode.be32(at)?.cast_signed()));
    }
    let nanoseconds = inode.be64(at)?;
    let seconds = i64::try_from(nanoseconds / 1_000_000_000).unwrap_or(i64::MAX);
    Ok(seconds.saturating_sub(BIGTIME_EPOCH))
}

impl Fork {
    /// The numbers of a device, `xfs_to_linux_dev_t`: in the encoding of System V, 18 bits of the minor number below those
    /// of the major one, of which Linux uses nine.
    fn device(&self) -> Result<DeviceNumbers, FsError> {
        if self.format != Format::Device {
            return Err(FsError::corrupt("the inode of a device", "it has no device numbers"));
        }
        let encoded = Bytes(&self.bytes).be32(0)?;
        Ok(DeviceNumbers { major: (encoded >> 18) & 0x1ff, minor: encoded & 0x3_ffff })
    }
}
