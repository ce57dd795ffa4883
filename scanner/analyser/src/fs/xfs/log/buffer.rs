//! Buffer items: parts of a block of metadata.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::Halt;
use super::format::Lsn;
use super::replay::Run;
use super::transaction::Item;
use crate::fs::xfs::crc;
use crate::fs::xfs::superblock::Superblock;
use crate::volume::bytes::{Bytes, Truncated, to_usize};

/// `XFS_BLF_CHUNK`: what is changed is logged in units of this many bytes.
const CHUNK: usize = 128;
/// `XFS_MAX_BLOCKSIZE`, in basic blocks: no buffer is longer.
const MOST_BLOCKS: u64 = 128;
/// `XFS_BLF_DATAMAP_SIZE`: the words of 32 bits that the map of what is logged has at most.
const MOST_WORDS: usize = 17;

/// `XFS_BLF_*`
mod flag {
    /// Only the links of the list of unlinked inodes are changed.
    pub(super) const INODE_BUF: u16 = 0x1;
    pub(super) const CANCEL: u16 = 0x2;
    /// `XFS_BLF_UDQUOT_BUF`, `XFS_BLF_PDQUOT_BUF`, `XFS_BLF_GDQUOT_BUF`
    pub(super) const DQUOT_BUF: u16 = 0x1c;
    /// `XFS_BLFT_SHIFT`: above it, a [`block_type`](super::block_type).
    pub(super) const TYPE_SHIFT: u16 = 11;
}

/// `XFS_BLFT_*`
mod block_type {
    /// Logs of old kernels do not say.
    pub(super) const UNKNOWN: u16 = 0;
    pub(super) const BTREE: u16 = 4;
    pub(super) const DINO: u16 = 8;
    /// From here to the superblock's are what directories, attributes and links consist of.
    pub(super) const SYMLINK: u16 = 9;
    pub(super) const SUPERBLOCK: u16 = 18;
}

/// The description of a buffer item, `xfs_buf_log_format`.
#[derive(Debug)]
pub(super) struct Buffer<'a> {
    flags: u16,
    pub(super) run: Run,
    /// `blf_data_map`: a bit for each chunk that is logged.
    map: &'a [u8],
}

impl<'a> Buffer<'a> {
    pub(super) fn parse(item: &'a Item) -> Result<Self, Halt> {
        let format = Bytes(item.description());
        let run = Run { start: format.le64(8)?, blocks: u64::from(format.le16(6)?) };
        if run.blocks == 0 || run.blocks > MOST_BLOCKS {
            return Err(Halt::Log("the length of a buffer is wrong"));
        }
        let flags = format.le16(4)?;
        let words = to_usize(format.le32(16)?);
        if words > MOST_WORDS {
            return Err(Halt::Log("the map of a buffer is longer than any buffer's"));
        }
        let map = if flags & flag::CANCEL == 0 { format.get(20, words.saturating_mul(4))? } else { &[] };
        Ok(Self { flags, run, map })
    }

    /// Whether the buffer is freed: older changes to it must not be applied any more.
    pub(super) fn is_cancel(&self) -> bool {
        self.flags & flag::CANCEL != 0
    }

    /// Whether it is of a type that a reader of files needs.
    pub(super) fn may_be_read(&self) -> bool {
        if self.flags & (flag::INODE_BUF | flag::DQUOT_BUF) != 0 {
            return false;
        }
        matches!(
            self.block_type(),
            block_type::UNKNOWN | block_type::BTREE | block_type::DINO | block_type::SYMLINK
                ..=block_type::SUPERBLOCK
        )
    }

    fn block_type(&self) -> u16 {
        self.flags >> flag::TYPE_SHIFT
    }

    /// Changes `content`, which is the buffer as it is by now; `false` if it is to stay as it is.
    pub(super) fn apply(
        &self,
        item: &Item,
        content: &mut [u8],
        sb: &Superblock,
        lsn: Lsn,
    ) -> Result<bool, Halt> {
        if sb.has_crc()
            && Described::lsn(content, sb)?.is_some_and(|newest| newest.is_known() && newest >= lsn)
        {
            return Ok(false);
        }
        let mut regions = item.regions.iter().skip(1);
        let mut chunk = 0;
        while let Some((first, count)) = self.next_chunks(chunk) {
            let region = regions.next().ok_or(Halt::Log("a buffer's content ends early"))?;
            // What is contiguous may still be several regions.
            let count = count.min(region.len() / CHUNK);
            let source = region.get(..count.saturating_mul(CHUNK)).unwrap_or_default();
            let at = first.saturating_mul(CHUNK);
            match content.get_mut(at..at.saturating_add(source.len())) {
                Some(target) if !source.is_empty() => target.copy_from_slice(source),
                _ => return Err(Halt::Log("a buffer's content is not within the buffer")),
            }
            chunk = first.saturating_add(count);
        }
        // The trees of free space and of inodes have blocks of the same type as those of extents.
        if self.block_type() == block_type::BTREE && !matches!(content.get(..4), Some(b"BMAP" | b"BMA3")) {
            return Ok(false);
        }
        if sb.has_crc() {
            Described::set_crc(content, sb)?;
        }
        Ok(true)
    }

    /// The next run of logged chunks at or behind `from`: the first, and how many.
    fn next_chunks(&self, from: usize) -> Option<(usize, usize)> {
        let is_set = |chunk: &usize| {
            let byte = self.map.get(chunk / 8).copied().unwrap_or(0);
            byte >> (chunk % 8) & 1 == 1
        };
        let end = self.map.len().saturating_mul(8);
        let first = (from..end).find(is_set)?;
        let behind = (first..end).find(|chunk| !is_set(chunk)).unwrap_or(end);
        Some((first, behind.saturating_sub(first)))
    }
}

/// A kind of metadata of version 5 that says when it was written: offsets within it.
struct Described {
    magics: &'static [&'static [u8]],
    magic: usize,
    crc: usize,
    lsn: usize,
    uuid: usize,
}

impl Described {
    /// All kinds that [`Buffer::may_be_read`] lets pass. Inodes have a number each, and what attributes have outside is not
    /// logged.
    const KINDS: [Self; 6] = [
        // struct xfs_btree_block, long form
        Self { magics: &[b"BMA3"], magic: 0, crc: 64, lsn: 32, uuid: 40 },
        // struct xfs_btree_block, short form
        Self {
            magics: &[b"AB3B", b"AB3C", b"IAB3", b"FIB3", b"RMB3", b"R3FC"],
            magic: 0,
            crc: 52,
            lsn: 24,
            uuid: 32,
        },
        // struct xfs_dir3_blk_hdr
        Self { magics: &[b"XDB3", b"XDD3", b"XDF3"], magic: 0, crc: 4, lsn: 16, uuid: 24 },
        // struct xfs_da3_blkinfo: leaves of directories, nodes, leaves of attributes
        Self {
            magics: &[&[0x3d, 0xf1], &[0x3d, 0xff], &[0x3e, 0xbe], &[0x3b, 0xee]],
            magic: 8,
            crc: 12,
            lsn: 24,
            uuid: 32,
        },
        // struct xfs_dsymlink_hdr
        Self { magics: &[b"XSLM"], magic: 0, crc: 12, lsn: 48, uuid: 16 },
        // struct xfs_dsb; the UUID that counts is that of the metadata, which others carry
        Self { magics: &[b"XFSB"], magic: 0, crc: 224, lsn: 240, uuid: 32 },
    ];

    /// The kind that a block is by its magic number and UUID.
    fn find(content: &[u8], sb: &Superblock) -> Result<Option<&'static Self>, Truncated> {
        let has_magic = |kind: &&Self| {
            let start = content.get(kind.magic..).unwrap_or_default();
            kind.magics.iter().any(|magic| start.starts_with(magic))
        };
        let Some(kind) = Self::KINDS.iter().find(has_magic) else { return Ok(None) };
        let uuid = Bytes(content).get(kind.uuid, 16)?;
        // The superblock alone carries both.
        Ok((uuid == sb.meta_uuid || uuid == sb.uuid).then_some(kind))
    }

    /// When a block was last written; `None` where it does not say.
    fn lsn(content: &[u8], sb: &Superblock) -> Result<Option<Lsn>, Truncated> {
        Self::find(content, sb)?.map(|kind| Ok(Lsn(Bytes(content).be64(kind.lsn)?))).transpose()
    }

    /// Makes the checksum right, as writing the block would.
    fn set_crc(content: &mut [u8], sb: &Superblock) -> Result<(), Truncated> {
        if let Some(kind) = Self::find(content, sb)? {
            let crc = crc::crc(content, kind.crc)?;
            set(content, kind.crc, &crc.to_le_bytes());
        }
        Ok(())
    }
}

/// Puts bytes into a structure, if it is long enough.
pub(super) fn set(structure: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(target) = structure.get_mut(at..at.saturating_add(bytes.len())) {
        target.copy_from_slice(bytes);
    }
}
