//! Looking up one name in a large directory through its htree. Names and offsets are those of the kernel's
//! `ext4/directory.rst`.
//!
//! A lookup reads the tree's root and one leaf, often two blocks of hundreds. For a scan that looks up exact paths, and for
//! one that looks up each name of a directory of many thousand, that is the difference between reading a directory once
//! and reading it for each name.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::dir::{self, Entries, Reader, damaged};
use super::hash::{self, HashVersion};
use super::inode::InodeRecord;
use super::{FsError, feature};
use crate::fs::Inode;
use crate::volume::bytes::Bytes;

/// What an htree says about a name.
pub(super) enum Answer {
    Found(Inode),
    Absent,
    /// The tree cannot be used: it is damaged, or hashed by a function that needs a key. The directory is still a list.
    NoTree,
}

/// Looks for `name`.
pub(super) fn lookup(reader: Reader<'_>, dir: &InodeRecord, name: &[u8]) -> Result<Answer, FsError> {
    match search(reader, dir, name) {
        Err(FsError::Corrupt { .. }) => Ok(Answer::NoTree),
        other => other,
    }
}

fn search(reader: Reader<'_>, dir: &InodeRecord, name: &[u8]) -> Result<Answer, FsError> {
    let root = dir::block(reader, dir, 0)?.ok_or_else(|| damaged(dir, "its htree has no root"))?;
    // dx_root_info
    let info = Bytes(&root);
    let (recorded, levels) = (info.u8(28)?, info.u8(30)?);
    let Some((version, unsigned)) = hash::version(recorded, reader.sb) else { return Ok(Answer::NoTree) };
    // EXT4_HTREE_LEVEL_COMPAT and EXT4_HTREE_LEVEL, counted without the root.
    let most = if reader.sb.incompat & feature::LARGEDIR != 0 { 2 } else { 1 };
    if levels > most || dir::count_offset(&root) != Some(32) {
        return Ok(Answer::NoTree);
    }
    let search = Search { reader, dir, name, hash: hash_of(name, version, unsigned, reader) };
    Ok(search.node(&root, levels)?.map_or(Answer::Absent, Answer::Found))
}

fn hash_of(name: &[u8], version: HashVersion, unsigned: bool, reader: Reader<'_>) -> u32 {
    hash::hash(name, version, unsigned, reader.sb.hash_seed)
}

struct Search<'a> {
    reader: Reader<'a>,
    dir: &'a InodeRecord,
    name: &'a [u8],
    hash: u32,
}

impl Search<'_> {
    /// Searches below a node that has `levels` levels of nodes below it. The recursion is as deep as `levels`, at most 2.
    fn node(&self, content: &[u8], levels: u8) -> Result<Option<Inode>, FsError> {
        let entries =
            NodeEntries::new(content).ok_or_else(|| damaged(self.dir, "its htree has a damaged node"))?;
        let mut index = entries.last_not_behind(self.hash)?;
        loop {
            self.reader.blocks.budget().step()?;
            let child = u64::from(entries.block(index)?);
            let content = dir::block(self.reader, self.dir, child)?
                .ok_or_else(|| damaged(self.dir, "its htree leads to a hole"))?;
            let found = match levels.checked_sub(1) {
                Some(below) if dir::count_offset(&content) == Some(8) => self.node(&content, below)?,
                Some(_) => return Err(damaged(self.dir, "its htree is less deep than it says")),
                None => self.leaf(&content)?,
            };
            if found.is_some() {
                return Ok(found);
            }
            // Names with equal hashes may fill several blocks; the lowest bit of the following ones' hash says so.
            index = index.saturating_add(1);
            if index >= entries.count || entries.hash(index)? != self.hash | 1 {
                return Ok(None);
            }
        }
    }

    fn leaf(&self, content: &[u8]) -> Result<Option<Inode>, FsError> {
        for entry in Entries::new(content, self.reader) {
            self.reader.blocks.budget().step()?;
            let entry = entry.map_err(|problem| damaged(self.dir, problem))?;
            if entry.name == self.name {
                return Ok(Some(entry.inode));
            }
        }
        Ok(None)
    }
}

/// The entries of a node: `hash`, `block`. The first one's hash is the lowest there is, in its place are `limit` and
/// `count`.
struct NodeEntries<'a> {
    bytes: Bytes<'a>,
    count: usize,
}

impl<'a> NodeEntries<'a> {
    fn new(content: &'a [u8]) -> Option<Self> {
        let at = dir::count_offset(content)?;
        let bytes = Bytes(content.get(at..)?);
        let (limit, count) = (usize::from(bytes.le16(0).ok()?), usize::from(bytes.le16(2).ok()?));
        (1..=limit).contains(&count).then_some(Self { bytes, count })
    }

    fn hash(&self, index: usize) -> Result<u32, FsError> {
        Ok(if index == 0 { 0 } else { self.bytes.le32(index.saturating_mul(8))? })
    }

    fn block(&self, index: usize) -> Result<u32, FsError> {
        // The upper four bits are reserved.
        Ok(self.bytes.le32(index.saturating_mul(8).saturating_add(4))? & 0x0fff_ffff)
    }

    /// The last entry whose hash is not above `hash`.
    fn last_not_behind(&self, hash: u32) -> Result<usize, FsError> {
        let (mut low, mut high) = (1, self.count);
        while low < high {
            let middle = low.midpoint(high);
            if self.hash(middle)? <= hash {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        Ok(low.saturating_sub(1))
    }
}
