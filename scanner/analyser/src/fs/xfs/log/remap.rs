//! Extents of files that the log promised to change.
//!
//! Where the list of them has room in the inode, the inode is replaced. Where it has none, because the extents are in a B+tree
//! or would have to be moved into one, the file gets its list in memory: there it may be of any length.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::Halt;
use super::buffer::set;
use super::inode::set_crc;
use super::intent::Remapping;
use super::memory::Memory;
use crate::fs::xfs::FsError;
use crate::fs::xfs::blocks::Blocks;
use crate::fs::xfs::fork::{Extent, Extents, Fork, Format};
use crate::fs::xfs::inode::InodeRecord;
use crate::fs::xfs::map;
use crate::fs::xfs::superblock::Superblock;
use crate::fs::{Inode, Journal};
use crate::limits::Budget;
use crate::volume::bytes::{Bytes, to_u64, to_usize};

const NOT_DONE: &str = "a change of a file's extents was not completed";

/// What is to be done once the filesystem can be read: changes that have no room in inodes, of each of these in order.
#[derive(Debug)]
pub(in crate::fs::xfs) struct Remappings {
    changes: Vec<(u64, Remapping)>,
    /// What they may still have.
    memory: Memory,
}

impl Remappings {
    pub(super) fn new(changes: Vec<(u64, Remapping)>, memory: Memory) -> Self {
        Self { changes, memory }
    }

    /// Carries them out: from here on these files have other extents. What was done about the log is `journal`, and less if one
    /// of them could not be.
    pub(in crate::fs::xfs) fn carry_out(
        self,
        blocks: &mut Blocks,
        journal: Journal,
    ) -> Result<Journal, FsError> {
        let mut problem = None;
        for changes in self.changes.chunk_by(|(a, _), (b, _)| a == b) {
            let Some(&(owner, _)) = changes.first() else { continue };
            match self.remapped(blocks, owner, changes) {
                Ok(fork) => drop(blocks.remapped.insert(owner, fork)),
                Err(Halt::Log(reason)) => _ = problem.get_or_insert(reason),
                Err(Halt::Fatal(FsError::Corrupt { .. } | FsError::Unsupported { .. })) => {
                    problem.get_or_insert(NOT_DONE);
                }
                Err(Halt::Fatal(error)) => return Err(error),
            }
        }
        Ok(match (journal, problem) {
            (Journal::Replayed { transactions }, Some(reason)) => Journal::Partial { transactions, reason },
            (journal, _) => journal,
        })
    }

    fn remapped(&self, blocks: &Blocks, owner: u64, changes: &[(u64, Remapping)]) -> Result<Fork, Halt> {
        /// Of an extent: before a change, after it, and as a record.
        const EACH: u64 = 96;

        let old = InodeRecord::read(blocks, Inode(owner))?.data;
        let list = map::extents(blocks, owner, &old, || {
            self.memory.take(EACH, "a file whose extents the log changes has more of them than the limit")
        })?;
        let bytes = apply(list, changes, &blocks.budget)?;
        Ok(Fork { format: Format::Extents, bytes: bytes.into() })
    }
}

/// Changes the extents of an inode that has a list of them, as long as there is room for it. The result is whether that was so:
/// if not, nothing was changed.
pub(super) fn remap(
    inode: &mut [u8],
    changes: &[(u64, Remapping)],
    sb: &Superblock,
    budget: &Budget,
) -> Result<bool, Halt> {
    /// `XFS_DINODE_FMT_EXTENTS`, `XFS_DINODE_FMT_BTREE`
    const LIST: u8 = 2;
    const TREE: u8 = 3;

    let old = Bytes(inode);
    if !inode.starts_with(b"IN") || old.u8(4)? != 3 || !matches!(old.u8(5)?, LIST | TREE) {
        return Err(Halt::Log(NOT_DONE));
    }
    if old.u8(5)? == TREE {
        return Ok(false);
    }
    let has_nrext64 = old.be64(120)? & 0x10 != 0;
    let count = if has_nrext64 { old.be64(24)? } else { u64::from(old.be32(76)?) };
    let area = usize::from(sb.inodesize).saturating_sub(176);
    let room = match usize::from(old.u8(82)?).saturating_mul(8) {
        0 => area,
        boundary => boundary.min(area),
    };
    let bytes = to_usize(count).saturating_mul(Extent::SIZE);
    if bytes > room {
        return Err(Halt::Log(NOT_DONE));
    }
    let list = Extents(old.get(176, bytes)?);
    let list = (0..list.len()).filter_map(|index| list.get(index).transpose()).collect::<Result<_, _>>()?;
    let encoded = apply(list, changes, budget)?;
    if encoded.len() > room {
        return Ok(false);
    }
    set(inode, 176, &encoded);
    let count = to_u64(encoded.len() / Extent::SIZE);
    if has_nrext64 {
        set(inode, 24, &count.to_be_bytes());
    } else {
        set(inode, 76, &u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
    }
    set_crc(inode)?;
    Ok(true)
}

/// The records of the list after all changes.
fn apply(mut list: Vec<Extent>, changes: &[(u64, Remapping)], budget: &Budget) -> Result<Vec<u8>, Halt> {
    for (_, change) in changes {
        // Each change goes through the whole list.
        budget.work(to_u64(list.len().saturating_mul(Extent::SIZE)).saturating_mul(8))?;
        list = change.apply(list).ok_or(Halt::Log(NOT_DONE))?;
    }
    Ok(list.into_iter().flat_map(Extent::encode).collect())
}

impl Remapping {
    /// The list after this change; `None` if it contradicts the list.
    fn apply(self, list: Vec<Extent>) -> Option<Vec<Extent>> {
        let change = self.extent;
        let mut changed = Vec::new();
        let mut removed = 0_u64;
        for extent in list {
            let before = change.logical.clamp(extent.logical, extent.end());
            let behind = change.end().clamp(extent.logical, extent.end());
            removed = removed.saturating_add(behind.saturating_sub(before));
            let front = before.saturating_sub(extent.logical);
            if front > 0 {
                changed.push(Extent { count: front, ..extent });
            }
            let skipped = behind.saturating_sub(extent.logical);
            if behind < extent.end() {
                // What lies whole before or behind the change is one piece, not two.
                let rest = Extent {
                    logical: behind,
                    start: extent.start.saturating_add(skipped),
                    count: extent.end().saturating_sub(behind),
                    ..extent
                };
                changed.push(rest);
            }
        }
        let expected = if self.is_map { 0 } else { change.count };
        if removed != expected {
            return None;
        }
        if self.is_map {
            changed.push(change);
        }
        changed.sort_by_key(|extent| extent.logical);
        let mut joined: Vec<Extent> = Vec::new();
        for extent in changed {
            match joined.last_mut() {
                Some(previous) if joins(*previous, extent) => {
                    previous.count = previous.count.saturating_add(extent.count);
                }
                _ => joined.push(extent),
            }
        }
        Some(joined)
    }
}

/// Whether `next` goes on where `this` ends, and both can be one.
fn joins(this: Extent, next: Extent) -> bool {
    this.end() == next.logical
        && this.start.saturating_add(this.count) == next.start
        && this.unwritten == next.unwritten
        && Extent { count: this.count.saturating_add(next.count), ..this }.is_possible()
}
