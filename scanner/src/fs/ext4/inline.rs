//! Small files and directories inside their inode (`inline_data`): the first 60 bytes in `i_block`, the others as the
//! value of the extended attribute `system.data`, which is in the same inode.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::FsError;
use super::inode::InodeRecord;
use crate::volume::bytes::{Bytes, to_usize};

/// `EXT4_XATTR_MAGIC`
const MAGIC: u32 = 0xea02_0000;
/// `EXT4_XATTR_INDEX_SYSTEM`
const INDEX_SYSTEM: u8 = 7;
/// The length of `struct ext4_xattr_entry` without the name.
const ENTRY: usize = 16;

/// The part of the content that is in the extended attribute; empty if there is none.
pub(super) fn continuation(inode: &InodeRecord) -> Result<&[u8], FsError> {
    let damaged =
        |problem| FsError::corrupt(format!("the extended attributes of inode {}", inode.number), problem);
    let attributes = Bytes(&inode.attributes);
    if attributes.le32(0).unwrap_or(0) != MAGIC {
        return Ok(&[]);
    }
    let Some(entries) = inode.attributes.get(4..) else { return Ok(&[]) };
    let bytes = Bytes(entries);
    let mut at = 0_usize;
    // The list ends with four zero bytes; each entry takes at least 16, so the loop is bounded by the inode's size.
    while bytes.le32(at).unwrap_or(0) != 0 {
        let name_len = usize::from(bytes.u8(at)?);
        let name_index = bytes.u8(at.saturating_add(1))?;
        let name = bytes.get(at.saturating_add(ENTRY), name_len)?;
        if name_index == INDEX_SYSTEM && name == b"data" {
            if bytes.le32(at.saturating_add(4))? != 0 {
                return Err(damaged("inline data is not in the inode"));
            }
            let offset = usize::from(bytes.le16(at.saturating_add(2))?);
            let size = to_usize(bytes.le32(at.saturating_add(8))?);
            return bytes.get(offset, size).map_err(|_| damaged("a value does not fit into the inode"));
        }
        at = at.saturating_add(ENTRY).saturating_add(name_len.next_multiple_of(4));
    }
    Ok(&[])
}

/// The whole content, `i_size` bytes of it.
pub(super) fn content(inode: &InodeRecord) -> Result<Vec<u8>, FsError> {
    let mut content = inode.block.to_vec();
    content.extend_from_slice(continuation(inode)?);
    let size = to_usize(inode.stat.size);
    if size > content.len() {
        return Err(FsError::corrupt(
            format!("the inline data of inode {}", inode.number),
            format!("it has {} of {size} bytes", content.len()),
        ));
    }
    content.truncate(size);
    Ok(content)
}
