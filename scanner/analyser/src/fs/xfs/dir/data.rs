//! Blocks with entries: `struct xfs_dir2_data_hdr`, `struct xfs_dir2_data_entry`, `struct xfs_dir2_data_unused`, and in
//! directories of one block `struct xfs_dir2_block_tail`.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::sync::Arc;

use super::{FsError, InodeRecord, check, damaged};
use crate::fs::DirEntry;
use crate::fs::xfs::blocks::{Blocks, Header};
use crate::fs::xfs::map;
use crate::volume::bytes::{Bytes, Truncated, to_usize};

/// `struct xfs_dir3_blk_hdr`
const HEADER: Header = Header { name: "a directory block", crc: 4, blkno: 8, uuid: 24, owner: 40 };
/// `sizeof(struct xfs_dir3_data_hdr)`: what a block has before its entries in version 5.
pub(super) const HEADER_SIZE: usize = 64;
/// What an entry has besides its name: the inode, lengths, and its place.
pub(super) const ENTRY_SIZE: usize = 12;
/// `XFS_DIR2_DATA_FREE_TAG`: space that no entry has.
const FREE_TAG: u16 = 0xffff;
/// `XFS_DIR2_DATA_ALIGN`
const ALIGN: usize = 8;
/// `count` and `stale`, at the end of a directory's only block.
const TAIL_SIZE: usize = 8;
/// `hashval` and `address`
const INDEX_ENTRY_SIZE: usize = 8;

/// A block with entries.
#[derive(Debug)]
pub(super) struct DataBlock {
    content: Arc<[u8]>,
    /// Where the entries begin and end.
    start: usize,
    end: usize,
}

impl DataBlock {
    /// Block `number` of a directory, its header checked; `None` for a hole.
    pub(super) fn load(blocks: &Blocks, dir: &InodeRecord, number: u64) -> Result<Option<Self>, FsError> {
        let damaged = |problem| damaged(dir, &format!("its block {number} {problem}"));
        let (logical, unit) = (number << blocks.sb.dirblklog, 1 << blocks.sb.dirblklog);
        let content = map::structure(blocks, dir.number, &dir.data, logical, unit, &HEADER)?;
        let Some(content) = content else { return Ok(None) };
        let bytes = Bytes(&content);
        let magic: [u8; 4] = bytes.array(0)?;
        let (has_index, start) = match (blocks.sb.has_crc(), &magic) {
            (false, b"XD2D") => (false, 16),
            (false, b"XD2B") => (true, 16),
            (true, b"XDD3") => (false, HEADER_SIZE),
            (true, b"XDB3") => (true, HEADER_SIZE),
            _ => return Err(damaged("has another magic number")),
        };
        let mut end = content.len();
        if has_index {
            end = end.saturating_sub(TAIL_SIZE);
            let index = to_usize(bytes.be32(end)?).saturating_mul(INDEX_ENTRY_SIZE);
            end = end
                .checked_sub(index)
                .filter(|&end| end >= start)
                .ok_or_else(|| damaged("has an index larger than itself"))?;
        }
        Ok(Some(Self { content, start, end }))
    }

    /// The index at the end of a directory's only block: none in other blocks.
    pub(super) fn index(&self) -> &[u8] {
        let end = self.content.len().saturating_sub(TAIL_SIZE);
        self.content.get(self.end..end).unwrap_or_default()
    }

    pub(super) fn entries<'a>(&'a self, blocks: &'a Blocks) -> Entries<'a> {
        let area = self.content.get(..self.end).unwrap_or_default();
        Entries { blocks, bytes: Bytes(area), at: self.start }
    }

    /// The entry that begins `at` bytes into the block.
    pub(super) fn entry<'a>(&'a self, blocks: &'a Blocks, at: usize) -> Result<DirEntry<'a>, &'static str> {
        if at < self.start {
            return Err("an entry lies before its block's entries");
        }
        let mut entries = self.entries(blocks);
        entries.at = at;
        entries.record()?.ok_or("the index leads to an entry that was removed")
    }
}

/// The entries of one block.
pub(super) struct Entries<'a> {
    blocks: &'a Blocks,
    bytes: Bytes<'a>,
    at: usize,
}

impl<'a> Entries<'a> {
    /// The next record: an entry, or `None` for free space.
    fn record(&mut self) -> Result<Option<DirEntry<'a>>, &'static str> {
        let truncated = |_: Truncated| "an entry does not fit into its block";
        let at = self.at;
        let record = Bytes(self.bytes.0.get(at..).unwrap_or_default());
        let is_free = record.be16(0).map_err(truncated)? == FREE_TAG;
        let (length, name_length) = if is_free {
            (usize::from(record.be16(2).map_err(truncated)?), 0)
        } else {
            let name_length = usize::from(record.u8(8).map_err(truncated)?);
            (self.entry_length(name_length), name_length)
        };
        if length < ALIGN || !length.is_multiple_of(ALIGN) || length > record.0.len() {
            return Err("an entry has an impossible length");
        }
        // `tag`: each record ends with its own place.
        let tag = record.be16(length.saturating_sub(2)).map_err(truncated)?;
        if usize::from(tag) != at {
            return Err("an entry does not know its place");
        }
        self.at = at.saturating_add(length);
        if is_free {
            return Ok(None);
        }
        let name = record.get(9, name_length).map_err(truncated)?;
        let file_type = if self.blocks.sb.has_ftype() {
            Some(record.u8(name_length.saturating_add(9)).map_err(truncated)?)
        } else {
            None
        };
        check(self.blocks, name, record.be64(0).map_err(truncated)?, file_type).map(Some)
    }

    /// `inumber`, `namelen`, the name, perhaps `ftype`, `tag`, and what is missing to whole 8 bytes.
    fn entry_length(&self, name_length: usize) -> usize {
        let fields = if self.blocks.sb.has_ftype() { 12 } else { 11 };
        name_length.saturating_add(fields).next_multiple_of(ALIGN)
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<DirEntry<'a>, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.at < self.bytes.0.len() {
            match self.record() {
                Ok(None) => {}
                Ok(Some(entry)) => return Some(Ok(entry)),
                Err(problem) => {
                    // Where the next entry begins is unknown.
                    self.at = self.bytes.0.len();
                    return Some(Err(problem));
                }
            }
        }
        None
    }
}
