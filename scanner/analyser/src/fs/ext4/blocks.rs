//! Blocks of the filesystem: as the volume holds them, or as the journal says they should be.
//!
//! Everything that the driver reads comes through here, so nothing can pass the journal by.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use super::FsError;
use super::overlay::Overlay;
use crate::limits::{Budget, Limits};
use crate::volume::Volume;
use crate::volume::bytes::{to_u64, to_usize};
use agentless_core::cache::Cache;

/// The blocks of one filesystem.
#[derive(Debug)]
pub(super) struct Blocks {
    volume: Arc<dyn Volume>,
    block_size: u32,
    count: u64,
    overlay: Overlay,
    cache: RefCell<Cache<Arc<[u8]>>>,
    /// The blocks whose checksum was found to be right, and as what.
    verified: RefCell<Cache<Verified>>,
    budget: Budget,
}

/// What a block's checksum was right for. The same block may be used as several structures, with a checksum of another kind
/// or of another inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verified {
    pub(super) structure: Structure,
    /// What the checksum starts with.
    pub(super) seed: u32,
}

/// What has a checksum within a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Structure {
    ExtentNode,
    DirectoryList,
    DirectoryIndex,
    Attributes,
}

impl Blocks {
    /// The first `count` blocks of `volume`.
    pub(super) fn new(volume: Arc<dyn Volume>, block_size: u32, count: u64, limits: &Limits) -> Self {
        let block_bytes = u64::from(block_size);
        Self {
            volume,
            block_size,
            count,
            overlay: Overlay::default(),
            cache: RefCell::new(Cache::of_bytes(limits.cache_bytes, block_bytes)),
            verified: RefCell::new(Cache::of_bytes(limits.cache_bytes, block_bytes)),
            budget: Budget::new(limits),
        }
    }

    /// From now on the blocks that the journal replaces are read from the journal.
    pub(super) fn replay(&mut self, overlay: Overlay) {
        self.overlay = overlay;
        self.cache.get_mut().clear();
        self.verified.get_mut().clear();
    }

    /// The filesystem has `count` blocks: it may have grown while the journal was written.
    pub(super) fn resize(&mut self, count: u64) {
        self.count = count;
    }

    pub(super) fn block_size(&self) -> u32 {
        self.block_size
    }

    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// A whole block of metadata, from memory where it was read before. Its checksum is for [`verify`](Self::verify): it
    /// depends on what the block is used as.
    pub(super) fn metadata(&self, block: u64) -> Result<Arc<[u8]>, FsError> {
        self.budget.step()?;
        if let Some(found) = self.cache.borrow_mut().get(block) {
            return Ok(found);
        }
        self.budget.work(u64::from(self.block_size))?;
        let mut content = vec![0; to_usize(self.block_size)];
        self.data(block, 0, &mut content)?;
        let content: Arc<[u8]> = content.into();
        self.cache.borrow_mut().insert(block, Arc::clone(&content));
        Ok(content)
    }

    /// Whether the checksum of a block is right, which `is_right` computes unless it was before: a file of many pieces looks
    /// at the same node for each.
    pub(super) fn verify<E>(
        &self,
        block: u64,
        by: Verified,
        is_right: impl FnOnce() -> Result<bool, E>,
    ) -> Result<bool, FsError>
    where
        FsError: From<E>,
    {
        if self.verified.borrow_mut().get(block) == Some(by) {
            return Ok(true);
        }
        self.budget.work(u64::from(self.block_size))?;
        let right = is_right()?;
        if right {
            self.verified.borrow_mut().insert(block, by);
        }
        Ok(right)
    }

    /// Reads data that begins `skip` bytes into `block` and goes on in the blocks that follow it.
    pub(super) fn data(&self, block: u64, skip: u64, dst: &mut [u8]) -> Result<(), FsError> {
        self.budget.step()?;
        self.budget.bytes(to_u64(dst.len()))?;
        let size = u64::from(self.block_size);
        let out_of_range = || {
            FsError::corrupt(
                format!("a reference to block {block}"),
                format!("there are {} blocks", self.count),
            )
        };
        let start =
            block.checked_mul(size).and_then(|start| start.checked_add(skip)).ok_or_else(out_of_range)?;
        let end = start.checked_add(to_u64(dst.len())).ok_or_else(out_of_range)?;
        if end > self.count.saturating_mul(size) {
            return Err(out_of_range());
        }

        let mut position = start;
        let mut rest = dst;
        while !rest.is_empty() {
            // What comes next: the rest of a block that the journal has, or what lies before the next such block.
            let here = position.checked_div(size).unwrap_or(0);
            let inside = position.saturating_sub(here.saturating_mul(size));
            let next = self.overlay.next_from(here);
            let replaced = next == Some(here);
            let until = if replaced { here.saturating_add(1) } else { next.unwrap_or(u64::MAX) };
            let available = until.saturating_mul(size).saturating_sub(position);
            let length = rest.len().min(to_usize(available));
            let (part, remaining) = rest.split_at_mut(length);
            if replaced {
                let content = self.overlay.read(here, |journal_block| self.raw(journal_block))?;
                let from = to_usize(inside);
                let source = content.get(from..from.saturating_add(length)).ok_or_else(out_of_range)?;
                part.copy_from_slice(source);
            } else {
                self.volume.read_at(position, part)?;
            }
            position = position.saturating_add(to_u64(length));
            rest = remaining;
        }
        Ok(())
    }

    /// A block as the volume holds it, whatever the journal says: blocks of the journal itself.
    pub(super) fn raw(&self, block: u64) -> Result<Vec<u8>, FsError> {
        self.budget.step()?;
        self.budget.bytes(u64::from(self.block_size))?;
        let mut content = vec![0; to_usize(self.block_size)];
        self.volume.read_at(block.saturating_mul(u64::from(self.block_size)), &mut content)?;
        Ok(content)
    }

    /// Says that these runs of blocks will be read soon.
    pub(super) fn prefetch(&self, runs: impl Iterator<Item = Range<u64>>) {
        /// Ranges of one hint: a volume follows a hint only so far.
        const RANGES: usize = 256;

        let mut places = Vec::new();
        for run in runs {
            let end = run.end.min(self.count);
            let mut block = run.start;
            while block < end && self.budget.step().is_ok() {
                let (place, next) = match self.overlay.next_from(block) {
                    Some(replaced) if replaced == block => {
                        let at = self.overlay.location(block).unwrap_or(block);
                        (at..at.saturating_add(1), block.saturating_add(1))
                    }
                    next => {
                        let next = next.unwrap_or(end).min(end);
                        (block..next, next)
                    }
                };
                places.push(place);
                block = next;
            }
        }
        // Files that lie behind each other on the volume give one range.
        places.sort_unstable_by_key(|place| place.start);
        places.dedup_by(|next, place| {
            let adjoins = next.start <= place.end;
            if adjoins {
                place.end = place.end.max(next.end);
            }
            adjoins
        });
        let size = u64::from(self.block_size);
        let ranges: Vec<_> = places
            .into_iter()
            .map(|place| place.start.saturating_mul(size)..place.end.saturating_mul(size))
            .filter(|range| range.end <= self.volume.size())
            .collect();
        for group in ranges.chunks(RANGES) {
            self.volume.prefetch(group);
        }
    }

    /// Whether a block of metadata is in memory, so that prefetching it would fetch it again.
    pub(super) fn is_cached(&self, block: u64) -> bool {
        self.cache.borrow().contains(block)
    }
}
