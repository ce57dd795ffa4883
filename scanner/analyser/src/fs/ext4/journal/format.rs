//! What the journal's blocks look like.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::File;
use crate::fs::ext4::checksum::crc32c;
use crate::fs::ext4::overlay::{MAGIC, TagChecksum};
use crate::volume::bytes::{Bytes, Truncated};

/// `JBD2_FEATURE_INCOMPAT_*`
pub(super) mod incompat {
    pub(in crate::fs::ext4::journal) const REVOKE: u32 = 0x1;
    pub(in crate::fs::ext4::journal) const WIDE: u32 = 0x2;
    pub(in crate::fs::ext4::journal) const ASYNC_COMMIT: u32 = 0x4;
    pub(in crate::fs::ext4::journal) const CSUM_V2: u32 = 0x8;
    pub(in crate::fs::ext4::journal) const CSUM_V3: u32 = 0x10;
    pub(in crate::fs::ext4::journal) const FAST_COMMIT: u32 = 0x20;
    pub(in crate::fs::ext4::journal) const KNOWN: u32 =
        REVOKE | WIDE | ASYNC_COMMIT | CSUM_V2 | CSUM_V3 | FAST_COMMIT;
}

/// Types of a block with a header.
pub(super) mod block_type {
    pub(in crate::fs::ext4::journal) const DESCRIPTOR: u32 = 1;
    pub(in crate::fs::ext4::journal) const COMMIT: u32 = 2;
    pub(in crate::fs::ext4::journal) const SUPERBLOCK_V1: u32 = 3;
    pub(in crate::fs::ext4::journal) const SUPERBLOCK_V2: u32 = 4;
    pub(in crate::fs::ext4::journal) const REVOKE: u32 = 5;
}

/// The length of `journal_header_t`: magic, type, sequence.
pub(super) const HEADER: usize = 12;

/// What the journal's superblock says.
pub(super) struct Format {
    pub(super) incompat: u32,
    /// The first block of the log.
    pub(super) first: u64,
    /// The block after the last one of the log: there it continues at `first`.
    pub(super) end: u64,
    /// Where the oldest transaction begins; 0 if there is none.
    pub(super) start: u64,
    /// The sequence number of the oldest transaction.
    pub(super) sequence: u32,
    /// What checksums start with.
    pub(super) seed: u32,
}

impl Format {
    pub(super) fn parse(superblock: &[u8], file: &File<'_>) -> Result<Self, &'static str> {
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

    pub(super) fn has(&self, feature: u32) -> bool {
        self.incompat & feature != 0
    }

    fn has_checksums(&self) -> bool {
        self.has(incompat::CSUM_V2 | incompat::CSUM_V3)
    }

    /// The block after `block`, around the end of the log.
    pub(super) fn after(&self, block: u64) -> u64 {
        let next = block.saturating_add(1);
        if next >= self.end { self.first } else { next }
    }

    /// The content of a descriptor or revoke block, without the checksum at its end; `None` if that is wrong.
    pub(super) fn checked<'b>(&self, block: &'b [u8]) -> Option<&'b [u8]> {
        if !self.has_checksums() {
            return Some(block);
        }
        // jbd2_journal_block_tail
        let (content, tail) = block.split_last_chunk::<4>()?;
        let crc = crc32c(crc32c(self.seed, content), &[0; 4]);
        (crc == u32::from_be_bytes(*tail)).then_some(content)
    }

    /// Whether the checksum of a commit block is right: `h_chksum[0]`, over the block with the field itself as zeros.
    pub(super) fn commit_is_right(&self, block: &[u8]) -> Result<bool, Truncated> {
        if !self.has_checksums() {
            return Ok(true);
        }
        let bytes = Bytes(block);
        let crc = crc32c(crc32c(self.seed, bytes.get(0, 0x10)?), &[0; 4]);
        Ok(crc32c(crc, bytes.get(0x14, block.len().saturating_sub(0x14))?) == bytes.be32(0x10)?)
    }
}

/// One tag of a descriptor block: `journal_block_tag3_s` or `journal_block_tag_s`.
pub(super) struct Tag {
    pub(super) block: u64,
    pub(super) flags: u32,
    pub(super) checksum: TagChecksum,
    /// How many bytes it takes, with the UUID that may follow it.
    pub(super) length: usize,
}

impl Tag {
    /// `JBD2_FLAG_ESCAPE`: the block began with the journal's magic number.
    pub(super) const ESCAPE: u32 = 1;
    /// `JBD2_FLAG_SAME_UUID`: no UUID follows.
    const SAME_UUID: u32 = 2;
    /// `JBD2_FLAG_LAST_TAG`
    pub(super) const LAST: u32 = 8;

    pub(super) fn parse(format: &Format, content: &[u8], at: usize) -> Result<Self, Truncated> {
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
}
