//! The log: what was written to the metadata and has not yet reached its place.
//!
//! A snapshot of a running machine always has such a log. It is replayed into an [`Overlay`] in memory, as the kernel would
//! replay it onto the disk: the committed transactions between the log's tail and its head, in their order. Two passes read
//! the same records. The first finds out which buffers were freed, so that older changes to them, which may be file data by
//! now, are left out; and which intents were not carried out. The second applies the changes. Nothing of the log stays in
//! memory between them but those lists.
//!
//! What reading does not need is left out: free space, the trees of inodes, of owners and of reference counts, quotas, the
//! lists of unlinked inodes.
//!
//! Names are those of the kernel's `fs/xfs/libxfs/xfs_log_format.h` and `fs/xfs/xfs_log_recover.c`.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod area;
mod buffer;
mod format;
mod head;
mod icreate;
mod inode;
mod intent;
mod memory;
mod owner;
mod record;
mod remap;
mod replay;
#[cfg(test)]
mod tests;
mod transaction;

use std::sync::Arc;

use self::area::Area;
use self::head::Active;
use self::memory::Memory;
use self::record::Record;
pub(super) use self::remap::Remappings;
use self::replay::{FirstPass, SecondPass};
use self::transaction::{Assembler, Transaction};
use super::FsError;
use super::blocks::Blocks;
use super::overlay::Overlay;
use super::superblock::{self, Superblock};
use crate::fs::Journal;
use crate::limits::{Budget, Limits};
use crate::volume::Volume;
use crate::volume::bytes::{Truncated, to_usize};

/// Replays the log of the filesystem that `sb` is the superblock of. The superblock may be among what the log changes. What can
/// only be done with a filesystem that can be read is left to [`Remappings`].
///
/// # Errors
///
/// Only what concerns the volume and the limits. A log that cannot be replayed is [`Journal::Ignored`], one of which a part
/// cannot be is [`Journal::Partial`]: what is there without it can be read, and the report says so.
pub(super) fn recover(
    volume: &Arc<dyn Volume>,
    sb: &Superblock,
    limits: &Limits,
    budget: &Budget,
) -> Result<(Overlay, Remappings, Journal), FsError> {
    /// `XFS_SB_FEAT_INCOMPAT_LOG_XATTRS`: the log may have intents to change attributes.
    const LOG_XATTRS: u32 = 0x1;

    let untouched =
        |journal| Ok((Overlay::default(), Remappings::new(Vec::new(), Memory::new(limits)), journal));
    let ignored = |reason| untouched(Journal::Ignored { reason });
    if sb.logstart == 0 {
        return ignored("the log is on another device");
    }
    if sb.log_incompat & !LOG_XATTRS != 0 {
        return ignored("the log has features that this version does not know");
    }
    let Some(area) = Area::new(&**volume, sb, budget) else {
        return ignored("the log is not within the volume");
    };
    let ring = Ring { area, uuid: &sb.uuid, has_logv2: sb.has_logv2, has_crc: sb.has_crc() };
    let active = match head::find(&ring) {
        Ok(Some(active)) => active,
        Ok(None) => return untouched(Journal::Clean),
        Err(Halt::Log(reason)) => return ignored(reason),
        Err(Halt::Fatal(error)) => return Err(error),
    };
    ring.replay(active, &**volume, sb, limits)
}

/// Replays the log of the filesystem that is on `volume`, and nothing else.
///
/// # Errors
///
/// As for the filesystem as a whole.
pub fn replay_log(volume: &Arc<dyn Volume>, limits: &Limits) -> Result<Journal, FsError> {
    let mut head = vec![0; to_usize(volume.size()).min(superblock::MOST_BYTES)];
    volume.read_at(0, &mut head)?;
    let sb = Superblock::parse(&head)?;
    let budget = Budget::new(limits);
    let (overlay, remappings, journal) = recover(volume, &sb, limits, &budget)?;
    let mut blocks = Blocks::new(Arc::clone(volume), sb, overlay, limits, budget);
    remappings.carry_out(&mut blocks, journal)
}

/// Why the log is not read further.
#[derive(Debug)]
enum Halt {
    /// The log: what is wrong with it, or why no more of it is replayed.
    Log(&'static str),
    /// The volume, or a limit on the work as a whole.
    Fatal(FsError),
}

impl From<FsError> for Halt {
    fn from(error: FsError) -> Self {
        Self::Fatal(error)
    }
}

impl From<Truncated> for Halt {
    fn from(_: Truncated) -> Self {
        Self::Log("a structure of the log ends early")
    }
}

/// The log with what its records must agree with.
struct Ring<'a> {
    area: Area<'a>,
    /// The filesystem's UUID, as users see it.
    uuid: &'a [u8; 16],
    has_logv2: bool,
    /// Whether every record has a checksum; in version 4 of XFS those of newer kernels do.
    has_crc: bool,
}

impl Ring<'_> {
    fn replay(
        &self,
        active: Active,
        volume: &dyn Volume,
        sb: &Superblock,
        limits: &Limits,
    ) -> Result<(Overlay, Remappings, Journal), FsError> {
        self.area.prefetch(active.tail, self.area.distance(active.tail, active.head));
        let (first, active, mut problem) = self.first_pass(active, limits)?;
        first.prefetch(volume);
        let is_whole = problem.is_none();
        let FirstPass { cancelled, intents, transactions, .. } = first;

        let memory = Memory::new(limits);
        let mut second = SecondPass::new(volume, sb, &memory, self.area.budget, cancelled);
        let replayed = self.walk(active, &memory, &mut |transaction| second.transaction(transaction));
        match replayed {
            // What the log promised to do is done only when everything before it was.
            Ok(()) if is_whole => match second.finish(intents) {
                Ok(()) => {}
                Err(Halt::Log(reason)) => second.note(reason),
                Err(Halt::Fatal(error)) => return Err(error),
            },
            Ok(()) => {}
            Err(Stop { halt: Halt::Log(reason), .. }) => second.note(reason),
            Err(Stop { halt: Halt::Fatal(error), .. }) => return Err(error),
        }
        problem = problem.or(second.problem);
        let journal = match problem {
            None => Journal::Replayed { transactions },
            Some(reason) => Journal::Partial { transactions: second.transactions, reason },
        };
        let SecondPass { overlay, roomless, .. } = second;
        Ok((overlay, Remappings::new(roomless, memory), journal))
    }

    /// The first pass; with it the part of the log that can be replayed, and why the rest cannot, if there is any.
    fn first_pass(
        &self,
        mut active: Active,
        limits: &Limits,
    ) -> Result<(FirstPass, Active, Option<&'static str>), FsError> {
        loop {
            let mut pass = FirstPass::new(limits);
            let memory = Memory::new(limits);
            let walked = self.walk(active, &memory, &mut |transaction| pass.transaction(transaction));
            let (at, reason) = match walked {
                Ok(()) => return Ok((pass, active, None)),
                Err(Stop { halt: Halt::Fatal(error), .. }) => return Err(error),
                Err(Stop { halt: Halt::Log(reason), at }) => (at, reason),
            };
            // In a log that was full, what a crash tore at the head may have destroyed the tail. All of that had reached
            // its place: the head may not pass what has not (`xlog_verify_tail`).
            let in_flight = active.most_blocks.saturating_mul(format::RECORDS_IN_FLIGHT);
            let next = self.area.after(at, 1);
            if self.area.distance(active.head, at) <= in_flight && next != active.head {
                match head::next_header(&self.area, next, active.head) {
                    Ok(Some(tail)) => {
                        active.tail = tail;
                        continue;
                    }
                    Ok(None) | Err(Halt::Log(_)) => {}
                    Err(Halt::Fatal(error)) => return Err(error),
                }
            }
            active.head = at;
            return Ok((pass, active, Some(reason)));
        }
    }

    /// Hands over each committed transaction, in order.
    fn walk(
        &self,
        active: Active,
        memory: &Memory,
        commit: &mut dyn FnMut(&Transaction) -> Result<(), Halt>,
    ) -> Result<(), Stop> {
        let mut assembler = Assembler::new(memory, self.area.budget);
        let mut at = active.tail;
        while at != active.head {
            let fed = Record::read(self, at, self.area.distance(at, active.head)).and_then(|record| {
                assembler.feed(&record, commit)?;
                Ok(record.header.blocks())
            });
            match fed {
                Ok(blocks) => at = self.area.after(at, blocks),
                Err(halt) => return Err(Stop { halt, at }),
            }
        }
        Ok(())
    }
}

/// Where and why the log is not read further.
struct Stop {
    halt: Halt,
    /// The record's basic block.
    at: u64,
}
