//! The filesystem's bytes: as the volume holds them, with what the log changes.
//!
//! Everything that the driver reads comes through here, so nothing can pass the log by.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::FsError;
use super::crc;
use super::fork::Fork;
use super::overlay::Overlay;
use super::superblock::Superblock;
use crate::limits::{Budget, Limits};
use crate::volume::Volume;
use crate::volume::bytes::{Bytes, to_u64, to_usize};
use agentless_core::cache::Cache;

/// The bytes of one filesystem, and what is known of it as a whole.
#[derive(Debug)]
pub(super) struct Blocks {
    pub(super) sb: Superblock,
    pub(super) limits: Limits,
    pub(super) budget: Budget,
    volume: Arc<dyn Volume>,
    overlay: Overlay,
    /// The data of inodes whose extents the log changes and that have no room for them.
    pub(super) remapped: BTreeMap<u64, Fork>,
    cache: RefCell<Cache<Buffer>>,
}

/// A structure of metadata in memory.
#[derive(Clone, Debug)]
struct Buffer {
    content: Arc<[u8]>,
    /// Where the checksum is that was found to be right; `None` if none was looked at.
    crc_field: Option<usize>,
}

/// Where a structure of version 5 says what it is: offsets within it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// What the structure is called.
    pub(super) name: &'static str,
    pub(super) crc: usize,
    /// Where on the volume it is, in sectors of 512 bytes.
    pub(super) blkno: usize,
    /// The UUID of the filesystem's metadata.
    pub(super) uuid: usize,
    /// The inode that it belongs to.
    pub(super) owner: usize,
}

impl Blocks {
    pub(super) fn new(
        volume: Arc<dyn Volume>,
        sb: Superblock,
        overlay: Overlay,
        limits: &Limits,
        budget: Budget,
    ) -> Self {
        // Most structures are one block; those of directories may be larger.
        let cache = RefCell::new(Cache::of_bytes(limits.cache_bytes, u64::from(sb.dirblksize())));
        Self { sb, limits: limits.clone(), budget, volume, overlay, remapped: BTreeMap::new(), cache }
    }

    /// Reads what begins `offset` bytes into the volume: the one way to it.
    pub(super) fn read(&self, offset: u64, dst: &mut [u8]) -> Result<(), FsError> {
        self.budget.step()?;
        self.budget.bytes(to_u64(dst.len()))?;
        if offset.checked_add(to_u64(dst.len())).is_none_or(|end| end > self.sb.size()) {
            let blocks = self.sb.dblocks;
            return Err(FsError::corrupt(
                format!("a reference to byte {offset}"),
                format!("there are {blocks} blocks"),
            ));
        }
        self.volume.read_at(offset, dst)?;
        self.overlay.apply(offset, dst);
        Ok(())
    }

    /// A whole structure without a header of its own, from memory where it was read before.
    pub(super) fn plain(&self, offset: u64, length: u32) -> Result<Arc<[u8]>, FsError> {
        self.buffer(&[Piece { offset, length }], None)
    }

    /// A whole structure that `owner` has in these pieces, from memory where it was read before. In version 5 what its
    /// header says is checked; version 4 has no headers.
    pub(super) fn described(
        &self,
        pieces: &[Piece],
        header: &Header,
        owner: u64,
    ) -> Result<Arc<[u8]>, FsError> {
        if !self.sb.has_crc() {
            return self.buffer(pieces, None);
        }
        let damaged = |problem: &str| {
            let at = pieces.first().map_or(0, |piece| piece.offset);
            FsError::corrupt(format!("{} of inode {owner}, at byte {at},", header.name), problem)
        };
        let content = self.buffer(pieces, Some(header.crc)).map_err(|error| match error {
            FsError::Corrupt { problem, .. } => damaged(&problem),
            other => other,
        })?;
        let bytes = Bytes(&content);
        if bytes.array(header.uuid)? != self.sb.meta_uuid {
            return Err(damaged("it is of another filesystem"));
        }
        if bytes.be64(header.owner)? != owner {
            return Err(damaged("it belongs to another inode"));
        }
        let sector = pieces.first().map_or(0, |piece| piece.offset / 512);
        if bytes.be64(header.blkno)? != sector {
            return Err(damaged("it is from another place"));
        }
        Ok(content)
    }

    fn buffer(&self, pieces: &[Piece], crc_field: Option<usize>) -> Result<Arc<[u8]>, FsError> {
        self.budget.step()?;
        let [first, rest @ ..] = pieces else {
            return Err(FsError::Invalid { problem: "a structure without a place" });
        };
        let length =
            rest.iter().fold(to_usize(first.length), |sum, piece| sum.saturating_add(to_usize(piece.length)));
        if let Some(found) = self.cache.borrow_mut().get(first.offset)
            && found.content.len() == length
            && found.crc_field == crc_field
        {
            return Ok(found.content);
        }
        self.budget.work(to_u64(length))?;
        let mut content = vec![0; length];
        let mut unread = content.as_mut_slice();
        for piece in pieces {
            let (part, behind) = unread.split_at_mut(to_usize(piece.length).min(unread.len()));
            self.read(piece.offset, part)?;
            unread = behind;
        }
        if let Some(field) = crc_field {
            self.budget.work(to_u64(length))?;
            if !crc::is_right(&content, field)? && !self.is_pieced_together(pieces) {
                return Err(FsError::corrupt("a structure", "its checksum is wrong"));
            }
        }
        let content: Arc<[u8]> = content.into();
        let buffer = Buffer { content: Arc::clone(&content), crc_field };
        self.cache.borrow_mut().insert(first.offset, buffer);
        Ok(content)
    }

    /// Whether the log changed a part of a structure that is in several places. It has each place as an item of its own,
    /// so that recovery cannot know what the checksum is over; the records that the change is from have checksums.
    fn is_pieced_together(&self, pieces: &[Piece]) -> bool {
        pieces.len() > 1 && pieces.iter().any(|piece| self.overlay.touches(piece.offset, piece.length))
    }

    /// Whether the structure at `offset` is in memory, so that prefetching it would fetch it again.
    pub(super) fn is_cached(&self, offset: u64) -> bool {
        self.cache.borrow().contains(offset)
    }

    /// Says that these bytes of the volume will be read soon.
    pub(super) fn prefetch(&self, ranges: &[Range<u64>]) {
        if !ranges.is_empty() {
            self.volume.prefetch(ranges);
        }
    }
}

/// A run of bytes on the volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) offset: u64,
    pub(super) length: u32,
}
