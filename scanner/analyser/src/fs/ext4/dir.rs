//! Directories: lists of names in the blocks of a file. Names and offsets are those of the kernel's `ext4/directory.rst`.
//!
//! An htree is built so that a reader who does not know it sees an ordinary list; listing reads it so. Looking up a single
//! name uses the tree (see [`htree`](super::htree)).
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::ops::ControlFlow;
use std::sync::Arc;

use super::blocks::{Blocks, Structure, Verified};
use super::checksum::crc32c;
use super::inode::InodeRecord;
use super::superblock::Superblock;
use super::{FsError, feature, map, xattr};
use crate::fs::{DirEntry, FileType, Inode};
use crate::limits::Limits;
use crate::volume::bytes::{Bytes, Truncated, to_usize};

/// Bytes of a directory that are asked for before they are read. They are in 64 blocks of a snapshot, or a little more: as
/// many as are fetched at a time.
pub(super) const AHEAD: u64 = 32 << 20;

/// What is needed to read the directories of a filesystem.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) blocks: &'a Blocks,
    pub(super) sb: &'a Superblock,
    pub(super) limits: &'a Limits,
}

/// Calls `visit` with each entry but `.` and `..`. A damaged block costs its own entries only: the others are visited, and
/// the damage is returned at the end.
pub(super) fn read(
    reader: Reader<'_>,
    dir: &InodeRecord,
    visit: &mut dyn FnMut(DirEntry<'_>) -> ControlFlow<()>,
) -> Result<(), FsError> {
    let mut damage = None;
    let mut left = reader.limits.dir_entries;
    for piece in pieces(reader, dir)? {
        if let Piece::Block(logical) = piece {
            prefetch(reader, dir, logical);
        }
        match read_piece(reader, dir, piece, &mut left, visit) {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => return Ok(()),
            Err(error @ FsError::Corrupt { .. }) => damage = damage.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    damage.map_or(Ok(()), Err)
}

/// Looks for `name` in one block after the other.
pub(super) fn lookup(reader: Reader<'_>, dir: &InodeRecord, name: &[u8]) -> Result<Option<Inode>, FsError> {
    let mut found = None;
    read(reader, dir, &mut |entry| {
        if entry.name == name {
            found = Some(entry.inode);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// A piece of a directory that is read as a whole.
#[derive(Clone, Copy)]
enum Piece {
    /// Within `i_block`, behind the number of the parent.
    InlineStart,
    /// Within the inode's extended attributes.
    InlineRest,
    /// A block.
    Block(u64),
}

fn pieces(reader: Reader<'_>, dir: &InodeRecord) -> Result<impl Iterator<Item = Piece>, FsError> {
    let inline = dir.has_inline_data();
    let count = if inline { 0 } else { block_count(reader, dir)? };
    let in_inode = [Piece::InlineStart, Piece::InlineRest].into_iter().filter(move |_| inline);
    Ok(in_inode.chain((0..count).map(Piece::Block)))
}

/// At every 32 MiB of a directory asks for the next ones.
fn prefetch(reader: Reader<'_>, dir: &InodeRecord, logical: u64) {
    let size = u64::from(reader.blocks.block_size()).max(1);
    let (count, ahead) = (dir.stat.size.div_ceil(size), AHEAD.div_ceil(size).max(1));
    if count > 1 && logical.is_multiple_of(ahead) {
        let next = logical..logical.saturating_add(ahead).min(count);
        // What cannot be mapped fails again, and properly, when it is read.
        let runs = map::runs(reader.blocks, dir, next, reader.limits).unwrap_or_default();
        reader.blocks.prefetch(runs.into_iter());
    }
}

/// The number of blocks of a directory.
pub(super) fn block_count(reader: Reader<'_>, dir: &InodeRecord) -> Result<u64, FsError> {
    if dir.stat.size > reader.limits.dir_bytes {
        return Err(FsError::Limit {
            what: "the size of a directory (`dir_bytes`)",
            limit: reader.limits.dir_bytes,
        });
    }
    Ok(dir.stat.size.div_ceil(u64::from(reader.blocks.block_size())))
}

fn read_piece(
    reader: Reader<'_>,
    dir: &InodeRecord,
    piece: Piece,
    left: &mut u64,
    visit: &mut dyn FnMut(DirEntry<'_>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, FsError> {
    let loaded;
    let content = match piece {
        Piece::InlineStart => dir.block.get(4..).unwrap_or_default(),
        Piece::InlineRest => xattr::inline_data(dir)?,
        Piece::Block(logical) => {
            // The kernel reports a hole in a directory and reads on.
            let Some(content) = block(reader, dir, logical)? else {
                return Err(damaged(dir, "it has a hole"));
            };
            loaded = content;
            &*loaded
        }
    };
    for entry in Entries::new(content, reader) {
        reader.blocks.budget().step()?;
        let entry = entry.map_err(|problem| damaged(dir, problem))?;
        if matches!(entry.name, b"." | b"..") {
            continue;
        }
        let Some(remaining) = left.checked_sub(1) else {
            let limit = reader.limits.dir_entries;
            return Err(FsError::Limit {
                what: "the number of entries in one directory (`dir_entries`)",
                limit,
            });
        };
        *left = remaining;
        if visit(entry).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Block `logical` of a directory, its checksum checked; `None` for a hole.
pub(super) fn block(
    reader: Reader<'_>,
    dir: &InodeRecord,
    logical: u64,
) -> Result<Option<Arc<[u8]>>, FsError> {
    let run = map::run(reader.blocks, dir, logical, 1, reader.limits)?;
    let Some(block) = run.start else { return Ok(None) };
    let content = reader.blocks.metadata(block)?;
    if let Some(seed) = dir.checksum_seed {
        let indexed = dir.is_indexed();
        let structure = if indexed { Structure::DirectoryIndex } else { Structure::DirectoryList };
        let by = Verified { structure, seed };
        if reader.blocks.verify(block, by, || checksum_is_right(&content, seed, indexed))? {
            return Ok(Some(content));
        }
        return Err(damaged(dir, &format!("the checksum of its block {logical} is wrong")));
    }
    Ok(Some(content))
}

pub(super) fn damaged(dir: &InodeRecord, problem: &str) -> FsError {
    FsError::corrupt(format!("directory inode {}", dir.number), problem)
}

/// Compares the checksum at the end of a directory's block: `ext4_dir_entry_tail` in a list, `dx_tail` in an htree.
fn checksum_is_right(content: &[u8], seed: u32, indexed: bool) -> Result<bool, Truncated> {
    let bytes = Bytes(content);
    if let Some(at) = count_offset(content).filter(|_| indexed) {
        // dx_countlimit
        let (limit, count) = (usize::from(bytes.le16(at)?), usize::from(bytes.le16(at.saturating_add(2))?));
        let end_of_entries = at.saturating_add(count.saturating_mul(8));
        let tail = at.saturating_add(limit.saturating_mul(8));
        let (Ok(entries), Ok(reserved), Ok(recorded)) =
            (bytes.get(0, end_of_entries), bytes.get(tail, 4), bytes.le32(tail.saturating_add(4)))
        else {
            return Ok(false);
        };
        return Ok(crc32c(crc32c(crc32c(seed, entries), reserved), &[0; 4]) == recorded);
    }
    let tail = content.len().saturating_sub(12);
    // det_reserved_zero1, det_rec_len, det_reserved_zero2, det_reserved_ft
    let is_tail = bytes.get(tail, 8)? == [0, 0, 0, 0, 12, 0, 0, 0xde];
    Ok(is_tail && crc32c(seed, bytes.get(0, tail)?) == bytes.le32(tail.saturating_add(8))?)
}

/// Where the number of entries of an htree's node is, if this is one: behind one empty directory entry that spans the
/// block, or behind `.` and a `..` that spans the rest.
pub(super) fn count_offset(content: &[u8]) -> Option<usize> {
    let bytes = Bytes(content);
    let length = |at| Some(record_length(bytes.le16(at).ok()?, content.len()));
    if bytes.le32(0).ok()? == 0 && length(4)? == content.len() {
        return Some(8);
    }
    let is_root = length(4)? == 12
        && length(16)? == content.len().saturating_sub(12)
        && bytes.le32(24).ok()? == 0
        && bytes.u8(29).ok()? == 8;
    is_root.then_some(32)
}

/// The entries of one block.
pub(super) struct Entries<'a> {
    bytes: Bytes<'a>,
    at: usize,
    has_file_type: bool,
    inodes_count: u32,
}

impl<'a> Entries<'a> {
    pub(super) fn new(content: &'a [u8], reader: Reader<'_>) -> Self {
        Self {
            bytes: Bytes(content),
            at: 0,
            has_file_type: reader.sb.incompat & feature::FILETYPE != 0,
            inodes_count: reader.sb.inodes_count,
        }
    }

    /// The next record: an entry, or `None` where one was deleted.
    fn record(&mut self) -> Result<Option<DirEntry<'a>>, &'static str> {
        const TRUNCATED: &str = "an entry does not fit into its block";
        let record = |at: usize| self.bytes.0.get(at..).map(Bytes).ok_or(TRUNCATED);
        let entry = record(self.at)?;
        let field = |result: Result<u16, Truncated>| result.map_err(|_| TRUNCATED);
        let inode = entry.le32(0).map_err(|_| TRUNCATED)?;
        let length = record_length(field(entry.le16(4))?, self.bytes.0.len());
        let (name_len, file_type) =
            (entry.u8(6).map_err(|_| TRUNCATED)?, entry.u8(7).map_err(|_| TRUNCATED)?);
        let name_len = usize::from(name_len);
        if length < 8_usize.saturating_add(name_len) || !length.is_multiple_of(4) || length > entry.0.len() {
            return Err("an entry has an impossible length");
        }
        self.at = self.at.saturating_add(length);
        if inode == 0 {
            return Ok(None);
        }
        let name = entry.get(8, name_len).map_err(|_| TRUNCATED)?;
        if !DirEntry::is_name(name) {
            return Err("an entry has an impossible name");
        }
        if inode > self.inodes_count {
            return Err("an entry refers to an inode that does not exist");
        }
        let file_type = if self.has_file_type { FileType::from_entry(file_type) } else { None };
        Ok(Some(DirEntry { name, inode: Inode(u64::from(inode)), file_type }))
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

/// `rec_len`. A block of 64 KiB does not fit into 16 bits; there the two lowest bits, which are always zero, continue it.
fn record_length(recorded: u16, block_size: usize) -> usize {
    if block_size < 1 << 16 {
        return usize::from(recorded);
    }
    match recorded {
        0 | u16::MAX => block_size,
        other => to_usize(u32::from(other & !3) | (u32::from(other & 3) << 16)),
    }
}
