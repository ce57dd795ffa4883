//! Small files and directories inside their inode (`inline_data`): the first 60 bytes in `i_block`, the others as the
//! value of the extended attribute `system.data`, which is in the same inode.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::inode::InodeRecord;
use super::{FsError, xattr};
use crate::volume::bytes::to_usize;

/// The whole content, `i_size` bytes of it.
pub(super) fn content(inode: &InodeRecord) -> Result<Vec<u8>, FsError> {
    let mut content = inode.block.to_vec();
    content.extend_from_slice(xattr::inline_data(inode)?);
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
