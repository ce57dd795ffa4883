//! Directories. Names and offsets are those of the kernel's `fs/xfs/libxfs/xfs_da_format.h`.
//!
//! The smallest directories are in their inode. Others are files with three parts, far from each other: blocks with entries
//! from the start on, from 32 GiB on an index of them by the hash of the name, and from 64 GiB on what only writers need; a
//! directory of one block has its index at the end of that. Listing reads the entries, looking up a name reads the index.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod data;
mod index;
mod shortform;

use std::ops::ControlFlow;

use self::data::DataBlock;
use super::blocks::Blocks;
use super::fork::Format;
use super::inode::{self, InodeRecord};
use super::{FsError, hash, map};
use crate::fs::{DirEntry, FileType, Inode};
use crate::volume::bytes::to_u64;

/// `XFS_DIR2_LEAF_OFFSET`: where the index begins, in bytes of the file.
const INDEX_OFFSET: u64 = 32 << 30;
/// `XFS_DIR2_FREE_OFFSET`: where the index ends, and what writers need begins.
const FREE_OFFSET: u64 = 64 << 30;

/// Bytes of a directory that are asked for before they are read. They are in 64 blocks of a snapshot, or a little more: as
/// many as are fetched at a time.
pub(super) const AHEAD: u64 = 32 << 20;

/// Calls `visit` with each entry but `.` and `..`. A damaged block costs its own entries only: the others are visited, and
/// the damage is returned at the end.
pub(super) fn read(
    blocks: &Blocks,
    dir: &InodeRecord,
    visit: &mut dyn FnMut(DirEntry<'_>) -> ControlFlow<()>,
) -> Result<(), FsError> {
    let (entries, bytes) = (blocks.limits.dir_entries, blocks.limits.dir_bytes);
    let mut listing = Listing { blocks, dir, entries, bytes, asked: 0, visit };
    if dir.data.format == Format::Local {
        let entries = shortform::Entries::new(blocks, dir)?;
        return listing.visit(entries).map(drop);
    }
    let count = block_count(blocks, dir);
    let mut damage = None;
    let mut number = 0;
    while number < count {
        if count > 1 {
            listing.prefetch(number);
        }
        match listing.block(number) {
            Ok(Step::Continue { next }) => number = next,
            Ok(Step::Break) => return Ok(()),
            Err(error @ FsError::Corrupt { .. }) => {
                damage = damage.or(Some(error));
                number = number.saturating_add(1);
            }
            Err(error) => return Err(error),
        }
    }
    damage.map_or(Ok(()), Err)
}

/// Looks for `name`.
pub(super) fn lookup(blocks: &Blocks, dir: &InodeRecord, name: &[u8]) -> Result<Option<Inode>, FsError> {
    if matches!(name, b"." | b"..") {
        return Ok(None);
    }
    let mut search = Search { name, ignores_case: blocks.sb.has_ascii_ci(), similar: None };
    if dir.data.format != Format::Local {
        match index::lookup(blocks, dir, &mut search) {
            // Without its index a directory is still a list.
            Err(FsError::Corrupt { .. }) => search.similar = None,
            other => return other,
        }
    }
    let mut found = None;
    read(blocks, dir, &mut |entry| {
        found = search.compare(entry);
        if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(found.or(search.similar))
}

/// A name that is looked for.
struct Search<'a> {
    name: &'a [u8],
    /// Whether the filesystem regards names as equal that differ in case; the very name is preferred.
    ignores_case: bool,
    /// What has a name that differs in case.
    similar: Option<Inode>,
}

impl Search<'_> {
    /// By what the name is found in an index.
    fn hash(&self) -> u32 {
        if self.ignores_case { hash::hash_without_case(self.name) } else { hash::hash(self.name) }
    }

    /// The entry's inode, if it has the very name.
    fn compare(&mut self, entry: DirEntry<'_>) -> Option<Inode> {
        if entry.name == self.name {
            return Some(entry.inode);
        }
        if self.ignores_case && hash::equal_without_case(entry.name, self.name) {
            self.similar = Some(entry.inode);
        }
        None
    }
}

/// The number of blocks with entries, holes among them included.
fn block_count(blocks: &Blocks, dir: &InodeRecord) -> u64 {
    dir.stat.size.min(INDEX_OFFSET).div_ceil(u64::from(blocks.sb.dirblksize()))
}

/// A directory that is listed.
struct Listing<'a> {
    blocks: &'a Blocks,
    dir: &'a InodeRecord,
    /// How many more entries the limit allows, and how many more bytes.
    entries: u64,
    bytes: u64,
    /// The first block that was not asked for.
    asked: u64,
    visit: &'a mut dyn FnMut(DirEntry<'_>) -> ControlFlow<()>,
}

/// What follows after a block.
enum Step {
    Continue { next: u64 },
    Break,
}

impl Listing<'_> {
    /// Asks for block `number` and those behind it, unless it was asked for.
    fn prefetch(&mut self, number: u64) {
        if number < self.asked {
            return;
        }
        let start = number << self.blocks.sb.dirblklog << self.blocks.sb.blocklog;
        let end = start.saturating_add(AHEAD).min(self.dir.stat.size);
        self.asked = end.div_ceil(u64::from(self.blocks.sb.dirblksize())).max(number.saturating_add(1));
        // What cannot be mapped fails again, and properly, when it is read.
        let places = map::places(self.blocks, self.dir.number, &self.dir.data, start..end);
        self.blocks.prefetch(&places.unwrap_or_default());
    }

    fn block(&mut self, number: u64) -> Result<Step, FsError> {
        let next = number.saturating_add(1);
        let Some(block) = DataBlock::load(self.blocks, self.dir, number)? else {
            // A block that became empty was given back.
            let logical = number << self.blocks.sb.dirblklog;
            let hole = map::run(self.blocks, self.dir.number, &self.dir.data, logical)?;
            let skipped = if hole.offset.is_none() { hole.blocks >> self.blocks.sb.dirblklog } else { 1 };
            return Ok(Step::Continue { next: number.saturating_add(skipped.max(1)) });
        };
        self.pay(data::HEADER_SIZE)?;
        Ok(match self.visit(block.entries(self.blocks))? {
            ControlFlow::Continue(()) => Step::Continue { next },
            ControlFlow::Break(()) => Step::Break,
        })
    }

    fn visit<'a>(
        &mut self,
        entries: impl Iterator<Item = Result<DirEntry<'a>, &'static str>>,
    ) -> Result<ControlFlow<()>, FsError> {
        for entry in entries {
            self.blocks.budget.step()?;
            let entry = entry.map_err(|problem| damaged(self.dir, problem))?;
            if matches!(entry.name, b"." | b"..") {
                continue;
            }
            let Some(remaining) = self.entries.checked_sub(1) else {
                let limit = self.blocks.limits.dir_entries;
                return Err(FsError::Limit {
                    what: "the number of entries in one directory (`dir_entries`)",
                    limit,
                });
            };
            self.entries = remaining;
            self.pay(data::ENTRY_SIZE.saturating_add(entry.name.len()))?;
            if (self.visit)(entry).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Pays for bytes of the directory.
    fn pay(&mut self, bytes: usize) -> Result<(), FsError> {
        let limit = self.blocks.limits.dir_bytes;
        let left = self.bytes.checked_sub(to_u64(bytes));
        self.bytes = left.ok_or(FsError::Limit {
            what: "the size of the entries of one directory (`dir_bytes`)",
            limit,
        })?;
        Ok(())
    }
}

fn damaged(dir: &InodeRecord, problem: &str) -> FsError {
    FsError::corrupt(format!("directory inode {}", dir.number), problem)
}

/// Refuses a name that no file can have, and an inode that cannot be.
fn check<'a>(
    blocks: &Blocks,
    name: &'a [u8],
    number: u64,
    file_type: Option<u8>,
) -> Result<DirEntry<'a>, &'static str> {
    if !DirEntry::is_name(name) {
        return Err("an entry has an impossible name");
    }
    if !inode::is_possible(&blocks.sb, number) {
        return Err("an entry refers to an inode that does not exist");
    }
    Ok(DirEntry { name, inode: Inode(number), file_type: file_type.and_then(FileType::from_entry) })
}
