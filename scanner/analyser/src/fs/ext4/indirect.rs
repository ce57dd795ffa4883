//! Block maps of ext2 and ext3: twelve direct pointers, then blocks of pointers, to a depth of three.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::FsError;
use super::blocks::Blocks;
use super::inode::InodeRecord;
use super::map::{Index, Run};
use crate::volume::bytes::{Bytes, to_u64, to_usize};

/// The number of direct pointers, `EXT4_NDIR_BLOCKS`.
const DIRECT: u64 = 12;
/// The length of a pointer.
const POINTER: usize = 4;

/// Finds the run that begins with block `logical`, of at most `wanted` blocks unless it is a hole.
pub(super) fn run(blocks: &Blocks, inode: &InodeRecord, logical: u64, wanted: u64) -> Result<Run, FsError> {
    let roots = Bytes(&inode.block);
    if logical < DIRECT {
        return coalesce(roots, logical, DIRECT, wanted);
    }
    let per_block = u64::from(blocks.block_size() / 4);
    let mut index = logical.saturating_sub(DIRECT);
    let mut covered = per_block;
    for level in 1_u32..=3 {
        if index < covered {
            let root = roots.le32(
                to_usize(DIRECT.saturating_add(u64::from(level)).saturating_sub(1)).saturating_mul(POINTER),
            )?;
            return descend(blocks, root, covered, per_block, index, wanted);
        }
        index = index.saturating_sub(covered);
        covered = covered.saturating_mul(per_block);
    }
    // Nothing can be recorded there.
    Ok(Run { start: None, blocks: u64::MAX })
}

/// Follows `pointer`, whose tree holds `covered` blocks, down to block `index` of it.
fn descend(
    blocks: &Blocks,
    mut pointer: u32,
    mut covered: u64,
    per_block: u64,
    mut index: u64,
    wanted: u64,
) -> Result<Run, FsError> {
    loop {
        if pointer == 0 {
            return Ok(Run { start: None, blocks: covered.saturating_sub(index).max(1) });
        }
        let content = blocks.metadata(u64::from(pointer))?;
        let below = covered.checked_div(per_block).unwrap_or(1).max(1);
        if below == 1 {
            return coalesce(Bytes(&content), index, per_block, wanted);
        }
        let slot = index.checked_div(below).unwrap_or(0);
        pointer = Bytes(&content).le32(to_usize(slot).saturating_mul(POINTER))?;
        index = index.checked_rem(below).unwrap_or(0);
        covered = below;
    }
}

/// The blocks of pointers that an inode has. Like [`children`] only a hint.
pub(super) fn roots(blocks: &Blocks, inode: &InodeRecord) -> Vec<Index> {
    let per_block = u64::from(blocks.block_size() / 4);
    let mut first = DIRECT;
    let mut covered = per_block;
    let mut roots = Vec::new();
    for below in 0..3_u16 {
        let at = to_usize(DIRECT.saturating_add(u64::from(below))).saturating_mul(POINTER);
        let block = Bytes(&inode.block).le32(at).unwrap_or(0);
        roots.push(Index { block: u64::from(block), below, first });
        first = first.saturating_add(covered);
        covered = covered.saturating_mul(per_block);
    }
    roots.retain(|root| root.block != 0);
    roots
}

/// The blocks of pointers that a block of pointers points at.
pub(super) fn children(content: &[u8], index: Index) -> Vec<Index> {
    let below = index.below.saturating_sub(1);
    let per_block = to_u64(content.len() / POINTER);
    // What each child describes: one block per pointer, as many times as there are levels.
    let covered = per_block.saturating_pow(u32::from(index.below));
    let pointers = (0_u64..per_block).filter_map(|slot| {
        let block =
            Bytes(content).le32(to_usize(slot).saturating_mul(POINTER)).ok().filter(|&block| block != 0)?;
        let first = index.first.saturating_add(covered.saturating_mul(slot));
        Some(Index { block: u64::from(block), below, first })
    });
    pointers.collect()
}

/// The run of pointers from `index` on that count up, or that are all zero.
fn coalesce(pointers: Bytes<'_>, index: u64, count: u64, wanted: u64) -> Result<Run, FsError> {
    let pointer = |index: u64| pointers.le32(to_usize(index).saturating_mul(POINTER));
    let first = pointer(index)?;
    let mut blocks = 1_u64;
    while blocks < wanted && index.saturating_add(blocks) < count {
        let next = u64::from(pointer(index.saturating_add(blocks))?);
        let expected = if first == 0 { 0 } else { u64::from(first).saturating_add(blocks) };
        if next != expected {
            break;
        }
        blocks = blocks.saturating_add(1);
    }
    Ok(Run { start: (first != 0).then_some(u64::from(first)), blocks })
}
