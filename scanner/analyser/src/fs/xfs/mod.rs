//! XFS, versions 4 and 5, read only.
//!
//! Written from the format's description (the XFS Algorithms & Data Structures document and the kernel's
//! `fs/xfs/libxfs/xfs_format.h` and `xfs_da_format.h`), for disks that may be hostile: every number is checked before it is
//! used, every loop pays from a budget, and what is wrong is said by the name of the structure. In version 5, where metadata
//! describes itself, its checksums, places, owners and UUIDs are verified. `Blocks` is the one way to the volume.
//!
//! Not read: the content of files on a realtime device, and filesystems whose log is on another device as of their last
//! unmount. What only writers and checkers need (free space, the inode, reverse-mapping and reference-count trees, quotas) is
//! never looked at: an inode's number says where it is.

mod attr;
mod blocks;
mod btree;
mod crc;
mod da;
mod dir;
mod feature;
mod fork;
mod hash;
mod inode;
mod log;
mod map;
mod overlay;
mod superblock;
mod symlink;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use self::blocks::Blocks;
use self::fork::Format;
use self::inode::InodeRecord;
pub use self::log::replay_log;
use self::superblock::Superblock;
use super::{DirEntry, Driver, FileSystem, FileType, FsError, Identity, Inode, Journal, Stat, Xattr};
use super::{recognise, refuse};
use crate::limits::{Budget, Limits};
use crate::volume::Volume;
use crate::volume::bytes::to_usize;
use agentless_core::cache::Cache;

/// The driver for XFS.
#[derive(Debug)]
pub struct XfsDriver;

impl Driver for XfsDriver {
    fn name(&self) -> &'static str {
        "xfs"
    }

    fn probe(&self, head: &[u8]) -> bool {
        superblock::has_magic(head)
    }

    fn open(&self, volumes: &[Arc<dyn Volume>], limits: &Limits) -> Result<Box<dyn FileSystem>, FsError> {
        Ok(Box::new(Xfs::open(recognise::only(volumes)?, limits)?))
    }
}

/// An XFS filesystem.
#[derive(Debug)]
pub struct Xfs {
    blocks: Blocks,
    journal: Journal,
    /// Inodes that were read, with their forks: reading a file piece by piece decodes its inode once.
    inodes: RefCell<Cache<Arc<InodeRecord>>>,
}

impl Xfs {
    /// Opens the filesystem of `volume`, and replays its log in memory if it is dirty.
    ///
    /// # Errors
    ///
    /// [`FsError::Corrupt`] for a damaged superblock or a volume that is shorter than its filesystem,
    /// [`FsError::Unsupported`] for features that this version does not read.
    pub fn open(volume: Arc<dyn Volume>, limits: &Limits) -> Result<Self, FsError> {
        /// What an inode takes in memory beside its forks, about.
        const RECORD_BYTES: u64 = 256;

        let mut head = vec![0; superblock::MOST_BYTES.min(to_usize(volume.size()))];
        volume.read_at(0, &mut head)?;
        let mut sb = Superblock::parse(&head)?;
        refuse::cut_short("XFS", sb.size(), volume.size())?;
        let budget = Budget::new(limits);
        let (overlay, remappings, journal) = log::recover(&volume, &sb, limits, &budget)?;
        if !overlay.is_empty() {
            // A filesystem that grew has its new size in the log.
            overlay.apply(0, &mut head);
            sb = Superblock::parse(&head)?;
            refuse::cut_short("XFS", sb.size(), volume.size())?;
        }
        let record = u64::from(sb.inodesize).saturating_add(RECORD_BYTES);
        let inodes = Cache::of_bytes(limits.cache_bytes / 4, record);
        let mut blocks = Blocks::new(volume, sb, overlay, limits, budget);
        let journal = remappings.carry_out(&mut blocks, journal)?;
        Ok(Self { blocks, journal, inodes: RefCell::new(inodes) })
    }

    fn inode(&self, inode: Inode) -> Result<Arc<InodeRecord>, FsError> {
        self.blocks.budget.step()?;
        if let Some(found) = self.inodes.borrow_mut().get(inode.0) {
            return Ok(found);
        }
        let record = Arc::new(InodeRecord::read(&self.blocks, inode)?);
        self.inodes.borrow_mut().insert(inode.0, Arc::clone(&record));
        Ok(record)
    }

    fn directory(&self, inode: Inode) -> Result<Arc<InodeRecord>, FsError> {
        let record = self.inode(inode)?;
        if record.stat.file_type != FileType::Directory {
            return Err(FsError::NOT_A_DIRECTORY);
        }
        Ok(record)
    }
}

impl FileSystem for Xfs {
    fn kind(&self) -> &'static str {
        "xfs"
    }

    fn journal(&self) -> Journal {
        self.journal
    }

    fn identity(&self) -> Identity {
        let sb = &self.blocks.sb;
        Identity {
            uuid: Some(uuid::Uuid::from_bytes(sb.uuid).to_string()),
            label: Some(sb.label.clone()).filter(|label| !label.is_empty()),
            size: Some(sb.size()),
            block_size: Some(sb.blocksize),
            features: feature::names(sb).into_iter().map(str::to_owned).collect(),
        }
    }

    fn root(&self) -> Inode {
        Inode(self.blocks.sb.rootino)
    }

    fn stat(&self, inode: Inode) -> Result<Stat, FsError> {
        Ok(self.inode(inode)?.stat)
    }

    fn read_dir(
        &self,
        dir: Inode,
        visit: &mut dyn FnMut(DirEntry<'_>) -> ControlFlow<()>,
    ) -> Result<(), FsError> {
        dir::read(&self.blocks, &*self.directory(dir)?, visit)
    }

    fn lookup(&self, dir: Inode, name: &[u8]) -> Result<Option<Inode>, FsError> {
        dir::lookup(&self.blocks, &*self.directory(dir)?, name)
    }

    fn read(&self, inode: Inode, offset: u64, dst: &mut [u8]) -> Result<usize, FsError> {
        let record = self.inode(inode)?;
        if record.stat.file_type != FileType::Regular {
            return Err(FsError::NOT_A_FILE);
        }
        if record.is_realtime {
            return Err(FsError::Unsupported { feature: "a file on an XFS realtime device".to_owned() });
        }
        let available = to_usize(record.stat.size.saturating_sub(offset));
        let length = dst.len().min(available);
        let Some(dst) = dst.get_mut(..length) else { return Ok(0) };
        map::read(&self.blocks, record.number, &record.data, offset, dst)?;
        Ok(length)
    }

    fn read_link(&self, inode: Inode) -> Result<Vec<u8>, FsError> {
        let record = self.inode(inode)?;
        if record.stat.file_type != FileType::Symlink {
            return Err(FsError::NOT_A_LINK);
        }
        symlink::target(&self.blocks, &record)
    }

    fn xattrs(
        &self,
        inode: Inode,
        visit: &mut dyn FnMut(Xattr<'_>) -> ControlFlow<()>,
    ) -> Result<(), FsError> {
        attr::read(&self.blocks, &*self.inode(inode)?, visit)
    }

    fn prefetch_inodes(&self, inodes: &[Inode]) {
        let sb = &self.blocks.sb;
        let places: BTreeSet<u64> = inodes
            .iter()
            .filter(|inode| !self.inodes.borrow().contains(inode.0))
            .filter_map(|inode| inode::location(sb, inode.0))
            .map(|(block, _)| block)
            .filter(|&block| !self.blocks.is_cached(block))
            .collect();
        let ranges: Vec<_> =
            places.into_iter().map(|block| block..block.saturating_add(u64::from(sb.blocksize))).collect();
        self.blocks.prefetch(&ranges);
    }

    fn prefetch_parts(&self, parts: &[(Inode, Range<u64>)]) {
        /// Places are passed on in groups, so that hints for many files of many pieces take no more memory than one file's.
        const GROUP: usize = 4096;

        let mut places: Vec<Range<u64>> = Vec::new();
        for (inode, bytes) in parts {
            let Ok(record) = self.inode(*inode) else { continue };
            let most = match record.stat.file_type {
                FileType::Regular if !record.is_realtime => self.blocks.limits.file_bytes,
                FileType::Directory => dir::AHEAD,
                _ => continue,
            };
            if matches!(record.data.format, Format::Extents | Format::Btree) {
                let end = record.stat.size.min(most).min(bytes.end);
                let found = map::places(&self.blocks, record.number, &record.data, bytes.start..end);
                places.extend(found.unwrap_or_default());
            }
            if places.len() >= GROUP {
                self.blocks.prefetch(&places);
                places.clear();
            }
        }
        self.blocks.prefetch(&places);
    }
}
