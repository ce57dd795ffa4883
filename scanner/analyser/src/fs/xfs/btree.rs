//! B+trees of extents: forks with more extents than the inode has room for. Names and offsets are those of the kernel's
//! `fs/xfs/libxfs/xfs_format.h`, `struct xfs_bmdr_block` and `struct xfs_btree_block` in its long form.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::sync::Arc;

use super::FsError;
use super::blocks::{Blocks, Header, Piece};
use super::fork::{Extent, Extents};
use crate::volume::bytes::{Bytes, Truncated};

/// `XFS_BMAP_MAGIC`
const V4_MAGIC: &[u8] = b"BMAP";
/// `XFS_BMAP_CRC_MAGIC`
const V5_MAGIC: &[u8] = b"BMA3";
/// `XFS_BTREE_LBLOCK_LEN`
const V4_HEADER_SIZE: usize = 24;
/// `XFS_BTREE_LBLOCK_CRC_LEN`
const V5_HEADER_SIZE: usize = 72;
const HEADER: Header = Header { name: "a block of the extent tree", crc: 64, blkno: 24, uuid: 40, owner: 56 };

/// What a tree says about a block of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The extent that has it.
    Extent(Extent),
    /// It is in no extent, and neither are those before this one.
    HoleUntil(u64),
}

/// Finds the extent of block `logical` in the tree of a fork of inode `owner`, whose root is `root`.
pub(super) fn find(blocks: &Blocks, owner: u64, root: &[u8], logical: u64) -> Result<Found, FsError> {
    let damaged = |problem: &str| FsError::corrupt(format!("the extent tree of inode {owner}"), problem);
    let mut level = Bytes(root).be16(0)?;
    if level == 0 || level > blocks.limits.extent_depth {
        return Err(damaged(&format!("it has {level} levels")));
    }
    // Of a block's header the root has `bb_level` and `bb_numrecs` only.
    let root_node = Node::new(root, 4, Bytes(root).be16(2)?).ok_or_else(|| damaged("its root is damaged"))?;
    let mut child = root_node.child(logical)?;
    // Where the part of the file ends that the nodes passed are about.
    let mut end = child.until;
    let header_size = if blocks.sb.has_crc() { V5_HEADER_SIZE } else { V4_HEADER_SIZE };
    loop {
        level = level.saturating_sub(1);
        let content = load(blocks, owner, child.block, level)?;
        let count = Bytes(&content).be16(6)?;
        if level == 0 {
            let list_end = header_size.saturating_add(usize::from(count).saturating_mul(Extent::SIZE));
            let list =
                content.get(header_size..list_end).ok_or_else(|| damaged("a leaf has too many extents"))?;
            return Ok(match Extents(list).at_or_behind(logical)? {
                Some(extent) if extent.logical <= logical => Found::Extent(extent),
                Some(next) => Found::HoleUntil(end.min(next.logical)),
                None => Found::HoleUntil(end),
            });
        }
        let node = Node::new(&content, header_size, count).ok_or_else(|| damaged("a node is damaged"))?;
        child = node.child(logical)?;
        end = end.min(child.until);
    }
}

/// A block of a tree that has `level` levels below it.
fn load(blocks: &Blocks, owner: u64, fsblock: u64, level: u16) -> Result<Arc<[u8]>, FsError> {
    let damaged =
        |problem| FsError::corrupt(format!("block {fsblock} of the extent tree of inode {owner}"), problem);
    let offset = blocks.sb.fsblock_offset(fsblock, 1).ok_or_else(|| damaged("there is no such block"))?;
    let piece = Piece { offset, length: blocks.sb.blocksize };
    let content = blocks.described(&[piece], &HEADER, owner)?;
    if content.get(..4) != Some(if blocks.sb.has_crc() { V5_MAGIC } else { V4_MAGIC }) {
        return Err(damaged("it has another magic number"));
    }
    if Bytes(&content).be16(4)? != level {
        return Err(damaged("it is of another level"));
    }
    Ok(content)
}

/// A block of a tree above its leaves: the first blocks of the file that its children have, and where on the volume the
/// children are.
struct Node<'a> {
    keys: &'a [[u8; 8]],
    pointers: &'a [[u8; 8]],
}

/// What a node says about a block of the file.
struct Child {
    /// Where it goes on, as a block of the filesystem.
    block: u64,
    /// The first block of the file that the next child has.
    until: u64,
}

impl<'a> Node<'a> {
    /// A node whose `count` entries, at least one, begin at `at`: all keys, then, behind space for as many keys as fit, all
    /// pointers.
    fn new(content: &'a [u8], at: usize, count: u16) -> Option<Self> {
        let area = content.get(at..)?.as_chunks::<8>().0;
        let (keys, pointers) = area.split_at_checked(area.len() / 2)?;
        let count = usize::from(count);
        (count > 0).then_some(())?;
        Some(Self { keys: keys.get(..count)?, pointers: pointers.get(..count)? })
    }

    fn child(&self, logical: u64) -> Result<Child, Truncated> {
        let behind = self.keys.partition_point(|&key| u64::from_be_bytes(key) <= logical);
        let entry = behind.saturating_sub(1).saturating_mul(8);
        let until = self.keys.get(behind).map_or(u64::MAX, |&key| u64::from_be_bytes(key));
        Ok(Child { block: Bytes(self.pointers.as_flattened()).be64(entry)?, until })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_leads_to_the_last_child_that_begins_before() {
        let numbers = [10_u64, 20, 30, 0, 1, 2, 3, 0];
        let content: Vec<u8> =
            [0; 4].into_iter().chain(numbers.iter().flat_map(|n| n.to_be_bytes())).collect();
        let node = Node::new(&content, 4, 3).unwrap();
        let found = [0, 10, 19, 20, 30, u64::MAX].map(|logical| {
            let child = node.child(logical).unwrap();
            (child.block, child.until)
        });
        assert_eq!(found, [(1, 10), (1, 20), (1, 20), (2, 30), (3, u64::MAX), (3, u64::MAX)]);
        assert!(Node::new(&content, 4, 5).is_none(), "more keys than space");
        assert!(Node::new(&content, 4, 0).is_none());
    }
}
