//! Extents of files, while a log is replayed.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::super::FsError;
use super::super::extent::{INLINE, INLINE_DATA};
use super::super::key::{Key, kind};
use super::super::tree::Item;
use super::replay::{Replay, put};
use crate::volume::bytes::{Bytes, to_u64};

/// Offsets in `struct btrfs_file_extent_item`.
const RAM_BYTES: usize = 8;
const COMPRESSION: usize = 16;
const KIND: usize = 20;
const DISK_BYTENR: usize = 21;
const OFFSET: usize = 37;
const NUM_BYTES: usize = 45;

impl Replay<'_> {
    /// Puts an extent into its file, in the place of what was there.
    pub(super) fn extent(&mut self, item: &Item) -> Result<(), FsError> {
        let Key { objectid, offset: start, .. } = item.key;
        if self.stat(objectid)?.is_none() {
            return Err(FsError::corrupt(
                "the Btrfs tree log",
                format!("it has data of inode {objectid}, which is not there"),
            ));
        }
        let extent = Bytes(item.data());
        let is_inline = extent.u8(KIND)? == INLINE;
        let mut end = start.saturating_add(length(item.data())?);
        if is_inline {
            let sector = to_u64(self.storage.sector_size());
            end = end.checked_next_multiple_of(sector).unwrap_or(end);
        }
        self.drop_extents(objectid, start, end)?;
        if !is_inline && extent.le64(DISK_BYTENR)? == 0 && self.no_holes {
            return Ok(());
        }
        self.set(item.key, item.data())
    }

    /// Takes a part out of a file: what lies in it goes, what reaches into it is cut.
    pub(super) fn drop_extents(&mut self, objectid: u64, start: u64, end: u64) -> Result<(), FsError> {
        let key = |offset| Key::new(objectid, kind::EXTENT_DATA, offset);
        let Some(last) = end.checked_sub(1) else { return Ok(()) };
        let before = self.tree.floor(self.storage, key(start))?;
        let first = before.map(|item| item.key).filter(|&before| before >= key(0)).unwrap_or_else(|| key(0));
        let mut from = Some(first);
        while let Some(item) = self.next_item(from, key(last))? {
            from = item.key.next();
            let begins = item.key.offset;
            let ends = begins.saturating_add(length(item.data())?);
            if ends <= start {
                continue;
            }
            let is_inline = Bytes(item.data()).u8(KIND)? == INLINE;
            if is_inline && (begins < start || ends > end) {
                return Err(FsError::corrupt("the Btrfs tree log", "it cuts an inline extent"));
            }
            self.remove(item.key)?;
            if begins < start {
                let mut left = item.data().to_vec();
                put(&mut left, NUM_BYTES, &start.saturating_sub(begins).to_le_bytes());
                self.set(item.key, &left)?;
            }
            if ends > end {
                let mut right = item.data().to_vec();
                put(&mut right, NUM_BYTES, &ends.saturating_sub(end).to_le_bytes());
                // A hole has no data to begin later in.
                if Bytes(&right).le64(DISK_BYTENR)? != 0 {
                    let skipped = Bytes(&right).le64(OFFSET)?.saturating_add(end.saturating_sub(begins));
                    put(&mut right, OFFSET, &skipped.to_le_bytes());
                }
                self.set(key(end), &right)?;
            }
        }
        Ok(())
    }
}

/// How many bytes of the file an extent is.
fn length(data: &[u8]) -> Result<u64, FsError> {
    let extent = Bytes(data);
    if extent.u8(KIND)? != INLINE {
        return Ok(extent.le64(NUM_BYTES)?);
    }
    // Not compressed, the data says how long it is.
    if extent.u8(COMPRESSION)? == 0 {
        return Ok(to_u64(data.len().saturating_sub(INLINE_DATA)));
    }
    Ok(extent.le64(RAM_BYTES)?)
}
