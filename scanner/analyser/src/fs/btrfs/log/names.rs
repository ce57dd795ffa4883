//! Names in directories, while a log is replayed: adding one and removing one changes three items and the directory's size.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::HashSet;

use super::super::FsError;
use super::super::dir::{self, DirItem};
use super::super::inode::{self, InodeRef};
use super::super::key::{Key, kind};
use super::super::tree::Item;
use super::replay::Replay;
use crate::fs::FileType;
use crate::fs::checksum::crc32c;
use crate::volume::bytes::{Bytes, to_u64};

/// A directory entry, kept while the items that it is in change.
#[derive(Clone)]
struct Entry {
    dir: u64,
    name: Vec<u8>,
    location: Key,
    kind: u8,
}

impl Entry {
    fn new(dir: u64, name: &DirItem<'_>) -> Self {
        Self { dir, name: name.name.to_vec(), location: name.location, kind: name.kind }
    }

    fn is_same(&self, other: &Self) -> bool {
        self.location == other.location && self.kind == other.kind
    }
}

impl Replay<'_> {
    /// A log says for which ranges of a directory's list it is complete: what the subvolume has in them and the log has
    /// not was deleted.
    pub(super) fn remove_names_that_are_not_in_the_log(&mut self, dir: u64) -> Result<(), FsError> {
        if self.stat(dir)?.is_none() {
            return Ok(());
        }
        let log = self.log;
        let (first, last) = (Key::first(dir, kind::DIR_LOG_INDEX), Key::last(dir, kind::DIR_LOG_INDEX));
        let mut ranges = log.range(self.storage, first, last);
        while let Some(range) = ranges.next()? {
            let end = Bytes(range.data()).le64(0)?;
            let mut from = Some(Key::new(dir, kind::DIR_INDEX, range.key.offset));
            while let Some(item) = self.next_item(from, Key::new(dir, kind::DIR_INDEX, end))? {
                from = item.key.next();
                let Some(entry) = self.entry(dir, &item)? else { continue };
                let logged = log.get(self.storage, item.key)?;
                let logged = logged.map(|item| self.entry(dir, &item)).transpose()?.flatten();
                if logged.is_none_or(|logged| logged.name != entry.name) {
                    self.drop_entry(&entry, Some(item.key.offset))?;
                }
            }
        }
        Ok(())
    }

    /// Removes everything in a directory that is gone itself.
    pub(super) fn remove_all_names(&mut self, dir: u64) -> Result<(), FsError> {
        let mut from = Some(Key::first(dir, kind::DIR_INDEX));
        while let Some(item) = self.next_item(from, Key::last(dir, kind::DIR_INDEX))? {
            from = item.key.next();
            if let Some(entry) = self.entry(dir, &item)? {
                self.drop_entry(&entry, Some(item.key.offset))?;
            }
        }
        Ok(())
    }

    /// Adds a name that a logged directory lists, unless the inode does not exist, or is in the log itself with this name.
    pub(super) fn directory_entry(&mut self, item: &Item) -> Result<(), FsError> {
        let (dir, index) = (item.key.objectid, item.key.offset);
        let Some(logged) = self.entry(dir, item)? else { return Ok(()) };
        if self.stat(dir)?.is_none() {
            return Err(FsError::corrupt(
                "the Btrfs tree log",
                format!("it lists directory {dir}, which is not there"),
            ));
        }
        let exists = self.tree.get(self.storage, logged.location)?.is_some();
        let mut matches = [false; 2];
        for (by_index, matches) in [false, true].into_iter().zip(&mut matches) {
            let found = if by_index {
                self.by_index(dir, index, &logged.name)?
            } else {
                self.by_name(dir, &logged.name)?
            };
            match found {
                Some(found) if found.is_same(&logged) => *matches = true,
                Some(found) if exists => self.drop_entry(&found, by_index.then_some(index))?,
                _ => {}
            }
        }
        let target = logged.location.objectid;
        if matches == [true; 2] || !exists || self.log_has_ref(target, dir, &logged.name)? {
            return Ok(());
        }
        if self.by_name(dir, &logged.name)?.is_some()
            || self.get(Key::new(dir, kind::DIR_INDEX, index))?.is_some()
        {
            return Ok(());
        }
        self.add_ref(target, InodeRef { parent: dir, index, name: &logged.name })?;
        self.link(&logged, index)?;
        if FileType::from_entry(logged.kind) != Some(FileType::Directory) {
            self.recount.insert(target);
        }
        Ok(())
    }

    /// Gives an inode the names that one of its logged items has, and takes from it those that the same item had before.
    pub(super) fn inode_refs(&mut self, item: &Item) -> Result<(), FsError> {
        let objectid = item.key.objectid;
        let logged = self.refs(item.key, item.data())?;
        let mut cleaned = HashSet::new();
        let Some(stat) = self.stat(objectid)? else {
            return Err(FsError::corrupt(
                "the Btrfs tree log",
                format!("it names inode {objectid}, which is not there"),
            ));
        };
        for name in &logged {
            // Not all directories above an inode are in the log.
            if self.stat(name.parent)?.is_none() {
                return Ok(());
            }
            let here = Some(objectid);
            let points_here = |entry: Option<Entry>| entry.map(|entry| entry.location.objectid) == here;
            if points_here(self.by_index(name.parent, name.index, name.name)?)
                && points_here(self.by_name(name.parent, name.name)?)
            {
                continue;
            }
            // The root directory's name for itself.
            if name.parent == objectid {
                return Ok(());
            }
            for key in ref_keys(objectid, name.parent, name.name) {
                if cleaned.insert((key, name.parent)) {
                    self.remove_old_refs(key, name.parent)?;
                }
            }
            if let Some(conflict) = self.by_index(name.parent, name.index, name.name)? {
                self.drop_entry(&conflict, Some(name.index))?;
            }
            if let Some(conflict) = self.by_name(name.parent, name.name)? {
                self.drop_entry(&conflict, None)?;
            }
            let entry = Entry {
                dir: name.parent,
                name: name.name.to_vec(),
                location: Key::first(objectid, kind::INODE_ITEM),
                kind: stat.file_type.entry_number(),
            };
            self.link(&entry, name.index)?;
        }
        if let Some(existing) = self.get(item.key)? {
            let logged = set(&logged);
            for old in self.refs(item.key, &existing)? {
                if !logged.contains(&(old.parent, old.name)) {
                    self.unlink(old.parent, objectid, old.name, Some(old.index))?;
                }
            }
        }
        self.set(item.key, item.data())
    }

    /// Removes the names in one of an inode's items that the log has not.
    fn remove_old_refs(&mut self, key: Key, parent: u64) -> Result<(), FsError> {
        let Some(existing) = self.get(key)? else { return Ok(()) };
        let logged = self.log.get(self.storage, key)?;
        let logged = logged.as_ref().map(|item| self.refs(key, item.data())).transpose()?;
        let logged = set(logged.as_deref().unwrap_or_default());
        for old in self.refs(key, &existing)?.into_iter().filter(|old| old.parent == parent) {
            if !logged.contains(&(parent, old.name)) {
                self.unlink(parent, key.objectid, old.name, Some(old.index))?;
            }
        }
        Ok(())
    }

    /// Whether the log gives an inode this name by an item of its own, so that the name will be added with it.
    fn log_has_ref(&self, objectid: u64, parent: u64, name: &[u8]) -> Result<bool, FsError> {
        for key in ref_keys(objectid, parent, name) {
            if let Some(item) = self.log.get(self.storage, key)?
                && self.refs(key, item.data())?.iter().any(|each| each.parent == parent && each.name == name)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The one entry of a `DIR_INDEX` item.
    fn entry(&self, dir: u64, item: &Item) -> Result<Option<Entry>, FsError> {
        Ok(dir::names(self.storage.budget(), item)?.first().map(|name| Entry::new(dir, name)))
    }

    /// The entry with this name in a directory.
    fn by_name(&self, dir: u64, name: &[u8]) -> Result<Option<Entry>, FsError> {
        dir::find(self.storage, &self.tree, dir, name, |found| Ok(Entry::new(dir, found)))
    }

    /// The entry at this place of a directory's list, if it has this name.
    fn by_index(&self, dir: u64, index: u64, name: &[u8]) -> Result<Option<Entry>, FsError> {
        let item = self.tree.get(self.storage, Key::new(dir, kind::DIR_INDEX, index))?;
        let found = item.map(|item| self.entry(dir, &item)).transpose()?.flatten();
        Ok(found.filter(|found| found.name == name))
    }

    /// Removes an entry, and has the links of its inode counted.
    fn drop_entry(&mut self, entry: &Entry, index: Option<u64>) -> Result<(), FsError> {
        self.recount.insert(entry.location.objectid);
        self.unlink(entry.dir, entry.location.objectid, &entry.name, index)
    }

    /// Adds an entry to a directory, by name and at a place of its list.
    fn link(&mut self, entry: &Entry, index: u64) -> Result<(), FsError> {
        let name = DirItem { location: entry.location, name: &entry.name, data: &[], kind: entry.kind };
        let bytes = name.to_bytes(self.generation);
        let key = dir::hashed_key(entry.dir, kind::DIR_ITEM, &entry.name);
        let mut data = self.get(key)?.unwrap_or_default();
        data.extend_from_slice(&bytes);
        self.set(key, &data)?;
        self.set(Key::new(entry.dir, kind::DIR_INDEX, index), &bytes)?;
        let weight = weight(&entry.name);
        self.resize_directory(entry.dir, |size| size.saturating_add(weight))
    }

    /// Removes a name: from the directory by name and from its list, and from the inode. The list's place is the one that
    /// the inode records, or `index`.
    fn unlink(&mut self, dir: u64, objectid: u64, name: &[u8], index: Option<u64>) -> Result<(), FsError> {
        let key = dir::hashed_key(dir, kind::DIR_ITEM, name);
        if let Some(data) = self.get(key)? {
            let generation = self.generation;
            let names = dir::parse(self.storage.budget(), &data)?;
            let rest = names.iter().filter(|each| each.name != name);
            let rest: Vec<u8> = rest.flat_map(|each| each.to_bytes(generation)).collect();
            self.set_or_remove(key, &rest)?;
        }
        let recorded = self.remove_ref(objectid, dir, name)?;
        if let Some(index) = recorded.or(index)
            && self.by_index(dir, index, name)?.is_some()
        {
            self.remove(Key::new(dir, kind::DIR_INDEX, index))?;
        }
        let weight = weight(name);
        self.resize_directory(dir, |size| size.saturating_sub(weight))
    }

    /// Removes a name from an inode, and returns its place in the directory's list.
    fn remove_ref(&mut self, objectid: u64, parent: u64, name: &[u8]) -> Result<Option<u64>, FsError> {
        for key in ref_keys(objectid, parent, name) {
            let Some(data) = self.get(key)? else { continue };
            let all = self.refs(key, &data)?;
            let is_it = |each: &&InodeRef<'_>| each.parent == parent && each.name == name;
            let Some(found) = all.iter().find(is_it) else { continue };
            let rest = all.iter().filter(|each| !is_it(each));
            let rest: Vec<u8> = rest.flat_map(|each| to_bytes(key.kind, each)).collect();
            self.set_or_remove(key, &rest)?;
            return Ok(Some(found.index));
        }
        Ok(None)
    }

    /// The names in an `INODE_REF` or `INODE_EXTREF` item.
    pub(super) fn refs<'d>(&self, key: Key, data: &'d [u8]) -> Result<Vec<InodeRef<'d>>, FsError> {
        inode::names(self.storage.budget(), key, data)
    }

    /// Adds a name to an inode.
    fn add_ref(&mut self, objectid: u64, name: InodeRef<'_>) -> Result<(), FsError> {
        let key = Key::new(objectid, kind::INODE_REF, name.parent);
        let mut data = self.get(key)?.unwrap_or_default();
        data.extend(to_bytes(kind::INODE_REF, &name));
        self.set(key, &data)
    }
}

/// Directory and name of each of these names.
fn set<'a>(names: &[InodeRef<'a>]) -> HashSet<(u64, &'a [u8])> {
    names.iter().map(|each| (each.parent, each.name)).collect()
}

/// Where a name of an inode is, if it has it: the item of the directory, or an extended one if that is full.
fn ref_keys(objectid: u64, parent: u64, name: &[u8]) -> [Key; 2] {
    [Key::new(objectid, kind::INODE_REF, parent), extended_key(objectid, parent, name)]
}

fn to_bytes(kind: u8, name: &InodeRef<'_>) -> Vec<u8> {
    let length = u16::try_from(name.name.len()).unwrap_or(u16::MAX).to_le_bytes();
    let parent = name.parent.to_le_bytes();
    let parent = if kind == kind::INODE_REF { &[][..] } else { &parent[..] };
    [parent, &name.index.to_le_bytes(), &length, name.name].concat()
}

/// The key of the `INODE_EXTREF` item that has a name, `btrfs_extref_hash`.
fn extended_key(objectid: u64, parent: u64, name: &[u8]) -> Key {
    // The seed is the lower half of the parent's number.
    let seed = u32::try_from(parent & 0xffff_ffff).unwrap_or(0);
    Key::new(objectid, kind::INODE_EXTREF, u64::from(crc32c(seed, name)))
}

/// What a name adds to its directory's size: it is there twice.
fn weight(name: &[u8]) -> u64 {
    to_u64(name.len()).saturating_mul(2)
}
