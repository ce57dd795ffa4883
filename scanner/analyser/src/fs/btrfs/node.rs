//! Nodes of the trees. Offsets are those of the kernel's `struct btrfs_header`, `btrfs_item` and `btrfs_key_ptr`.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::ops::Range;

use super::key::Key;
use crate::volume::bytes::{Bytes, Truncated, to_usize};

/// The length of a node's header.
const HEADER: usize = 101;
/// The length of a leaf's entry: a key, and where its data is.
const ITEM: usize = 25;
/// The length of an inner node's entry: a key, and the address and generation of a child.
const KEY_POINTER: usize = 33;

/// A node whose checksum is right and whose entries are in order and within it.
#[derive(Debug)]
pub(super) struct Node {
    bytes: Box<[u8]>,
    pub(super) level: u8,
    pub(super) generation: u64,
    pub(super) owner: u64,
    count: usize,
}

/// What an inner node says of a child.
#[derive(Clone, Copy, Debug)]
pub(super) struct Child {
    pub(super) first_key: Key,
    pub(super) logical: u64,
    pub(super) generation: u64,
}

impl Node {
    /// Checks what a node says of itself; `Err` says what is wrong. Its checksum is the caller's.
    pub(super) fn parse(bytes: Box<[u8]>, logical: u64, metadata_uuid: &[u8; 16]) -> Result<Self, String> {
        let short = |_: Truncated| "it has no header".to_owned();
        let header = Bytes(&bytes);
        if header.get(32, 16).map_err(short)? != metadata_uuid {
            return Err("it belongs to another filesystem".to_owned());
        }
        let at = header.le64(48).map_err(short)?;
        if at != logical {
            return Err(format!("it says that it is node {at}"));
        }
        let (generation, owner) = (header.le64(80).map_err(short)?, header.le64(88).map_err(short)?);
        let (count, level) = (to_usize(header.le32(96).map_err(short)?), header.u8(100).map_err(short)?);
        let node = Self { bytes, level, generation, owner, count };
        let room = node.bytes.len().saturating_sub(HEADER);
        if count.saturating_mul(node.entry_size()) > room || (count == 0 && level > 0) {
            return Err(format!("it claims {count} entries"));
        }
        let mut before = None;
        // The items' data lies behind all entries, the last one's first, and no two share a byte: what a leaf holds is no
        // more than its size.
        let (first, mut free) = (count.saturating_mul(ITEM), room);
        for index in 0..count {
            let key = node.key(index);
            if key.is_none() || key <= before {
                return Err(format!("its key {index} is out of order"));
            }
            if level == 0 {
                let place = node.place(index).filter(|place| place.start >= first && place.end <= free);
                let place = place.ok_or_else(|| format!("its item {index} is not within it"))?;
                free = place.start;
            }
            before = key;
        }
        Ok(node)
    }

    /// How many items or children it has.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The key of an entry.
    pub(super) fn key(&self, index: usize) -> Option<Key> {
        Key::parse(Bytes(&self.bytes), self.entry(index)?).ok()
    }

    /// The last key; none of an empty leaf.
    pub(super) fn last_key(&self) -> Option<Key> {
        self.key(self.count.checked_sub(1)?)
    }

    /// The data of an item, if this is a leaf.
    pub(super) fn item(&self, index: usize) -> Option<&[u8]> {
        let place = self.place(index)?;
        self.bytes.get(HEADER..)?.get(place)
    }

    /// Where a leaf's item has its data, counted from behind the header.
    fn place(&self, index: usize) -> Option<Range<usize>> {
        let (bytes, at) = (Bytes(&self.bytes), self.entry(index)?);
        let start = to_usize(bytes.le32(at.checked_add(17)?).ok()?);
        let length = to_usize(bytes.le32(at.checked_add(21)?).ok()?);
        Some(start..start.checked_add(length)?)
    }

    /// A child, if this is an inner node.
    pub(super) fn child(&self, index: usize) -> Option<Child> {
        let (bytes, at) = (Bytes(&self.bytes), self.entry(index)?);
        Some(Child {
            first_key: self.key(index)?,
            logical: bytes.le64(at.checked_add(17)?).ok()?,
            generation: bytes.le64(at.checked_add(25)?).ok()?,
        })
    }

    /// How many entries have keys before `key`.
    pub(super) fn entries_before(&self, key: Key) -> usize {
        self.partition(|each| each < key)
    }

    /// The entry with the last key that is not behind `key`.
    pub(super) fn floor(&self, key: Key) -> Option<usize> {
        self.partition(|each| each <= key).checked_sub(1)
    }

    fn partition(&self, is_before: impl Fn(Key) -> bool) -> usize {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low.midpoint(high);
            if self.key(middle).is_some_and(&is_before) {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        low
    }

    fn entry_size(&self) -> usize {
        if self.level == 0 { ITEM } else { KEY_POINTER }
    }

    fn entry(&self, index: usize) -> Option<usize> {
        if index >= self.count {
            return None;
        }
        index.checked_mul(self.entry_size())?.checked_add(HEADER)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A leaf of three items with the data `a`, `bb` and nothing.
    fn leaf() -> Vec<u8> {
        let mut bytes = vec![0; 4096];
        bytes[32..48].fill(7);
        bytes[48..56].copy_from_slice(&65536_u64.to_le_bytes());
        bytes[96] = 3;
        for (index, (offset, length)) in [(3000_u32, 1_u32), (2998, 2), (2998, 0)].into_iter().enumerate() {
            let at = HEADER + ITEM * index;
            bytes[at] = u8::try_from(index + 1).unwrap();
            bytes[at + 17..at + 21].copy_from_slice(&offset.to_le_bytes());
            bytes[at + 21..at + 25].copy_from_slice(&length.to_le_bytes());
        }
        bytes[HEADER + 2998..HEADER + 3001].copy_from_slice(b"bba");
        bytes
    }

    fn parse(bytes: Vec<u8>) -> Result<Node, String> {
        Node::parse(bytes.into(), 65536, &[7; 16])
    }

    /// A leaf with keys of the objects 1 to 3.
    pub(in super::super) fn node() -> Node {
        parse(leaf()).unwrap()
    }

    #[test]
    fn items_are_found_by_key() {
        let leaf = parse(leaf()).unwrap();
        assert_eq!(leaf.item(0), Some(&b"a"[..]));
        assert_eq!(leaf.item(1), Some(&b"bb"[..]));
        assert_eq!(leaf.item(2), Some(&b""[..]));
        assert_eq!((leaf.item(3), leaf.key(3)), (None, None));
        let key = |objectid| Key::new(objectid, 0, 0);
        assert_eq!((leaf.entries_before(key(2)), leaf.entries_before(key(9))), (1, 3));
        assert_eq!((leaf.floor(key(2)), leaf.floor(key(0))), (Some(1), None));
    }

    #[test]
    fn damaged_nodes_are_refused() {
        let refused = |at: usize, byte: u8| {
            let mut bytes = leaf();
            bytes[at] = byte;
            parse(bytes).unwrap_err()
        };
        assert_eq!(refused(32, 0), "it belongs to another filesystem");
        assert_eq!(refused(48, 1), "it says that it is node 65537");
        assert_eq!(refused(97, 1), "it claims 259 entries");
        assert_eq!(refused(HEADER + ITEM, 0), "its key 1 is out of order");
        assert_eq!(refused(HEADER + 19, 1), "its item 0 is not within it");
        assert_eq!(
            refused(HEADER + ITEM + 21, 3),
            "its item 1 is not within it",
            "into that of the item before"
        );
        let mut low = leaf();
        low[HEADER + ITEM * 2 + 17..][..4].copy_from_slice(&74_u32.to_le_bytes());
        assert_eq!(parse(low).unwrap_err(), "its item 2 is not within it", "in the list of items");
        let mut inner = leaf();
        (inner[96], inner[100]) = (0, 1);
        assert_eq!(parse(inner).unwrap_err(), "it claims 0 entries");
        assert_eq!(parse(vec![0; 40]).unwrap_err(), "it has no header");
    }
}
