//! Directories within their inode: `struct xfs_dir2_sf_hdr` and `struct xfs_dir2_sf_entry`.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::{FsError, InodeRecord, check, damaged};
use crate::fs::DirEntry;
use crate::fs::xfs::blocks::Blocks;
use crate::volume::bytes::{Bytes, Truncated, to_usize};

/// The entries of such a directory. `.` is not among them, and `..` is a field of its own.
pub(super) struct Entries<'a> {
    blocks: &'a Blocks,
    bytes: Bytes<'a>,
    at: usize,
    left: u8,
    /// Of inode numbers: 8 if there is one that needs it, otherwise 4.
    number_size: usize,
}

impl<'a> Entries<'a> {
    pub(super) fn new(blocks: &'a Blocks, dir: &'a InodeRecord) -> Result<Self, FsError> {
        let used = dir.data.bytes.get(..to_usize(dir.stat.size));
        let bytes = Bytes(used.ok_or_else(|| damaged(dir, "it is larger than its inode"))?);
        // `count`, `i8count`, and the parent.
        let number_size: usize = if bytes.u8(1)? == 0 { 4 } else { 8 };
        Ok(Self { blocks, bytes, at: number_size.saturating_add(2), left: bytes.u8(0)?, number_size })
    }

    fn entry(&mut self) -> Result<DirEntry<'a>, &'static str> {
        let truncated = |_: Truncated| "an entry does not fit into the inode";
        let length = usize::from(self.bytes.u8(self.at).map_err(truncated)?);
        // `namelen`, and two bytes that only matter to who lists it in pieces.
        let name_at = self.at.saturating_add(3);
        let name = self.bytes.get(name_at, length).map_err(truncated)?;
        let mut at = name_at.saturating_add(length);
        let file_type = if self.blocks.sb.has_ftype() {
            let recorded = self.bytes.u8(at).map_err(truncated)?;
            at = at.saturating_add(1);
            Some(recorded)
        } else {
            None
        };
        let number = if self.number_size == 4 {
            u64::from(self.bytes.be32(at).map_err(truncated)?)
        } else {
            self.bytes.be64(at).map_err(truncated)?
        };
        self.at = at.saturating_add(self.number_size);
        check(self.blocks, name, number, file_type)
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<DirEntry<'a>, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let entry = self.entry();
        if entry.is_err() {
            self.left = 0;
        }
        Some(entry)
    }
}
