//! The superblock of a pool's metadata, its block 0: `struct thin_disk_superblock`. All numbers are little-endian.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::{BLOCK, checksum_is_right};
use crate::fs::FsError;
use crate::volume::Volume;
use crate::volume::bytes::{Bytes, to_u64};

/// `THIN_SUPERBLOCK_MAGIC`
const MAGIC: u64 = 27_022_010;
/// `SUPERBLOCK_CSUM_XOR`
const CHECKSUM_MIX: u32 = 160_774;
/// `DATA_DEV_BLOCK_SIZE_MIN_SECTORS`
const SMALLEST_DATA_BLOCK: u32 = 128;
const SECTOR: u64 = 512;

/// Where everything else is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Superblock {
    /// The root of the tree of device → tree of block → data block.
    pub(super) mapping_root: u64,
    /// The root of the tree of device → details.
    pub(super) details_root: u64,
    /// The size of a data block in bytes, at least 64 KiB.
    pub(super) block_size: u64,
}

impl Superblock {
    pub(super) fn read(metadata: &dyn Volume) -> Result<Self, FsError> {
        if metadata.size() < to_u64(BLOCK) {
            return Err(damaged("its volume is too short"));
        }
        let mut block = vec![0; BLOCK];
        metadata.read_at(0, &mut block)?;
        let sb = Bytes(&block);
        if sb.le64(32)? != MAGIC {
            return Err(damaged("it has no magic number"));
        }
        if !checksum_is_right(&block, CHECKSUM_MIX) {
            return Err(damaged("its checksum is wrong"));
        }
        if sb.le64(8)? != 0 {
            return Err(damaged("it is a copy from another block"));
        }
        // Version 2 only promises that a lookup of a device that is not there finds nothing.
        let (version, features) = (sb.le32(40)?, sb.le32(360)?);
        if !(1..=2).contains(&version) || features != 0 {
            return Err(FsError::Unsupported {
                feature: format!(
                    "a thin pool with metadata of version {version} and incompatible features {features:#x}"
                ),
            });
        }
        let metadata_block = u64::from(sb.le32(340)?).saturating_mul(SECTOR);
        if metadata_block != to_u64(BLOCK) {
            return Err(damaged(format!("its blocks of metadata have {metadata_block} bytes")));
        }
        let block_sectors = sb.le32(336)?;
        if block_sectors < SMALLEST_DATA_BLOCK {
            return Err(damaged(format!("its data blocks have {block_sectors} sectors")));
        }
        let block_size = u64::from(block_sectors).saturating_mul(SECTOR);
        Ok(Self { mapping_root: sb.le64(320)?, details_root: sb.le64(328)?, block_size })
    }
}

fn damaged(problem: impl Into<String>) -> FsError {
    FsError::corrupt("the superblock of the thin pool", problem)
}
