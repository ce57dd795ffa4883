//! Items that the tree log adds to a tree, changes in it, or takes from it.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::key::Key;
use crate::volume::bytes::to_u64;

/// What a change takes besides its item's data.
const ENTRY: u64 = 64;

/// The changes of one tree; none of most.
#[derive(Clone, Debug, Default)]
pub(super) struct Overlay {
    /// What items are from now on. No key is in both.
    present: BTreeMap<Key, Arc<[u8]>>,
    removed: BTreeSet<Key>,
    /// How much memory the changes took, those included that later ones replaced.
    bytes: u64,
}

/// What the overlay says of one key.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) key: Key,
    /// None if the item is no more.
    pub(super) data: Option<Arc<[u8]>>,
}

impl Overlay {
    pub(super) fn set(&mut self, key: Key, data: &[u8]) {
        self.bytes = self.bytes.saturating_add(to_u64(data.len())).saturating_add(ENTRY);
        self.removed.remove(&key);
        self.present.insert(key, data.into());
    }

    pub(super) fn remove(&mut self, key: Key) {
        self.bytes = self.bytes.saturating_add(ENTRY);
        self.present.remove(&key);
        self.removed.insert(key);
    }

    /// The change of one key.
    pub(super) fn get(&self, key: Key) -> Option<Change> {
        if let Some(data) = self.present.get(&key) {
            return Some(Change { key, data: Some(Arc::clone(data)) });
        }
        self.removed.contains(&key).then_some(Change { key, data: None })
    }

    /// The first change at `key` or behind it.
    pub(super) fn at_or_after(&self, key: Key) -> Option<Change> {
        let present = self.present.range(key..).next();
        let removed = self.removed.range(key..).next();
        match (present, removed) {
            (Some((&key, data)), removed) if removed.is_none_or(|&removed| key < removed) => {
                Some(Change { key, data: Some(Arc::clone(data)) })
            }
            (_, removed) => removed.map(|&key| Change { key, data: None }),
        }
    }

    /// The last item at `key` or before it that was added or changed.
    pub(super) fn floor(&self, key: Key) -> Option<(Key, Arc<[u8]>)> {
        self.present.range(..=key).next_back().map(|(&key, data)| (key, Arc::clone(data)))
    }

    /// An upper bound of the memory that the changes take.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.present.is_empty() && self.removed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_found_in_the_order_of_their_keys() {
        let key = |objectid| Key::new(objectid, 1, 0);
        let mut overlay = Overlay::default();
        assert!(overlay.is_empty());
        overlay.set(key(5), b"five");
        overlay.remove(key(7));
        overlay.set(key(9), b"nine");
        overlay.remove(key(5));
        overlay.set(key(7), b"seven");
        let from = |objectid| overlay.at_or_after(key(objectid)).map(|change| (change.key, change.data));
        assert_eq!(from(0), Some((key(5), None)));
        assert_eq!(from(6), Some((key(7), Some(b"seven"[..].into()))));
        assert_eq!(from(8), Some((key(9), Some(b"nine"[..].into()))));
        assert_eq!(from(10), None);
        assert_eq!(overlay.floor(key(6)), None);
        assert_eq!(overlay.floor(key(8)).unwrap().0, key(7));
        assert!(overlay.get(key(5)).unwrap().data.is_none());
        assert!(overlay.get(key(6)).is_none());
    }
}
