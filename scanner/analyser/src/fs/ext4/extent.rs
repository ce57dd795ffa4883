//! Extent trees. Names and offsets are those of the kernel's `ext4/ifork.rst`.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::sync::Arc;

use super::FsError;
use super::blocks::{Blocks, Structure, Verified};
use super::checksum::crc32c;
use super::inode::InodeRecord;
use super::map::{Index, Run};
use crate::limits::Limits;
use crate::volume::bytes::Bytes;

/// `EXT4_EXT_MAGIC`
const MAGIC: u16 = 0xf30a;
/// The length of a node's header and of each of its entries.
const ENTRY: usize = 12;
/// The first block that an extent tree cannot address: `ee_block` has 32 bits.
const END: u64 = 1 << 32;
/// `EXT_INIT_MAX_LEN`: above it `ee_len` counts blocks that are allocated but were never written.
const INITIALISED: u16 = 32768;

/// Finds the run that begins with block `logical`: from the inode down, one node per level.
pub(super) fn run(
    blocks: &Blocks,
    inode: &InodeRecord,
    logical: u64,
    limits: &Limits,
) -> Result<Run, FsError> {
    let damaged =
        |problem: String| FsError::corrupt(format!("the extent tree of inode {}", inode.number), problem);
    let mut below: Option<(u64, Arc<[u8]>)> = None;
    let mut expected_depth = None;
    // Where the part of the file ends that the current node describes.
    let mut end = END;
    loop {
        let bytes = below.as_ref().map_or(&inode.block[..], |(_, content)| content);
        let node = Node::parse(bytes).map_err(|problem| damaged(problem.to_owned()))?;
        if expected_depth.is_some_and(|expected| expected != node.depth) || node.depth > limits.extent_depth {
            return Err(damaged(format!("a node has depth {}", node.depth)));
        }
        if let (Some((block, _)), Some(seed)) = (&below, inode.checksum_seed) {
            let by = Verified { structure: Structure::ExtentNode, seed };
            if !blocks.verify(*block, by, || node.checksum_is_right(seed))? {
                return Err(damaged("the checksum of a node is wrong".to_owned()));
            }
        }
        // The last entry that does not begin behind `logical`, and the one after it.
        let behind = node.first_entry_behind(logical)?;
        let next = node.entry(behind)?.map(first_block).transpose()?;
        end = next.unwrap_or(end).min(end);
        let hole = Run { start: None, blocks: end.saturating_sub(logical).max(1) };
        let Some(entry) = behind.checked_sub(1).map(|index| node.entry(index)).transpose()?.flatten() else {
            return Ok(hole);
        };
        let Some(depth_below) = node.depth.checked_sub(1) else {
            return leaf_run(entry, logical, hole)?.ok_or_else(|| damaged("an extent is empty".to_owned()));
        };
        let block = child(entry)?;
        below = Some((block, blocks.metadata(block)?));
        expected_depth = Some(depth_below);
    }
}

/// The nodes below an inode's own; none for what fits into the inode. Like [`children`] only a hint: nothing is verified.
pub(super) fn roots(inode: &InodeRecord, limits: &Limits) -> Vec<Index> {
    let depth = Node::parse(&inode.block).map_or(0, |node| node.depth.min(limits.extent_depth));
    let root = Index { block: 0, below: depth, first: 0 };
    if depth == 0 { Vec::new() } else { children(&inode.block, root) }
}

/// The nodes below a node.
pub(super) fn children(node: &[u8], index: Index) -> Vec<Index> {
    let Ok(node) = Node::parse(node) else { return Vec::new() };
    let entries = (0..node.entries).filter_map(|entry| node.entry(entry).ok().flatten());
    let below = index.below.saturating_sub(1);
    entries
        .filter_map(|entry| Some(Index { block: child(entry).ok()?, below, first: first_block(entry).ok()? }))
        .collect()
}

/// `ei_leaf_lo`, `ei_leaf_hi` of an index.
fn child(entry: Bytes<'_>) -> Result<u64, FsError> {
    Ok(u64::from(entry.le32(4)?) | (u64::from(entry.le16(8)?) << 32))
}

/// The run within the extent `entry`, or the hole after it. `None` for an extent without blocks.
fn leaf_run(entry: Bytes<'_>, logical: u64, hole: Run) -> Result<Option<Run>, FsError> {
    let length = entry.le16(4)?;
    let (blocks, written) =
        if length > INITIALISED { (length.saturating_sub(INITIALISED), false) } else { (length, true) };
    if blocks == 0 {
        return Ok(None);
    }
    let into = logical.saturating_sub(first_block(entry)?);
    let Some(left) = u64::from(blocks).checked_sub(into).filter(|&left| left > 0) else {
        return Ok(Some(hole));
    };
    // ee_start_hi, ee_start_lo
    let start = u64::from(entry.le32(8)?) | (u64::from(entry.le16(6)?) << 32);
    Ok(Some(Run { start: written.then(|| start.saturating_add(into)), blocks: left }))
}

/// `ee_block` of an extent, `ei_block` of an index: the first block of the file that it describes.
fn first_block(entry: Bytes<'_>) -> Result<u64, FsError> {
    Ok(u64::from(entry.le32(0)?))
}

/// A node of the tree: a header and entries.
struct Node<'a> {
    bytes: Bytes<'a>,
    entries: usize,
    max: usize,
    depth: u16,
}

impl<'a> Node<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, &'static str> {
        let header = Bytes(bytes);
        let field = |at| header.le16(at).map_err(|_| "a node has no header");
        if field(0)? != MAGIC {
            return Err("a node has no magic number");
        }
        let (entries, max, depth) = (usize::from(field(2)?), usize::from(field(4)?), field(6)?);
        if entries > max || max.saturating_mul(ENTRY).saturating_add(ENTRY) > bytes.len() {
            return Err("a node claims more entries than it has room for");
        }
        Ok(Self { bytes: header, entries, max, depth })
    }

    /// `eh_checksum`, behind the room for entries.
    fn checksum_is_right(&self, seed: u32) -> Result<bool, FsError> {
        let tail = self.max.saturating_mul(ENTRY).saturating_add(ENTRY);
        Ok(crc32c(seed, self.bytes.get(0, tail)?) == self.bytes.le32(tail)?)
    }

    fn entry(&self, index: usize) -> Result<Option<Bytes<'a>>, FsError> {
        if index >= self.entries {
            return Ok(None);
        }
        let at = index.saturating_mul(ENTRY).saturating_add(ENTRY);
        Ok(Some(Bytes(self.bytes.get(at, ENTRY)?)))
    }

    /// How many entries begin at or before `logical`: entries are sorted. In a node where they are not, some index within
    /// the node.
    fn first_entry_behind(&self, logical: u64) -> Result<usize, FsError> {
        let (mut low, mut high) = (0, self.entries);
        while low < high {
            let middle = low.midpoint(high);
            let begins = self.entry(middle)?.map(first_block).transpose()?;
            if begins.is_some_and(|begins| begins <= logical) {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}
