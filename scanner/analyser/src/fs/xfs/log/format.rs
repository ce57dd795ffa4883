//! What the log consists of. Names and offsets are those of the kernel's `fs/xfs/libxfs/xfs_log_format.h`. Headers are
//! big-endian; what items hold is in the byte order of the machine that wrote them.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::Halt;
use crate::volume::bytes::{Bytes, to_usize};

/// `BBSIZE`: the log is read and written in units of 512 bytes.
pub(super) const BASIC_BLOCK: u64 = 512;
/// `XLOG_HEADER_MAGIC_NUM`
pub(super) const MAGIC: [u8; 4] = 0xfeed_babe_u32.to_be_bytes();
/// `XLOG_HEADER_CYCLE_SIZE`: how much of a record's data one header has cycle words for.
pub(super) const CYCLE_SIZE: u64 = 32 << 10;
/// `XLOG_MAX_RECORD_BSIZE`: the longest record of version 2.
pub(super) const MAX_RECORD_V2: u64 = 256 << 10;
/// `XLOG_BIG_RECORD_BSIZE`: the longest record of version 1.
pub(super) const MAX_RECORD_V1: u64 = 32 << 10;
/// `XLOG_MAX_ICLOGS`: how many records may be on their way to the disk at a time, and so be torn by a crash.
pub(super) const RECORDS_IN_FLIGHT: u64 = 8;

/// A place in the log, `xfs_lsn_t`: how many times it was written around, and a basic block of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lsn(pub(super) u64);

impl Lsn {
    /// `BLOCK_LSN`
    pub(super) fn block(self) -> u64 {
        self.0 & 0xffff_ffff
    }

    /// Whether metadata carries this number because a transaction wrote it; 0 and -1 (`NULLCOMMITLSN`) stand for none.
    pub(super) fn is_known(self) -> bool {
        !matches!(self.0, 0 | u64::MAX)
    }
}

/// The header of a log record, `xlog_rec_header`: one basic block, in version 2 followed by one of `xlog_rec_ext_header` for
/// each further 32 KiB of a record's greatest length.
#[derive(Clone, Debug)]
pub(super) struct RecordHeader {
    /// `h_len`: the bytes of data.
    pub(super) len: u64,
    pub(super) lsn: Lsn,
    /// `h_tail_lsn`: the oldest record whose changes may not all have reached their places.
    pub(super) tail: Lsn,
    pub(super) crc: u32,
    /// `h_num_logops`: how many operations the data has.
    pub(super) operations: u32,
    /// Basic blocks that the headers take.
    pub(super) header_blocks: u64,
    /// Basic blocks that a record of this log has at most, with its headers.
    pub(super) most_blocks: u64,
}

impl RecordHeader {
    /// Where `h_crc` is.
    pub(super) const CRC_OFFSET: usize = 32;
    /// Where `h_cycle_data` is, and how many words it has: the first four bytes of each basic block of data, which the
    /// cycle took the place of.
    pub(super) const CYCLE_DATA: usize = 44;
    /// Where the words are in the headers behind the first.
    pub(super) const EXTENDED_CYCLE_DATA: usize = 4;
    /// `sizeof(struct xlog_rec_ext_header)`
    pub(super) const EXTENDED_SIZE: usize = 260;
    /// `sizeof(struct xlog_rec_header)`, which the checksum is over: it depends on whether the compiler of the kernel that
    /// wrote it aligns 64-bit numbers.
    pub(super) const SIZES: [usize; 2] = [328, 324];

    /// Whether a basic block is a record's header. Blocks of data begin with the number of a cycle, which is never the
    /// magic number.
    pub(super) fn has_magic(block: &[u8]) -> bool {
        block.starts_with(&MAGIC)
    }

    /// From a record's first basic block. `uuid` is the filesystem's.
    pub(super) fn parse(block: &[u8], uuid: &[u8; 16]) -> Result<Self, Halt> {
        /// `XLOG_FMT_LINUX_LE`
        const LITTLE_ENDIAN: u32 = 1;

        let header = Bytes(block);
        if !Self::has_magic(block) {
            return Err(Halt::Log("a record has no header"));
        }
        let version = header.be32(8)?;
        let most = match version {
            1 => MAX_RECORD_V1,
            2 => MAX_RECORD_V2,
            _ => return Err(Halt::Log("a record has an unknown version")),
        };
        if header.be32(300)? != LITTLE_ENDIAN {
            return Err(Halt::Log("the log was written by a machine with another byte order"));
        }
        if header.array(304)? != *uuid {
            return Err(Halt::Log("the log has records of another filesystem"));
        }
        let len = u64::from(header.be32(12)?);
        let size = u64::from(header.be32(320)?);
        if len == 0 || len > most || size > most {
            return Err(Halt::Log("the length of a record is wrong"));
        }
        Ok(Self {
            len,
            lsn: Lsn(header.be64(16)?),
            tail: Lsn(header.be64(24)?),
            crc: header.le32(Self::CRC_OFFSET)?,
            operations: header.be32(40)?,
            header_blocks: if version == 1 { 1 } else { size.div_ceil(CYCLE_SIZE).max(1) },
            most_blocks: size.max(MAX_RECORD_V1) / BASIC_BLOCK,
        })
    }

    /// The basic blocks of data.
    pub(super) fn data_blocks(&self) -> u64 {
        self.len.div_ceil(BASIC_BLOCK)
    }

    /// The basic blocks of the whole record.
    pub(super) fn blocks(&self) -> u64 {
        self.header_blocks.saturating_add(self.data_blocks())
    }
}

/// The cycle in which a basic block of the log was last written, `xlog_get_cycle`: its first four bytes, in a header those
/// behind the magic number.
pub(super) fn cycle(block: &[u8]) -> Result<u32, Halt> {
    let at = if RecordHeader::has_magic(block) { 4 } else { 0 };
    Ok(Bytes(block).be32(at)?)
}

/// The header of one operation within a record, `xlog_op_header`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    /// The transaction that it belongs to.
    pub(super) tid: u32,
    pub(super) len: usize,
    pub(super) flags: u8,
}

/// `XLOG_*_TRANS`
pub(super) mod flag {
    pub(in crate::fs::xfs::log) const START: u8 = 0x01;
    pub(in crate::fs::xfs::log) const COMMIT: u8 = 0x02;
    pub(in crate::fs::xfs::log) const CONTINUE: u8 = 0x04;
    pub(in crate::fs::xfs::log) const WAS_CONTINUED: u8 = 0x08;
    pub(in crate::fs::xfs::log) const END: u8 = 0x10;
    pub(in crate::fs::xfs::log) const UNMOUNT: u8 = 0x20;
}

impl Operation {
    pub(super) const SIZE: usize = 12;

    /// The operation whose header begins at `at`.
    pub(super) fn parse(data: &[u8], at: usize) -> Result<Self, Halt> {
        /// `XFS_TRANSACTION`, `XFS_LOG`
        const CLIENTS: [u8; 2] = [0x69, 0xaa];

        let header = Bytes(data.get(at..).unwrap_or_default());
        if !CLIENTS.contains(&header.u8(8)?) {
            return Err(Halt::Log("an operation is of an unknown client"));
        }
        Ok(Self { tid: header.be32(0)?, len: to_usize(header.be32(4)?), flags: header.u8(9)? })
    }
}

/// `XFS_LI_*`: what an item of a transaction is.
pub(super) mod item_type {
    pub(in crate::fs::xfs::log) const INODE: u16 = 0x123b;
    pub(in crate::fs::xfs::log) const BUFFER: u16 = 0x123c;
    pub(in crate::fs::xfs::log) const ICREATE: u16 = 0x123f;
    /// Intents, and the notes that they were carried out.
    pub(in crate::fs::xfs::log) const BUI: u16 = 0x1244;
    pub(in crate::fs::xfs::log) const BUD: u16 = 0x1245;
    pub(in crate::fs::xfs::log) const ATTRI: u16 = 0x1246;
    pub(in crate::fs::xfs::log) const ATTRD: u16 = 0x1247;
    pub(in crate::fs::xfs::log) const XMI: u16 = 0x1248;
    pub(in crate::fs::xfs::log) const XMD: u16 = 0x1249;
    /// What reading does not depend on: freed and used space, reference counts, owners of blocks, quotas, unlinked inodes.
    pub(in crate::fs::xfs::log) const UNREAD: [u16; 15] = [
        0x1236, 0x1237, 0x1238, 0x123d, 0x123e, 0x1240, 0x1241, 0x1242, 0x1243, 0x124a, 0x124b, 0x124c,
        0x124d, 0x124e, 0x124f,
    ];
}
