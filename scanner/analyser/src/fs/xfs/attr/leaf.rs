//! Leaves with attributes: `struct xfs_attr_leafblock`, `struct xfs_attr_leaf_entry`, and the names
//! `struct xfs_attr_leaf_name_local` and `struct xfs_attr_leaf_name_remote`.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::ops::ControlFlow;

use super::{FsError, LOCAL, damaged, remote, visible_name};
use crate::fs::Xattr;
use crate::fs::xfs::blocks::Blocks;
use crate::fs::xfs::da::{self, Index};
use crate::fs::xfs::fork::Fork;
use crate::fs::xfs::inode::InodeRecord;
use crate::volume::bytes::{Bytes, to_u64};

/// `XFS_ATTR_LEAF_MAGIC`
const V4_LEAF: u16 = 0xfbee;
/// `XFS_ATTR3_LEAF_MAGIC`
const V5_LEAF: u16 = 0x3bee;

/// Calls `visit` with the attributes of each leaf, in their order.
pub(super) fn read(
    blocks: &Blocks,
    inode: &InodeRecord,
    fork: &Fork,
    visit: &mut dyn FnMut(Xattr<'_>) -> ControlFlow<()>,
) -> Result<(), FsError> {
    let index = Index { blocks, owner: inode.number, fork, unit: 1, first: 0, end: u64::from(u32::MAX) };
    let root = index.root()?.ok_or_else(|| damaged(inode, "they have no blocks"))?;
    let mut leaf = index.leaf_of(root, 0)?;
    let start = leaf.as_ref().map_or(0, |leaf| leaf.at);
    while let Some(block) = leaf {
        if block.magic != if blocks.sb.has_crc() { V5_LEAF } else { V4_LEAF } {
            return Err(damaged(inode, "a leaf has another magic number"));
        }
        if (Leaf { blocks, inode, fork, block: &block }).visit(visit)?.is_break() {
            return Ok(());
        }
        leaf = index.next(&block, start)?;
    }
    Ok(())
}

struct Leaf<'a> {
    blocks: &'a Blocks,
    inode: &'a InodeRecord,
    fork: &'a Fork,
    block: &'a da::Block,
}

impl Leaf<'_> {
    fn visit(&self, visit: &mut dyn FnMut(Xattr<'_>) -> ControlFlow<()>) -> Result<ControlFlow<()>, FsError> {
        // Where the entries begin, behind the fields of `xfs_attr_leaf_hdr` or `xfs_attr3_leaf_hdr`.
        let mut at = if self.blocks.sb.has_crc() { 80_usize } else { 32 };
        let bytes = Bytes(&self.block.content);
        for _ in 0..self.block.count {
            self.blocks.budget.step()?;
            // `hashval`, `nameidx`, `flags`, `pad2`
            let entry = Bytes(bytes.get(at, 8)?);
            at = at.saturating_add(8);
            let (name_at, flags) = (usize::from(entry.be16(4)?), entry.u8(6)?);
            let fields = Bytes(bytes.0.get(name_at..).unwrap_or_default());
            let done = if flags & LOCAL == 0 {
                // `valueblk`, `valuelen`, `namelen`
                let name = fields.get(9, usize::from(fields.u8(8)?))?;
                let Some(name) = visible_name(flags, name) else { continue };
                let value =
                    remote::value(self.blocks, self.inode, self.fork, fields.be32(0)?, fields.be32(4)?)?;
                visit(Xattr { name: &name, value: &value })
            } else {
                // `valuelen`, `namelen`
                let name = fields.get(3, usize::from(fields.u8(2)?))?;
                let value = fields.get(name.len().saturating_add(3), usize::from(fields.be16(0)?))?;
                let Some(name) = visible_name(flags, name) else { continue };
                self.blocks.budget.bytes(to_u64(value.len()))?;
                visit(Xattr { name: &name, value })
            };
            if done.is_break() {
                return Ok(done);
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}
