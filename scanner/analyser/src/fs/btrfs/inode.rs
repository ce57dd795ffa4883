//! Inode items. Offsets are those of the kernel's `struct btrfs_inode_item`.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::FsError;
use super::key::{Key, kind};
use crate::fs::{DeviceNumbers, FileType, Stat};
use crate::limits::Budget;
use crate::volume::bytes::{Bytes, to_usize};

/// `BTRFS_INODE_NODATASUM`: the file's data has no checksums.
const NODATASUM: u64 = 1 << 0;

/// What an inode item records.
#[derive(Clone, Copy, Debug)]
pub(super) struct InodeItem {
    pub(super) stat: Stat,
    flags: u64,
}

impl InodeItem {
    /// Parses the inode item of this object.
    pub(super) fn parse(objectid: u64, data: &[u8]) -> Result<Self, FsError> {
        let item = Bytes(data);
        let mode = item.le32(52)?;
        let file_type = FileType::from_mode(mode).ok_or_else(|| {
            FsError::corrupt(format!("the Btrfs inode {objectid}"), format!("its mode is {mode:o}"))
        })?;
        let device = matches!(file_type, FileType::CharacterDevice | FileType::BlockDevice);
        Ok(Self {
            stat: Stat {
                file_type,
                mode: u16::try_from(mode & 0o7777).unwrap_or(0),
                size: item.le64(16)?,
                uid: item.le32(44)?,
                gid: item.le32(48)?,
                links: item.le32(40)?,
                mtime: i64::from_le_bytes(item.array(136)?),
                device: if device { Some(device_numbers(item.le64(56)?)) } else { None },
            },
            flags: item.le64(64)?,
        })
    }

    pub(super) fn has_checksums(&self) -> bool {
        self.flags & NODATASUM == 0
    }
}

/// The kernel's own `dev_t`: the minor number in the lower 20 bits.
fn device_numbers(rdev: u64) -> DeviceNumbers {
    let number = |bits: u64| u32::try_from(bits & 0xffff_ffff).unwrap_or(0);
    DeviceNumbers { major: number(rdev >> 20), minor: number(rdev & 0xf_ffff) }
}

/// One name that an inode has, of an `INODE_REF` or `INODE_EXTREF` item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InodeRef<'a> {
    /// The directory.
    pub(super) parent: u64,
    /// The offset of the name's `DIR_INDEX` item.
    pub(super) index: u64,
    pub(super) name: &'a [u8],
}

/// The names in an `INODE_REF` or `INODE_EXTREF` item. An item may have thousands, so each is paid for.
pub(super) fn names<'d>(budget: &Budget, key: Key, data: &'d [u8]) -> Result<Vec<InodeRef<'d>>, FsError> {
    match key.kind {
        kind::INODE_REF => refs(budget, key.offset, data),
        _ => extended_refs(budget, data),
    }
}

/// `struct btrfs_inode_ref`: the item's key says which directory the names are in.
fn refs<'d>(budget: &Budget, parent: u64, data: &'d [u8]) -> Result<Vec<InodeRef<'d>>, FsError> {
    let item = Bytes(data);
    let mut refs = Vec::new();
    let mut at = 0_usize;
    while at < data.len() {
        budget.step()?;
        let (index, length) = (item.le64(at)?, usize::from(item.le16(at.saturating_add(8))?));
        let name = item.get(at.saturating_add(10), length)?;
        refs.push(InodeRef { parent, index, name });
        at = at.saturating_add(10).saturating_add(length);
    }
    Ok(refs)
}

/// `struct btrfs_inode_extref`.
fn extended_refs<'d>(budget: &Budget, data: &'d [u8]) -> Result<Vec<InodeRef<'d>>, FsError> {
    let item = Bytes(data);
    let mut refs = Vec::new();
    let mut at = 0_usize;
    while at < data.len() {
        budget.step()?;
        let (parent, index) = (item.le64(at)?, item.le64(at.saturating_add(8))?);
        let length = to_usize(item.le16(at.saturating_add(16))?);
        let name = item.get(at.saturating_add(18), length)?;
        refs.push(InodeRef { parent, index, name });
        at = at.saturating_add(18).saturating_add(length);
    }
    Ok(refs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    #[test]
    fn device_numbers_have_twenty_bits_of_minor() {
        let numbers = device_numbers((259 << 20) | 0xf_1234);
        assert_eq!((numbers.major, numbers.minor), (259, 0xf_1234));
    }

    #[test]
    fn several_names_in_one_item() {
        let mut data = Vec::new();
        for (index, name) in [(2_u64, &b"a"[..]), (3, b"name")] {
            data.extend(index.to_le_bytes());
            data.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
            data.extend(name);
        }
        let budget = Budget::new(&Limits { steps: 4, ..Limits::default() });
        let found = refs(&budget, 256, &data).unwrap();
        assert_eq!(
            found,
            [
                InodeRef { parent: 256, index: 2, name: b"a" },
                InodeRef { parent: 256, index: 3, name: b"name" }
            ]
        );
        let error = refs(&budget, 256, &data[..data.len() - 1]).unwrap_err();
        assert!(matches!(error, FsError::Corrupt { .. }), "{error}");
        let error = extended_refs(&budget, &data).unwrap_err();
        assert!(matches!(error, FsError::Limit { .. }), "each name is paid for: {error}");
        assert!(extended_refs(&Budget::new(&Limits::default()), &data[..5]).is_err());
    }
}
