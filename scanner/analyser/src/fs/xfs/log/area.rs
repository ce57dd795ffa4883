//! The log's place on the volume: a ring of basic blocks.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::cell::RefCell;

use super::Halt;
use super::format::{BASIC_BLOCK, RecordHeader, cycle};
use crate::fs::FsError;
use crate::fs::xfs::superblock::Superblock;
use crate::limits::Budget;
use crate::volume::Volume;
use crate::volume::bytes::{to_u64, to_usize};

/// `XFS_MAX_LOG_BYTES`: 2 GiB, less the smallest log.
const MOST_BYTES: u64 = (2 << 30) - (10 << 20);
/// How many basic blocks are read at a time when the log is searched.
const WINDOW: u64 = 128;

/// The basic blocks of the log, numbered from 0.
pub(super) struct Area<'a> {
    volume: &'a dyn Volume,
    pub(super) budget: &'a Budget,
    /// Where it begins, in bytes.
    start: u64,
    /// How many there are: at least 2.
    pub(super) blocks: u64,
    /// What was read last of a search: the first basic block, and the content.
    window: RefCell<(u64, Vec<u8>)>,
}

impl<'a> Area<'a> {
    pub(super) fn new(volume: &'a dyn Volume, sb: &Superblock, budget: &'a Budget) -> Option<Self> {
        let start = sb.fsblock_offset(sb.logstart, u64::from(sb.logblocks))?;
        let bytes = u64::from(sb.logblocks).checked_mul(u64::from(sb.blocksize))?;
        let blocks = bytes / BASIC_BLOCK;
        let is_there = start.checked_add(bytes).is_some_and(|end| end <= volume.size());
        let is_possible = blocks >= 2 && bytes <= MOST_BYTES;
        (is_there && is_possible).then(|| Self {
            volume,
            budget,
            start,
            blocks,
            window: RefCell::new((0, Vec::new())),
        })
    }

    /// `count` basic blocks from `block` on, around the end of the log.
    pub(super) fn read(&self, block: u64, count: u64) -> Result<Vec<u8>, FsError> {
        self.budget.bytes(count.saturating_mul(BASIC_BLOCK))?;
        let mut content = vec![0; to_usize(count.min(self.blocks).saturating_mul(BASIC_BLOCK))];
        let until_end = self.blocks.saturating_sub(block).saturating_mul(BASIC_BLOCK);
        let length = content.len().min(to_usize(until_end));
        let (first, wrapped) = content.split_at_mut(length);
        self.volume.read_at(self.start.saturating_add(block.saturating_mul(BASIC_BLOCK)), first)?;
        if !wrapped.is_empty() {
            self.volume.read_at(self.start, wrapped)?;
        }
        Ok(content)
    }

    /// Says that `count` basic blocks from `block` on will be read soon.
    pub(super) fn prefetch(&self, block: u64, count: u64) {
        let byte = |block: u64| self.start.saturating_add(block.saturating_mul(BASIC_BLOCK));
        let end = block.saturating_add(count);
        if end <= self.blocks {
            self.volume.prefetch(std::slice::from_ref(&(byte(block)..byte(end))));
        } else {
            let wrapped = end.saturating_sub(self.blocks).min(block);
            self.volume.prefetch(&[byte(block)..byte(self.blocks), byte(0)..byte(wrapped)]);
        }
    }

    /// Looks at one basic block.
    fn look<T>(&self, block: u64, at: impl FnOnce(&[u8]) -> T) -> Result<T, Halt> {
        self.budget.step()?;
        let mut window = self.window.borrow_mut();
        let have = to_u64(window.1.len()) / BASIC_BLOCK;
        if !(window.0..window.0.saturating_add(have)).contains(&block) {
            // Aligned on the volume and not on the log, so that a look takes one block of a snapshot and not two.
            let into = (self.start / BASIC_BLOCK).saturating_add(block) % WINDOW;
            let first = block.saturating_sub(into);
            let end = block.saturating_add(WINDOW.saturating_sub(into)).min(self.blocks);
            *window = (first, self.read(first, end.saturating_sub(first))?);
        }
        let inside = to_usize(block.saturating_sub(window.0).saturating_mul(BASIC_BLOCK));
        let found = window.1.get(inside..inside.saturating_add(to_usize(BASIC_BLOCK)));
        Ok(at(found.ok_or(Halt::Log("a place behind the log's end"))?))
    }

    /// The cycle in which a basic block was last written.
    pub(super) fn cycle(&self, block: u64) -> Result<u32, Halt> {
        self.look(block, cycle)?
    }

    /// Whether a basic block is a record's header.
    pub(super) fn is_header(&self, block: u64) -> Result<bool, Halt> {
        self.look(block, RecordHeader::has_magic)
    }

    /// A record's header.
    pub(super) fn header(&self, block: u64, uuid: &[u8; 16]) -> Result<RecordHeader, Halt> {
        self.look(block, |content| RecordHeader::parse(content, uuid))?
    }

    /// The basic block `count` after `block`, around the end of the log.
    pub(super) fn after(&self, block: u64, count: u64) -> u64 {
        block.saturating_add(count).checked_rem(self.blocks).unwrap_or(0)
    }

    /// The basic block `count` before `block`, around the log's beginning.
    pub(super) fn before(&self, block: u64, count: u64) -> u64 {
        let back = count.checked_rem(self.blocks).unwrap_or(0);
        self.after(block, self.blocks.saturating_sub(back))
    }

    /// How many basic blocks lie from `from` to `to`, around the end of the log.
    pub(super) fn distance(&self, from: u64, to: u64) -> u64 {
        self.before(to, from)
    }
}
