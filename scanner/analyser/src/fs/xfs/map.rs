//! Where on the volume the content of a fork is.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::ops::Range;
use std::sync::Arc;

use super::FsError;
use super::blocks::{Blocks, Header, Piece};
use super::btree::{self, Found};
use super::fork::{Extent, Extents, Fork, Format};
use crate::volume::bytes::{to_u64, to_usize};

/// A part of a fork whose blocks follow each other on the volume, or that is a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Where it begins, in bytes; `None` is a hole, or allocated and never written: zeros.
    pub(super) offset: Option<u64>,
    /// How many blocks it has: at least one.
    pub(super) blocks: u64,
}

fn damaged(owner: u64, problem: &str) -> FsError {
    FsError::corrupt(format!("the extents of inode {owner}"), problem)
}

/// What a fork of inode `owner` says about its block `logical`.
fn find(blocks: &Blocks, owner: u64, fork: &Fork, logical: u64) -> Result<Found, FsError> {
    blocks.budget.step()?;
    Ok(match fork.format {
        Format::Extents => match Extents(&fork.bytes).at_or_behind(logical)? {
            Some(extent) if extent.logical <= logical => Found::Extent(extent),
            Some(next) => Found::HoleUntil(next.logical),
            None => Found::HoleUntil(u64::MAX),
        },
        Format::Btree => btree::find(blocks, owner, &fork.bytes, logical)?,
        Format::Device | Format::Local => return Err(damaged(owner, "its content is in the inode")),
    })
}

/// All extents of a fork of inode `owner`, in the order of the file. Whether there may be another one `more` is asked each time.
pub(super) fn extents<E: From<FsError>>(
    blocks: &Blocks,
    owner: u64,
    fork: &Fork,
    mut more: impl FnMut() -> Result<(), E>,
) -> Result<Vec<Extent>, E> {
    let mut extents = Vec::new();
    let mut logical = 0;
    loop {
        match find(blocks, owner, fork, logical)? {
            Found::HoleUntil(u64::MAX) => return Ok(extents),
            Found::HoleUntil(until) if until > logical => logical = until,
            Found::Extent(extent) if extent.end() > logical => {
                more()?;
                extents.push(extent);
                logical = extent.end();
            }
            _ => return Err(damaged(owner, "they are not sorted").into()),
        }
    }
}

/// Finds the run that begins with block `logical` of a fork of inode `owner`.
pub(super) fn run(blocks: &Blocks, owner: u64, fork: &Fork, logical: u64) -> Result<Run, FsError> {
    let damaged = |problem: &str| damaged(owner, problem);
    match find(blocks, owner, fork, logical)? {
        Found::HoleUntil(until) => match until.checked_sub(logical) {
            Some(blocks) if blocks > 0 => Ok(Run { offset: None, blocks }),
            _ => Err(damaged("they are not sorted")),
        },
        Found::Extent(extent) => {
            let inside = logical.saturating_sub(extent.logical);
            let Some(left) = extent.count.checked_sub(inside).filter(|&left| left > 0) else {
                return Err(damaged("they are not sorted"));
            };
            let offset = blocks.sb.fsblock_offset(extent.start, extent.count).ok_or_else(|| {
                damaged(&format!("there are no {} blocks from {} on", extent.count, extent.start))
            })?;
            let skipped = inside.saturating_mul(u64::from(blocks.sb.blocksize));
            let offset = (!extent.unwritten).then(|| offset.saturating_add(skipped));
            Ok(Run { offset, blocks: left })
        }
    }
}

/// Reads the content of a fork from byte `offset` on, which the caller has bounded by the file's size: each run at once.
pub(super) fn read(
    blocks: &Blocks,
    owner: u64,
    fork: &Fork,
    offset: u64,
    dst: &mut [u8],
) -> Result<(), FsError> {
    let size = u64::from(blocks.sb.blocksize);
    let mut position = offset;
    let mut rest = dst;
    while !rest.is_empty() {
        let logical = position.checked_div(size).unwrap_or(0);
        let skip = position.checked_rem(size).unwrap_or(0);
        let found = run(blocks, owner, fork, logical)?;
        let available = found.blocks.saturating_mul(size).saturating_sub(skip);
        let length = rest.len().min(to_usize(available));
        let (part, remaining) = rest.split_at_mut(length);
        if let Some(start) = found.offset {
            blocks.read(start.saturating_add(skip), part)?;
        } else {
            blocks.budget.bytes(to_u64(length))?;
            part.fill(0);
        }
        position = position.saturating_add(to_u64(length));
        rest = remaining;
    }
    Ok(())
}

/// The places of a fork's blocks `logical` to `logical` + `count`, without holes: `None` if there is one.
pub(super) fn pieces(
    blocks: &Blocks,
    owner: u64,
    fork: &Fork,
    logical: u64,
    count: u32,
) -> Result<Option<Vec<Piece>>, FsError> {
    let mut pieces = Vec::new();
    let mut done = 0;
    while done < count {
        let found = run(blocks, owner, fork, logical.saturating_add(u64::from(done)))?;
        let Some(offset) = found.offset else { return Ok(None) };
        let wanted = count.saturating_sub(done);
        let taken = u32::try_from(found.blocks).unwrap_or(u32::MAX).min(wanted);
        pieces.push(Piece { offset, length: taken.saturating_mul(blocks.sb.blocksize) });
        done = done.saturating_add(taken);
    }
    Ok(Some(pieces))
}

/// The structure of `count` blocks at block `logical` of a fork, its header checked; `None` for a hole.
pub(super) fn structure(
    blocks: &Blocks,
    owner: u64,
    fork: &Fork,
    logical: u64,
    count: u32,
    header: &Header,
) -> Result<Option<Arc<[u8]>>, FsError> {
    match pieces(blocks, owner, fork, logical, count)? {
        Some(pieces) => blocks.described(&pieces, header, owner).map(Some),
        None => Ok(None),
    }
}

/// The places on the volume of some of a fork's bytes, for prefetching.
pub(super) fn places(
    blocks: &Blocks,
    owner: u64,
    fork: &Fork,
    bytes: Range<u64>,
) -> Result<Vec<Range<u64>>, FsError> {
    let size = u64::from(blocks.sb.blocksize).max(1);
    let end = bytes.end.div_ceil(size);
    let mut places = Vec::new();
    let mut logical = bytes.start.checked_div(size).unwrap_or(0);
    while logical < end {
        let found = run(blocks, owner, fork, logical)?;
        let length = found.blocks.min(end.saturating_sub(logical)).saturating_mul(size);
        if let Some(start) = found.offset {
            places.push(start..start.saturating_add(length));
        }
        logical = logical.saturating_add(found.blocks);
    }
    Ok(places)
}
