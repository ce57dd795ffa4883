//! Values that have blocks of their own: `struct xfs_attr3_rmt_hdr`.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::{FsError, InodeRecord, damaged};
use crate::fs::xfs::blocks::{Blocks, Header};
use crate::fs::xfs::fork::Fork;
use crate::fs::xfs::map;
use crate::volume::bytes::{Bytes, to_u64, to_usize};

/// `XFS_ATTR3_RMT_MAGIC`
const MAGIC: &[u8; 4] = b"XARM";
const HEADER: Header =
    Header { name: "a block of an extended attribute", crc: 12, blkno: 40, uuid: 16, owner: 32 };
/// The fields before the value's part in a block of version 5.
const HEADER_SIZE: usize = 56;
/// `XFS_XATTR_SIZE_MAX`, `XATTR_SIZE_MAX` in Linux.
const MOST_BYTES: usize = 64 << 10;

/// The value of `length` bytes that begins in block `first` of the fork. In version 5 each block has a header; in version 4
/// the value fills whole blocks.
pub(super) fn value(
    blocks: &Blocks,
    inode: &InodeRecord,
    fork: &Fork,
    first: u32,
    length: u32,
) -> Result<Vec<u8>, FsError> {
    let length = to_usize(length);
    if length > MOST_BYTES {
        return Err(damaged(inode, "a value is too long"));
    }
    // Many names may have one value, whose blocks are in memory from the second on.
    blocks.budget.bytes(to_u64(length))?;
    blocks.budget.work(to_u64(length))?;
    let mut value = Vec::with_capacity(length);
    let mut logical = u64::from(first);
    while value.len() < length {
        let content = map::structure(blocks, inode.number, fork, logical, 1, &HEADER)?
            .ok_or_else(|| damaged(inode, "a value has a hole"))?;
        let left = length.saturating_sub(value.len());
        let part = if blocks.sb.has_crc() {
            let bytes = Bytes(&content);
            // `rm_offset`, `rm_bytes`
            let (offset, count) = (u64::from(bytes.be32(4)?), to_usize(bytes.be32(8)?));
            if bytes.get(0, 4)? != MAGIC || offset != to_u64(value.len()) || count == 0 || count > left {
                return Err(damaged(inode, "a value does not go on where it should"));
            }
            bytes.get(HEADER_SIZE, count)?
        } else {
            content.get(..left.min(content.len())).unwrap_or_default()
        };
        value.extend_from_slice(part);
        logical = logical.saturating_add(1);
    }
    Ok(value)
}
