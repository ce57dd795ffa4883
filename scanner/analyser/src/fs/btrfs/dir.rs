//! Names: directory entries and extended attributes have one form, the kernel's `struct btrfs_dir_item`.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::FsError;
use super::checksum::name_hash;
use super::key::{Key, kind};
use super::storage::Storage;
use super::tree::{Item, Tree};
use crate::fs::FileType;
use crate::limits::Budget;
use crate::volume::bytes::Bytes;

/// The length of an entry without its name and data.
const HEADER: usize = 30;
/// `BTRFS_NAME_LEN`
pub(super) const NAME_LEN: usize = 255;

/// One entry of a `DIR_ITEM`, `DIR_INDEX` or `XATTR_ITEM` item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DirItem<'a> {
    /// What the name stands for: an inode of the same tree, or a subvolume.
    pub(super) location: Key,
    pub(super) name: &'a [u8],
    /// The value of an extended attribute.
    pub(super) data: &'a [u8],
    /// `BTRFS_FT_*`
    pub(super) kind: u8,
}

impl DirItem<'_> {
    /// The type of what a directory entry stands for.
    pub(super) fn file_type(&self) -> Option<FileType> {
        FileType::from_entry(self.kind)
    }

    /// The entry as an item has it, written by this transaction.
    pub(super) fn to_bytes(self, transaction: u64) -> Vec<u8> {
        let Key { objectid, kind, offset } = self.location;
        let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_le_bytes();
        let mut bytes = objectid.to_le_bytes().to_vec();
        bytes.push(kind);
        bytes.extend(offset.to_le_bytes());
        bytes.extend(transaction.to_le_bytes());
        bytes.extend(length(self.data));
        bytes.extend(length(self.name));
        bytes.push(self.kind);
        bytes.extend(self.name);
        bytes.extend(self.data);
        bytes
    }
}

/// The entries of one item: names with the same hash share one. An item may have thousands, so each is paid for.
pub(super) fn names<'i>(budget: &Budget, item: &'i Item) -> Result<Vec<DirItem<'i>>, FsError> {
    let Key { objectid, offset, .. } = item.key;
    parse(budget, item.data()).map_err(|error| match error {
        FsError::Limit { .. } => error,
        _ => FsError::corrupt(
            format!("the name item {offset} of Btrfs inode {objectid}"),
            "a name is not within it",
        ),
    })
}

/// As [`names`], of the data alone.
pub(super) fn parse<'d>(budget: &Budget, data: &'d [u8]) -> Result<Vec<DirItem<'d>>, FsError> {
    let bytes = Bytes(data);
    let mut names = Vec::new();
    let mut at = 0_usize;
    while at < data.len() {
        budget.step()?;
        let data_len = usize::from(bytes.le16(at.saturating_add(25))?);
        let name_len = usize::from(bytes.le16(at.saturating_add(27))?);
        let name_at = at.saturating_add(HEADER);
        let data_at = name_at.saturating_add(name_len);
        if name_len > NAME_LEN {
            return Err(FsError::corrupt("a Btrfs name item", format!("a name has {name_len} bytes")));
        }
        names.push(DirItem {
            location: Key::parse(bytes, at)?,
            name: bytes.get(name_at, name_len)?,
            data: bytes.get(data_at, data_len)?,
            kind: bytes.u8(at.saturating_add(29))?,
        });
        at = data_at.saturating_add(data_len);
    }
    Ok(names)
}

/// The key of the item that has `name` among those of an inode.
pub(super) fn hashed_key(objectid: u64, kind: u8, name: &[u8]) -> Key {
    Key::new(objectid, kind, u64::from(name_hash(name)))
}

/// Finds a name in a directory, and calls `found` with its entry.
pub(super) fn find<T>(
    storage: &Storage,
    tree: &Tree,
    dir: u64,
    name: &[u8],
    found: impl FnOnce(&DirItem<'_>) -> Result<T, FsError>,
) -> Result<Option<T>, FsError> {
    let Some(item) = tree.get(storage, hashed_key(dir, kind::DIR_ITEM, name))? else { return Ok(None) };
    names(storage.budget(), &item)?.iter().find(|each| each.name == name).map(found).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    #[test]
    fn entries_follow_each_other() {
        let mut data = Vec::new();
        for (name, value, kind) in [(&b"user.a"[..], &b"value"[..], 8), (b"file", b"", 1)] {
            data.extend([1, 1, 0, 0, 0, 0, 0, 0, 1]);
            data.extend([0; 16]);
            data.extend(u16::try_from(value.len()).unwrap().to_le_bytes());
            data.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
            data.push(kind);
            data.extend(name);
            data.extend(value);
        }
        let budget = Budget::new(&Limits { steps: 7, ..Limits::default() });
        let names = parse(&budget, &data).unwrap();
        assert_eq!(
            (names[0].name, names[0].data, names[0].file_type()),
            (&b"user.a"[..], &b"value"[..], None)
        );
        assert_eq!((names[1].name, names[1].file_type()), (&b"file"[..], Some(FileType::Regular)));
        assert_eq!(names[1].location, Key::new(257, 1, 0));
        let again: Vec<u8> = names.iter().flat_map(|name| name.to_bytes(0)).collect();
        assert_eq!(again, data);
        assert!(parse(&budget, &data[..data.len() - 1]).is_err());
        parse(&budget, &data).unwrap();
        let error = parse(&budget, &data).unwrap_err();
        assert!(matches!(error, FsError::Limit { .. }), "each name is paid for: {error}");
        data[27..29].fill(0xff);
        assert!(parse(&Budget::new(&Limits::default()), &data).is_err());
    }

    /// The value that every `default` entry in a root tree has as the offset of its key.
    #[test]
    fn the_hash_of_a_name() {
        assert_eq!(hashed_key(6, kind::DIR_ITEM, b"default").offset, 2_378_154_706);
    }
}
