//! The journal (JBD2): what was written to the filesystem and has not yet reached its place.
//!
//! A snapshot of a running machine always has such a journal. It is replayed into an [`Overlay`] in memory, as the kernel
//! would replay it onto the disk: the transactions from the journal's start to the last one with a commit record, without
//! the blocks that a later record revokes. Names and offsets are those of the kernel's `ext4/journal.rst`; all numbers are
//! big-endian.
//!
//! The list of orphaned inodes is not processed: it frees the space of files that were deleted or cut while open, which
//! have no name any more, and changes nothing that can be read by name.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::HashMap;
use std::ops::Range;

use super::blocks::Blocks;
use super::checksum::crc32c;
use super::inode::InodeRecord;
use super::overlay::{MAGIC, Overlay, Replacement, TagChecksum};
use super::{FsError, map};
use crate::fs::Journal;
use crate::limits::Limits;
use crate::volume::bytes::{Bytes, Truncated, to_usize};

/// `JBD2_FEATURE_INCOMPAT_*`
mod incompat {
    pub(super) const REVOKE: u32 = 0x1;
    pub(super) const WIDE: u32 = 0x2;
    pub(super) const ASYNC_COMMIT: u32 = 0x4;
    pub(super) const CSUM_V2: u32 = 0x8;
    pub(super) const CSUM_V3: u32 = 0x10;
    pub(super) const FAST_COMMIT: u32 = 0x20;
    pub(super) const KNOWN: u32 = REVOKE | WIDE | ASYNC_COMMIT | CSUM_V2 | CSUM_V3 | FAST_COMMIT;
}

/// Types of a block with a header.
mod block_type {
    pub(super) const DESCRIPTOR: u32 = 1;
    pub(super) const COMMIT: u32 = 2;
    pub(super) const SUPERBLOCK_V1: u32 = 3;
    pub(super) const SUPERBLOCK_V2: u32 = 4;
    pub(super) const REVOKE: u32 = 5;
}

/// The length of `journal_header_t`: magic, type, sequence.
const HEADER: usize = 12;

/// Replays the journal that is in `inode`. `blocks` still shows the volume without it.
///
/// # Errors
///
/// Only what concerns the volume and the limits. A journal that cannot be replayed is [`Journal::Ignored`]: what is there
/// without it can be read, and the report says so.
pub(super) fn replay(
    blocks: &Blocks,
    inode: &InodeRecord,
    limits: &Limits,
) -> Result<(Overlay, Journal), FsError> {
    let ignored = |reason| Ok((Overlay::default(), Journal::Ignored { reason }));
    let file = match File::new(blocks, inode, limits) {
        Ok(file) => file,
        Err(FsError::Corrupt { .. }) => return ignored("the journal's inode is damaged"),
        Err(error) => return Err(error),
    };
    let Some(first) = file.read(0)? else { return ignored("the journal is empty") };
    let format = match Format::parse(&first, &file) {
        Ok(format) => format,
        Err(reason) => return ignored(reason),
    };
    if format.start == 0 {
        return Ok((Overlay::default(), Journal::Clean));
    }
    let log = Log::read(&format, &file, limits)?;
    if log.fast_commits {
        return Ok((
            log.overlay(&format),
            Journal::Ignored { reason: "fast commits after the last full transaction were not replayed" },
        ));
    }
    let transactions = log.transactions;
    Ok((log.overlay(&format), Journal::Replayed { transactions }))
}

/// The journal as a run of blocks, numbered from 0.
struct File<'a> {
    blocks: &'a Blocks,
    /// Where on the volume the parts of the journal are, in order.
    runs: Vec<Range<u64>>,
}

impl<'a> File<'a> {
    fn new(blocks: &'a Blocks, inode: &InodeRecord, limits: &Limits) -> Result<Self, FsError> {
        if inode.has_inline_data() {
            return Err(FsError::corrupt("the journal's inode", "it has no blocks"));
        }
        let most = limits.journal_blocks.saturating_mul(u64::from(blocks.block_size()));
        if inode.stat.size > most {
            return Err(FsError::Limit { what: "the size of the journal", limit: most });
        }
        Ok(Self { blocks, runs: map::runs(blocks, inode, inode.stat.size, limits)? })
    }

    fn len(&self) -> u64 {
        self.runs.iter().fold(0, |sum: u64, run| sum.saturating_add(run.end.saturating_sub(run.start)))
    }

    /// Where block `index` of the journal is on the volume. The journal has no holes; if it had, the blocks after one would
    /// not be where they should be, and would not have the right sequence number.
    fn at(&self, index: u64) -> Option<u64> {
        let mut left = index;
        for run in &self.runs {
            let length = run.end.saturating_sub(run.start);
            if left < length {
                return run.start.checked_add(left);
            }
            left = left.saturating_sub(length);
        }
        None
    }

    fn read(&self, index: u64) -> Result<Option<Vec<u8>>, FsError> {
        self.at(index).map(|block| self.blocks.raw(block)).transpose()
    }
}

/// What the journal's superblock says.
struct Format {
    incompat: u32,
    /// The first block of the log.
    first: u64,
    /// The block after the last one of the log: there it continues at `first`.
    end: u64,
    /// Where the oldest transaction begins; 0 if there is none.
    start: u64,
    /// The sequence number of the oldest transaction.
    sequence: u32,
    /// What checksums start with.
    seed: u32,
}

impl Format {
    fn parse(superblock: &[u8], file: &File<'_>) -> Result<Self, &'static str> {
        Self::fields(Bytes(superblock), file).unwrap_or(Err("the journal's superblock is damaged"))
    }

    fn fields(sb: Bytes<'_>, file: &File<'_>) -> Result<Result<Self, &'static str>, Truncated> {
        let version = sb.be32(4)?;
        if sb.array(0)? != MAGIC || !matches!(version, block_type::SUPERBLOCK_V1 | block_type::SUPERBLOCK_V2)
        {
            return Ok(Err("the journal has no superblock"));
        }
        // Version 1 has no features.
        let incompat = if version == block_type::SUPERBLOCK_V1 { 0 } else { sb.be32(0x28)? };
        if incompat & !incompat::KNOWN != 0 {
            return Ok(Err("the journal has features that this version does not know"));
        }
        let has_checksums = incompat & (incompat::CSUM_V2 | incompat::CSUM_V3) != 0;
        if has_checksums {
            // s_checksum, over the first 1024 bytes with the field itself as zeros. s_checksum_type 4 is CRC-32C.
            let crc = crc32c(crc32c(u32::MAX, sb.get(0, 0xfc)?), &[0; 4]);
            if sb.u8(0x50)? != 4 || crc32c(crc, sb.get(0x100, 0x300)?) != sb.be32(0xfc)? {
                return Ok(Err("the checksum of the journal's superblock is wrong"));
            }
        }
        if incompat & incompat::ASYNC_COMMIT != 0 && !has_checksums {
            return Ok(Err("the journal has asynchronous commits with checksums of version 1"));
        }
        let uuid: [u8; 16] = sb.array(0x30)?;
        let maxlen = u64::from(sb.be32(0x10)?);
        let fast_commit_blocks = match (incompat & incompat::FAST_COMMIT, sb.be32(0x54)?) {
            (0, _) => 0,
            // JBD2_DEFAULT_FAST_COMMIT_BLOCKS
            (_, 0) => 256,
            (_, blocks) => u64::from(blocks),
        };
        let parsed = Self {
            incompat,
            first: u64::from(sb.be32(0x14)?),
            end: maxlen.saturating_sub(fast_commit_blocks),
            start: u64::from(sb.be32(0x1c)?),
            sequence: sb.be32(0x18)?,
            seed: crc32c(u32::MAX, &uuid),
        };
        let in_log = parsed.start == 0 || (parsed.first..parsed.end).contains(&parsed.start);
        if sb.be32(0xc)? != file.blocks.block_size() || maxlen > file.len() || parsed.first == 0 || !in_log {
            return Ok(Err("the journal's superblock contradicts itself"));
        }
        Ok(Ok(parsed))
    }

    fn has(&self, feature: u32) -> bool {
        self.incompat & feature != 0
    }

    fn has_checksums(&self) -> bool {
        self.has(incompat::CSUM_V2 | incompat::CSUM_V3)
    }

    /// The block after `block`, around the end of the log.
    fn after(&self, block: u64) -> u64 {
        let next = block.saturating_add(1);
        if next >= self.end { self.first } else { next }
    }

    /// The content of a descriptor or revoke block, without the checksum at its end; `None` if that is wrong.
    fn checked<'b>(&self, block: &'b [u8]) -> Option<&'b [u8]> {
        if !self.has_checksums() {
            return Some(block);
        }
        // jbd2_journal_block_tail
        let (content, tail) = block.split_last_chunk::<4>()?;
        let crc = crc32c(crc32c(self.seed, content), &[0; 4]);
        (crc == u32::from_be_bytes(*tail)).then_some(content)
    }

    /// Whether the checksum of a commit block is right: `h_chksum[0]`, over the block with the field itself as zeros.
    fn commit_is_right(&self, block: &[u8]) -> Result<bool, Truncated> {
        if !self.has_checksums() {
            return Ok(true);
        }
        let bytes = Bytes(block);
        let crc = crc32c(crc32c(self.seed, bytes.get(0, 0x10)?), &[0; 4]);
        Ok(crc32c(crc, bytes.get(0x14, block.len().saturating_sub(0x14))?) == bytes.be32(0x10)?)
    }
}

/// A block that a transaction wrote.
struct Written {
    /// Its place in the filesystem.
    block: u64,
    replacement: Replacement,
}

/// What the committed transactions of the log say.
struct Log {
    transactions: u64,
    /// Oldest first.
    written: Vec<Written>,
    /// For each revoked block the last transaction that revoked it.
    revoked: HashMap<u64, u32>,
    /// Whether fast commits follow the last transaction.
    fast_commits: bool,
}

impl Log {
    /// Reads the log from its start to the first block that does not continue it. That is where the machine stopped
    /// writing: a transaction without a valid commit record never happened.
    fn read(format: &Format, file: &File<'_>, limits: &Limits) -> Result<Self, FsError> {
        let mut log =
            Self { transactions: 0, written: Vec::new(), revoked: HashMap::new(), fast_commits: false };
        let mut open = Transaction { sequence: format.sequence, written: Vec::new(), revoked: Vec::new() };
        let mut position = format.start;
        // One lap at most.
        let mut left = format.end.saturating_sub(format.first);
        while let Some(remaining) = left.checked_sub(1) {
            left = remaining;
            let Some(block) = file.read(position)? else { break };
            position = format.after(position);
            let bytes = Bytes(&block);
            if bytes.array(0)? != MAGIC || bytes.be32(8)? != open.sequence {
                break;
            }
            match bytes.be32(4)? {
                block_type::DESCRIPTOR => {
                    let Some(tags) = tags(format, &block) else { break };
                    for tag in tags {
                        let Some(at) = file.at(position) else { break };
                        open.written.push(tag.written(at, open.sequence));
                        position = format.after(position);
                        left = left.saturating_sub(1);
                    }
                }
                block_type::REVOKE => {
                    if !open.revoke(format, &block)? {
                        break;
                    }
                }
                block_type::COMMIT if format.commit_is_right(&block)? => {
                    log.commit(&mut open);
                }
                _ => break,
            }
            let most = limits.journal_blocks;
            let tags = log.written.len().saturating_add(open.written.len());
            let revokes = log.revoked.len().saturating_add(open.revoked.len());
            if tags.saturating_add(revokes) > to_usize(most) {
                return Err(FsError::Limit { what: "the number of blocks in the journal", limit: most });
            }
        }
        if format.has(incompat::FAST_COMMIT) {
            log.fast_commits = has_fast_commits(format, file, open.sequence)?;
        }
        Ok(log)
    }

    /// Adds a transaction whose commit record was found, and makes `open` the next one.
    fn commit(&mut self, open: &mut Transaction) {
        self.transactions = self.transactions.saturating_add(1);
        self.written.append(&mut open.written);
        for block in open.revoked.drain(..) {
            self.revoked.insert(block, open.sequence);
        }
        open.sequence = open.sequence.wrapping_add(1);
    }

    /// The blocks as the last transaction left them. A revoked block was freed and may have become data, which is not
    /// journalled: older copies of it are void. Copies that later transactions wrote are not.
    fn overlay(self, format: &Format) -> Overlay {
        let mut overlay = Overlay::new(format.seed);
        for Written { block, replacement } in self.written {
            let is_void =
                self.revoked.get(&block).is_some_and(|&revoked| !is_later(replacement.sequence, revoked));
            if !is_void {
                overlay.insert(block, replacement);
            }
        }
        overlay
    }
}

/// Whether a sequence number comes after another one: they wrap around.
fn is_later(sequence: u32, than: u32) -> bool {
    sequence.wrapping_sub(than).cast_signed() > 0
}

/// A transaction whose commit record was not yet found.
struct Transaction {
    sequence: u32,
    written: Vec<Written>,
    revoked: Vec<u64>,
}

impl Transaction {
    /// Adds the numbers of a revoke block; `false` if it is damaged.
    fn revoke(&mut self, format: &Format, block: &[u8]) -> Result<bool, FsError> {
        let Some(content) = format.checked(block) else { return Ok(false) };
        let bytes = Bytes(content);
        // r_count: the bytes used, with the 16 of the header.
        let used = to_usize(bytes.be32(HEADER)?);
        let Some(records) = content.get(16..used) else { return Ok(false) };
        if format.has(incompat::WIDE) {
            for record in records.as_chunks::<8>().0 {
                self.revoked.push(u64::from_be_bytes(*record));
            }
        } else {
            for record in records.as_chunks::<4>().0 {
                self.revoked.push(u64::from(u32::from_be_bytes(*record)));
            }
        }
        Ok(true)
    }
}

/// The tags of a descriptor block, one for each of the blocks that follow it; `None` if its checksum is wrong.
fn tags(format: &Format, block: &[u8]) -> Option<Vec<Tag>> {
    let content = format.checked(block)?;
    let mut tags = Vec::new();
    let mut at = HEADER;
    while let Ok(tag) = Tag::parse(format, content, at) {
        at = at.saturating_add(tag.length);
        let is_last = tag.flags & Tag::LAST != 0;
        tags.push(tag);
        if is_last {
            break;
        }
    }
    Some(tags)
}

/// One tag of a descriptor block: `journal_block_tag3_s` or `journal_block_tag_s`.
struct Tag {
    block: u64,
    flags: u32,
    checksum: TagChecksum,
    /// How many bytes it takes, with the UUID that may follow it.
    length: usize,
}

impl Tag {
    /// `JBD2_FLAG_ESCAPE`: the block began with the journal's magic number.
    const ESCAPE: u32 = 1;
    /// `JBD2_FLAG_SAME_UUID`: no UUID follows.
    const SAME_UUID: u32 = 2;
    /// `JBD2_FLAG_LAST_TAG`
    const LAST: u32 = 8;

    fn parse(format: &Format, content: &[u8], at: usize) -> Result<Self, Truncated> {
        let tag = Bytes(content.get(at..).unwrap_or_default());
        let low = u64::from(tag.be32(0)?);
        let wide = format.has(incompat::WIDE);
        let (flags, high, checksum, size) = if format.has(incompat::CSUM_V3) {
            (tag.be32(4)?, tag.be32(8)?, TagChecksum::Full(tag.be32(12)?), 16)
        } else {
            let high = if wide { tag.be32(8)? } else { 0 };
            let has_checksum = format.has(incompat::CSUM_V2);
            let checksum = if has_checksum { TagChecksum::Low(tag.be16(4)?) } else { TagChecksum::None };
            // Version 2 added two bytes to the tag's length for a checksum that is in older bytes of it.
            let size = match (wide, has_checksum) {
                (false, false) => 8,
                (false, true) => 10,
                (true, false) => 12,
                (true, true) => 14,
            };
            (u32::from(tag.be16(6)?), high, checksum, size)
        };
        let high = if wide { u64::from(high) } else { 0 };
        let uuid = if flags & Self::SAME_UUID == 0 { 16 } else { 0 };
        // The whole tag must be there, not only the fields read.
        tag.get(0, size)?;
        Ok(Self { block: low | (high << 32), flags, checksum, length: size.saturating_add(uuid) })
    }

    fn written(&self, at: u64, sequence: u32) -> Written {
        let escaped = self.flags & Self::ESCAPE != 0;
        Written {
            block: self.block,
            replacement: Replacement { at, escaped, sequence, checksum: self.checksum },
        }
    }
}

/// Whether the fast-commit area, behind the log, has changes on top of the last full transaction: it begins with
/// `EXT4_FC_TAG_HEAD` and the number of the transaction that was running. Little-endian, unlike everything else.
fn has_fast_commits(format: &Format, file: &File<'_>, running: u32) -> Result<bool, FsError> {
    const HEAD: u16 = 9;
    let Some(block) = file.read(format.end)? else { return Ok(false) };
    let bytes = Bytes(&block);
    Ok(bytes.le16(0)? == HEAD && bytes.le32(8)? == running)
}
