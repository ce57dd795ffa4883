//! Which blocks of the volume hold the content of a file.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::ops::Range;
use std::sync::Arc;

use super::blocks::Blocks;
use super::inode::InodeRecord;
use super::{FsError, extent, indirect};
use crate::limits::Limits;
use crate::volume::bytes::{to_u64, to_usize};

/// A part of a file whose blocks follow each other on the volume, or that is a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The first block on the volume; `None` is a hole, or allocated and never written: zeros.
    pub(super) start: Option<u64>,
    /// How many blocks it has: at least one.
    pub(super) blocks: u64,
}

/// Finds the run that begins with block `logical` of a file. It may be cut after `wanted` blocks, if that saves work.
pub(super) fn run(
    blocks: &Blocks,
    inode: &InodeRecord,
    logical: u64,
    wanted: u64,
    limits: &Limits,
) -> Result<Run, FsError> {
    blocks.budget().step()?;
    if inode.has_extents() {
        extent::run(blocks, inode, logical, limits)
    } else {
        indirect::run(blocks, inode, logical, wanted)
    }
}

/// Reads the bytes of a file from `offset` on, which the caller has bounded by the file's size.
pub(super) fn read(
    blocks: &Blocks,
    inode: &InodeRecord,
    offset: u64,
    dst: &mut [u8],
    limits: &Limits,
) -> Result<(), FsError> {
    let size = u64::from(blocks.block_size());
    let mut position = offset;
    let mut rest = dst;
    while !rest.is_empty() {
        let logical = position.checked_div(size).unwrap_or(0);
        let skip = position.checked_rem(size).unwrap_or(0);
        let wanted = skip.saturating_add(to_u64(rest.len())).div_ceil(size);
        let found = run(blocks, inode, logical, wanted, limits)?;
        let available = found.blocks.saturating_mul(size).saturating_sub(skip);
        let length = rest.len().min(to_usize(available));
        let (part, remaining) = rest.split_at_mut(length);
        if let Some(block) = found.start {
            blocks.data(block, skip, part)?;
        } else {
            blocks.budget().bytes(to_u64(length))?;
            part.fill(0);
        }
        position = position.saturating_add(to_u64(length));
        rest = remaining;
    }
    Ok(())
}

/// The runs on the volume of some of a file's blocks, for prefetching.
pub(super) fn runs(
    blocks: &Blocks,
    inode: &InodeRecord,
    wanted: Range<u64>,
    limits: &Limits,
) -> Result<Vec<Range<u64>>, FsError> {
    let mut runs = Vec::new();
    let mut logical = wanted.start;
    while logical < wanted.end {
        let left = wanted.end.saturating_sub(logical);
        let found = run(blocks, inode, logical, left, limits)?;
        if let Some(start) = found.start {
            runs.push(start..start.saturating_add(found.blocks.min(left)));
        }
        logical = logical.saturating_add(found.blocks);
    }
    Ok(runs)
}

/// A block that says where a part of a file is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Index {
    pub(super) block: u64,
    /// Levels of such blocks below it.
    pub(super) below: u16,
    /// The first block of the file that it describes.
    pub(super) first: u64,
}

/// Fetches the blocks that say where these blocks of files are, level by level: one after the other they would be waited for
/// one after the other.
pub(super) fn prefetch_indexes(blocks: &Blocks, files: &[(Arc<InodeRecord>, Range<u64>)], limits: &Limits) {
    /// Blocks of one level that are fetched: against trees that are all index.
    const MOST: usize = 4096;

    let mut level: Vec<(&InodeRecord, &Range<u64>, Index)> = Vec::new();
    for (inode, wanted) in files {
        let roots =
            if inode.has_extents() { extent::roots(inode, limits) } else { indirect::roots(blocks, inode) };
        level.extend(within(roots, wanted).map(|root| (&**inode, wanted, root)));
    }
    while !level.is_empty() {
        level.truncate(MOST);
        let missing = level.iter().map(|(_, _, index)| index.block).filter(|&block| !blocks.is_cached(block));
        blocks.prefetch(missing.map(|block| block..block.saturating_add(1)));
        let mut below = Vec::new();
        for (inode, wanted, index) in level.into_iter().filter(|(_, _, index)| index.below > 0) {
            if below.len() >= MOST {
                break;
            }
            let Ok(content) = blocks.metadata(index.block) else { continue };
            let children = if inode.has_extents() {
                extent::children(&content, index)
            } else {
                indirect::children(&content, index)
            };
            below.extend(within(children, wanted).map(|child| (inode, wanted, child)));
        }
        level = below;
    }
}

/// Those that describe any of the wanted blocks: each describes a file up to where the next one begins.
fn within(indexes: Vec<Index>, wanted: &Range<u64>) -> impl Iterator<Item = Index> {
    let ends: Vec<_> = indexes.iter().skip(1).map(|next| next.first).chain([u64::MAX]).collect();
    let described = indexes.into_iter().zip(ends);
    described.filter(|(index, end)| index.first < wanted.end && *end > wanted.start).map(|(index, _)| index)
}
