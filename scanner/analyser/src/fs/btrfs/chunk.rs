//! Chunks: how the filesystem's one space of logical addresses lies on its devices. Offsets are those of the kernel's
//! `struct btrfs_chunk`; the profiles' arithmetic is that of its `btrfs_map_block`.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::BTreeMap;

use super::FsError;
use crate::limits::Limits;
use crate::volume::bytes::{Bytes, to_u64, to_usize};

/// The length of a chunk item without its stripes.
const HEADER: usize = 48;
/// The length of one stripe in it.
const STRIPE: usize = 32;
/// `BTRFS_STRIPE_LEN`: how much of a chunk lies on one device before the next one's turn comes.
const STRIPE_LEN: u64 = 64 << 10;

/// The chunks of a filesystem by their logical addresses. They do not overlap.
#[derive(Clone, Debug, Default)]
pub(super) struct ChunkMap {
    chunks: BTreeMap<u64, Chunk>,
    /// Stripes of all chunks, as a measure of the memory they take.
    stripes: u64,
}

/// A range of logical addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Chunk {
    length: u64,
    profile: Profile,
    /// As many as the profile has, or for those that take turns at least as many as it needs.
    stripes: Box<[Stripe]>,
}

/// A range of a device that belongs to a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stripe {
    devid: u64,
    physical: u64,
}

/// How a chunk is spread over its stripes, `BTRFS_BLOCK_GROUP_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Profile {
    /// Single, DUP, RAID1, RAID1C3, RAID1C4: each stripe holds all of it.
    Copies,
    /// RAID0: the stripes take turns.
    Striped,
    /// RAID10: groups of this many stripes take turns; all of a group hold the same.
    StripedCopies { copies: usize },
    /// RAID5 and RAID6: as RAID0, but in each row another one or two stripes hold parity.
    Parity { parity: usize },
}

/// Where a run of logical addresses is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) devid: u64,
    pub(super) physical: u64,
    /// How many bytes from here on lie together.
    pub(super) length: u64,
}

impl ChunkMap {
    /// Adds the chunk that a chunk item describes, unless it is there already, as the chunks of the superblock's array are.
    pub(super) fn add(&mut self, logical: u64, item: &[u8], limits: &Limits) -> Result<(), FsError> {
        let chunk = Chunk::parse(logical, item)?;
        if self.chunks.get(&logical) == Some(&chunk) {
            return Ok(());
        }
        let damaged = |problem: &str| FsError::corrupt(format!("the Btrfs chunk {logical}"), problem);
        let end = logical.checked_add(chunk.length).ok_or_else(|| damaged("it ends beyond all addresses"))?;
        let before = self.chunks.range(..end).next_back();
        if before.is_some_and(|(&start, before)| start.saturating_add(before.length) > logical) {
            return Err(damaged("it overlaps another one"));
        }
        self.stripes = self.stripes.saturating_add(to_u64(chunk.stripes.len()));
        if self.stripes > limits.chunk_stripes {
            let limit = limits.chunk_stripes;
            return Err(FsError::Limit {
                what: "the number of stripes of a Btrfs filesystem (`chunk_stripes`)",
                limit,
            });
        }
        self.chunks.insert(logical, chunk);
        Ok(())
    }

    /// How many copies there are of what is at `logical`; none where there is no chunk.
    pub(super) fn copies(&self, logical: u64) -> usize {
        self.find(logical).map_or(0, |(chunk, _)| match chunk.profile {
            Profile::Copies => chunk.stripes.len(),
            Profile::StripedCopies { copies } => copies,
            Profile::Striped | Profile::Parity { .. } => 1,
        })
    }

    /// Where one of the copies of `logical` is.
    pub(super) fn place(&self, logical: u64, copy: usize) -> Option<Place> {
        let (chunk, inside) = self.find(logical)?;
        let count = chunk.stripes.len();
        let left = chunk.length.checked_sub(inside)?;
        if chunk.profile == Profile::Copies {
            let stripe = chunk.stripes.get(copy)?;
            return Some(Place {
                devid: stripe.devid,
                physical: stripe.physical.checked_add(inside)?,
                length: left,
            });
        }
        // The number of this piece of 64 KiB within the chunk, then its row and its stripe.
        let (piece, offset) = (inside.checked_div(STRIPE_LEN)?, inside.checked_rem(STRIPE_LEN)?);
        let split = |columns: usize| {
            let columns = to_u64(columns);
            Some((piece.checked_div(columns)?, to_usize(piece.checked_rem(columns)?)))
        };
        let (row, index) = match chunk.profile {
            Profile::Copies | Profile::Striped => split(count)?,
            Profile::StripedCopies { copies } => {
                let (row, group) = split(count.checked_div(copies)?)?;
                (row, group.checked_mul(copies)?.checked_add(copy)?)
            }
            Profile::Parity { parity } => {
                let (row, column) = split(count.checked_sub(parity)?)?;
                // Each row begins one stripe further.
                let shifted = row.checked_add(to_u64(column))?.checked_rem(to_u64(count))?;
                (row, to_usize(shifted))
            }
        };
        let stripe = chunk.stripes.get(index)?;
        let within = row.checked_mul(STRIPE_LEN)?.checked_add(offset)?;
        Some(Place {
            devid: stripe.devid,
            physical: stripe.physical.checked_add(within)?,
            length: STRIPE_LEN.checked_sub(offset)?.min(left),
        })
    }

    /// The chunk that `logical` is in, and where.
    fn find(&self, logical: u64) -> Option<(&Chunk, u64)> {
        let (&start, chunk) = self.chunks.range(..=logical).next_back()?;
        let inside = logical.checked_sub(start)?;
        (inside < chunk.length).then_some((chunk, inside))
    }
}

impl Chunk {
    fn parse(logical: u64, item: &[u8]) -> Result<Self, FsError> {
        let damaged = |problem: String| FsError::corrupt(format!("the Btrfs chunk {logical}"), problem);
        let chunk = Bytes(item);
        let (length, stripe_len, kind) = (chunk.le64(0)?, chunk.le64(16)?, chunk.le64(24)?);
        let (num_stripes, sub_stripes) = (usize::from(chunk.le16(44)?), usize::from(chunk.le16(46)?));
        if length == 0 || num_stripes == 0 || stripe_len != STRIPE_LEN {
            return Err(damaged(format!(
                "it has {length} bytes in {num_stripes} stripes of {stripe_len} bytes"
            )));
        }
        // How many stripes there can be, as `btrfs_check_chunk_valid` has it.
        let any = usize::MAX;
        let (profile, count) = match kind & PROFILES {
            0 => (Profile::Copies, 1..=1),
            RAID1 | DUP => (Profile::Copies, 2..=2),
            RAID1C3 => (Profile::Copies, 3..=3),
            RAID1C4 => (Profile::Copies, 4..=4),
            RAID0 => (Profile::Striped, 1..=any),
            RAID10 => (Profile::StripedCopies { copies: 2 }, 2..=any),
            RAID5 => (Profile::Parity { parity: 1 }, 2..=any),
            RAID6 => (Profile::Parity { parity: 2 }, 3..=any),
            other => return Err(damaged(format!("its profile is {other:#x}"))),
        };
        if !count.contains(&num_stripes) || (kind & RAID10 != 0 && sub_stripes != 2) {
            return Err(damaged(format!("it has {num_stripes} stripes, in groups of {sub_stripes}")));
        }
        let stripes = (0..num_stripes)
            .map(|index| {
                let at = index.saturating_mul(STRIPE).saturating_add(HEADER);
                Ok(Stripe { devid: chunk.le64(at)?, physical: chunk.le64(at.saturating_add(8))? })
            })
            .collect::<Result<_, FsError>>()?;
        Ok(Self { length, profile, stripes })
    }
}

/// The length of the chunk item at the start of `bytes`: the superblock's array has nothing else that says it.
pub(super) fn item_length(bytes: Bytes<'_>, at: usize) -> Result<usize, FsError> {
    let num_stripes = usize::from(bytes.le16(at.saturating_add(44))?);
    Ok(num_stripes.saturating_mul(STRIPE).saturating_add(HEADER))
}

const RAID0: u64 = 1 << 3;
const RAID1: u64 = 1 << 4;
const DUP: u64 = 1 << 5;
const RAID10: u64 = 1 << 6;
const RAID5: u64 = 1 << 7;
const RAID6: u64 = 1 << 8;
const RAID1C3: u64 = 1 << 9;
const RAID1C4: u64 = 1 << 10;
/// `BTRFS_BLOCK_GROUP_PROFILE_MASK`
const PROFILES: u64 = RAID0 | RAID1 | DUP | RAID10 | RAID5 | RAID6 | RAID1C3 | RAID1C4;

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(length: u64, kind: u64, sub_stripes: u16, stripes: &[(u64, u64)]) -> Vec<u8> {
        let mut item = vec![0; HEADER];
        item[..8].copy_from_slice(&length.to_le_bytes());
        item[16..24].copy_from_slice(&STRIPE_LEN.to_le_bytes());
        item[24..32].copy_from_slice(&kind.to_le_bytes());
        item[44..46].copy_from_slice(&u16::try_from(stripes.len()).unwrap().to_le_bytes());
        item[46..48].copy_from_slice(&sub_stripes.to_le_bytes());
        for (devid, physical) in stripes {
            item.extend(devid.to_le_bytes());
            item.extend(physical.to_le_bytes());
            item.extend([0; 16]);
        }
        item
    }

    fn map(item: &[u8]) -> ChunkMap {
        let mut map = ChunkMap::default();
        map.add(1 << 20, item, &Limits::default()).unwrap();
        map
    }

    /// The device and the physical address of each piece of a chunk, devices having one stripe each at 0.
    fn pieces(map: &ChunkMap, count: u64, copy: usize) -> Vec<(u64, u64)> {
        let place = |piece| map.place((1 << 20) + piece * STRIPE_LEN + 5, copy).unwrap();
        (0..count).map(place).map(|place| (place.devid, place.physical / STRIPE_LEN)).collect()
    }

    #[test]
    fn copies_hold_everything_and_stripes_take_turns() {
        let raid1 = map(&chunk(1 << 20, RAID1, 1, &[(1, 0), (2, 0)]));
        assert_eq!(raid1.copies(1 << 20), 2);
        assert_eq!(pieces(&raid1, 3, 1), [(2, 0), (2, 1), (2, 2)]);
        assert_eq!(
            raid1.place((2 << 20) - 1, 0),
            Some(Place { devid: 1, physical: (1 << 20) - 1, length: 1 })
        );
        assert_eq!((raid1.place(2 << 20, 0), raid1.copies(2 << 20)), (None, 0));

        let raid0 = map(&chunk(1 << 20, RAID0, 1, &[(1, 0), (2, 0)]));
        assert_eq!(pieces(&raid0, 4, 0), [(1, 0), (2, 0), (1, 1), (2, 1)]);
        assert_eq!(raid0.copies(1 << 20), 1);

        let both = map(&chunk(1 << 20, RAID10, 2, &[(1, 0), (2, 0), (3, 0), (4, 0)]));
        assert_eq!(pieces(&both, 3, 0), [(1, 0), (3, 0), (1, 1)]);
        assert_eq!(pieces(&both, 3, 1), [(2, 0), (4, 0), (2, 1)]);
    }

    #[test]
    fn parity_moves_from_row_to_row() {
        let raid5 = map(&chunk(1 << 20, RAID5, 1, &[(1, 0), (2, 0), (3, 0)]));
        assert_eq!(pieces(&raid5, 6, 0), [(1, 0), (2, 0), (2, 1), (3, 1), (3, 2), (1, 2)]);
        let raid6 = map(&chunk(1 << 20, RAID6, 1, &[(1, 0), (2, 0), (3, 0), (4, 0)]));
        assert_eq!(pieces(&raid6, 4, 0), [(1, 0), (2, 0), (2, 1), (3, 1)]);
    }

    #[test]
    fn damaged_chunks_are_refused() {
        let refused = |logical, item: &[u8]| {
            let mut map = map(&chunk(1 << 20, 0, 0, &[(1, 0)]));
            map.add(logical, item, &Limits::default()).unwrap_err().to_string()
        };
        let good = chunk(1 << 20, 0, 0, &[(1, 0)]);
        assert!(refused(1 << 19, &good).ends_with("it overlaps another one"));
        assert!(refused((1 << 20) + 4096, &good).ends_with("it overlaps another one"));
        assert!(refused(u64::MAX, &good).ends_with("it ends beyond all addresses"));
        assert!(refused(0, &chunk(4096, 0, 0, &[])).contains("0 stripes"));
        assert!(refused(0, &chunk(4096, RAID10, 0, &[(1, 0)])).contains("groups of 0"));
        assert!(refused(0, &chunk(4096, RAID6, 0, &[(1, 0)])).contains("1 stripes"));
        // Each copy that is wrong would be another one to try, for each block.
        assert!(refused(0, &chunk(4096, RAID1, 0, &[(1, 0); 1000])).contains("1000 stripes"));
        assert!(refused(0, &chunk(4096, 0, 0, &[(1, 0); 2])).contains("2 stripes"));
        assert!(refused(0, &chunk(4096, RAID0 | RAID1, 0, &[(1, 0)])).contains("its profile is 0x18"));
        assert!(refused(0, &good[..60]).contains("ends before its field"));
    }

    #[test]
    fn the_number_of_stripes_is_bounded() {
        let limits = Limits { chunk_stripes: 1, ..Limits::default() };
        let mut map = ChunkMap::default();
        map.add(0, &chunk(4096, 0, 0, &[(1, 0)]), &limits).unwrap();
        map.add(0, &chunk(4096, 0, 0, &[(1, 0)]), &limits).unwrap();
        let error = map.add(4096, &chunk(4096, 0, 0, &[(1, 0)]), &limits).unwrap_err();
        assert!(matches!(error, FsError::Limit { .. }));
    }
}
