//! Btrfs, read only, from one device or several.
//!
//! Written from the format's description in the kernel's documentation and its header `uapi/linux/btrfs_tree.h`, for disks
//! that may be hostile: every number is checked before it is used, every loop pays from a budget, and what is wrong is said
//! by the name of the structure. The checksums of all metadata and data that is read are verified; where one is wrong, the
//! next copy is read. `Storage` is the one way to the volumes. What the tree log holds is merged into the trees in memory.
//!
//! Not read: zoned devices, extent tree v2, raid stripe trees, and what only parity of RAID5 and RAID6 could restore. An
//! access control list is an extended attribute here, and left out.

pub(super) mod checksum;
mod checksum_tree;
mod chunk;
mod compress;
mod dir;
mod extent;
mod feature;
mod file;
mod handles;
mod inode;
mod key;
mod log;
mod node;
mod open;
mod overlay;
mod root;
mod storage;
pub(super) mod superblock;
mod tree;

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use self::dir::DirItem;
use self::file::{FileReader, Source};
use self::handles::{Handles, Place};
use self::inode::InodeItem;
use self::key::{Key, kind, object};
use self::overlay::Overlay;
use self::root::{RootRef, Subvolume};
use self::storage::Storage;
use self::superblock::Superblock;
use self::tree::Tree;
use super::{
    DirEntry, Driver, FileSystem, FileType, FsError, Identity, Inode, Journal, Membership, Stat, Xattr,
};
use crate::limits::Limits;
use crate::volume::Volume;
use crate::volume::bytes::{Bytes, to_usize};

/// The driver for Btrfs.
#[derive(Debug)]
pub struct BtrfsDriver;

impl Driver for BtrfsDriver {
    fn name(&self) -> &'static str {
        "btrfs"
    }

    fn probe(&self, head: &[u8]) -> bool {
        superblock::has_magic(head)
    }

    fn membership(&self, head: &[u8]) -> Option<Membership> {
        let [first, ..] = superblock::OFFSETS;
        let raw = Bytes(head).get(to_usize(first), superblock::SIZE).ok()?;
        let sb = Superblock::parse(raw, first).ok()?;
        Some(Membership { filesystem: sb.fsid, member: sb.devid, members: sb.num_devices })
    }

    fn open(&self, volumes: &[Arc<dyn Volume>], limits: &Limits) -> Result<Box<dyn FileSystem>, FsError> {
        Ok(Box::new(Btrfs::open(volumes, limits)?))
    }
}

/// Whether a volume that begins with nothing known has the mirror of a Btrfs superblock at 64 MiB: its beginning was
/// overwritten, but most of the filesystem may be there.
pub(super) fn has_mirror(volume: &dyn Volume) -> bool {
    superblock::mirror_has_magic(volume)
}

/// A Btrfs filesystem.
#[derive(Debug)]
pub struct Btrfs {
    sb: Superblock,
    storage: Storage,
    /// The root tree.
    roots: Tree,
    /// The trees with the checksums of data.
    checksums: checksum_tree::Trees,
    /// What the tree log changed, by the numbers of the trees.
    overlays: HashMap<u64, Arc<Overlay>>,
    journal: Journal,
    root: Inode,
    handles: RefCell<Handles>,
    files: FileReader,
    limits: Limits,
}

/// An inode within its tree.
struct Located {
    subvolume: Arc<Subvolume>,
    objectid: u64,
}

/// Bytes of an inode of a tree.
type Part = (u64, Range<u64>);

/// What a handle stands for.
enum Resolved {
    Located(Located),
    /// The directory that holds it.
    EmptyDirectoryIn(Inode),
}

impl Btrfs {
    fn resolve(&self, inode: Inode) -> Result<Resolved, FsError> {
        let (place, objectid) = self.handles.borrow().resolve(inode)?;
        Ok(match place {
            Place::Subvolume(id) => Resolved::Located(Located { subvolume: self.subvolume(id)?, objectid }),
            Place::EmptyDirectoryIn(parent) => Resolved::EmptyDirectoryIn(parent),
        })
    }

    /// A subvolume by its number, opened when it is first asked for.
    fn subvolume(&self, id: u64) -> Result<Arc<Subvolume>, FsError> {
        if let Some(subvolume) = self.handles.borrow().open.get(&id) {
            return Ok(Arc::clone(subvolume));
        }
        let item = root::find(&self.storage, &self.roots, id)?;
        let item =
            item.ok_or_else(|| FsError::corrupt(format!("the Btrfs subvolume {id}"), "there is none"))?;
        let subvolume = Arc::new(Subvolume::open(id, &item, self.overlays.get(&id))?);
        self.handles.borrow_mut().open.insert(id, Arc::clone(&subvolume));
        Ok(subvolume)
    }

    fn item(&self, at: &Located) -> Result<InodeItem, FsError> {
        let key = Key::first(at.objectid, kind::INODE_ITEM);
        let item = at.subvolume.tree.get(&self.storage, key)?;
        let item = item.ok_or_else(|| {
            FsError::corrupt(format!("the Btrfs inode {}", at.objectid), "its subvolume does not have it")
        })?;
        InodeItem::parse(at.objectid, item.data())
    }

    fn source<'a>(&'a self, at: &'a Located, item: &InodeItem) -> Source<'a> {
        Source {
            storage: &self.storage,
            tree: &at.subvolume.tree,
            checksums: item.has_checksums().then_some(&*self.checksums),
            objectid: at.objectid,
        }
    }

    /// The inode that a directory entry stands for. A subvolume that has no reference from here is an empty directory, as
    /// for the kernel: it is in another snapshot, or was deleted.
    fn follow(&self, dir: Inode, at: &Located, entry: &DirItem<'_>) -> Result<Inode, FsError> {
        let id = entry.location.objectid;
        match entry.location.kind {
            kind::INODE_ITEM => self.handles.borrow_mut().inode(Place::Subvolume(at.subvolume.id), id),
            kind::ROOT_ITEM => {
                let key = Key::new(at.subvolume.id, kind::ROOT_REF, id);
                let named = self.roots.get(&self.storage, key)?;
                let named = named.map(|item| RootRef::parse(item.data())).transpose()?;
                let is_here = named.is_some_and(|named| named.dir == at.objectid && named.name == entry.name);
                let item = if is_here { root::find(&self.storage, &self.roots, id)? } else { None };
                let mut handles = self.handles.borrow_mut();
                match item.filter(|item| item.refs > 0) {
                    Some(item) => handles.inode(Place::Subvolume(id), item.root_dir),
                    None => handles.inode(Place::EmptyDirectoryIn(dir), object::EMPTY_SUBVOL_DIR),
                }
            }
            other => Err(FsError::corrupt(
                format!("a name in Btrfs directory {}", at.objectid),
                format!("it stands for an item of type {other}"),
            )),
        }
    }

    /// A directory's place in its tree; none for an empty one that is in no tree.
    fn directory(&self, dir: Inode) -> Result<Option<Located>, FsError> {
        match self.resolve(dir)? {
            Resolved::EmptyDirectoryIn(_) => Ok(None),
            Resolved::Located(at) => {
                if self.item(&at)?.stat.file_type != FileType::Directory {
                    return Err(FsError::NOT_A_DIRECTORY);
                }
                Ok(Some(at))
            }
        }
    }

    /// Where items of these inodes are, by subvolume, in the order that prefetching takes, each with the bytes that are
    /// wanted of it. Those of an inode do not overlap.
    fn places(&self, parts: impl Iterator<Item = (Inode, Range<u64>)>) -> Vec<(Arc<Subvolume>, Vec<Part>)> {
        let mut places: HashMap<u64, (Arc<Subvolume>, Vec<Part>)> = HashMap::new();
        for (inode, bytes) in parts {
            if let Ok(Resolved::Located(Located { subvolume, objectid })) = self.resolve(inode) {
                let place = places.entry(subvolume.id).or_insert_with(|| (subvolume, Vec::new()));
                place.1.push((objectid, bytes));
            }
        }
        let mut places: Vec<_> = places.into_values().collect();
        for (_, parts) in &mut places {
            parts.sort_unstable_by_key(|(objectid, bytes)| (*objectid, bytes.start));
            parts.dedup_by(|next, before| {
                next.0 == before.0 && next.1.start <= before.1.end && {
                    before.1.end = before.1.end.max(next.1.end);
                    true
                }
            });
        }
        places.sort_unstable_by_key(|(subvolume, _)| subvolume.id);
        places
    }

    /// Prefetches the data of files, and before it the leaves that have its checksums.
    fn prefetch_files(&self, files: &[(Located, InodeItem, Range<u64>)]) {
        /// Places are passed on in groups, so that hints for many files of many extents take no more memory than one
        /// file's.
        const GROUP: usize = 4096;

        let pass_on = |places: &mut Vec<Range<u64>>, sums: &mut Vec<(Key, Key)>| {
            sums.sort_unstable();
            // Extents that several files share.
            sums.dedup_by(|next, before| {
                next.0 <= before.1 && {
                    before.1 = before.1.max(next.1);
                    true
                }
            });
            for tree in &self.checksums {
                tree.prefetch(&self.storage, sums);
            }
            self.storage.prefetch(places.drain(..));
            sums.clear();
        };
        let (mut places, mut sums) = (Vec::new(), Vec::new());
        for (at, item, bytes) in files {
            for place in self.source(at, item).places(bytes).unwrap_or_default() {
                if item.has_checksums() {
                    sums.push(checksum_tree::keys(place.start, place.end.saturating_sub(place.start)));
                }
                places.push(place);
            }
            if places.len() >= GROUP {
                pass_on(&mut places, &mut sums);
            }
        }
        pass_on(&mut places, &mut sums);
    }
}

impl FileSystem for Btrfs {
    fn kind(&self) -> &'static str {
        "btrfs"
    }

    fn journal(&self) -> Journal {
        self.journal
    }

    fn identity(&self) -> Identity {
        Identity {
            uuid: Some(uuid::Uuid::from_bytes(self.sb.fsid).to_string()),
            label: Some(self.sb.label.clone()).filter(|label| !label.is_empty()),
            size: Some(self.sb.total_bytes),
            block_size: Some(self.sb.sector_size),
            features: feature::names(self.sb.incompat, self.sb.compat_ro),
        }
    }

    fn root(&self) -> Inode {
        self.root
    }

    fn subvolumes(&self) -> Result<super::Subvolumes, FsError> {
        let default = self.handles.borrow().resolve(self.root)?.0;
        let open = |id| self.subvolume(id);
        let (listed, problems) = open::subvolumes(&self.storage, &self.roots, &self.limits, open)?;
        let mut subvolumes = super::Subvolumes { found: Vec::new(), problems };
        for (id, item, path) in listed {
            subvolumes.found.push(super::Subvolume {
                id,
                path,
                root: self.handles.borrow_mut().inode(Place::Subvolume(id), item.root_dir)?,
                is_snapshot: item.is_snapshot,
                is_default: default == Place::Subvolume(id),
            });
        }
        Ok(subvolumes)
    }

    fn stat(&self, inode: Inode) -> Result<Stat, FsError> {
        match self.resolve(inode)? {
            Resolved::Located(at) => Ok(self.item(&at)?.stat),
            // What the kernel makes up, `new_simple_dir`; the time is that of the moment there, and that of the directory
            // around it here.
            Resolved::EmptyDirectoryIn(parent) => {
                Ok(Stat { mode: 0o755, size: 0, links: 1, ..self.stat(parent)? })
            }
        }
    }

    fn read_dir(
        &self,
        dir: Inode,
        visit: &mut dyn FnMut(DirEntry<'_>) -> ControlFlow<()>,
    ) -> Result<(), FsError> {
        let Some(at) = self.directory(dir)? else { return Ok(()) };
        let (first, last) =
            (Key::first(at.objectid, kind::DIR_INDEX), Key::last(at.objectid, kind::DIR_INDEX));
        let mut items = at.subvolume.tree.range(&self.storage, first, last);
        while let Some(item) = items.next()? {
            for entry in dir::names(self.storage.budget(), &item)? {
                if !DirEntry::is_name(entry.name) {
                    return Err(FsError::corrupt(
                        format!("the Btrfs directory {}", at.objectid),
                        "a name in it is none",
                    ));
                }
                let inode = self.follow(dir, &at, &entry)?;
                let entry = DirEntry { name: entry.name, inode, file_type: entry.file_type() };
                if visit(entry).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn lookup(&self, dir: Inode, name: &[u8]) -> Result<Option<Inode>, FsError> {
        let Some(at) = self.directory(dir)? else { return Ok(None) };
        let follow = |entry: &DirItem<'_>| self.follow(dir, &at, entry);
        dir::find(&self.storage, &at.subvolume.tree, at.objectid, name, follow)
    }

    fn read(&self, inode: Inode, offset: u64, dst: &mut [u8]) -> Result<usize, FsError> {
        let Resolved::Located(at) = self.resolve(inode)? else { return Err(FsError::NOT_A_FILE) };
        let item = self.item(&at)?;
        if item.stat.file_type != FileType::Regular {
            return Err(FsError::NOT_A_FILE);
        }
        let available = to_usize(item.stat.size.saturating_sub(offset));
        let length = dst.len().min(available);
        let Some(dst) = dst.get_mut(..length) else { return Ok(0) };
        self.files.read(self.source(&at, &item), offset, dst)?;
        Ok(length)
    }

    fn read_link(&self, inode: Inode) -> Result<Vec<u8>, FsError> {
        let Resolved::Located(at) = self.resolve(inode)? else { return Err(FsError::NOT_A_LINK) };
        let item = self.item(&at)?;
        if item.stat.file_type != FileType::Symlink {
            return Err(FsError::NOT_A_LINK);
        }
        self.limits.check_link(item.stat.size)?;
        let mut target = vec![0; to_usize(item.stat.size)];
        self.files.read(self.source(&at, &item), 0, &mut target)?;
        Ok(target)
    }

    fn xattrs(
        &self,
        inode: Inode,
        visit: &mut dyn FnMut(Xattr<'_>) -> ControlFlow<()>,
    ) -> Result<(), FsError> {
        let Resolved::Located(at) = self.resolve(inode)? else { return Ok(()) };
        let (first, last) =
            (Key::first(at.objectid, kind::XATTR_ITEM), Key::last(at.objectid, kind::XATTR_ITEM));
        let mut items = at.subvolume.tree.range(&self.storage, first, last);
        while let Some(item) = items.next()? {
            for DirItem { name, data: value, .. } in dir::names(self.storage.budget(), &item)? {
                if !name.starts_with(ACL) && visit(Xattr { name, value }).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn xattr(&self, inode: Inode, name: &[u8]) -> Result<Option<Vec<u8>>, FsError> {
        let Resolved::Located(at) = self.resolve(inode)? else { return Ok(None) };
        let key = dir::hashed_key(at.objectid, kind::XATTR_ITEM, name);
        let Some(item) = at.subvolume.tree.get(&self.storage, key)? else { return Ok(None) };
        let names = dir::names(self.storage.budget(), &item)?;
        Ok(names
            .iter()
            .find(|each| each.name == name && !name.starts_with(ACL))
            .map(|each| each.data.to_vec()))
    }

    fn prefetch_inodes(&self, inodes: &[Inode]) {
        for (subvolume, objectids) in self.places(inodes.iter().map(|&inode| (inode, 0..0))) {
            let key = |(objectid, _): &Part| Key::first(*objectid, kind::INODE_ITEM);
            let keys: Vec<_> = objectids.iter().map(key).map(|key| (key, key)).collect();
            subvolume.tree.prefetch(&self.storage, &keys);
        }
    }

    fn prefetch_parts(&self, parts: &[(Inode, Range<u64>)]) {
        for (subvolume, parts) in self.places(parts.iter().cloned()) {
            let (mut ranges, mut files) = (Vec::new(), Vec::new());
            for (objectid, bytes) in parts {
                let at = Located { subvolume: Arc::clone(&subvolume), objectid };
                let Ok(item) = self.item(&at) else { continue };
                match item.stat.file_type {
                    FileType::Directory => {
                        let kind = kind::DIR_INDEX;
                        ranges.push((Key::first(objectid, kind), Key::last(objectid, kind)));
                    }
                    FileType::Regular => {
                        let end = item.stat.size.min(self.limits.file_bytes).min(bytes.end);
                        // The extent that the first byte is in may begin before it: then its item is before this key, in
                        // the leaf where the key would be.
                        let key = |offset| Key::new(objectid, kind::EXTENT_DATA, offset);
                        if bytes.start < end {
                            ranges.push((key(bytes.start), key(end.saturating_sub(1))));
                            files.push((at, item, bytes.start..end));
                        }
                    }
                    _ => {}
                }
            }
            subvolume.tree.prefetch(&self.storage, &ranges);
            self.prefetch_files(&files);
        }
    }
}

/// What the names of access control lists begin with.
const ACL: &[u8] = b"system.posix_acl_";
