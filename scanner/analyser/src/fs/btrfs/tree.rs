//! Trees: searched by key, and read in the order of keys.
//!
//! What the tree log changed is merged in here, so that nothing above can pass it by.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::sync::Arc;

use super::FsError;
use super::key::Key;
use super::node::Node;
use super::overlay::{Change, Overlay};
use super::storage::{NodePointer, Owner, Storage};
use super::superblock::RootPointer;

/// One of the filesystem's trees.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    root: NodePointer,
    /// What the tree log changed, if anything.
    pub(super) overlay: Option<Arc<Overlay>>,
}

/// One item, with its data.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) key: Key,
    data: Data,
}

#[derive(Clone, Debug)]
enum Data {
    /// The data of this entry of a leaf.
    Leaf(Arc<Node>, usize),
    Overlay(Arc<[u8]>),
}

impl Item {
    pub(super) fn data(&self) -> &[u8] {
        match &self.data {
            Data::Leaf(leaf, index) => leaf.item(*index).unwrap_or_default(),
            Data::Overlay(data) => data,
        }
    }
}

impl Tree {
    /// The tree with this number whose root node is at `root`.
    pub(super) fn new(root: RootPointer, owner: Owner) -> Self {
        let RootPointer { logical, generation, level } = root;
        Self {
            root: NodePointer { logical, level, generation, first_key: None, end: None, owner },
            overlay: None,
        }
    }

    /// The same tree with what the tree log changed.
    pub(super) fn with_overlay(mut self, overlay: Arc<Overlay>) -> Self {
        self.overlay = Some(overlay).filter(|overlay| !overlay.is_empty());
        self
    }

    /// The item with this key.
    pub(super) fn get(&self, storage: &Storage, key: Key) -> Result<Option<Item>, FsError> {
        if let Some(change) = self.overlay.as_ref().and_then(|overlay| overlay.get(key)) {
            return Ok(added(change));
        }
        Ok(self.floor_on_disk(storage, key)?.filter(|item| item.key == key))
    }

    /// The item with the last key that is not behind `key`.
    pub(super) fn floor(&self, storage: &Storage, key: Key) -> Result<Option<Item>, FsError> {
        let mut found = self.floor_on_disk(storage, key)?;
        let Some(overlay) = &self.overlay else { return Ok(found) };
        while let Some(removed) =
            found.as_ref().map(|item| item.key).filter(|&key| overlay.get(key).is_some())
        {
            storage.budget().step()?;
            found = match removed.previous() {
                Some(before) => self.floor_on_disk(storage, before)?,
                None => None,
            };
        }
        let changed = overlay.floor(key).map(|(key, data)| Item { key, data: Data::Overlay(data) });
        Ok(match (found, changed) {
            (Some(found), Some(changed)) if found.key > changed.key => Some(found),
            (found, changed) => changed.or(found),
        })
    }

    /// The items from `first` to `last`, both included.
    pub(super) fn range<'a>(&'a self, storage: &'a Storage, first: Key, last: Key) -> Items<'a> {
        Items { tree: self, storage, next: Some(first), last, cursor: None, on_disk: None }
    }

    /// Says that the items in these ranges of keys, which are in order and do not overlap, will be looked at soon.
    ///
    /// Goes down level by level: the nodes of one are fetched together and then say where those of the next are. Leaves
    /// are fetched, not read. What cannot be read is left out.
    pub(super) fn prefetch(&self, storage: &Storage, ranges: &[(Key, Key)]) {
        /// Nodes of one level, which are kept in memory. Against a hint for a directory as large as the volume.
        const NODES: usize = 1 << 16;

        if ranges.is_empty() {
            return;
        }
        let mut level = vec![self.root];
        while level.first().is_some_and(|node| node.level > 0) {
            let mut below = Vec::new();
            for pointer in &level {
                let Ok(node) = storage.node(pointer) else { continue };
                for index in 0..node.len() {
                    if below.len() >= NODES || storage.budget().step().is_err() {
                        break;
                    }
                    let (Some(child), next) =
                        (child(&node, index, pointer), node.key(index.saturating_add(1)))
                    else {
                        continue;
                    };
                    // The first range that ends in this child or behind it.
                    let candidate = ranges.partition_point(|&(_, last)| Some(last) < child.first_key);
                    let wanted = ranges.get(candidate);
                    if wanted.is_some_and(|&(first, _)| next.is_none_or(|next| first < next)) {
                        below.push(child);
                    }
                }
            }
            storage.prefetch_nodes(below.iter().map(|node| node.logical));
            level = below;
        }
    }

    fn floor_on_disk(&self, storage: &Storage, key: Key) -> Result<Option<Item>, FsError> {
        let mut pointer = self.root;
        loop {
            let node = storage.node(&pointer)?;
            // Each node's first key is the one that its parent has for it, so what is not in this one is nowhere.
            let Some(index) = node.floor(key) else { return Ok(None) };
            match child(&node, index, &pointer) {
                Some(below) => pointer = below,
                None => return Ok(item(&node, index)),
            }
        }
    }
}

/// Items in the order of their keys.
#[derive(Debug)]
pub(super) struct Items<'a> {
    tree: &'a Tree,
    storage: &'a Storage,
    /// The first key that was not looked at yet; none at the end.
    next: Option<Key>,
    last: Key,
    cursor: Option<Cursor>,
    /// The next item of the tree on disk, whatever the tree log says.
    on_disk: Option<Item>,
}

impl Items<'_> {
    pub(super) fn next(&mut self) -> Result<Option<Item>, FsError> {
        loop {
            let Some(from) = self.next.filter(|&next| next <= self.last) else { return Ok(None) };
            self.storage.budget().step()?;
            if self.cursor.is_none() {
                let mut cursor = Cursor::seek(self.storage, &self.tree.root, from)?;
                self.on_disk = cursor.next(self.storage)?;
                self.cursor = Some(cursor);
            }
            let change = self.tree.overlay.as_ref().and_then(|overlay| overlay.at_or_after(from));
            let key = match (&self.on_disk, &change) {
                (Some(item), Some(change)) => item.key.min(change.key),
                (Some(item), None) => item.key,
                (None, Some(change)) => change.key,
                (None, None) => self.last.next().unwrap_or(self.last),
            };
            self.next = key.next();
            let mut found = None;
            if self.on_disk.as_ref().is_some_and(|item| item.key == key) {
                let next = self.cursor.as_mut().map(|cursor| cursor.next(self.storage)).transpose()?;
                found = std::mem::replace(&mut self.on_disk, next.flatten());
            }
            if let Some(change) = change.filter(|change| change.key == key) {
                found = added(change);
            }
            if let Some(item) = found.filter(|item| item.key <= self.last) {
                return Ok(Some(item));
            }
        }
    }
}

/// A place in the tree on disk.
#[derive(Debug)]
struct Cursor {
    /// The inner nodes from the root down, each with the entry that was taken.
    above: Vec<(NodePointer, Arc<Node>, usize)>,
    leaf: Arc<Node>,
    /// The entry of the leaf that comes next.
    index: usize,
}

impl Cursor {
    /// The place of the first item that is not before `key`.
    fn seek(storage: &Storage, root: &NodePointer, key: Key) -> Result<Self, FsError> {
        let mut above = Vec::new();
        let mut pointer = *root;
        loop {
            let node = storage.node(&pointer)?;
            let index = node.floor(key).unwrap_or(0);
            let Some(below) = child(&node, index, &pointer) else {
                let index = node.entries_before(key);
                return Ok(Self { above, leaf: node, index });
            };
            above.push((pointer, node, index));
            pointer = below;
        }
    }

    fn next(&mut self, storage: &Storage) -> Result<Option<Item>, FsError> {
        loop {
            if let Some(found) = item(&self.leaf, self.index) {
                self.index = self.index.saturating_add(1);
                return Ok(Some(found));
            }
            // Up to the first node that has another child, and down to that one's first leaf.
            let mut pointer = loop {
                let Some((pointer, node, index)) = self.above.pop() else { return Ok(None) };
                let index = index.saturating_add(1);
                if let Some(below) = child(&node, index, &pointer) {
                    self.above.push((pointer, node, index));
                    break below;
                }
            };
            self.index = 0;
            loop {
                let node = storage.node(&pointer)?;
                let Some(below) = child(&node, 0, &pointer) else {
                    self.leaf = node;
                    break;
                };
                self.above.push((pointer, node, 0));
                pointer = below;
            }
        }
    }
}

/// A child of an inner node; none of a leaf.
fn child(node: &Node, index: usize, parent: &NodePointer) -> Option<NodePointer> {
    let level = node.level.checked_sub(1)?;
    let child = node.child(index)?;
    Some(NodePointer {
        logical: child.logical,
        level,
        generation: child.generation,
        first_key: Some(child.first_key),
        end: node.key(index.checked_add(1)?).or(parent.end),
        owner: parent.owner,
    })
}

fn item(leaf: &Arc<Node>, index: usize) -> Option<Item> {
    let key = leaf.key(index)?;
    Some(Item { key, data: Data::Leaf(Arc::clone(leaf), index) })
}

fn added(change: Change) -> Option<Item> {
    Some(Item { key: change.key, data: Data::Overlay(change.data?) })
}
