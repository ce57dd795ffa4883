//! The superblock: 1024 bytes at offset 1024. Names and offsets are those of the kernel's `ext4/globals.rst`,
//! `struct ext4_super_block`.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::checksum::{crc16, crc32c};
use super::{FsError, feature};
use crate::volume::bytes::Bytes;

/// Where the superblock is, in bytes.
pub(super) const OFFSET: u64 = 1024;
/// Its length.
pub(super) const SIZE: usize = 1024;
/// `s_magic`
const MAGIC: u16 = 0xef53;

/// The geometry and features of a filesystem, each number within its bounds.
#[derive(Clone, Debug)]
pub(super) struct Superblock {
    pub(super) inodes_count: u32,
    pub(super) blocks_count: u64,
    pub(super) first_data_block: u32,
    /// In bytes: a power of two from 1024 to 65536.
    pub(super) block_size: u32,
    /// At least 1.
    pub(super) blocks_per_group: u32,
    /// At least 1.
    pub(super) inodes_per_group: u32,
    /// In bytes: a power of two from 128 to the size of a block.
    pub(super) inode_size: u16,
    /// Size of a group descriptor in bytes: 32, or a power of two from 64 to 1024.
    pub(super) desc_size: u16,
    pub(super) first_meta_bg: u32,
    pub(super) backup_bgs: [u32; 2],
    pub(super) compat: u32,
    pub(super) incompat: u32,
    pub(super) ro_compat: u32,
    pub(super) uuid: [u8; 16],
    /// `s_volume_name`, up to its first zero.
    pub(super) label: Vec<u8>,
    /// What checksums of metadata start with.
    pub(super) checksum_seed: u32,
    pub(super) journal_inum: u32,
    pub(super) journal_dev: u32,
    /// `s_hash_seed`, or the hash functions' own start where it is zero.
    pub(super) hash_seed: [u32; 4],
    /// Whether names were hashed as unsigned characters: depends on the machine that made the filesystem.
    pub(super) hash_unsigned: bool,
    /// `EXT4_OS_LINUX`. Others use some fields of an inode in their own way.
    pub(super) created_by_linux: bool,
}

/// Whether these 1024 bytes have ext4's signature.
pub(super) fn has_magic(superblock: &[u8]) -> bool {
    Bytes(superblock).le16(0x38).is_ok_and(|magic| magic == MAGIC)
}

impl Superblock {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, FsError> {
        let sb = Bytes(bytes);
        if !has_magic(bytes) {
            return Err(damaged("it has no magic number"));
        }
        let (compat, incompat, ro_compat) = (sb.le32(0x5c)?, sb.le32(0x60)?, sb.le32(0x64)?);
        if ro_compat & feature::RO_COMPAT_METADATA_CSUM != 0 {
            if sb.u8(0x175)? != 1 {
                return Err(FsError::Unsupported {
                    feature: "ext4 with an unknown type of checksum".to_owned(),
                });
            }
            if crc32c(u32::MAX, sb.get(0, 0x3fc)?) != sb.le32(0x3fc)? {
                return Err(damaged("its checksum is wrong"));
            }
        }
        feature::check(incompat)?;

        let log_block_size = sb.le32(0x18)?;
        if log_block_size > 6 {
            return Err(damaged(format!("its block size is 2^{log_block_size} KiB")));
        }
        let block_size = 1024_u32 << log_block_size.min(6);
        let wide = incompat & feature::WIDE != 0;
        let high = if wide { sb.le32(0x150)? } else { 0 };
        let uuid = sb.array(0x68)?;
        let checksum_seed = match incompat & feature::CSUM_SEED {
            0 => crc32c(u32::MAX, &uuid),
            _ => sb.le32(0x270)?,
        };
        let hash_seed = [sb.le32(0xec)?, sb.le32(0xf0)?, sb.le32(0xf4)?, sb.le32(0xf8)?];
        let parsed = Self {
            inodes_count: sb.le32(0)?,
            blocks_count: u64::from(sb.le32(4)?) | (u64::from(high) << 32),
            first_data_block: sb.le32(0x14)?,
            block_size,
            blocks_per_group: sb.le32(0x20)?,
            inodes_per_group: sb.le32(0x28)?,
            // Revision 0 has no such field.
            inode_size: if sb.le32(0x4c)? == 0 { 128 } else { sb.le16(0x58)? },
            desc_size: if wide { sb.le16(0xfe)? } else { 32 },
            first_meta_bg: sb.le32(0x104)?,
            backup_bgs: [sb.le32(0x24c)?, sb.le32(0x250)?],
            compat,
            incompat,
            ro_compat,
            uuid,
            label: sb.get(0x78, 16)?.split(|&byte| byte == 0).next().unwrap_or_default().to_vec(),
            checksum_seed,
            journal_inum: sb.le32(0xe0)?,
            journal_dev: sb.le32(0xe4)?,
            hash_seed: if hash_seed == [0; 4] {
                [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476]
            } else {
                hash_seed
            },
            hash_unsigned: sb.le32(0x160)? & 2 != 0,
            created_by_linux: sb.le32(0x48)? == 0,
        };
        parsed.check()?;
        Ok(parsed)
    }

    /// The bounds that the fields' docs promise.
    fn check(&self) -> Result<(), FsError> {
        let inode_size = u32::from(self.inode_size);
        if inode_size < 128 || !inode_size.is_power_of_two() || inode_size > self.block_size {
            return Err(damaged(format!("its inodes have {inode_size} bytes")));
        }
        let desc_size = self.desc_size;
        if self.is_wide() && !(64..=1024).contains(&desc_size) || !desc_size.is_power_of_two() {
            return Err(damaged(format!("its group descriptors have {desc_size} bytes")));
        }
        if self.blocks_per_group == 0 || self.inodes_per_group == 0 {
            return Err(damaged("its groups are empty"));
        }
        if self.blocks_count <= u64::from(self.first_data_block) {
            return Err(damaged(format!("it has {} blocks", self.blocks_count)));
        }
        Ok(())
    }

    fn is_wide(&self) -> bool {
        self.incompat & feature::WIDE != 0
    }

    pub(super) fn has_metadata_csum(&self) -> bool {
        self.ro_compat & feature::RO_COMPAT_METADATA_CSUM != 0
    }

    pub(super) fn has_journal(&self) -> bool {
        self.compat & feature::COMPAT_HAS_JOURNAL != 0
    }

    /// Whether the journal must be replayed: the filesystem was mounted when the volume was copied.
    pub(super) fn needs_recovery(&self) -> bool {
        self.incompat & feature::RECOVER != 0
    }

    /// The size of the filesystem in bytes.
    pub(super) fn size(&self) -> u64 {
        self.blocks_count.saturating_mul(u64::from(self.block_size))
    }

    /// The number of block groups, the last of which may be shorter.
    pub(super) fn group_count(&self) -> u64 {
        self.blocks_count
            .saturating_sub(u64::from(self.first_data_block))
            .div_ceil(u64::from(self.blocks_per_group))
    }

    /// ext2, ext3 or ext4: what the kernel would call a filesystem with these features.
    pub(super) fn kind(&self) -> &'static str {
        if self.incompat & feature::INCOMPAT_EXT4 != 0 || self.ro_compat & feature::RO_COMPAT_EXT4 != 0 {
            "ext4"
        } else if self.has_journal() {
            "ext3"
        } else {
            "ext2"
        }
    }

    /// Whether the descriptor of `group` has the right checksum. The descriptor's own field is at bytes 0x1E to 0x20.
    pub(super) fn descriptor_checksum_is_right(
        &self,
        group: u32,
        descriptor: &[u8],
    ) -> Result<bool, FsError> {
        let bytes = Bytes(descriptor);
        let recorded = bytes.le16(0x1e)?;
        let (before, after) = (bytes.get(0, 0x1e)?, bytes.get(0x20, descriptor.len().saturating_sub(0x20))?);
        if self.has_metadata_csum() {
            let crc = crc32c(self.checksum_seed, &group.to_le_bytes());
            let crc = crc32c(crc32c(crc32c(crc, before), &[0; 2]), after);
            return Ok(u32::from(recorded) == crc & 0xffff);
        }
        if self.ro_compat & feature::RO_COMPAT_GDT_CSUM != 0 {
            let crc = crc16(crc16(u16::MAX, &self.uuid), &group.to_le_bytes());
            return Ok(recorded == crc16(crc16(crc, before), after));
        }
        Ok(true)
    }
}

fn damaged(problem: impl Into<String>) -> FsError {
    FsError::corrupt("the ext4 superblock", problem)
}
