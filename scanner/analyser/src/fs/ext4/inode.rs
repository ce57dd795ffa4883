//! Inodes. Names and offsets are those of the kernel's `ext4/inodes.rst`, `struct ext4_inode`.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::blocks::Blocks;
use super::checksum::crc32c;
use super::superblock::Superblock;
use super::{FsError, feature, group};
use crate::fs::{DeviceNumbers, FileType, Inode, Stat};
use crate::volume::bytes::{Bytes, to_usize};

/// `EXT4_ENCRYPT_FL`
const ENCRYPTED: u32 = 0x800;
/// `EXT4_INDEX_FL`: the directory has an htree.
const INDEXED: u32 = 0x1000;
/// `EXT4_EXTENTS_FL`
const EXTENTS: u32 = 0x8_0000;
/// `EXT4_EA_INODE_FL`: the content is the value of an extended attribute of other inodes.
const ATTRIBUTE_VALUE: u32 = 0x20_0000;
/// `EXT4_INLINE_DATA_FL`
const INLINE_DATA: u32 = 0x1000_0000;
/// `EXT4_CASEFOLD_FL`: names differ in more than case.
const CASEFOLD: u32 = 0x4000_0000;

/// One inode, read and checked.
#[derive(Clone, Debug)]
pub(super) struct InodeRecord {
    pub(super) number: u32,
    pub(super) stat: Stat,
    flags: u32,
    /// `i_block`: block pointers, the root of an extent tree, a short link's target, or data.
    pub(super) block: [u8; 60],
    /// The extended attributes that lie within the inode, after `i_extra_isize`.
    pub(super) attributes: Vec<u8>,
    /// What checksums of this inode's own metadata start with; `None` if the filesystem has none.
    pub(super) checksum_seed: Option<u32>,
    /// `i_blocks`, in units that do not matter here: whether it is zero does.
    blocks: u64,
    /// `i_file_acl`: the block with the extended attributes that do not fit into the inode; 0 for none.
    pub(super) attribute_block: u64,
    /// `i_atime`: of the value of an extended attribute its checksum.
    pub(super) atime: u32,
}

/// The group that an inode is in, and its index there; `None` for a number that no inode has.
pub(super) fn place(sb: &Superblock, inode: Inode) -> Option<(u32, u64)> {
    let index = inode.0.checked_sub(1).filter(|_| inode.0 <= u64::from(sb.inodes_count))?;
    let per_group = u64::from(sb.inodes_per_group);
    let group = index.checked_div(per_group).filter(|&group| group < sb.group_count())?;
    Some((u32::try_from(group).ok()?, index.checked_rem(per_group)?))
}

/// Where an inode lies: the block, and the offset in it.
pub(super) fn location(blocks: &Blocks, sb: &Superblock, inode: Inode) -> Result<(u64, usize), FsError> {
    let out_of_range = || {
        FsError::corrupt(
            format!("a reference to inode {}", inode.0),
            format!("there are {} inodes", sb.inodes_count),
        )
    };
    let (group, index) = place(sb, inode).ok_or_else(out_of_range)?;
    let table = group::inode_table(blocks, sb, group)?;
    let offset = index.saturating_mul(u64::from(sb.inode_size));
    let block_size = u64::from(sb.block_size);
    let block = table.saturating_add(offset.checked_div(block_size).unwrap_or(0));
    Ok((block, to_usize(offset.checked_rem(block_size).unwrap_or(0))))
}

impl InodeRecord {
    pub(super) fn read(blocks: &Blocks, sb: &Superblock, inode: Inode) -> Result<Self, FsError> {
        let (block, offset) = location(blocks, sb, inode)?;
        let content = blocks.metadata(block)?;
        let raw = Bytes(&content).get(offset, usize::from(sb.inode_size))?;
        // `location` refused numbers above `s_inodes_count`, which is a u32.
        Self::parse(sb, u32::try_from(inode.0).unwrap_or(u32::MAX), raw)
    }

    fn parse(sb: &Superblock, number: u32, raw: &[u8]) -> Result<Self, FsError> {
        let bytes = Bytes(raw);
        let damaged = |problem: &str| FsError::corrupt(format!("inode {number}"), problem);
        let generation = bytes.le32(0x64)?;
        let checksum_seed =
            crc32c(crc32c(sb.checksum_seed, &number.to_le_bytes()), &generation.to_le_bytes());
        // `i_extra_isize`: how many of the fields after the first 128 bytes there are.
        let extra = if raw.len() > 128 { usize::from(bytes.le16(0x80)?) } else { 0 };
        if extra > raw.len().saturating_sub(128) || !extra.is_multiple_of(4) {
            return Err(damaged("its extra fields do not fit"));
        }
        let has_extra_field = |offset: usize| extra.saturating_add(128) >= offset.saturating_add(4);
        if sb.has_metadata_csum() && sb.created_by_linux {
            // The high half of the checksum, at 0x82, exists if there are four bytes of extra fields.
            verify(raw, checksum_seed, extra >= 4).map_err(|()| damaged("its checksum is wrong"))?;
        }

        let mode = bytes.le16(0)?;
        let file_type = FileType::from_mode(u32::from(mode)).ok_or_else(|| damaged("it is not in use"))?;
        let size_low = u64::from(bytes.le32(4)?);
        let size_high = u64::from(bytes.le32(0x6c)?);
        let has_high = file_type == FileType::Regular || sb.incompat & feature::LARGEDIR != 0;
        let (uid_high, gid_high) =
            if sb.created_by_linux { (bytes.le16(0x78)?, bytes.le16(0x7a)?) } else { (0, 0) };
        let mtime = i64::from(bytes.le32(0x10)?.cast_signed());
        // The lower two bits of `i_mtime_extra` continue the seconds, the others are nanoseconds.
        let epoch = if has_extra_field(0x88) { i64::from(bytes.le32(0x88)? & 3) << 32 } else { 0 };
        Ok(Self {
            number,
            stat: Stat {
                file_type,
                mode: mode & 0o7777,
                size: size_low | if has_high { size_high << 32 } else { 0 },
                uid: u32::from(bytes.le16(2)?) | (u32::from(uid_high) << 16),
                gid: u32::from(bytes.le16(0x18)?) | (u32::from(gid_high) << 16),
                links: u32::from(bytes.le16(0x1a)?),
                mtime: mtime.saturating_add(epoch),
                device: device_of(file_type, bytes)?,
            },
            flags: bytes.le32(0x20)?,
            block: bytes.array(0x28)?,
            attributes: raw.get(extra.saturating_add(128)..).unwrap_or_default().to_vec(),
            checksum_seed: sb.has_metadata_csum().then_some(checksum_seed),
            blocks: u64::from(bytes.le32(0x1c)?) | (u64::from(bytes.le16(0x74)?) << 32),
            attribute_block: attribute_block(sb, bytes)?,
            atime: bytes.le32(8)?,
        })
    }

    pub(super) fn has_extents(&self) -> bool {
        self.flags & EXTENTS != 0
    }

    pub(super) fn has_inline_data(&self) -> bool {
        self.flags & INLINE_DATA != 0
    }

    /// Whether the directory has an htree whose hashes are those of the names as they are stored.
    pub(super) fn has_htree(&self) -> bool {
        self.flags & INDEXED != 0 && self.flags & CASEFOLD == 0
    }

    /// Whether the directory's first block is the root of an htree.
    pub(super) fn is_indexed(&self) -> bool {
        self.flags & INDEXED != 0
    }

    /// Whether it holds the value of an extended attribute.
    pub(super) fn is_attribute_value(&self) -> bool {
        self.flags & ATTRIBUTE_VALUE != 0
    }

    /// Refuses what cannot be read without a key.
    pub(super) fn check_readable(&self) -> Result<(), FsError> {
        if self.flags & ENCRYPTED == 0 {
            return Ok(());
        }
        let what = match self.stat.file_type {
            FileType::Directory => "an encrypted directory (fscrypt)",
            FileType::Symlink => "an encrypted symbolic link (fscrypt)",
            _ => "an encrypted file (fscrypt)",
        };
        Err(FsError::Unsupported { feature: what.to_owned() })
    }

    /// Whether a symbolic link's target is in the inode itself. Linux decides by the number of blocks, not counting the
    /// one of the attributes; a link with attributes has at least one more if its target needs one.
    pub(super) fn is_fast_symlink(&self, sb: &Superblock) -> bool {
        let fits = self.stat.size < 60;
        if sb.incompat & feature::EA_INODE != 0 {
            return fits;
        }
        // `i_blocks` counts 512-byte units, here of the block of attributes.
        let of_attributes = if self.attribute_block == 0 { 0 } else { u64::from(sb.block_size / 512) };
        fits && (self.blocks <= of_attributes || !self.has_extents())
    }
}

/// `i_file_acl`, whose upper half is used only where block numbers have more than 32 bits.
fn attribute_block(sb: &Superblock, inode: Bytes<'_>) -> Result<u64, FsError> {
    let high = if sb.incompat & feature::WIDE == 0 { 0 } else { u64::from(inode.le16(0x76)?) << 32 };
    Ok(u64::from(inode.le32(0x68)?) | high)
}

/// The numbers of a device, in the first or in the second word of `i_block`: the first has eight bits for each, as long as
/// they suffice.
fn device_of(file_type: FileType, inode: Bytes<'_>) -> Result<Option<DeviceNumbers>, FsError> {
    if !matches!(file_type, FileType::CharacterDevice | FileType::BlockDevice) {
        return Ok(None);
    }
    Ok(Some(match inode.le32(0x28)? {
        0 => DeviceNumbers::decode(inode.le32(0x2c)?),
        old => DeviceNumbers { major: (old >> 8) & 0xff, minor: old & 0xff },
    }))
}

/// Compares an inode's checksum: over the whole inode, with the checksum's own fields as zeros.
fn verify(raw: &[u8], seed: u32, has_high: bool) -> Result<(), ()> {
    let field = |at: usize, len: usize| raw.get(at..at.saturating_add(len)).ok_or(());
    let low = Bytes(raw).le16(0x7c).map_err(drop)?;
    let mut crc = crc32c(crc32c(seed, field(0, 0x7c)?), &[0; 2]);
    crc = crc32c(crc, field(0x7e, 2)?);
    if raw.len() <= 128 {
        return if crc & 0xffff == u32::from(low) { Ok(()) } else { Err(()) };
    }
    crc = crc32c(crc, field(0x80, 2)?);
    let rest = raw.get(0x84..).ok_or(())?;
    if has_high {
        let high = Bytes(raw).le16(0x82).map_err(drop)?;
        crc = crc32c(crc32c(crc, &[0; 2]), rest);
        return if crc == u32::from(low) | (u32::from(high) << 16) { Ok(()) } else { Err(()) };
    }
    crc = crc32c(crc32c(crc, field(0x82, 2)?), rest);
    if crc & 0xffff == u32::from(low) { Ok(()) } else { Err(()) }
}
