//! The journal (JBD2): what was written to the filesystem and has not yet reached its place.
//!
//! A snapshot of a running machine always has such a journal. It is replayed into an [`Overlay`] in memory, as the kernel
//! would replay it onto the disk: the transactions from the journal's start to the last one with a commit record, without
//! the blocks that a later record revokes. Names and offsets are those of the kernel's `ext4/journal.rst`; all numbers are
//! big-endian.
//!
//! The list of orphaned inodes is not processed: that frees the blocks of files that were deleted while open, which have no
//! name any more, and those behind the end of files that were being cut, whose new size came with the same transaction.
//! Nothing changes that can be read by name. The kernel also sets the time of the latter files to that of its recovery;
//! here they keep the time that the disk has.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod format;
mod log;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use self::format::Format;
use self::log::Log;
use super::blocks::Blocks;
use super::inode::InodeRecord;
use super::overlay::Overlay;
use super::{FsError, map};
use crate::fs::Journal;
use crate::limits::Limits;
use crate::volume::Volume;
use crate::volume::bytes::Bytes;

/// Replays the journal that is in `inode`. `blocks` still shows the volume without it.
///
/// # Errors
///
/// Only what concerns the volume and the limits. A journal that cannot be replayed is [`Journal::Ignored`]: what is there
/// without it can be read, and the report says so.
pub(super) fn replay(
    blocks: &Blocks,
    inode: &InodeRecord,
    limits: &Limits,
) -> Result<(Overlay, Journal), FsError> {
    match File::new(blocks, inode, limits) {
        Ok(file) => file.replay(limits),
        Err(FsError::Corrupt { .. }) => {
            Ok((Overlay::default(), Journal::Ignored { reason: "the journal's inode is damaged" }))
        }
        Err(error) => Err(error),
    }
}

/// Replays the journal that is all of `volume`, such as a copy of a journal's inode, and reads each block that it replaces,
/// so that its checksum is compared.
///
/// # Errors
///
/// What concerns the volume and the limits, and a block with a wrong checksum.
pub fn replay_journal(volume: Arc<dyn Volume>, limits: &Limits) -> Result<Journal, FsError> {
    let mut superblock = [0; 0x10];
    volume.read_at(0, &mut superblock)?;
    let block_size = Bytes(&superblock).be32(0xc)?;
    if !block_size.is_power_of_two() || !(1 << 10..=1 << 16).contains(&block_size) {
        return Ok(Journal::Ignored { reason: "the journal's superblock contradicts itself" });
    }
    let count = volume.size().checked_div(u64::from(block_size)).unwrap_or(0);
    let blocks = Blocks::new(volume, block_size, count, limits);
    let whole = 0..count;
    let (overlay, journal) = File::of_runs(&blocks, [whole]).replay(limits)?;
    let mut block = 0;
    while let Some(next) = overlay.next_from(block) {
        overlay.read(next, |journal_block| blocks.raw(journal_block))?;
        let Some(after) = next.checked_add(1) else { break };
        block = after;
    }
    Ok(journal)
}

/// The journal as a run of blocks, numbered from 0.
struct File<'a> {
    blocks: &'a Blocks,
    /// The parts of the journal, in order: the index that each ends before, and where on the volume it is.
    runs: Vec<(u64, Range<u64>)>,
}

impl<'a> File<'a> {
    fn new(blocks: &'a Blocks, inode: &InodeRecord, limits: &Limits) -> Result<Self, FsError> {
        if inode.has_inline_data() {
            return Err(FsError::corrupt("the journal's inode", "it has no blocks"));
        }
        let most = limits.journal_blocks.saturating_mul(u64::from(blocks.block_size()));
        if inode.stat.size > most {
            return Err(FsError::Limit { what: "the size of the journal (`journal_blocks`)", limit: most });
        }
        let count = inode.stat.size.div_ceil(u64::from(blocks.block_size()).max(1));
        Ok(Self::of_runs(blocks, map::runs(blocks, inode, 0..count, limits)?))
    }

    fn of_runs(blocks: &'a Blocks, runs: impl IntoIterator<Item = Range<u64>>) -> Self {
        let mut end = 0_u64;
        let ending = |run: Range<u64>| {
            end = end.saturating_add(run.end.saturating_sub(run.start));
            (end, run)
        };
        Self { blocks, runs: runs.into_iter().map(ending).collect() }
    }

    fn replay(&self, limits: &Limits) -> Result<(Overlay, Journal), FsError> {
        let ignored = |reason| Ok((Overlay::default(), Journal::Ignored { reason }));
        let Some(first) = self.read(0)? else { return ignored("the journal is empty") };
        let format = match Format::parse(&first, self) {
            Ok(format) => format,
            Err(reason) => return ignored(reason),
        };
        if format.start == 0 {
            return Ok((Overlay::default(), Journal::Clean));
        }
        let log = Log::read(&format, self, limits)?;
        if log.fast_commits {
            return Ok((
                log.overlay(&format),
                Journal::Ignored { reason: "fast commits after the last full transaction were not replayed" },
            ));
        }
        let transactions = log.transactions;
        Ok((log.overlay(&format), Journal::Replayed { transactions }))
    }

    fn len(&self) -> u64 {
        self.runs.last().map_or(0, |&(end, _)| end)
    }

    /// Where block `index` of the journal is on the volume. The journal has no holes; if it had, the blocks after one would
    /// not be where they should be, and would not have the right sequence number.
    fn at(&self, index: u64) -> Option<u64> {
        // A search, because a hostile journal has as many parts as blocks.
        let (end, run) = self.runs.get(self.runs.partition_point(|&(end, _)| end <= index))?;
        run.end.checked_sub(end.checked_sub(index)?)
    }

    fn read(&self, index: u64) -> Result<Option<Vec<u8>>, FsError> {
        self.at(index).map(|block| self.blocks.raw(block)).transpose()
    }
}
