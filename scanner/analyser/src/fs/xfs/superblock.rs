//! The superblock: the first sector of the volume. Names and offsets are those of the kernel's
//! `fs/xfs/libxfs/xfs_format.h`, `struct xfs_dsb`, without their prefix `sb_`.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::{FsError, crc, feature};
use crate::volume::bytes::{Bytes, to_usize};

/// `XFS_SB_MAGIC`
pub(super) const MAGIC: &[u8; 4] = b"XFSB";
/// Its length is that of a sector, which is at most this: `XFS_MAX_SECTORSIZE`.
pub(super) const MOST_BYTES: usize = 32 << 10;
/// Where `sb_crc` is.
pub(super) const CRC_OFFSET: usize = 224;

/// The geometry and features of a filesystem, each number within its bounds.
#[derive(Clone, Debug)]
pub(super) struct Superblock {
    /// In bytes: a power of two from 512 to 65536.
    pub(super) blocksize: u32,
    /// The binary logarithm of `blocksize`.
    pub(super) blocklog: u8,
    /// Blocks of the data device: at least 1.
    pub(super) dblocks: u64,
    /// What users see, and what `/dev/disk/by-uuid` is made of.
    pub(super) uuid: [u8; 16],
    /// What metadata and the log carry: the same, unless the first was changed after the filesystem was made.
    pub(super) meta_uuid: [u8; 16],
    /// First block of the log, as a block of the filesystem; 0 if the log is on another device.
    pub(super) logstart: u64,
    /// Blocks of the log.
    pub(super) logblocks: u32,
    /// Whether the log has format version 2.
    pub(super) has_logv2: bool,
    /// Inode of the root directory.
    pub(super) rootino: u64,
    /// Blocks of an allocation group but the last: at least 1.
    pub(super) agblocks: u32,
    /// Allocation groups: at least 1.
    pub(super) agcount: u32,
    /// In how many bits a block's number within its group is stored.
    pub(super) agblklog: u8,
    /// In bytes: a power of two from 256 to 2048, at most a block.
    pub(super) inodesize: u16,
    /// The binary logarithm of how many inodes a block has.
    pub(super) inopblog: u8,
    /// The binary logarithm of how many blocks a block of a directory has; both together at most 64 KiB.
    pub(super) dirblklog: u8,
    /// `sb_fname`, up to its first zero.
    pub(super) label: Vec<u8>,
    /// `sb_versionnum`
    pub(super) versionnum: u16,
    /// `sb_features2`
    pub(super) features2: u32,
    /// `sb_features_ro_compat`, 0 in version 4.
    pub(super) ro_compat: u32,
    /// `sb_features_incompat`, 0 in version 4.
    pub(super) incompat: u32,
    /// `sb_features_log_incompat`, 0 in version 4.
    pub(super) log_incompat: u32,
}

/// Whether a volume that starts with these bytes has XFS's signature.
pub(super) fn has_magic(head: &[u8]) -> bool {
    head.starts_with(MAGIC)
}

impl Superblock {
    /// `head` is the volume's first [`MOST_BYTES`], or all of a smaller volume.
    pub(super) fn parse(head: &[u8]) -> Result<Self, FsError> {
        if !has_magic(head) {
            return Err(damaged("it has no magic number"));
        }
        let sb = Bytes(head);
        let versionnum = sb.be16(100)?;
        let version = versionnum & feature::VERSION_NUMBER;
        // XFS_SB_VERSION_4, XFS_SB_VERSION_5
        if !matches!(version, 4 | 5) {
            return Err(FsError::Unsupported { feature: format!("XFS version {version}") });
        }
        if versionnum & feature::VERSION_DIRV2 == 0 && version == 4 {
            return Err(FsError::Unsupported { feature: "XFS with version 1 directories".to_owned() });
        }
        let sectsize = u32::from(sb.be16(102)?);
        check_power_of_two("sectors", sectsize, sb.u8(121)?, 512, 32768)?;
        let is_v5 = version == 5;
        if is_v5 && !crc::is_right(sb.get(0, to_usize(sectsize))?, CRC_OFFSET)? {
            return Err(damaged("its checksum is wrong"));
        }
        let incompat = if is_v5 { sb.be32(216)? } else { 0 };
        feature::check(incompat)?;
        let uuid = sb.array(32)?;
        // The second was meant to be the first; kernels of 2008 wrote it where the compiler put it.
        let features2 =
            if versionnum & feature::VERSION_MOREBITS == 0 { 0 } else { sb.be32(200)? | sb.be32(204)? };
        let parsed = Self {
            blocksize: sb.be32(4)?,
            blocklog: sb.u8(120)?,
            dblocks: sb.be64(8)?,
            uuid,
            meta_uuid: if incompat & feature::INCOMPAT_META_UUID == 0 { uuid } else { sb.array(248)? },
            logstart: sb.be64(48)?,
            logblocks: sb.be32(96)?,
            has_logv2: versionnum & feature::VERSION_LOGV2 != 0,
            rootino: sb.be64(56)?,
            agblocks: sb.be32(84)?,
            agcount: sb.be32(88)?,
            agblklog: sb.u8(124)?,
            inodesize: sb.be16(104)?,
            inopblog: sb.u8(123)?,
            dirblklog: sb.u8(192)?,
            label: sb.get(108, 12)?.split(|&byte| byte == 0).next().unwrap_or_default().to_vec(),
            versionnum,
            features2,
            ro_compat: if is_v5 { sb.be32(212)? } else { 0 },
            incompat,
            log_incompat: if is_v5 { sb.be32(220)? } else { 0 },
        };
        if sb.u8(126)? != 0 {
            return Err(damaged("the filesystem was never completed (sb_inprogress)"));
        }
        parsed.check(sb.u8(122)?)?;
        Ok(parsed)
    }

    /// The bounds that the fields' docs promise, as the kernel's `xfs_validate_sb_common` has them.
    fn check(&self, inodelog: u8) -> Result<(), FsError> {
        check_power_of_two("blocks", self.blocksize, self.blocklog, 512, 65536)?;
        let inodesize = u32::from(self.inodesize);
        check_power_of_two("inodes", inodesize, inodelog, 256, self.blocksize.min(2048))?;
        if self.blocklog.checked_sub(inodelog) != Some(self.inopblog) {
            return Err(damaged(format!("its blocks have 2^{} inodes", self.inopblog)));
        }
        // XFS_MAX_BLOCKSIZE_LOG
        if self.blocklog.saturating_add(self.dirblklog) > 16 {
            return Err(damaged(format!("its directories have blocks of 2^{} blocks", self.dirblklog)));
        }
        let (blocks, groups) = (u64::from(self.agblocks), u64::from(self.agcount));
        let most = blocks.saturating_mul(groups);
        if self.dblocks == 0 || self.dblocks > most || self.dblocks <= most.saturating_sub(blocks) {
            return Err(damaged(format!("{groups} groups of {blocks} blocks are {} blocks", self.dblocks)));
        }
        // As many bits as the highest number within a group needs.
        let bits = u32::BITS.saturating_sub(self.agblocks.saturating_sub(1).leading_zeros());
        if u32::from(self.agblklog) != bits {
            return Err(damaged(format!(
                "its groups have {blocks} blocks, numbered in {} bits",
                self.agblklog
            )));
        }
        Ok(())
    }

    /// Whether this is version 5: metadata describes itself and has checksums.
    pub(super) fn has_crc(&self) -> bool {
        self.versionnum & feature::VERSION_NUMBER == 5
    }

    /// Whether directory entries record the type.
    pub(super) fn has_ftype(&self) -> bool {
        if self.has_crc() {
            self.incompat & feature::INCOMPAT_FTYPE != 0
        } else {
            self.features2 & feature::FEATURES2_FTYPE != 0
        }
    }

    /// Whether names in directories are the same if they differ in the case of ASCII letters only.
    pub(super) fn has_ascii_ci(&self) -> bool {
        self.versionnum & feature::VERSION_ASCII_CI != 0
    }

    /// The size of the data device in bytes.
    pub(super) fn size(&self) -> u64 {
        self.dblocks.saturating_mul(u64::from(self.blocksize))
    }

    /// The size of a block of a directory in bytes: a power of two from 512 to 65536.
    pub(super) fn dirblksize(&self) -> u32 {
        self.blocksize.checked_shl(u32::from(self.dirblklog)).unwrap_or(self.blocksize)
    }

    /// The number of an inode is that of its group, of its block within the group, and of its place within the block,
    /// one behind the other: how many bits the last two have together (`XFS_INO_AGINO_BITS`).
    pub(super) fn agino_bits(&self) -> u32 {
        u32::from(self.agblklog).saturating_add(u32::from(self.inopblog))
    }

    /// Where the block of a group is, in bytes; `None` if there is no such block (`XFS_AGB_TO_DADDR`).
    pub(super) fn ag_block_offset(&self, group: u64, block: u64) -> Option<u64> {
        if group >= u64::from(self.agcount) || block >= u64::from(self.agblocks) {
            return None;
        }
        let linear = group.checked_mul(u64::from(self.agblocks))?.checked_add(block)?;
        (linear < self.dblocks).then(|| linear.saturating_mul(u64::from(self.blocksize)))
    }

    /// Where `count` blocks from `fsblock` on are, in bytes; `None` if they are not all in one group. The number of a block
    /// of the filesystem is that of its group and of its block within the group, one behind the other
    /// (`XFS_FSB_TO_DADDR`).
    pub(super) fn fsblock_offset(&self, fsblock: u64, count: u64) -> Option<u64> {
        let group = fsblock.checked_shr(u32::from(self.agblklog))?;
        let block = fsblock.checked_sub(group.checked_shl(u32::from(self.agblklog))?)?;
        let last = block.checked_add(count.checked_sub(1)?)?;
        self.ag_block_offset(group, last)?;
        self.ag_block_offset(group, block)
    }
}

fn check_power_of_two(what: &str, size: u32, log: u8, least: u32, most: u32) -> Result<(), FsError> {
    let right = size.trailing_zeros() == u32::from(log);
    if size.is_power_of_two() && right && (least..=most).contains(&size) {
        return Ok(());
    }
    Err(damaged(format!("its {what} have {size} bytes")))
}

fn damaged(problem: impl Into<String>) -> FsError {
    FsError::corrupt("the XFS superblock", problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A superblock of version 5 with blocks of 4 KiB, two groups of 4096 blocks, and a checksum.
    fn example(change: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let mut sb = vec![0; 512];
        let mut set = |at: usize, bytes: &[u8]| sb[at..at + bytes.len()].copy_from_slice(bytes);
        set(0, MAGIC);
        set(4, &4096_u32.to_be_bytes());
        set(8, &8000_u64.to_be_bytes());
        set(32, b"a uuid of its ow");
        set(84, &4096_u32.to_be_bytes());
        set(88, &2_u32.to_be_bytes());
        set(100, &0xb4a5_u16.to_be_bytes());
        set(102, &512_u16.to_be_bytes());
        set(104, &512_u16.to_be_bytes());
        set(108, b"label\0......");
        set(120, &[12, 9, 9, 3, 12]);
        set(216, &1_u32.to_be_bytes());
        change(&mut sb);
        let crc = crc::crc(&sb, CRC_OFFSET).unwrap();
        sb[CRC_OFFSET..CRC_OFFSET + 4].copy_from_slice(&crc.to_le_bytes());
        sb
    }

    fn problem(sb: &[u8]) -> String {
        Superblock::parse(sb).unwrap_err().to_string()
    }

    #[test]
    fn geometry_is_read_and_checked() {
        let sb = Superblock::parse(&example(|_| {})).unwrap();
        assert_eq!((sb.size(), sb.agino_bits(), sb.dirblksize()), (8000 * 4096, 15, 4096));
        assert_eq!(
            (sb.has_crc(), sb.has_ftype(), sb.has_ascii_ci(), sb.has_logv2),
            (true, true, false, true)
        );
        assert_eq!((sb.label.as_slice(), sb.uuid), (&b"label"[..], sb.meta_uuid));

        let mut wrong = example(|_| {});
        wrong[109] ^= 1;
        assert_eq!(problem(&wrong), "the XFS superblock is damaged: its checksum is wrong");
        let wrong = example(|sb| sb[120] = 11);
        assert_eq!(problem(&wrong), "the XFS superblock is damaged: its blocks have 4096 bytes");
        let wrong = example(|sb| sb[14] = 0xff);
        assert_eq!(
            problem(&wrong),
            "the XFS superblock is damaged: 2 groups of 4096 blocks are 65344 blocks"
        );
    }

    #[test]
    fn blocks_lie_within_their_group() {
        let sb = Superblock::parse(&example(|_| {})).unwrap();
        assert_eq!(sb.fsblock_offset(0, 1), Some(0));
        assert_eq!(sb.fsblock_offset(4095, 1), Some(4095 * 4096));
        assert_eq!(sb.fsblock_offset(4095, 2), None, "goes on in the next group");
        assert_eq!(sb.fsblock_offset(4096, 3904), Some(4096 * 4096));
        assert_eq!(sb.fsblock_offset(4096, 3905), None, "the last group is shorter");
        assert_eq!(sb.fsblock_offset(8192, 1), None);
        assert_eq!(sb.fsblock_offset(0, 0), None);
        assert_eq!(sb.fsblock_offset(u64::MAX, u64::MAX), None);
    }
}
