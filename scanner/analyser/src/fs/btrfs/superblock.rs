//! The superblock and its mirrors: 4096 bytes at 64 KiB, 64 MiB and 256 GiB of every device. Offsets are those of the
//! kernel's `struct btrfs_super_block`.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::checksum::{ChecksumType, ROOM};
use super::{FsError, feature};
use crate::volume::Volume;
use crate::volume::bytes::{Bytes, to_u64, to_usize};

/// Where the superblock is on a device, and where its mirrors are if the device is large enough: `btrfs_sb_offset`.
pub(in crate::fs) const OFFSETS: [u64; 3] = [64 << 10, 64 << 20, 256 << 30];
/// `BTRFS_SUPER_INFO_SIZE`
pub(in crate::fs) const SIZE: usize = 4096;
/// Where the magic number is in it.
const MAGIC_AT: usize = 64;
const MAGIC: &[u8; 8] = b"_BHRfS_M";
/// `BTRFS_SYSTEM_CHUNK_ARRAY_SIZE`
const SYSTEM_CHUNKS: usize = 2048;
/// `BTRFS_MAX_LEVEL`: trees have fewer levels.
const MAX_LEVEL: u8 = 8;

/// What one device says of itself and of the filesystem, each number within its bounds.
#[derive(Clone, Debug)]
pub(super) struct Superblock {
    /// The UUID that users see.
    pub(super) fsid: [u8; 16],
    /// The UUID that nodes carry.
    pub(super) metadata_uuid: [u8; 16],
    pub(super) generation: u64,
    pub(super) root: RootPointer,
    pub(super) chunk_root: RootPointer,
    /// The root of the tree of tree logs, if anything was logged since the last commit.
    pub(super) log_root: Option<RootPointer>,
    /// Bytes of all devices together.
    pub(super) total_bytes: u64,
    pub(super) root_dir: u64,
    pub(super) num_devices: u64,
    /// In bytes: a power of two from 4096 to 65536.
    pub(super) sector_size: u32,
    /// In bytes: a power of two from the size of a sector to 65536.
    pub(super) node_size: u32,
    pub(super) incompat: u64,
    pub(super) compat_ro: u64,
    pub(super) checksum: ChecksumType,
    /// This device's number.
    pub(super) devid: u64,
    /// This device's size in bytes.
    pub(super) device_bytes: u64,
    /// Up to its first zero.
    pub(super) label: Vec<u8>,
    /// Keys with chunk items: the chunks that hold the chunk tree.
    pub(super) system_chunks: Vec<u8>,
}

/// The root node of one of the trees that the superblock points to.
#[derive(Clone, Copy, Debug)]
pub(super) struct RootPointer {
    pub(super) logical: u64,
    pub(super) generation: u64,
    pub(super) level: u8,
}

/// Whether a volume that begins with `head` has the signature.
pub(super) fn has_magic(head: &[u8]) -> bool {
    let at = to_usize(OFFSETS[0]).saturating_add(MAGIC_AT);
    Bytes(head).get(at, MAGIC.len()).is_ok_and(|magic| magic == MAGIC)
}

/// Whether the first mirror has the signature: for a volume whose beginning was overwritten.
pub(super) fn mirror_has_magic(volume: &dyn Volume) -> bool {
    let mut magic = [0; MAGIC.len()];
    let at = OFFSETS[1].saturating_add(to_u64(MAGIC_AT));
    at.saturating_add(to_u64(magic.len())) <= volume.size()
        && volume.read_at(at, &mut magic).is_ok()
        && magic == *MAGIC
}

impl Superblock {
    /// Reads the superblock of a device; where it is damaged, the newest mirror.
    ///
    /// Mirrors are not read without need: they are as old as the last commit or older, because an `fsync` updates only
    /// the first (`write_all_supers` of the kernel), and each costs a block of a snapshot.
    pub(super) fn read(volume: &dyn Volume) -> Result<Self, FsError> {
        let [first, mirrors @ ..] = OFFSETS;
        let error = match Self::read_at(volume, first) {
            Ok(superblock) => return Ok(superblock),
            Err(error @ FsError::Volume(_)) => return Err(error),
            Err(error) => error,
        };
        let intact = mirrors.into_iter().filter_map(|offset| Self::read_at(volume, offset).ok());
        intact.max_by_key(|mirror| mirror.generation).ok_or(error)
    }

    fn read_at(volume: &dyn Volume, offset: u64) -> Result<Self, FsError> {
        let mut raw = vec![0; SIZE];
        if offset.saturating_add(to_u64(SIZE)) > volume.size() {
            return Err(damaged("the volume ends before it"));
        }
        volume.read_at(offset, &mut raw)?;
        Self::parse(&raw, offset)
    }

    /// Parses the superblock that was at `offset` of its device.
    pub(super) fn parse(raw: &[u8], offset: u64) -> Result<Self, FsError> {
        let sb = Bytes(raw);
        if sb.get(MAGIC_AT, MAGIC.len())? != MAGIC {
            return Err(damaged("it has no magic number"));
        }
        let checksum = ChecksumType::from_number(sb.le16(196)?)?;
        let rest = sb.get(ROOM, SIZE.saturating_sub(ROOM))?;
        if !checksum.matches(rest, sb.get(0, ROOM)?) {
            return Err(damaged("its checksum is wrong"));
        }
        if sb.le64(48)? != offset {
            return Err(damaged("it says that it is elsewhere"));
        }
        let incompat = sb.le64(188)?;
        feature::check(incompat)?;

        let (sector_size, node_size) = (sb.le32(144)?, sb.le32(148)?);
        let is_size = |size: u32| size.is_power_of_two() && (4096..=65536).contains(&size);
        if !is_size(sector_size) || !is_size(node_size) || node_size < sector_size {
            return Err(damaged(format!("its sectors have {sector_size} bytes, its nodes {node_size}")));
        }
        let generation = sb.le64(72)?;
        let pointer = |logical: u64, generation: u64, level: u8| {
            if level >= MAX_LEVEL {
                return Err(damaged(format!("a tree has {level} levels")));
            }
            Ok(RootPointer { logical, generation, level })
        };
        let log_root = match sb.le64(96)? {
            0 => None,
            // The log belongs to the transaction that was not committed.
            logical => Some(pointer(logical, generation.saturating_add(1), sb.u8(200)?)?),
        };
        let fsid = sb.array(32)?;
        let metadata_uuid = if incompat & feature::METADATA_UUID == 0 { fsid } else { sb.array(571)? };
        let system_chunks = to_usize(sb.le32(160)?);
        if system_chunks > SYSTEM_CHUNKS {
            return Err(damaged(format!("its array of chunks has {system_chunks} bytes")));
        }
        let label: [u8; 256] = sb.array(299)?;
        Ok(Self {
            fsid,
            metadata_uuid,
            generation,
            root: pointer(sb.le64(80)?, generation, sb.u8(198)?)?,
            chunk_root: pointer(sb.le64(88)?, sb.le64(164)?, sb.u8(199)?)?,
            log_root,
            total_bytes: sb.le64(112)?,
            root_dir: sb.le64(128)?,
            num_devices: sb.le64(136)?,
            sector_size,
            node_size,
            incompat,
            compat_ro: sb.le64(180)?,
            checksum,
            devid: sb.le64(201)?,
            device_bytes: sb.le64(209)?,
            label: label.split(|&byte| byte == 0).next().unwrap_or_default().to_vec(),
            system_chunks: sb.get(811, system_chunks)?.to_vec(),
        })
    }
}

fn damaged(problem: impl Into<String>) -> FsError {
    FsError::corrupt("the Btrfs superblock", problem)
}
