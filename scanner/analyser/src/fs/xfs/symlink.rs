//! Symbolic links: their target is in the inode, or in blocks as `struct xfs_dsymlink_hdr` describes.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::FsError;
use super::blocks::{Blocks, Header, Piece};
use super::fork::Format;
use super::inode::InodeRecord;
use super::map;
use crate::volume::bytes::{Bytes, to_u64, to_usize};

/// `XFS_SYMLINK_MAGIC`
const MAGIC: &[u8; 4] = b"XSLM";
const HEADER: Header = Header { name: "a symbolic link's block", crc: 12, blkno: 40, uuid: 16, owner: 32 };
/// The fields before the target's part, in version 5.
const HEADER_SIZE: usize = 56;
/// `XFS_SYMLINK_MAXLEN`
const MOST_BYTES: u64 = 1024;

/// The target of a symbolic link.
pub(super) fn target(blocks: &Blocks, link: &InodeRecord) -> Result<Vec<u8>, FsError> {
    let damaged = |problem: &str| FsError::corrupt(format!("symbolic link inode {}", link.number), problem);
    let size = link.stat.size;
    blocks.limits.check_link(size)?;
    if size == 0 || size > MOST_BYTES {
        return Err(damaged(&format!("its target has {size} bytes")));
    }
    let length = to_usize(size);
    if link.data.format == Format::Local {
        let target = link.data.bytes.get(..length);
        return target.map(<[u8]>::to_vec).ok_or_else(|| damaged("its target is larger than its inode"));
    }
    let mut target = Vec::with_capacity(length);
    let mut logical = 0_u64;
    while target.len() < length {
        let run = map::run(blocks, link.number, &link.data, logical)?;
        let offset = run.offset.ok_or_else(|| damaged("its target has a hole"))?;
        let left = length.saturating_sub(target.len());
        let (content, part) = if blocks.sb.has_crc() {
            // Each run of blocks has one header, and is as long as what is left of the target needs.
            let needed = to_u64(left.saturating_add(HEADER_SIZE)).div_ceil(u64::from(blocks.sb.blocksize));
            let length = u32::try_from(run.blocks.min(needed)).unwrap_or(u32::MAX);
            let piece = Piece { offset, length: length.saturating_mul(blocks.sb.blocksize) };
            let content = blocks.described(&[piece], &HEADER, link.number)?;
            let bytes = Bytes(&content);
            // `sl_offset`, `sl_bytes`
            let (offset, count) = (u64::from(bytes.be32(4)?), to_usize(bytes.be32(8)?));
            if bytes.get(0, 4)? != MAGIC || offset != to_u64(target.len()) || count == 0 || count > left {
                return Err(damaged("its target does not go on where it should"));
            }
            bytes.get(HEADER_SIZE, count)?;
            (content, HEADER_SIZE..HEADER_SIZE.saturating_add(count))
        } else {
            let content = blocks.plain(offset, blocks.sb.blocksize)?;
            let count = left.min(content.len());
            (content, 0..count)
        };
        target.extend_from_slice(content.get(part).unwrap_or_default());
        logical = logical.saturating_add(to_u64(content.len()) >> blocks.sb.blocklog);
    }
    Ok(target)
}
