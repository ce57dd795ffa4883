//! The trees by which large directories and many extended attributes are found: nodes and leaves in a fork, sorted by the
//! hash of names. Names and offsets are those of the kernel's `fs/xfs/libxfs/xfs_da_format.h`.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::sync::Arc;

use super::FsError;
use super::blocks::{Blocks, Header};
use super::fork::Fork;
use super::map;
use crate::volume::bytes::Bytes;

/// `XFS_DA_NODE_MAGIC`
const V4_NODE: u16 = 0xfebe;
/// `XFS_DA3_NODE_MAGIC`
const V5_NODE: u16 = 0x3ebe;
/// `XFS_DA_NODE_MAXDEPTH`
const MAX_LEVELS: u16 = 5;
/// `struct xfs_da3_blkinfo`
const HEADER: Header = Header { name: "a block of the name index", crc: 12, blkno: 16, uuid: 32, owner: 48 };

/// The blocks of a fork that are nodes and leaves.
#[derive(Clone, Copy)]
pub(super) struct Index<'a> {
    pub(super) blocks: &'a Blocks,
    /// The inode.
    pub(super) owner: u64,
    pub(super) fork: &'a Fork,
    /// How many blocks of the filesystem one block of the tree has.
    pub(super) unit: u32,
    /// Where the tree is in the fork: its root is the first block.
    pub(super) first: u64,
    /// The first block of the fork behind the tree.
    pub(super) end: u64,
}

/// A node or a leaf.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// Its place in the fork.
    pub(super) at: u64,
    pub(super) content: Arc<[u8]>,
    /// `magic`
    pub(super) magic: u16,
    /// `forw`: the next block of the same level; 0 if there is none.
    forw: u64,
    /// `back`: the one before.
    back: u64,
    /// `count`: entries.
    pub(super) count: u16,
}

impl Index<'_> {
    /// The length of `struct xfs_da_blkinfo` or `struct xfs_da3_blkinfo`, which is followed by the number of entries.
    pub(super) fn info_size(&self) -> usize {
        if self.blocks.sb.has_crc() { 56 } else { 12 }
    }

    pub(super) fn damaged(&self, problem: &str) -> FsError {
        FsError::corrupt(format!("the name index of inode {}", self.owner), problem)
    }

    /// The block at `at` in the fork, its header checked; `None` for a hole.
    pub(super) fn block(&self, at: u64) -> Result<Option<Block>, FsError> {
        if !(self.first..self.end).contains(&at) {
            return Err(self.damaged("it leads out of itself"));
        }
        let Some(content) = map::structure(self.blocks, self.owner, self.fork, at, self.unit, &HEADER)?
        else {
            return Ok(None);
        };
        let bytes = Bytes(&content);
        Ok(Some(Block {
            at,
            magic: bytes.be16(8)?,
            forw: u64::from(bytes.be32(0)?),
            back: u64::from(bytes.be32(4)?),
            count: bytes.be16(self.info_size())?,
            content,
        }))
    }

    /// The root: a node, or the only leaf. `None` if there is no tree.
    pub(super) fn root(&self) -> Result<Option<Block>, FsError> {
        self.block(self.first)
    }

    /// The first leaf below `root` that may have names with this hash; `None` if all names have lower hashes.
    pub(super) fn leaf_of(&self, root: Block, hash: u32) -> Result<Option<Block>, FsError> {
        let mut block = root;
        // Levels that are left, once the root was seen.
        let mut levels = None;
        while block.magic == self.node_magic() {
            self.blocks.budget.step()?;
            let level = Bytes(&block.content).be16(self.info_size().saturating_add(2))?;
            if level == 0 || level > MAX_LEVELS || levels.is_some_and(|left| left != level) {
                return Err(self.damaged("a node is of the wrong level"));
            }
            levels = Some(level.saturating_sub(1));
            let Some(child) = self.child_of(&block, hash)? else { return Ok(None) };
            block = self.block(child)?.ok_or_else(|| self.damaged("it leads to a hole"))?;
        }
        if levels.is_some_and(|left| left != 0) {
            return Err(self.damaged("it is less deep than it says"));
        }
        Ok(Some(block))
    }

    /// The leaf that follows `leaf`, in a search that began with the one at `start`. Neighbours must know each other, so
    /// the one way for leaves to form a circle is to lead back to the start.
    pub(super) fn next(&self, leaf: &Block, start: u64) -> Result<Option<Block>, FsError> {
        self.blocks.budget.step()?;
        if leaf.forw == 0 {
            return Ok(None);
        }
        let next = self.block(leaf.forw)?.ok_or_else(|| self.damaged("it leads to a hole"))?;
        if next.magic != leaf.magic || next.back != leaf.at || next.at == start {
            return Err(self.damaged("two neighbouring leaves do not know each other"));
        }
        Ok(Some(next))
    }

    fn node_magic(&self) -> u16 {
        if self.blocks.sb.has_crc() { V5_NODE } else { V4_NODE }
    }

    /// The first child whose highest hash is not below `hash`. Entries are `hashval` and `before`.
    fn child_of(&self, node: &Block, hash: u32) -> Result<Option<u64>, FsError> {
        // Behind `count` and `level`, in version 5 also four bytes of padding.
        let at = if self.blocks.sb.has_crc() { 64 } else { 16 };
        let entries = Entries::new(node, at).ok_or_else(|| self.damaged("a node has too many entries"))?;
        let index = entries.first_not_below(hash);
        Ok(entries.value(index).map(u64::from))
    }
}

/// The entries of a block, sorted: a hash, and a number.
#[derive(Clone, Copy)]
pub(super) struct Entries<'a>(&'a [[u8; 8]]);

impl<'a> Entries<'a> {
    /// The block's entries begin at `at`; `None` if it has not as much space as entries.
    pub(super) fn new(block: &'a Block, at: usize) -> Option<Self> {
        Self::all(block.content.get(at..)?).0.get(..usize::from(block.count)).map(Self)
    }

    /// An array that has nothing but entries.
    pub(super) fn all(array: &'a [u8]) -> Self {
        Self(array.as_chunks().0)
    }

    /// The first entry whose hash is not below `hash`: where they are not sorted any of them.
    pub(super) fn first_not_below(self, hash: u32) -> usize {
        self.0.partition_point(|&[a, b, c, d, ..]| u32::from_be_bytes([a, b, c, d]) < hash)
    }

    pub(super) fn hash(self, index: usize) -> Option<u32> {
        self.0.get(index).map(|&[a, b, c, d, ..]| u32::from_be_bytes([a, b, c, d]))
    }

    pub(super) fn value(self, index: usize) -> Option<u32> {
        self.0.get(index).map(|&[.., a, b, c, d]| u32::from_be_bytes([a, b, c, d]))
    }
}
