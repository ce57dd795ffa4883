//! Items that the tree log adds to a tree, changes in it, or takes from it.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::BTreeMap;
use std::sync::Arc;

use super::key::Key;
use crate::volume::bytes::to_u64;

/// What a change takes besides its item's data.
const ENTRY: u64 = 64;

/// The changes of one tree; none of most.
#[derive(Clone, Debug, Default)]
pub(super) struct Overlay {
    /// What an item is from now on; `None` if it is no more.
    items: BTreeMap<Key, Option<Arc<[u8]>>>,
    /// How much memory the changes took, those included that later ones replaced.
    bytes: u64,
}

/// What the overlay says of one key.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) key: Key,
    pub(super) data: Option<Arc<[u8]>>,
}

impl Overlay {
    pub(super) fn set(&mut self, key: Key, data: &[u8]) {
        self.bytes = self.bytes.saturating_add(to_u64(data.len())).saturating_add(ENTRY);
        self.items.insert(key, Some(data.into()));
    }

    pub(super) fn remove(&mut self, key: Key) {
        self.bytes = self.bytes.saturating_add(ENTRY);
        self.items.insert(key, None);
    }

    pub(super) fn get(&self, key: Key) -> Option<&Option<Arc<[u8]>>> {
        self.items.get(&key)
    }

    /// The first change at `key` or behind it.
    pub(super) fn at_or_after(&self, key: Key) -> Option<Change> {
        self.items.range(key..).next().map(change)
    }

    /// The last change at `key` or before it that did not remove an item.
    pub(super) fn floor(&self, key: Key) -> Option<Change> {
        self.items.range(..=key).rev().find(|(_, data)| data.is_some()).map(change)
    }

    /// An upper bound of the memory that the changes take.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

fn change((&key, data): (&Key, &Option<Arc<[u8]>>)) -> Change {
    Change { key, data: data.clone() }
}
