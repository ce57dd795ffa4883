//! The replay of one subvolume's log.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::super::FsError;
use super::super::inode::InodeItem;
use super::super::key::{Key, kind};
use super::super::overlay::Overlay;
use super::super::storage::Storage;
use super::super::superblock::Superblock;
use super::super::tree::{Item, Tree};
use super::super::{dir, feature};
use crate::fs::FileType;
use crate::volume::bytes::{Bytes, to_u64};

/// What is exceeded by a log that does not fit into [`Limits::tree_log_bytes`].
pub(super) const TOO_LARGE: &str = "the size of a Btrfs tree log's changes";

/// A subvolume while its log is replayed.
pub(super) struct Replay<'a> {
    pub(super) storage: &'a Storage,
    pub(super) log: &'a Tree,
    /// The subvolume, with what was replayed so far.
    pub(super) tree: Tree,
    /// Inodes whose link count is to be computed anew at the end.
    pub(super) recount: BTreeSet<u64>,
    /// Inodes in the log that have no name: they would be deleted right after.
    ignored: BTreeSet<u64>,
    /// The transaction that the log belongs to.
    pub(super) generation: u64,
    /// Holes have no items.
    pub(super) no_holes: bool,
    /// How much memory its changes may take.
    most_bytes: u64,
}

impl<'a> Replay<'a> {
    pub(super) fn new(
        storage: &'a Storage,
        sb: &Superblock,
        log: &'a Tree,
        tree: Tree,
        most_bytes: u64,
    ) -> Self {
        Self {
            storage,
            log,
            tree,
            recount: BTreeSet::new(),
            ignored: BTreeSet::new(),
            generation: sb.generation.saturating_add(1),
            no_holes: sb.incompat & feature::NO_HOLES != 0,
            most_bytes,
        }
    }

    /// Replays the log: inodes first, then names that directories list, then all else, which refers to both.
    pub(super) fn run(mut self) -> Result<Overlay, FsError> {
        self.each_item(
            |replay, item| {
                if item.key.kind == kind::INODE_ITEM { replay.inode(item) } else { Ok(()) }
            },
        )?;
        self.each_item(
            |replay, item| {
                if item.key.kind == kind::DIR_INDEX { replay.directory_entry(item) } else { Ok(()) }
            },
        )?;
        self.each_item(|replay, item| match item.key.kind {
            kind::XATTR_ITEM => replay.set(item.key, item.data()),
            kind::INODE_REF | kind::INODE_EXTREF => replay.inode_refs(item),
            kind::EXTENT_DATA => replay.extent(item),
            _ => Ok(()),
        })?;
        self.recount_links()?;
        let overlay = self.tree.overlay.take().unwrap_or_default();
        Ok(Arc::unwrap_or_clone(overlay))
    }

    /// Calls `replay` with each item of the log whose inode is not ignored.
    fn each_item(&mut self, replay: impl Fn(&mut Self, &Item) -> Result<(), FsError>) -> Result<(), FsError> {
        let log = self.log;
        let mut items = log.range(self.storage, Key::first(0, 0), Key::last(u64::MAX, u8::MAX));
        while let Some(item) = items.next()? {
            if !self.ignored.contains(&item.key.objectid) {
                replay(self, &item)?;
            }
        }
        Ok(())
    }

    /// Makes an inode what the log says, after taking from it what the log no longer has.
    fn inode(&mut self, item: &Item) -> Result<(), FsError> {
        let objectid = item.key.objectid;
        let logged = InodeItem::parse(objectid, item.data())?.stat;
        if logged.links == 0 {
            self.ignored.insert(objectid);
            return Ok(());
        }
        self.remove_xattrs_that_are_not_in_the_log(objectid)?;
        if logged.file_type == FileType::Directory {
            self.remove_names_that_are_not_in_the_log(objectid)?;
        }
        self.overwrite_inode(item)?;
        if logged.file_type == FileType::Regular {
            let sector = to_u64(self.storage.sector_size());
            let size = self.stat(objectid)?.map_or(0, |stat| stat.size);
            self.drop_extents(objectid, size.checked_next_multiple_of(sector).unwrap_or(size), u64::MAX)?;
        }
        self.recount.insert(objectid);
        Ok(())
    }

    /// Copies an inode item, but for what depends on other items.
    fn overwrite_inode(&mut self, item: &Item) -> Result<(), FsError> {
        let objectid = item.key.objectid;
        let mut data = item.data().to_vec();
        let logged = InodeItem::parse(objectid, &data)?.stat;
        let existing = self.get(item.key)?;
        if Bytes(&data).le64(GENERATION)? == 0 {
            // The inode was logged only so that it exists.
            if let Some(mut existing) = existing {
                let stat = InodeItem::parse(objectid, &existing)?.stat;
                let both = [logged.file_type, stat.file_type] == [FileType::Regular; 2];
                if both && logged.size != 0 {
                    put(&mut existing, SIZE, &logged.size.to_le_bytes());
                    self.set(item.key, &existing)?;
                }
                return Ok(());
            }
            put(&mut data, GENERATION, &self.generation.to_le_bytes());
        }
        if logged.file_type == FileType::Directory {
            // The size of a directory follows from the names that are added to it and taken from it.
            let before = self.stat(objectid)?.filter(|stat| stat.file_type == FileType::Directory);
            put(&mut data, SIZE, &before.map_or(0, |stat| stat.size).to_le_bytes());
        }
        self.set(item.key, &data)
    }

    fn remove_xattrs_that_are_not_in_the_log(&mut self, objectid: u64) -> Result<(), FsError> {
        let mut from = Some(Key::first(objectid, kind::XATTR_ITEM));
        while let Some(item) = self.next_item(from, Key::last(objectid, kind::XATTR_ITEM))? {
            from = item.key.next();
            let logged = self.log.get(self.storage, item.key)?;
            let parse = |item| dir::names(self.storage.budget(), item);
            let logged = logged.as_ref().map(parse).transpose()?.unwrap_or_default();
            let logged: HashSet<_> = logged.iter().map(|each| each.name).collect();
            let is_logged = |name: &dir::DirItem<'_>| logged.contains(name.name);
            let names = dir::names(self.storage.budget(), &item)?;
            let kept: Vec<_> = names.iter().filter(|name| is_logged(name)).collect();
            if kept.len() < names.len() {
                let data: Vec<u8> = kept.iter().flat_map(|name| name.to_bytes(self.generation)).collect();
                self.set_or_remove(item.key, &data)?;
            }
        }
        Ok(())
    }

    /// The link count of each inode that was touched is the number of its names. What has none left is gone, and so is what
    /// a directory without a name held.
    fn recount_links(&mut self) -> Result<(), FsError> {
        while let Some(objectid) = self.recount.pop_last() {
            let key = Key::first(objectid, kind::INODE_ITEM);
            let Some(mut item) = self.get(key)? else { continue };
            let mut links = 0_u32;
            let mut from = Some(Key::first(objectid, kind::INODE_REF));
            while let Some(item) = self.next_item(from, Key::last(objectid, kind::INODE_EXTREF))? {
                from = item.key.next();
                let names = self.refs(item.key, item.data())?.len();
                links = links.saturating_add(u32::try_from(names).unwrap_or(u32::MAX));
            }
            let stat = InodeItem::parse(objectid, &item)?.stat;
            if stat.links != links {
                put(&mut item, LINKS, &links.to_le_bytes());
                self.set(key, &item)?;
            }
            if links == 0 && stat.file_type == FileType::Directory {
                self.remove_all_names(objectid)?;
            }
        }
        Ok(())
    }

    /// Adds to the size of a directory, or takes from it.
    pub(super) fn resize_directory(
        &mut self,
        objectid: u64,
        change: impl Fn(u64) -> u64,
    ) -> Result<(), FsError> {
        let key = Key::first(objectid, kind::INODE_ITEM);
        if let Some(mut item) = self.get(key)? {
            let size = Bytes(&item).le64(SIZE)?;
            put(&mut item, SIZE, &change(size).to_le_bytes());
            self.set(key, &item)?;
        }
        Ok(())
    }

    /// What the subvolume has of an inode, if it has it.
    pub(super) fn stat(&self, objectid: u64) -> Result<Option<crate::fs::Stat>, FsError> {
        let item = self.tree.get(self.storage, Key::first(objectid, kind::INODE_ITEM))?;
        item.map(|item| Ok(InodeItem::parse(objectid, item.data())?.stat)).transpose()
    }

    /// The data of an item of the subvolume.
    pub(super) fn get(&self, key: Key) -> Result<Option<Vec<u8>>, FsError> {
        Ok(self.tree.get(self.storage, key)?.map(|item| item.data().to_vec()))
    }

    /// The first item of the subvolume between two keys: for loops that change what they go through.
    pub(super) fn next_item(&self, from: Option<Key>, last: Key) -> Result<Option<Item>, FsError> {
        let Some(from) = from else { return Ok(None) };
        self.tree.range(self.storage, from, last).next()
    }

    pub(super) fn set(&mut self, key: Key, data: &[u8]) -> Result<(), FsError> {
        self.overlay().set(key, data);
        self.check_size()
    }

    pub(super) fn remove(&mut self, key: Key) -> Result<(), FsError> {
        self.overlay().remove(key);
        self.check_size()
    }

    /// An item with nothing left in it is removed.
    pub(super) fn set_or_remove(&mut self, key: Key, data: &[u8]) -> Result<(), FsError> {
        if data.is_empty() { self.remove(key) } else { self.set(key, data) }
    }

    fn overlay(&mut self) -> &mut Overlay {
        Arc::make_mut(self.tree.overlay.get_or_insert_default())
    }

    fn check_size(&mut self) -> Result<(), FsError> {
        self.storage.budget().step()?;
        let limit = self.most_bytes;
        if self.overlay().bytes() > limit { Err(FsError::Limit { what: TOO_LARGE, limit }) } else { Ok(()) }
    }
}

/// Offsets in `struct btrfs_inode_item`.
const GENERATION: usize = 0;
const SIZE: usize = 16;
const LINKS: usize = 40;

/// Overwrites a field.
pub(super) fn put(item: &mut [u8], at: usize, field: &[u8]) {
    if let Some(place) = item.get_mut(at..at.saturating_add(field.len())) {
        place.copy_from_slice(field);
    }
}
