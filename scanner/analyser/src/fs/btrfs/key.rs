//! Keys: what the items of every tree are sorted by. Names are those of the kernel's `include/uapi/linux/btrfs_tree.h`.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use crate::volume::bytes::{Bytes, Truncated};

/// `struct btrfs_disk_key`. The order of the fields is the order of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) objectid: u64,
    /// The item's type.
    pub(super) kind: u8,
    pub(super) offset: u64,
}

impl Key {
    /// The length of a key on disk.
    pub(super) const SIZE: usize = 17;

    pub(super) const fn new(objectid: u64, kind: u8, offset: u64) -> Self {
        Self { objectid, kind, offset }
    }

    /// The first key that an item of this type can have in this object.
    pub(super) const fn first(objectid: u64, kind: u8) -> Self {
        Self::new(objectid, kind, 0)
    }

    /// The last such key.
    pub(super) const fn last(objectid: u64, kind: u8) -> Self {
        Self::new(objectid, kind, u64::MAX)
    }

    pub(super) fn parse(bytes: Bytes<'_>, at: usize) -> Result<Self, Truncated> {
        Ok(Self {
            objectid: bytes.le64(at)?,
            kind: bytes.u8(at.saturating_add(8))?,
            offset: bytes.le64(at.saturating_add(9))?,
        })
    }

    /// The key before this one; none before the first of all.
    pub(super) fn previous(self) -> Option<Self> {
        let Self { objectid, kind, offset } = self;
        if let Some(offset) = offset.checked_sub(1) {
            return Some(Self { offset, ..self });
        }
        if let Some(kind) = kind.checked_sub(1) {
            return Some(Self { objectid, kind, offset: u64::MAX });
        }
        Some(Self { objectid: objectid.checked_sub(1)?, kind: u8::MAX, offset: u64::MAX })
    }

    /// The key after this one; none after the last of all.
    pub(super) fn next(self) -> Option<Self> {
        let Self { objectid, kind, offset } = self;
        if let Some(offset) = offset.checked_add(1) {
            return Some(Self { offset, ..self });
        }
        if let Some(kind) = kind.checked_add(1) {
            return Some(Self { objectid, kind, offset: 0 });
        }
        Some(Self { objectid: objectid.checked_add(1)?, kind: 0, offset: 0 })
    }
}

/// Types of items, `BTRFS_*_KEY`.
pub(super) mod kind {
    pub(in super::super) const INODE_ITEM: u8 = 1;
    pub(in super::super) const INODE_REF: u8 = 12;
    pub(in super::super) const INODE_EXTREF: u8 = 13;
    pub(in super::super) const XATTR_ITEM: u8 = 24;
    pub(in super::super) const DIR_LOG_INDEX: u8 = 72;
    pub(in super::super) const DIR_ITEM: u8 = 84;
    pub(in super::super) const DIR_INDEX: u8 = 96;
    pub(in super::super) const EXTENT_DATA: u8 = 108;
    pub(in super::super) const EXTENT_CSUM: u8 = 128;
    pub(in super::super) const ROOT_ITEM: u8 = 132;
    pub(in super::super) const ROOT_BACKREF: u8 = 144;
    pub(in super::super) const ROOT_REF: u8 = 156;
    pub(in super::super) const CHUNK_ITEM: u8 = 228;
}

/// Reserved object ids, `BTRFS_*_OBJECTID`.
pub(super) mod object {
    pub(in super::super) const ROOT_TREE: u64 = 1;
    /// `BTRFS_EMPTY_SUBVOL_DIR_OBJECTID`: stands where a subvolume was when a snapshot of its parent was made.
    pub(in super::super) const EMPTY_SUBVOL_DIR: u64 = 2;
    pub(in super::super) const CHUNK_TREE: u64 = 3;
    pub(in super::super) const FS_TREE: u64 = 5;
    pub(in super::super) const CSUM_TREE: u64 = 7;
    /// The first inode of a subvolume, and the first subvolume.
    pub(in super::super) const FIRST_FREE: u64 = 256;
    pub(in super::super) const FIRST_CHUNK_TREE: u64 = 256;
    /// `BTRFS_LAST_FREE_OBJECTID`, −256.
    pub(in super::super) const LAST_FREE: u64 = u64::MAX - 255;
    /// −10
    pub(in super::super) const EXTENT_CSUM: u64 = u64::MAX - 9;
    /// −6
    pub(in super::super) const TREE_LOG: u64 = u64::MAX - 5;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_neighbours() {
        for key in [
            Key::new(7, 3, 5),
            Key::new(7, 3, 0),
            Key::new(7, 0, 0),
            Key::new(7, u8::MAX, u64::MAX),
            Key::new(7, 1, u64::MAX),
        ] {
            let (before, after) = (key.previous().unwrap(), key.next().unwrap());
            assert!(before < key && key < after);
            assert_eq!((before.next(), after.previous()), (Some(key), Some(key)));
        }
        assert_eq!(Key::new(0, 0, 0).previous(), None);
        assert_eq!(Key::new(u64::MAX, u8::MAX, u64::MAX).next(), None);
    }
}
