//! Transactions, put together from the operations of records.
//!
//! A transaction is a sequence of items, and an item a sequence of regions: the first describes the item, the others are
//! what it holds. Operations carry the regions in order; one that does not fit into a record goes on in the next. Operations
//! of several transactions may alternate.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::HashMap;

use super::Halt;
use super::format::{Lsn, Operation, flag};
use super::memory::Memory;
use super::record::Record;
use crate::limits::Budget;
use crate::volume::bytes::{Bytes, to_u64};

/// What one committed transaction changes.
#[derive(Debug)]
pub(super) struct Transaction {
    /// Where the record is that the transaction began in: what metadata that it changed carries once written.
    pub(super) lsn: Lsn,
    pub(super) items: Vec<Item>,
    /// `xfs_trans_header`, as far as it was read.
    header: Vec<u8>,
}

/// One thing that a transaction changes.
#[derive(Debug)]
pub(super) struct Item {
    /// How many regions it has: the second number of the first one.
    total: usize,
    pub(super) regions: Vec<Vec<u8>>,
}

impl Item {
    /// `XLOG_MAX_REGIONS_IN_ITEM`: every other chunk of the largest buffer, and the description.
    const MOST_REGIONS: usize = 257;

    /// What the item is, the first number of the first region; see [`item_type`](super::format::item_type).
    pub(super) fn kind(&self) -> Result<u16, Halt> {
        Ok(Bytes(self.description()).le16(0)?)
    }

    /// The first region.
    pub(super) fn description(&self) -> &[u8] {
        self.region(0)
    }

    /// A region; empty if there is none of this index.
    pub(super) fn region(&self, index: usize) -> &[u8] {
        self.regions.get(index).map(Vec::as_slice).unwrap_or_default()
    }
}

/// The transactions whose commit was not yet read.
pub(super) struct Assembler<'a> {
    open: HashMap<u32, Transaction>,
    /// What these may hold.
    memory: &'a Memory,
    budget: &'a Budget,
}

impl<'a> Assembler<'a> {
    pub(super) fn new(memory: &'a Memory, budget: &'a Budget) -> Self {
        Self { open: HashMap::new(), memory, budget }
    }

    /// Adds what a record holds, and hands over each transaction that it commits.
    pub(super) fn feed(
        &mut self,
        record: &Record,
        commit: &mut dyn FnMut(&Transaction) -> Result<(), Halt>,
    ) -> Result<(), Halt> {
        let mut at = 0_usize;
        for _ in 0..record.header.operations {
            if at >= record.data.len() {
                break;
            }
            self.budget.step()?;
            let operation = Operation::parse(&record.data, at)?;
            let content = Bytes(&record.data).get(at.saturating_add(Operation::SIZE), operation.len)?;
            at = at.saturating_add(Operation::SIZE).saturating_add(operation.len);
            if let Some(committed) = self.operation(operation, content, record.header.lsn)? {
                commit(&committed)?;
                self.memory.give(committed.held());
            }
        }
        Ok(())
    }

    /// Adds one operation; the result is the transaction that it commits, if it does.
    fn operation(
        &mut self,
        operation: Operation,
        content: &[u8],
        lsn: Lsn,
    ) -> Result<Option<Transaction>, Halt> {
        let Some(transaction) = self.open.get_mut(&operation.tid) else {
            // What is not of a transaction known is of one that began before the tail: it is in its place.
            if operation.flags & flag::START != 0 {
                self.hold(Transaction::EMPTY)?;
                let new = Transaction { lsn, items: Vec::new(), header: Vec::new() };
                self.open.insert(operation.tid, new);
            }
            return Ok(None);
        };
        let mut flags = operation.flags & !flag::END;
        if flags & flag::WAS_CONTINUED != 0 {
            flags &= !flag::CONTINUE;
        }
        match flags {
            0 | flag::CONTINUE => {
                let grown = transaction.add(content)?;
                self.hold(grown)?;
            }
            flag::WAS_CONTINUED => {
                let grown = transaction.go_on(content)?;
                self.hold(grown)?;
            }
            flag::COMMIT => return Ok(self.open.remove(&operation.tid)),
            flag::UNMOUNT => {
                if let Some(removed) = self.open.remove(&operation.tid) {
                    self.memory.give(removed.held());
                }
            }
            _ => return Err(Halt::Log("an operation has unknown flags")),
        }
        Ok(None)
    }

    fn hold(&self, bytes: u64) -> Result<(), Halt> {
        self.memory.take(bytes, "the log's open transactions are larger than the limit")
    }
}

impl Transaction {
    /// `sizeof(struct xfs_trans_header)`
    const HEADER_SIZE: usize = 16;
    /// `XFS_TRANS_HEADER_MAGIC`
    const MAGIC: u32 = 0x5452_414e;
    /// What a transaction and each region take in memory besides their bytes: counted so that neither is free.
    const EMPTY: u64 = 256;

    /// Adds a region, or the start of one, and returns how many bytes of memory that took. The first region is the
    /// transaction's header.
    fn add(&mut self, content: &[u8]) -> Result<u64, Halt> {
        if content.is_empty() {
            return Ok(0);
        }
        if self.header.is_empty() {
            return self.add_header(content);
        }
        if self.header.len() < Self::HEADER_SIZE {
            return Err(Halt::Log("a transaction's header ends early"));
        }
        let is_full = self.items.last().is_none_or(|item| item.regions.len() >= item.total);
        if is_full {
            let total = usize::from(Bytes(content).le16(2)?);
            if total == 0 || total > Item::MOST_REGIONS {
                return Err(Halt::Log("the number of an item's regions is wrong"));
            }
            self.items.push(Item { total, regions: Vec::new() });
        }
        if let Some(item) = self.items.last_mut() {
            item.regions.push(content.to_vec());
        }
        Ok(Self::EMPTY.saturating_add(to_u64(content.len())))
    }

    /// Adds the rest of a region that began in an earlier record.
    fn go_on(&mut self, content: &[u8]) -> Result<u64, Halt> {
        if self.items.is_empty() && self.header.len() < Self::HEADER_SIZE {
            return self.add_header(content);
        }
        let last = self.items.last_mut().and_then(|item| item.regions.last_mut());
        last.ok_or(Halt::Log("a region goes on that never began"))?.extend_from_slice(content);
        Ok(to_u64(content.len()))
    }

    fn add_header(&mut self, content: &[u8]) -> Result<u64, Halt> {
        self.header.extend_from_slice(content);
        if self.header.len() > Self::HEADER_SIZE
            || Bytes(&self.header).le32(0).is_ok_and(|magic| magic != Self::MAGIC)
        {
            return Err(Halt::Log("a transaction has no header"));
        }
        Ok(0)
    }

    fn held(&self) -> u64 {
        let regions = self.items.iter().flat_map(|item| &item.regions);
        regions.fold(Self::EMPTY, |sum, region| {
            sum.saturating_add(Self::EMPTY).saturating_add(to_u64(region.len()))
        })
    }
}
