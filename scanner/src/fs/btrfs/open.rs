//! Opening a filesystem: from the superblocks of its devices to its trees.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::file::FileReader;
use super::handles::{Handles, Place};
use super::key::{Key, kind, object};
use super::root::{self, RootItem, RootRef, Subvolume};
use super::storage::{Devices, Owner, Storage};
use super::superblock::Superblock;
use super::tree::Tree;
use super::{Btrfs, FsError, chunk, dir, log};
use crate::limits::Limits;
use crate::volume::Volume;
use crate::volume::bytes::{Bytes, to_u64};

impl Btrfs {
    /// Opens the filesystem that these volumes are the devices of, and replays its tree log in memory.
    ///
    /// Devices may be missing: what then cannot be read says so.
    ///
    /// # Errors
    ///
    /// [`FsError::Corrupt`] for damaged superblocks, chunks or roots of trees, and for a volume that is shorter than its
    /// device, [`FsError::Unsupported`] for features that this version does not read.
    pub fn open(volumes: &[Arc<dyn Volume>], limits: &Limits) -> Result<Self, FsError> {
        let (sb, devices) = devices(volumes)?;
        let mut storage = Storage::new(devices, &sb, limits);
        add_system_chunks(&mut storage, &sb, limits)?;
        add_chunks(&mut storage, &sb, limits)?;

        let roots = Tree::new(sb.root, Owner::Tree(object::ROOT_TREE));
        let checksums = root::open(&storage, &roots, object::CSUM_TREE)?;
        let replayed = log::replay(&storage, &sb, &roots, limits)?;
        let mut all_checksums = replayed.logs;
        all_checksums.push(checksums);

        let default = default_subvolume(&storage, &roots, sb.root_dir)?;
        let item = root::find(&storage, &roots, default)?.ok_or_else(|| {
            FsError::corrupt(
                format!("the default Btrfs subvolume {default}"),
                "the root tree does not have it",
            )
        })?;
        let mut handles = Handles::default();
        let root = handles.inode(Place::Subvolume(default), item.root_dir)?;
        Ok(Self {
            sb,
            storage,
            roots,
            checksums: all_checksums,
            overlays: replayed.overlays,
            journal: replayed.journal,
            root,
            handles: RefCell::new(handles),
            files: FileReader::default(),
            limits: limits.clone(),
        })
    }
}

/// The newest superblock, and the volumes that belong to its filesystem by their devices' numbers.
fn devices(volumes: &[Arc<dyn Volume>]) -> Result<(Superblock, Devices), FsError> {
    let mut members = Vec::new();
    let mut first_error = None;
    for volume in volumes {
        match Superblock::read(volume) {
            Ok(sb) => members.push((sb, volume)),
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    // Newest first. Of two volumes that say they are the same device, the newer one is.
    members.sort_by_key(|(sb, _)| std::cmp::Reverse(sb.generation));
    let Some((newest, _)) = members.first() else {
        return Err(first_error.unwrap_or(FsError::Invalid { problem: "no volume to open" }));
    };
    let newest = newest.clone();
    let mut devices = Devices::new();
    for (sb, volume) in members.into_iter().filter(|(sb, _)| sb.metadata_uuid == newest.metadata_uuid) {
        let (size, has) = (sb.device_bytes, volume.size());
        if size > has {
            return Err(FsError::corrupt(
                format!("the Btrfs device {}", sb.devid),
                format!("it has {size} bytes, but its volume only {has}: the image was cut short"),
            ));
        }
        devices.entry(sb.devid).or_insert_with(|| Arc::clone(volume));
    }
    Ok((newest, devices))
}

/// The chunks that the superblock lists: those that hold the chunk tree.
fn add_system_chunks(storage: &mut Storage, sb: &Superblock, limits: &Limits) -> Result<(), FsError> {
    let array = Bytes(&sb.system_chunks);
    let mut at = 0_usize;
    while at < sb.system_chunks.len() {
        let key = Key::parse(array, at)?;
        if key.kind != kind::CHUNK_ITEM {
            return Err(FsError::corrupt("the Btrfs superblock", "its array of chunks has something else"));
        }
        at = at.saturating_add(Key::SIZE);
        let length = chunk::item_length(array, at)?;
        storage.add_chunk(key.offset, array.get(at, length)?, limits)?;
        at = at.saturating_add(length);
    }
    Ok(())
}

fn add_chunks(storage: &mut Storage, sb: &Superblock, limits: &Limits) -> Result<(), FsError> {
    let tree = Tree::new(sb.chunk_root, Owner::Tree(object::CHUNK_TREE));
    let first = Key::first(object::FIRST_CHUNK_TREE, kind::CHUNK_ITEM);
    let last = Key::last(object::FIRST_CHUNK_TREE, kind::CHUNK_ITEM);
    let mut found = Vec::new();
    let mut items = tree.range(storage, first, last);
    while let Some(item) = items.next()? {
        if to_u64(found.len()) >= limits.chunk_stripes {
            let limit = limits.chunk_stripes;
            return Err(FsError::Limit { what: "the number of chunks of a Btrfs filesystem", limit });
        }
        found.push(item);
    }
    for item in found {
        storage.add_chunk(item.key.offset, item.data(), limits)?;
    }
    Ok(())
}

/// The subvolume that is mounted when none is named.
fn default_subvolume(storage: &Storage, roots: &Tree, root_dir: u64) -> Result<u64, FsError> {
    let location = |entry: &dir::DirItem<'_>| Ok(entry.location.objectid);
    Ok(dir::find(storage, roots, root_dir, b"default", location)?.unwrap_or(object::FS_TREE))
}

/// A subvolume's number, its root item, and its path from the top level.
type Listed = (u64, RootItem, Vec<u8>);

/// Every subvolume that is not being deleted.
pub(super) fn subvolumes(
    storage: &Storage,
    roots: &Tree,
    limits: &Limits,
    open: impl Fn(u64) -> Result<Arc<Subvolume>, FsError>,
) -> Result<Vec<Listed>, FsError> {
    let mut items: BTreeMap<u64, RootItem> = BTreeMap::new();
    // Where a subvolume is: the number of its parent, and its name there.
    let mut named: HashMap<u64, (u64, RootRef)> = HashMap::new();
    let first = Key::first(object::FS_TREE, kind::ROOT_ITEM);
    let last = Key::last(object::LAST_FREE, kind::ROOT_BACKREF);
    let mut entries = roots.range(storage, first, last);
    while let Some(entry) = entries.next()? {
        let Key { objectid, kind, offset } = entry.key;
        if !super::storage::is_subvolume(objectid) {
            continue;
        }
        match kind {
            // The newest item comes last.
            kind::ROOT_ITEM => drop(items.insert(objectid, RootItem::parse(entry.data())?)),
            kind::ROOT_BACKREF => drop(named.insert(objectid, (offset, RootRef::parse(entry.data())?))),
            _ => {}
        }
        if to_u64(items.len()) > limits.dir_entries {
            return Err(FsError::Limit { what: "the number of Btrfs subvolumes", limit: limits.dir_entries });
        }
    }
    let mut listed = Vec::new();
    for (id, item) in items.into_iter().filter(|(_, item)| item.refs > 0) {
        listed.push((id, item, subvolume_path(storage, id, &named, limits, &open)?));
    }
    Ok(listed)
}

fn subvolume_path(
    storage: &Storage,
    id: u64,
    named: &HashMap<u64, (u64, RootRef)>,
    limits: &Limits,
    open: &impl Fn(u64) -> Result<Arc<Subvolume>, FsError>,
) -> Result<Vec<u8>, FsError> {
    let damaged = |problem| FsError::corrupt(format!("the name of Btrfs subvolume {id}"), problem);
    let mut parts = Vec::new();
    let mut passed = HashSet::new();
    let mut here = id;
    while here != object::FS_TREE {
        if !passed.insert(here) {
            return Err(damaged("it is inside itself"));
        }
        let (parent, name) = named.get(&here).ok_or_else(|| damaged("there is none"))?;
        let around = open(*parent)?;
        parts.push(name.name.clone());
        let dir = root::path(storage, &around.tree, around.root_dir, name.dir, limits)?;
        if !dir.is_empty() {
            parts.push(dir);
        }
        here = *parent;
    }
    parts.reverse();
    Ok(parts.join(&b'/'))
}
