//! The root tree: where the other trees are, and how subvolumes are named. Offsets are those of the kernel's
//! `struct btrfs_root_item` and `btrfs_root_ref`.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::sync::Arc;

use super::dir::NAME_LEN;
use super::key::{Key, kind};
use super::overlay::Overlay;
use super::storage::{Owner, Storage};
use super::superblock::RootPointer;
use super::tree::Tree;
use super::{FsError, inode};
use crate::limits::Limits;
use crate::volume::bytes::{Bytes, Truncated, to_u64};

/// What the root tree says of a tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct RootItem {
    pub(super) root: RootPointer,
    /// The inode of a subvolume's root directory.
    pub(super) root_dir: u64,
    /// How many directories name it; 0 for a subvolume that is being deleted.
    pub(super) refs: u32,
    /// Whether it was made as a snapshot.
    pub(super) is_snapshot: bool,
}

impl RootItem {
    pub(super) fn parse(data: &[u8]) -> Result<Self, Truncated> {
        let item = Bytes(data);
        let generation = item.le64(160)?;
        // Fields from here on are right only if the item was last written by a kernel that knows them.
        let is_current = item.le64(239).is_ok_and(|generation_v2| generation_v2 == generation);
        let parent: [u8; 16] = item.array(263).unwrap_or_default();
        Ok(Self {
            root: RootPointer { logical: item.le64(176)?, generation, level: item.u8(238)? },
            root_dir: item.le64(168)?,
            refs: item.le32(216)?,
            is_snapshot: is_current && parent != [0; 16],
        })
    }
}

/// Finds a tree by its number: the newest of its items.
pub(super) fn find(storage: &Storage, roots: &Tree, id: u64) -> Result<Option<RootItem>, FsError> {
    let item = roots.floor(storage, Key::last(id, kind::ROOT_ITEM))?;
    let Some(item) = item.filter(|item| item.key >= Key::first(id, kind::ROOT_ITEM)) else { return Ok(None) };
    self::item(id, item.data()).map(Some)
}

/// What an item of the root tree says of the tree with this number.
pub(super) fn item(id: u64, data: &[u8]) -> Result<RootItem, FsError> {
    RootItem::parse(data)
        .map_err(|_| FsError::corrupt(format!("the root item of Btrfs tree {id}"), "it is too short"))
}

/// Opens a tree that must be there.
pub(super) fn open(storage: &Storage, roots: &Tree, id: u64) -> Result<Tree, FsError> {
    let item = find(storage, roots, id)?
        .ok_or_else(|| FsError::corrupt(format!("the Btrfs tree {id}"), "the root tree does not have it"))?;
    tree(id, item.root)
}

/// The tree with this number and root.
pub(super) fn tree(id: u64, root: RootPointer) -> Result<Tree, FsError> {
    if root.level > 7 {
        return Err(FsError::corrupt(
            format!("the Btrfs tree {id}"),
            format!("its root has level {}", root.level),
        ));
    }
    Ok(Tree::new(root, Owner::of(id)))
}

/// How a subvolume is named, by a `ROOT_REF` item of its parent or a `ROOT_BACKREF` item of its own.
#[derive(Debug)]
pub(super) struct RootRef {
    /// The directory in the parent.
    pub(super) dir: u64,
    pub(super) name: Vec<u8>,
}

impl RootRef {
    pub(super) fn parse(data: &[u8]) -> Result<Self, FsError> {
        let item = Bytes(data);
        let length = usize::from(item.le16(16)?);
        if length > NAME_LEN {
            return Err(FsError::corrupt(
                "a reference to a Btrfs subvolume",
                format!("its name has {length} bytes"),
            ));
        }
        Ok(Self { dir: item.le64(0)?, name: item.get(18, length)?.to_vec() })
    }
}

/// The path of an object from its subvolume's root directory, by the names that its inodes record.
pub(super) fn path(
    storage: &Storage,
    tree: &Tree,
    root_dir: u64,
    objectid: u64,
    limits: &Limits,
) -> Result<Vec<u8>, FsError> {
    let mut names: Vec<Vec<u8>> = Vec::new();
    let mut length = 0;
    let mut here = objectid;
    while here != root_dir {
        storage.budget().step()?;
        let (first, last) = (Key::first(here, kind::INODE_REF), Key::last(here, kind::INODE_REF));
        let item = tree.range(storage, first, last).next()?;
        let item =
            item.ok_or_else(|| FsError::corrupt(format!("the Btrfs inode {here}"), "it has no name"))?;
        let parent = item.key.offset;
        let refs = inode::names(storage.budget(), item.key, item.data())?;
        let name = refs.first().map(|each| each.name).unwrap_or_default();
        length = name.len().saturating_add(length).saturating_add(1);
        if length > limits.path_bytes {
            let limit = to_u64(limits.path_bytes);
            return Err(FsError::Limit {
                what: "the length of the path of a Btrfs subvolume (`path_bytes`)",
                limit,
            });
        }
        names.push(name.to_vec());
        here = parent;
    }
    names.reverse();
    Ok(names.join(&b'/'))
}

/// A subvolume that is open.
#[derive(Debug)]
pub(super) struct Subvolume {
    pub(super) id: u64,
    pub(super) tree: Tree,
    pub(super) root_dir: u64,
}

impl Subvolume {
    pub(super) fn open(id: u64, item: &RootItem, overlay: Option<&Arc<Overlay>>) -> Result<Self, FsError> {
        let tree = tree(id, item.root)?;
        let tree = match overlay {
            Some(overlay) => tree.with_overlay(Arc::clone(overlay)),
            None => tree,
        };
        Ok(Self { id, tree, root_dir: item.root_dir })
    }
}
