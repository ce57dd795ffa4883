//! Opening a filesystem: from the superblocks of its devices to its trees.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::chunk::ChunkMap;
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
    let mut chunks = ChunkMap::default();
    let mut at = 0_usize;
    while at < sb.system_chunks.len() {
        let key = Key::parse(array, at)?;
        if key.kind != kind::CHUNK_ITEM {
            return Err(FsError::corrupt("the Btrfs superblock", "its array of chunks has something else"));
        }
        at = at.saturating_add(Key::SIZE);
        let length = chunk::item_length(array, at)?;
        chunks.add(key.offset, array.get(at, length)?, limits)?;
        at = at.saturating_add(length);
    }
    storage.set_chunks(chunks);
    Ok(())
}

fn add_chunks(storage: &mut Storage, sb: &Superblock, limits: &Limits) -> Result<(), FsError> {
    let tree = Tree::new(sb.chunk_root, Owner::Tree(object::CHUNK_TREE));
    let first = Key::first(object::FIRST_CHUNK_TREE, kind::CHUNK_ITEM);
    let last = Key::last(object::FIRST_CHUNK_TREE, kind::CHUNK_ITEM);
    // Those of the superblock are what the tree itself is read by.
    let mut chunks = storage.chunks().clone();
    let mut items = tree.range(storage, first, last);
    while let Some(item) = items.next()? {
        chunks.add(item.key.offset, item.data(), limits)?;
    }
    drop(items);
    storage.set_chunks(chunks);
    Ok(())
}

/// The subvolume that is mounted when none is named.
fn default_subvolume(storage: &Storage, roots: &Tree, root_dir: u64) -> Result<u64, FsError> {
    let location = |entry: &dir::DirItem<'_>| Ok(entry.location.objectid);
    Ok(dir::find(storage, roots, root_dir, b"default", location)?.unwrap_or(object::FS_TREE))
}

/// A subvolume's number, its root item, and its path from the top level.
type Listed = (u64, RootItem, Vec<u8>);

/// The numbers of subvolumes, with what is wrong with them.
type Problems = Vec<(u64, FsError)>;

/// Where a subvolume is: the number of its parent, and its name there.
type Names = HashMap<u64, (u64, RootRef)>;

/// What the root tree says of a subvolume, or what is wrong with it.
type Described<T> = Result<T, FsError>;

/// Every subvolume that is not being deleted; and those that cannot be read or have no path, with what is wrong.
///
/// # Errors
///
/// What prevents the list as a whole: a damaged root tree, or a limit.
pub(super) fn subvolumes(
    storage: &Storage,
    roots: &Tree,
    limits: &Limits,
    open: impl Fn(u64) -> Result<Arc<Subvolume>, FsError>,
) -> Result<(Vec<Listed>, Problems), FsError> {
    let (items, names) = described(storage, roots, limits)?;
    let (mut listed, mut problems) = (Vec::new(), Vec::new());
    let mut bytes = 0_u64;
    for (id, item) in items {
        let found = match item {
            Ok(item) if item.refs == 0 => continue,
            Ok(item) => subvolume_path(storage, id, &names, limits, &open).map(|path| (id, item, path)),
            Err(error) => Err(error),
        };
        match found {
            Ok(found) => {
                bytes = bytes.saturating_add(to_u64(found.2.len()));
                check_bytes(bytes, limits)?;
                listed.push(found);
            }
            // The work for the whole filesystem is spent.
            Err(error @ FsError::Limit { .. }) if storage.budget().step().is_err() => return Err(error),
            Err(error) => problems.push((id, error)),
        }
    }
    Ok((listed, problems))
}

/// The items and the names of all subvolumes, by their numbers.
fn described(
    storage: &Storage,
    roots: &Tree,
    limits: &Limits,
) -> Result<(BTreeMap<u64, Described<RootItem>>, Names), FsError> {
    let mut items = BTreeMap::new();
    let mut names = Names::new();
    let mut bytes = 0_u64;
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
            kind::ROOT_ITEM => drop(items.insert(objectid, root::item(objectid, entry.data()))),
            kind::ROOT_BACKREF => {
                // One without a name that can be read is as one without a name.
                let Ok(name) = RootRef::parse(entry.data()) else { continue };
                bytes = bytes.saturating_add(to_u64(name.name.len()));
                check_bytes(bytes, limits)?;
                names.insert(objectid, (offset, name));
            }
            _ => {}
        }
        if to_u64(items.len().max(names.len())) > limits.dir_entries {
            return Err(FsError::Limit {
                what: "the number of Btrfs subvolumes (`dir_entries`)",
                limit: limits.dir_entries,
            });
        }
    }
    Ok((items, names))
}

fn check_bytes(bytes: u64, limits: &Limits) -> Result<(), FsError> {
    if bytes <= limits.dir_bytes {
        return Ok(());
    }
    Err(FsError::Limit {
        what: "the bytes of all names of Btrfs subvolumes (`dir_bytes`)",
        limit: limits.dir_bytes,
    })
}

fn subvolume_path(
    storage: &Storage,
    id: u64,
    names: &Names,
    limits: &Limits,
    open: &impl Fn(u64) -> Result<Arc<Subvolume>, FsError>,
) -> Result<Vec<u8>, FsError> {
    let damaged = |problem| FsError::corrupt(format!("the name of Btrfs subvolume {id}"), problem);
    let mut parts = Vec::new();
    let mut length = 0_usize;
    let mut here = id;
    // Each round adds a name to the path, whose length is bounded: subvolumes inside each other end there.
    while here != object::FS_TREE {
        storage.budget().step()?;
        let (parent, name) = names.get(&here).ok_or_else(|| damaged("there is none"))?;
        let around = open(*parent)?;
        parts.push(name.name.clone());
        let dir = root::path(storage, &around.tree, around.root_dir, name.dir, limits)?;
        length = length.saturating_add(name.name.len()).saturating_add(dir.len()).saturating_add(1);
        if length > limits.path_bytes {
            return Err(damaged("its path is too long, or it is inside itself"));
        }
        if !dir.is_empty() {
            parts.push(dir);
        }
        here = *parent;
    }
    parts.reverse();
    Ok(parts.join(&b'/'))
}
