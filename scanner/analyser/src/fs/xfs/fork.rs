//! Forks: where in an inode, or from there on the volume, a file's data and its extended attributes are.
//!
//! Names are those of the kernel's `fs/xfs/libxfs/xfs_format.h`, `enum xfs_dinode_fmt` and `struct xfs_bmbt_rec`.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::sync::Arc;

use super::FsError;
use crate::volume::bytes::{Bytes, Truncated, to_usize};

/// What a fork's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `XFS_DINODE_FMT_DEV`: the numbers of a device; pipes and sockets have it too.
    Device,
    /// `XFS_DINODE_FMT_LOCAL`: the content itself.
    Local,
    /// `XFS_DINODE_FMT_EXTENTS`: a list of extents.
    Extents,
    /// `XFS_DINODE_FMT_BTREE`: the root of a B+tree of extents.
    Btree,
}

/// One of an inode's two forks.
#[derive(Clone, Debug)]
pub(super) struct Fork {
    pub(super) format: Format,
    /// What the inode has of it: of a list of extents exactly the list, and more if the log says so.
    pub(super) bytes: Arc<[u8]>,
}

impl Fork {
    /// `area` is the fork's part of the inode; `extents` how many the inode says there are.
    pub(super) fn parse(name: &str, format: u8, area: &[u8], extents: u64) -> Result<Self, FsError> {
        let (format, bytes) = match format {
            0 => (Format::Device, area),
            1 => (Format::Local, area),
            2 => {
                let list = to_usize(extents).checked_mul(Extent::SIZE).and_then(|length| area.get(..length));
                (
                    Format::Extents,
                    list.ok_or_else(|| FsError::corrupt(name, "it has more extents than space"))?,
                )
            }
            3 => (Format::Btree, area),
            unknown => return Err(FsError::corrupt(name, format!("it has the unknown format {unknown}"))),
        };
        Ok(Self { format, bytes: bytes.into() })
    }
}

/// A run of blocks of a file that lie one behind the other on the volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// `br_startoff`: the first of them in the file.
    pub(super) logical: u64,
    /// `br_startblock`: the first of them on the volume, as a block of the filesystem.
    pub(super) start: u64,
    /// `br_blockcount`
    pub(super) count: u64,
    /// Allocated, but never written: zeros.
    pub(super) unwritten: bool,
}

impl Extent {
    /// The length of `struct xfs_bmbt_rec`.
    pub(super) const SIZE: usize = 16;

    /// One bit, then 54 of `logical`, 52 of `start`, 21 of `count`.
    fn decode(record: Bytes<'_>) -> Result<Self, Truncated> {
        let (high, low) = (record.be64(0)?, record.be64(8)?);
        Ok(Self {
            logical: (high & !(1 << 63)) >> 9,
            start: ((high & 0x1ff) << 43) | (low >> 21),
            count: low & 0x1f_ffff,
            unwritten: high >> 63 != 0,
        })
    }

    /// As [`decode`](Self::decode) reads it. All fields must fit.
    pub(super) fn encode(self) -> [u8; Self::SIZE] {
        let high = (u64::from(self.unwritten) << 63) | (self.logical << 9) | (self.start >> 43);
        let low = (self.start << 21) | self.count;
        (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
    }

    /// Whether all fields fit into a record.
    pub(super) fn is_possible(self) -> bool {
        self.logical >> 54 == 0 && self.start >> 52 == 0 && self.count >> 21 == 0 && self.count > 0
    }

    /// The first block of the file behind it.
    pub(super) fn end(self) -> u64 {
        self.logical.saturating_add(self.count)
    }
}

/// Extents one behind the other, sorted by their place in the file. Where they are not sorted a search finds some of them or
/// none, and ends.
#[derive(Clone, Copy)]
pub(super) struct Extents<'a>(pub(super) &'a [u8]);

impl Extents<'_> {
    pub(super) fn len(self) -> usize {
        self.0.len() / Extent::SIZE
    }

    pub(super) fn get(self, index: usize) -> Result<Option<Extent>, Truncated> {
        if index >= self.len() {
            return Ok(None);
        }
        let record = Bytes(self.0).get(index.saturating_mul(Extent::SIZE), Extent::SIZE)?;
        Extent::decode(Bytes(record)).map(Some)
    }

    /// The extent that has the block `logical` of a file, or the first one behind that.
    pub(super) fn at_or_behind(self, logical: u64) -> Result<Option<Extent>, Truncated> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.get(middle)?.is_some_and(|extent| extent.end() <= logical) {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        self.get(low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_have_all_their_bits() {
        let extent =
            Extent { logical: (1 << 54) - 2, start: (1 << 52) - 3, count: (1 << 21) - 4, unwritten: true };
        let bytes = extent.encode();
        assert_eq!(Extents(&bytes).get(0).unwrap(), Some(extent));
        assert_eq!(Extents(&bytes).get(1).unwrap(), None);
    }

    #[test]
    fn the_extent_with_a_block_or_the_next_is_found() {
        let extent = |logical, count| Extent { logical, start: 7, count, unwritten: false };
        let list = [extent(0, 2), extent(5, 1), extent(6, 4)];
        let bytes: Vec<u8> = list.iter().flat_map(|extent| extent.encode()).collect();
        let found: Vec<_> = (0..11).map(|at| Extents(&bytes).at_or_behind(at).unwrap()).collect();
        let [a, b, c] = list.map(Some);
        assert_eq!(found, [a, a, b, b, b, b, c, c, c, c, None]);
    }
}
