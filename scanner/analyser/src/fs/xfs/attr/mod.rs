//! Extended attributes. Names and offsets are those of the kernel's `fs/xfs/libxfs/xfs_da_format.h`.
//!
//! Few and small ones are in the inode; others are in leaves, found through an index as that of directories; a large value
//! has blocks of its own.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod leaf;
mod remote;

use std::ops::ControlFlow;

use super::FsError;
use super::blocks::Blocks;
use super::fork::{Fork, Format};
use super::inode::InodeRecord;
use crate::fs::Xattr;
use crate::volume::bytes::Bytes;

/// `XFS_ATTR_LOCAL`: the value is next to the name.
const LOCAL: u8 = 0x1;
/// `XFS_ATTR_ROOT`
const ROOT: u8 = 0x2;
/// `XFS_ATTR_SECURE`
const SECURE: u8 = 0x4;
/// `XFS_ATTR_PARENT`: the name that a directory has for this inode, which is no attribute that users see.
const PARENT: u8 = 0x8;
/// `XFS_ATTR_INCOMPLETE`: being written or removed.
const INCOMPLETE: u8 = 0x80;
/// `SGI_ACL_FILE` and `SGI_ACL_DEFAULT`: the access control lists, among the attributes of [`ROOT`].
const ACCESS_CONTROL_LISTS: [&[u8]; 2] = [b"SGI_ACL_FILE", b"SGI_ACL_DEFAULT"];

/// Calls `visit` with each attribute that users see, but for access control lists, until it breaks.
pub(super) fn read(
    blocks: &Blocks,
    inode: &InodeRecord,
    visit: &mut dyn FnMut(Xattr<'_>) -> ControlFlow<()>,
) -> Result<(), FsError> {
    let Some(fork) = &inode.attributes else { return Ok(()) };
    match fork.format {
        Format::Local => shortform(blocks, fork, visit),
        Format::Extents | Format::Btree => leaf::read(blocks, inode, fork, visit),
        Format::Device => Err(damaged(inode, "their fork is that of a device")),
    }
}

/// Those in the inode: `struct xfs_attr_sf_hdr` and `struct xfs_attr_sf_entry`.
fn shortform(
    blocks: &Blocks,
    fork: &Fork,
    visit: &mut dyn FnMut(Xattr<'_>) -> ControlFlow<()>,
) -> Result<(), FsError> {
    let bytes = Bytes(&fork.bytes);
    let mut at = 4_usize;
    for _ in 0..bytes.u8(2)? {
        blocks.budget.step()?;
        // `namelen`, `valuelen`, `flags`
        let [name_length, value_length, flags] = bytes.array(at)?;
        let name_at = at.saturating_add(3);
        let name = bytes.get(name_at, usize::from(name_length))?;
        let value_at = name_at.saturating_add(name.len());
        let value = bytes.get(value_at, usize::from(value_length))?;
        at = value_at.saturating_add(value.len());
        if let Some(name) = visible_name(flags, name)
            && visit(Xattr { name: &name, value }).is_break()
        {
            break;
        }
    }
    Ok(())
}

/// The name with its namespace's prefix; `None` for what users do not see.
fn visible_name(flags: u8, name: &[u8]) -> Option<Vec<u8>> {
    if flags & (PARENT | INCOMPLETE) != 0 {
        return None;
    }
    let prefix: &[u8] = match flags & (ROOT | SECURE) {
        0 => b"user.",
        ROOT if ACCESS_CONTROL_LISTS.contains(&name) => return None,
        ROOT => b"trusted.",
        SECURE => b"security.",
        _ => return None,
    };
    Some([prefix, name].concat())
}

fn damaged(inode: &InodeRecord, problem: &str) -> FsError {
    FsError::corrupt(format!("the extended attributes of inode {}", inode.number), problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_those_of_the_flags() {
        let name =
            |flags, name: &[u8]| visible_name(flags, name).map(|name| String::from_utf8(name).unwrap());
        assert_eq!(name(LOCAL, b"a").as_deref(), Some("user.a"));
        assert_eq!(name(ROOT, b"overlay.opaque").as_deref(), Some("trusted.overlay.opaque"));
        assert_eq!(name(SECURE | LOCAL, b"capability").as_deref(), Some("security.capability"));
        assert_eq!(name(ROOT, b"SGI_ACL_FILE"), None);
        assert_eq!(name(PARENT, b"file"), None);
        assert_eq!(name(INCOMPLETE, b"a"), None);
    }
}
