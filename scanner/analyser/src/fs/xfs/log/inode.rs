//! Inode items: the fields of an inode, and its forks where they changed.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::Halt;
use super::buffer::set;
use super::format::{BASIC_BLOCK, Lsn};
use super::replay::Run;
use super::transaction::Item;
use crate::fs::xfs::crc;
use crate::fs::xfs::superblock::Superblock;
use crate::volume::bytes::Bytes;

/// `XFS_DINODE_MAGIC`
pub(super) const MAGIC: [u8; 2] = *b"IN";
/// Where the checksum of an inode of version 3 is.
const CRC: usize = 100;
/// `di_lsn`
const LSN: usize = 112;
/// `di_flushiter` of versions 1 and 2: counts how often the inode was written.
const FLUSHITER: usize = 30;
/// `di_forkoff`
const FORKOFF: usize = 82;
/// What inodes of version 3 have before their forks, and those of version 2.
const V3_SIZE: usize = 176;
const V2_SIZE: usize = 100;
/// What the log has of an inode of version 2: the fields up to `di_next_unlinked`.
const V2_LOGGED_SIZE: usize = 96;

/// `XFS_ILOG_*`: what an item has besides the fields.
mod logged {
    /// Of the data fork: content in the inode, extents, or the root of a tree of extents.
    pub(super) const DDATA: u32 = 0x2;
    pub(super) const DEXT: u32 = 0x4;
    pub(super) const DBROOT: u32 = 0x8;
    pub(super) const DEV: u32 = 0x10;
    /// Of the fork of attributes, likewise.
    pub(super) const ADATA: u32 = 0x40;
    pub(super) const AEXT: u32 = 0x80;
    pub(super) const ABROOT: u32 = 0x100;
    /// The blocks of the tree were another inode's.
    pub(super) const DOWNER: u32 = 0x200;
    pub(super) const AOWNER: u32 = 0x400;
}

/// The description of an inode item, `xfs_inode_log_format`.
#[derive(Debug)]
pub(super) struct LoggedInode {
    fields: u32,
    pub(super) number: u64,
    device: u32,
    /// The buffer that the inode is in.
    pub(super) cluster: Run,
    /// Where on the volume the inode is, in bytes.
    pub(super) offset: u64,
}

impl LoggedInode {
    pub(super) fn parse(item: &Item) -> Result<Self, Halt> {
        let format = Bytes(item.description());
        // `xfs_inode_log_format_32` has no padding before its numbers of 64 bits.
        let shift: usize = match format.0.len() {
            56 => 0,
            52 => 4,
            _ => return Err(Halt::Log("the description of an inode has an unknown length")),
        };
        let at = |offset: usize| offset.saturating_sub(shift);
        let cluster = Run { start: format.le64(at(40))?, blocks: u64::from(format.le32(at(48))?) };
        let within = u64::from(format.le32(at(52))?);
        let offset = cluster.start.checked_mul(BASIC_BLOCK).and_then(|start| start.checked_add(within));
        Ok(Self {
            fields: format.le32(4)?,
            number: format.le64(at(16))?,
            device: format.le32(at(24))?,
            cluster,
            offset: offset.ok_or(Halt::Log("the place of an inode is wrong"))?,
        })
    }

    /// Changes `inode`, which is the inode as it is by now; `false` if it is to stay as it is.
    pub(super) fn apply(
        &self,
        item: &Item,
        inode: &mut [u8],
        sb: &Superblock,
        lsn: Lsn,
    ) -> Result<bool, Halt> {
        let old = Bytes(inode);
        if old.array(0)? != MAGIC {
            return Err(Halt::Log("the log changes an inode where there is none"));
        }
        let fields = Fields::parse(item.region(1))?;
        if old.u8(4)? >= 3 {
            let newest = Lsn(old.be64(LSN)?);
            // The same number is no reason to stop: several transactions may have it.
            if newest.is_known() && newest > lsn {
                return Ok(false);
            }
        } else if fields.is_older(old.be16(FLUSHITER)?)? {
            return Ok(false);
        }
        fields.write(inode, lsn);

        let start = if fields.is_v3 { V3_SIZE } else { V2_SIZE };
        let area = inode.get_mut(start..).ok_or(Halt::Log("an inode is too small"))?;
        let boundary = match fields.forkoff.saturating_mul(8) {
            0 => area.len(),
            boundary => boundary,
        };
        let (data, attributes) =
            area.split_at_mut_checked(boundary).ok_or(Halt::Log("an inode's fork lies behind its end"))?;
        if self.has(logged::DEV) {
            set(data, 0, &self.device.to_be_bytes());
        }
        let mut region = 2;
        if self.has(logged::DDATA | logged::DEXT | logged::DBROOT) {
            write_fork(data, item.region(region), self.has(logged::DBROOT), sb)?;
            region = 3;
        }
        if self.has(logged::ADATA | logged::AEXT | logged::ABROOT) {
            write_fork(attributes, item.region(region), self.has(logged::ABROOT), sb)?;
        }
        if fields.is_v3 {
            set_crc(inode)?;
        }
        Ok(true)
    }

    /// The roots of the trees of extents whose blocks were another inode's and are this one's now.
    pub(super) fn trees_to_own<'i>(&self, inode: &'i [u8]) -> Result<Vec<&'i [u8]>, Halt> {
        /// `XFS_DINODE_FMT_BTREE`
        const TREE: u8 = 3;

        let fields = Bytes(inode);
        let (area, boundary) = (inode.get(V3_SIZE..).unwrap_or_default(), usize::from(fields.u8(FORKOFF)?));
        let boundary = if boundary == 0 { area.len() } else { boundary.saturating_mul(8) };
        let (data, attributes) = area.split_at_checked(boundary).unwrap_or_default();
        let mut roots = Vec::new();
        if self.has(logged::DOWNER) && fields.u8(5)? == TREE {
            roots.push(data);
        }
        if self.has(logged::AOWNER) && fields.u8(83)? == TREE {
            roots.push(attributes);
        }
        Ok(roots)
    }

    fn has(&self, flags: u32) -> bool {
        self.fields & flags != 0
    }
}

/// Makes the checksum of an inode of version 3 right.
pub(super) fn set_crc(inode: &mut [u8]) -> Result<(), Halt> {
    let crc = crc::crc(inode, CRC)?;
    set(inode, CRC, &crc.to_le_bytes());
    Ok(())
}

/// Writes a fork as the log has it. The root of a tree is logged as the kernel has it in memory, like any other block of the
/// tree; in the inode, where the space is all for it, its header is shorter (`xfs_bmbt_to_bmdr`).
fn write_fork(fork: &mut [u8], logged: &[u8], is_root: bool, sb: &Superblock) -> Result<(), Halt> {
    const TOO_LONG: Halt = Halt::Log("an inode's fork is longer than its place");
    /// `sizeof(struct xfs_bmdr_block)`
    const HEADER: usize = 4;

    if !is_root {
        let target = fork.get_mut(..logged.len()).ok_or(TOO_LONG)?;
        target.copy_from_slice(logged);
        return Ok(());
    }
    // XFS_BTREE_LBLOCK_CRC_LEN, XFS_BTREE_LBLOCK_LEN
    let logged_header = if sb.has_crc() { 72 } else { 24 };
    let bytes = Bytes(logged);
    let count = usize::from(bytes.be16(6)?).saturating_mul(8);
    let keys = bytes.get(logged_header, count)?;
    let pointers = bytes.get(pointers_at(logged, logged_header), count)?;
    let target = pointers_at(fork, HEADER);
    if HEADER.saturating_add(count) > target || target.saturating_add(count) > fork.len() {
        return Err(TOO_LONG);
    }
    // bb_level, bb_numrecs
    set(fork, 0, bytes.get(4, HEADER)?);
    set(fork, HEADER, keys);
    set(fork, target, pointers);
    Ok(())
}

/// Where the pointers of a node are: behind space for as many keys as fit, of 8 bytes like the pointers.
pub(super) fn pointers_at(node: &[u8], header: usize) -> usize {
    let room = node.len().saturating_sub(header) / 16;
    header.saturating_add(room.saturating_mul(8))
}

/// The fields of an inode as the log has them, `xfs_log_dinode`: in the order and size of those on the disk, but in the byte
/// order of the machine.
struct Fields<'a> {
    raw: Bytes<'a>,
    is_v3: bool,
    has_bigtime: bool,
    has_nrext64: bool,
    /// `di_forkoff`, in units of 8 bytes.
    forkoff: usize,
}

impl<'a> Fields<'a> {
    fn parse(raw: &'a [u8]) -> Result<Self, Halt> {
        /// `XFS_DIFLAG2_BIGTIME`, `XFS_DIFLAG2_NREXT64`
        const BIGTIME: u64 = 0x8;
        const NREXT64: u64 = 0x10;

        let fields = Bytes(raw);
        if fields.le16(0)? != u16::from_be_bytes(MAGIC) {
            return Err(Halt::Log("the log's copy of an inode has no magic number"));
        }
        let is_v3 = fields.u8(4)? >= 3;
        fields.get(0, if is_v3 { V3_SIZE } else { V2_LOGGED_SIZE })?;
        let flags2 = if is_v3 { fields.le64(120)? } else { 0 };
        Ok(Self {
            raw: fields,
            is_v3,
            has_bigtime: flags2 & BIGTIME != 0,
            has_nrext64: flags2 & NREXT64 != 0,
            forkoff: usize::from(fields.u8(FORKOFF)?),
        })
    }

    /// Whether the inode on the disk, of version 2, was written after this was logged: the counter begins anew behind its
    /// greatest value, `DI_MAX_FLUSH`.
    fn is_older(&self, on_disk: u16) -> Result<bool, Halt> {
        const MAX_FLUSH: u16 = 0xffff;
        let logged = self.raw.le16(FLUSHITER)?;
        Ok(logged < on_disk && !(on_disk == MAX_FLUSH && logged < MAX_FLUSH >> 1))
    }

    /// Writes the fields into an inode on the disk (`xfs_log_dinode_to_disk`). The link of the list of unlinked inodes stays.
    fn write(&self, inode: &mut [u8], lsn: Lsn) {
        // di_magic, di_mode, di_metatype, di_projid_lo, di_projid_hi, di_dmstate, di_flags
        self.swap(inode, &[0, 2, 6, 20, 22, 88, 90], 2);
        // di_version, di_format; di_forkoff, di_aformat
        self.swap(inode, &[4, 5, FORKOFF, 83], 1);
        // di_uid, di_gid, di_nlink, di_extsize, di_dmevmask, di_gen
        self.swap(inode, &[8, 12, 16, 72, 84, 92], 4);
        // di_size, di_nblocks
        self.swap(inode, &[56, 64], 8);
        // di_atime, di_mtime, di_ctime
        self.times(inode, &[32, 40, 48]);
        // di_v3_pad, or di_v2_pad and di_flushiter, which is not needed any more
        set(inode, 24, &[0; 8]);
        if self.has_nrext64 {
            // di_big_nextents, di_big_anextents, di_nrext64_pad
            self.swap(inode, &[24], 8);
            self.swap(inode, &[76], 4);
            set(inode, 80, &[0; 2]);
        } else {
            // di_nextents, di_anextents
            self.swap(inode, &[76], 4);
            self.swap(inode, &[80], 2);
        }
        if self.is_v3 {
            // di_changecount, di_flags2, di_ino; di_cowextsize; di_pad2; di_crtime; di_uuid
            self.swap(inode, &[104, 120, 152], 8);
            self.swap(inode, &[128], 4);
            set(inode, 132, &[0; 12]);
            self.times(inode, &[144]);
            for at in 160..V3_SIZE {
                self.swap(inode, &[at], 1);
            }
            set(inode, LSN, &lsn.0.to_be_bytes());
        }
    }

    /// Copies numbers of `size` bytes in the other byte order.
    fn swap(&self, inode: &mut [u8], offsets: &[usize], size: usize) {
        for &at in offsets {
            let number = self.raw.get(at, size).unwrap_or_default();
            for (at, byte) in (at..).zip(number.iter().rev()) {
                set(inode, at, &[*byte]);
            }
        }
    }

    /// Copies times: one number of 64 bits, or two of 32.
    fn times(&self, inode: &mut [u8], offsets: &[usize]) {
        for &at in offsets {
            if self.has_bigtime {
                self.swap(inode, &[at], 8);
            } else {
                self.swap(inode, &[at, at.saturating_add(4)], 4);
            }
        }
    }
}
