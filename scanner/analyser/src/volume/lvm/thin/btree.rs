//! The B+trees of the kernel's `drivers/md/persistent-data/dm-btree.c`, of which a pool's metadata consists. Keys are numbers of
//! 64 bits; a node is one block.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::sync::Arc;

use super::{BLOCK, checksum_is_right};
use crate::fs::FsError;
use crate::limits::{Budget, Limits};
use crate::volume::Volume;
use crate::volume::bytes::{Bytes, to_u64, to_usize};
use agentless_core::cache::Cache;

/// `BTREE_CSUM_XOR`
const CHECKSUM_MIX: u32 = 121_107;
/// `struct node_header`
const HEADER: usize = 32;
/// `INTERNAL_NODE` and `LEAF_NODE`
const INTERNAL: u32 = 1;
const LEAF: u32 = 2;
/// Nodes below each other. A node has at least 84 entries when its tree has grown, so that ten levels have more than 2⁶⁴.
/// Against a tree whose nodes point at themselves.
const DEPTH: u32 = 10;

/// Consecutive blocks of a thin volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The first data block; `None` if they were never written.
    pub(super) start: Option<u64>,
    /// How many there are: at least one.
    pub(super) blocks: u64,
}

/// The nodes of a pool's metadata.
#[derive(Debug)]
pub(super) struct Nodes {
    metadata: Arc<dyn Volume>,
    cache: Cache<Arc<Node>>,
    budget: Budget,
}

impl Nodes {
    pub(super) fn new(metadata: Arc<dyn Volume>, limits: &Limits) -> Self {
        let cache = Cache::of_bytes(limits.cache_bytes, to_u64(BLOCK));
        Self { metadata, cache, budget: Budget::new(limits) }
    }

    /// The value of `key` in the tree with this root.
    pub(super) fn find<const N: usize>(&mut self, root: u64, key: u64) -> Result<Option<[u8; N]>, FsError> {
        let place = self.descend(root, key, N)?;
        match place.index {
            Some(index) if place.node.key(index) == key => Ok(Some(place.node.value(index)?)),
            _ => Ok(None),
        }
    }

    /// Where `block` and up to `wanted` blocks from it on are, in a tree of block → data block with the time of its
    /// writing in the lowest 24 bits.
    pub(super) fn run(&mut self, root: u64, block: u64, wanted: u64) -> Result<Run, FsError> {
        let place = self.descend(root, block, 8)?;
        let node = &*place.node;
        let data_block = |index| Ok::<_, FsError>(u64::from_le_bytes(node.value(index)?) >> 24);
        let Some(index) = place.index.filter(|&index| node.key(index) == block) else {
            let next = place.index.map_or(0, |index| index.saturating_add(1));
            let end = if next < node.entries { node.key(next) } else { place.end };
            return Ok(Run { start: None, blocks: end.saturating_sub(block).max(1) });
        };
        let start = data_block(index)?;
        let mut blocks = 1_u64;
        while blocks < wanted {
            let next = index.saturating_add(to_usize(blocks));
            if next >= node.entries
                || node.key(next) != block.saturating_add(blocks)
                || data_block(next)? != start.saturating_add(blocks)
            {
                break;
            }
            blocks = blocks.saturating_add(1);
        }
        Ok(Run { start: Some(start), blocks })
    }

    /// Goes down to the leaf where `key` is, or would be.
    fn descend(&mut self, root: u64, key: u64, value_size: usize) -> Result<Place, FsError> {
        let (mut block, mut end) = (root, u64::MAX);
        for _ in 0..DEPTH {
            self.budget.step()?;
            let node = self.node(block)?;
            let index = node.last_up_to(key);
            if node.is_leaf {
                if node.value_size != value_size {
                    return Err(damaged(block, format!("its values have {} bytes", node.value_size)));
                }
                return Ok(Place { node, index, end });
            }
            if node.value_size != 8 || node.entries == 0 {
                return Err(damaged(block, "it leads to no other nodes"));
            }
            // Before its first key there is nothing, which the leftmost leaf says too.
            let child = index.unwrap_or(0);
            let next = child.saturating_add(1);
            if next < node.entries {
                end = end.min(node.key(next));
            }
            block = u64::from_le_bytes(node.value(child)?);
        }
        Err(damaged(root, format!("its tree has more than {DEPTH} levels")))
    }

    fn node(&mut self, block: u64) -> Result<Arc<Node>, FsError> {
        if let Some(node) = self.cache.get(block) {
            return Ok(node);
        }
        self.budget.bytes(to_u64(BLOCK))?;
        let offset = block.checked_mul(to_u64(BLOCK));
        let end = offset.and_then(|offset| offset.checked_add(to_u64(BLOCK)));
        let Some(offset) = offset.filter(|_| end.is_some_and(|end| end <= self.metadata.size())) else {
            return Err(damaged(block, "it is beyond the end of the metadata volume"));
        };
        let mut bytes = vec![0; BLOCK];
        self.metadata.read_at(offset, &mut bytes)?;
        let node = Arc::new(Node::parse(bytes, block)?);
        self.cache.insert(block, Arc::clone(&node));
        Ok(node)
    }
}

/// Where a key is, or would be.
struct Place {
    node: Arc<Node>,
    /// The last entry of the leaf that is not behind the key.
    index: Option<usize>,
    /// The first key that may be in the next leaf.
    end: u64,
}

/// A node whose checksum is right, and whose keys ascend and with their values lie within it.
#[derive(Debug)]
struct Node {
    is_leaf: bool,
    entries: usize,
    /// Where the values begin.
    values: usize,
    value_size: usize,
    bytes: Vec<u8>,
}

impl Node {
    fn parse(bytes: Vec<u8>, block: u64) -> Result<Self, FsError> {
        if !checksum_is_right(&bytes, CHECKSUM_MIX) {
            return Err(damaged(block, "its checksum is wrong"));
        }
        let header = Bytes(&bytes);
        if header.le64(8)? != block {
            return Err(damaged(block, "it is a copy from another block"));
        }
        let is_leaf = match header.le32(4)? {
            INTERNAL => false,
            LEAF => true,
            flags => return Err(damaged(block, format!("its flags are {flags:#x}"))),
        };
        let (entries, room) = (to_usize(header.le32(16)?), to_usize(header.le32(20)?));
        let value_size = to_usize(header.le32(24)?);
        let values = room.saturating_mul(8).saturating_add(HEADER);
        if entries > room || room.saturating_mul(value_size).saturating_add(values) > BLOCK {
            return Err(damaged(block, format!("its {entries} entries are outside of it")));
        }
        let node = Self { is_leaf, entries, values, value_size, bytes };
        let mut keys = (0..entries).map(|index| node.key(index));
        let mut last = keys.next();
        for key in keys {
            if last >= Some(key) {
                return Err(damaged(block, "its keys do not ascend"));
            }
            last = Some(key);
        }
        Ok(node)
    }

    /// The key of an entry.
    fn key(&self, index: usize) -> u64 {
        Bytes(&self.bytes).le64(index.saturating_mul(8).saturating_add(HEADER)).unwrap_or(u64::MAX)
    }

    fn value<const N: usize>(&self, index: usize) -> Result<[u8; N], FsError> {
        let at = index.saturating_mul(self.value_size).saturating_add(self.values);
        Ok(Bytes(&self.bytes).array(at)?)
    }

    /// The last entry whose key is not greater.
    fn last_up_to(&self, key: u64) -> Option<usize> {
        let (mut low, mut high) = (0, self.entries);
        while low < high {
            let middle = low.midpoint(high);
            if self.key(middle) <= key {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        low.checked_sub(1)
    }
}

fn damaged(block: u64, problem: impl Into<String>) -> FsError {
    FsError::corrupt(format!("node {block} of the thin pool's metadata"), problem)
}
