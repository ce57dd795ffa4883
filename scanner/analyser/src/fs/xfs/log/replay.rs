//! The two passes over the transactions.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::{BTreeMap, BTreeSet};

use super::Halt;
use super::buffer::Buffer;
use super::format::{BASIC_BLOCK, Lsn, item_type};
use super::icreate::Icreate;
use super::inode::LoggedInode;
use super::intent::{Intents, Remapping};
use super::memory::Memory;
use super::remap::remap;
use super::transaction::{Item, Transaction};
use crate::fs::FsError;
use crate::fs::xfs::inode::location;
use crate::fs::xfs::overlay::Overlay;
use crate::fs::xfs::superblock::Superblock;
use crate::limits::{Budget, Limits};
use crate::volume::Volume;
use crate::volume::bytes::{Bytes, to_u64, to_usize};

/// A run of basic blocks on the data device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Run {
    pub(super) start: u64,
    pub(super) blocks: u64,
}

impl Run {
    fn end(self) -> u64 {
        self.start.saturating_add(self.blocks)
    }

    pub(super) fn bytes(self) -> usize {
        to_usize(self.blocks.saturating_mul(BASIC_BLOCK))
    }
}

/// How often each buffer is freed by what of the log is still to come.
#[derive(Debug, Default)]
pub(super) struct Cancelled(BTreeMap<Run, u64>);

impl Cancelled {
    fn add(&mut self, run: Run) {
        let count = self.0.entry(run).or_default();
        *count = count.saturating_add(1);
    }

    /// Notes that the transaction that frees the buffer was reached.
    fn remove(&mut self, run: Run) {
        let left = self.0.get(&run).map(|count| count.saturating_sub(1));
        match left {
            Some(0) => drop(self.0.remove(&run)),
            Some(count) => drop(self.0.insert(run, count)),
            None => {}
        }
    }

    fn contains(&self, run: Run) -> bool {
        self.0.contains_key(&run)
    }

    /// Whether any buffer that begins within `run` is freed.
    fn overlaps(&self, run: Run) -> bool {
        let first = Run { start: run.start, blocks: 0 };
        self.0.range(first..).next().is_some_and(|(cancelled, _)| cancelled.start < run.end())
    }
}

/// What must be known of all transactions before the first is applied.
pub(super) struct FirstPass {
    pub(super) cancelled: Cancelled,
    pub(super) intents: Intents,
    pub(super) transactions: u64,
    /// The pages of 4 KiB that the second pass will change.
    touched: BTreeSet<u64>,
    /// How many entries these lists may have together.
    most: usize,
}

/// The unit of [`FirstPass::touched`], in basic blocks.
const PAGE: u64 = 8;

impl FirstPass {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            cancelled: Cancelled::default(),
            intents: Intents::default(),
            transactions: 0,
            touched: BTreeSet::new(),
            most: to_usize(limits.journal_blocks),
        }
    }

    pub(super) fn transaction(&mut self, transaction: &Transaction) -> Result<(), Halt> {
        self.transactions = self.transactions.saturating_add(1);
        for item in &transaction.items {
            let run = match item.kind()? {
                item_type::BUFFER => {
                    let Ok(buffer) = Buffer::parse(item) else { continue };
                    if buffer.is_cancel() {
                        self.cancelled.add(buffer.run);
                        continue;
                    }
                    if !buffer.may_be_read() {
                        continue;
                    }
                    buffer.run
                }
                item_type::INODE => {
                    let Ok(inode) = LoggedInode::parse(item) else { continue };
                    Run { start: inode.offset / BASIC_BLOCK, blocks: 1 }
                }
                kind => {
                    self.intents.item(kind, item)?;
                    continue;
                }
            };
            self.touched.extend(run.start / PAGE..run.end().div_ceil(PAGE));
        }
        let entries = self.cancelled.0.len().saturating_add(self.intents.len());
        if entries.saturating_add(self.touched.len()) > self.most {
            return Err(Halt::Log("the log changes more blocks than the limit"));
        }
        Ok(())
    }

    /// Says what the second pass will read.
    pub(super) fn prefetch(&self, volume: &dyn Volume) {
        let page = PAGE.saturating_mul(BASIC_BLOCK);
        let ranges: Vec<_> = self
            .touched
            .iter()
            .map(|number| number.saturating_mul(page)..number.saturating_add(1).saturating_mul(page))
            .filter(|range| range.end <= volume.size())
            .collect();
        if !ranges.is_empty() {
            volume.prefetch(&ranges);
        }
    }
}

/// Applies the transactions.
pub(super) struct SecondPass<'a> {
    pub(super) sb: &'a Superblock,
    pub(super) overlay: Overlay,
    pub(super) transactions: u64,
    /// Why something could not be applied, if anything could not.
    pub(super) problem: Option<&'static str>,
    /// Changes of extents for which there is no room in their inodes.
    pub(super) roomless: Vec<(u64, Remapping)>,
    volume: &'a dyn Volume,
    pub(super) budget: &'a Budget,
    cancelled: Cancelled,
    /// What the overlay may have.
    memory: &'a Memory,
}

impl<'a> SecondPass<'a> {
    pub(super) fn new(
        volume: &'a dyn Volume,
        sb: &'a Superblock,
        memory: &'a Memory,
        budget: &'a Budget,
        cancelled: Cancelled,
    ) -> Self {
        Self {
            sb,
            overlay: Overlay::default(),
            transactions: 0,
            problem: None,
            roomless: Vec::new(),
            volume,
            budget,
            cancelled,
            memory,
        }
    }

    /// Notes why something could not be applied.
    pub(super) fn note(&mut self, reason: &'static str) {
        self.problem.get_or_insert(reason);
    }

    /// Applies the items of a transaction: first buffers, among them those that new inodes are in, then the inodes, and at
    /// last the buffers that are freed, because what they were counts until then (`xlog_recover_reorder_trans`). An item
    /// that cannot be applied does not keep back the others.
    pub(super) fn transaction(&mut self, transaction: &Transaction) -> Result<(), Halt> {
        let lsn = transaction.lsn;
        let mut freed = Vec::new();
        let mut inodes = Vec::new();
        for item in &transaction.items {
            self.budget.step()?;
            let done = match item.kind()? {
                item_type::BUFFER => self.buffer(item, lsn, &mut freed),
                item_type::ICREATE => self.create_inodes(item),
                item_type::INODE => {
                    inodes.push(item);
                    Ok(())
                }
                _ => Ok(()),
            };
            self.absorb(done)?;
        }
        for item in inodes {
            let done = self.inode(item, lsn);
            self.absorb(done)?;
        }
        for run in freed {
            self.cancelled.remove(run);
        }
        self.transactions = self.transactions.saturating_add(1);
        Ok(())
    }

    /// Carries out what the log promised and did not note as done.
    pub(super) fn finish(&mut self, intents: Intents) -> Result<(), Halt> {
        let (remappings, others) = intents.unfinished();
        if others {
            self.note("an exchange of extents or a change of attributes was not completed");
        }
        for changes in remappings.chunk_by(|(a, _), (b, _)| a == b) {
            let done = self.remap(changes);
            self.absorb(done)?;
        }
        Ok(())
    }

    fn absorb(&mut self, done: Result<(), Halt>) -> Result<(), Halt> {
        match done {
            Err(Halt::Log(reason)) => {
                self.note(reason);
                Ok(())
            }
            other => other,
        }
    }

    fn buffer(&mut self, item: &Item, lsn: Lsn, freed: &mut Vec<Run>) -> Result<(), Halt> {
        let buffer = Buffer::parse(item)?;
        if buffer.is_cancel() {
            freed.push(buffer.run);
            return Ok(());
        }
        if !buffer.may_be_read() || self.cancelled.contains(buffer.run) {
            return Ok(());
        }
        let mut content = self.read(buffer.run)?;
        if buffer.apply(item, &mut content, self.sb, lsn)? {
            self.replace(buffer.run.start, &content)?;
        }
        Ok(())
    }

    /// Makes the inodes of a new chunk, all of them unused. It does not matter what their place had before, and whether some
    /// of them are newer: what changed them is in the log, too.
    fn create_inodes(&mut self, item: &Item) -> Result<(), Halt> {
        let new = Icreate::parse(item, self.sb)?;
        if self.cancelled.overlaps(new.run) {
            return Ok(());
        }
        self.budget.work(to_u64(new.run.bytes()))?;
        let content = new.content(self.sb)?;
        self.replace(new.run.start, &content)
    }

    fn inode(&mut self, item: &Item, lsn: Lsn) -> Result<(), Halt> {
        let logged = LoggedInode::parse(item)?;
        if self.cancelled.contains(logged.cluster) {
            return Ok(());
        }
        let mut inode = self.read_inode(logged.offset)?;
        if logged.apply(item, &mut inode, self.sb, lsn)? {
            self.write(logged.offset, &inode)?;
        }
        for root in logged.trees_to_own(&inode)? {
            self.change_owner(logged.number, root)?;
        }
        Ok(())
    }

    /// Changes the extents of one inode, whose number is with each change.
    fn remap(&mut self, changes: &[(u64, Remapping)]) -> Result<(), Halt> {
        let Some(&(owner, _)) = changes.first() else { return Ok(()) };
        let offset = location(self.sb, owner)
            .map(|(block, within)| block.saturating_add(to_u64(within)))
            .ok_or(Halt::Log("an intent names an inode that cannot be"))?;
        let mut inode = self.read_inode(offset)?;
        if remap(&mut inode, changes, self.sb, self.budget)? {
            return self.write(offset, &inode);
        }
        self.roomless.extend_from_slice(changes);
        Ok(())
    }

    /// An inode as it is by now.
    fn read_inode(&self, offset: u64) -> Result<Vec<u8>, Halt> {
        let first = offset / BASIC_BLOCK;
        let length = usize::from(self.sb.inodesize);
        let within = to_usize(offset.checked_rem(BASIC_BLOCK).unwrap_or(0));
        let blocks = to_u64(within.saturating_add(length)).div_ceil(BASIC_BLOCK);
        let content = self.read(Run { start: first, blocks })?;
        Ok(Bytes(&content).get(within, length)?.to_vec())
    }

    /// Basic blocks as they are by now.
    pub(super) fn read(&self, run: Run) -> Result<Vec<u8>, Halt> {
        let offset = run.start.saturating_mul(BASIC_BLOCK);
        let length = run.blocks.saturating_mul(BASIC_BLOCK);
        if offset.checked_add(length).is_none_or(|end| end > self.volume.size()) {
            return Err(Halt::Log("the log changes a block behind the filesystem's end"));
        }
        self.budget.work(length)?;
        self.budget.bytes(length)?;
        let mut content = vec![0; to_usize(length)];
        self.volume.read_at(offset, &mut content).map_err(FsError::from)?;
        self.overlay.apply(offset, &mut content);
        Ok(content)
    }

    /// Replaces bytes, of which basic blocks may have others besides.
    fn write(&mut self, offset: u64, content: &[u8]) -> Result<(), Halt> {
        let first = offset / BASIC_BLOCK;
        let within = to_usize(offset.checked_rem(BASIC_BLOCK).unwrap_or(0));
        let end = within.saturating_add(content.len());
        let mut blocks = self.read(Run { start: first, blocks: to_u64(end).div_ceil(BASIC_BLOCK) })?;
        if let Some(target) = blocks.get_mut(within..end) {
            target.copy_from_slice(content);
        }
        self.replace(first, &blocks)
    }

    /// Replaces whole basic blocks.
    pub(super) fn replace(&mut self, start: u64, content: &[u8]) -> Result<(), Halt> {
        // Each basic block is copied and finds its place, and the structure gets a checksum.
        self.budget.work(to_u64(content.len()).saturating_mul(2))?;
        let added = self.overlay.added_by(start, content);
        self.memory.take(added, "what the log changes is larger than the limit")?;
        self.overlay.replace(start, content);
        Ok(())
    }
}
