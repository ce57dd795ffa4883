//! ext2, ext3 and ext4, read only.
//!
//! Written from the format's description in the kernel's documentation (`filesystems/ext4`), for disks that may be hostile:
//! every number is checked before it is used, every loop pays from a budget, and what is wrong is said by the name of the
//! structure. Metadata checksums are verified wherever the format has them. A journal that was not replayed is replayed in
//! memory; `Blocks` is the one way to the volume, so nothing can read past it.
//!
//! Not read: encrypted files and directories (the names of what holds them are), compression and `dirdata`, which never
//! were part of Linux, external journals, and fast commits.

mod blocks;
mod checksum;
mod dir;
mod extent;
mod feature;
mod group;
mod hash;
mod htree;
mod indirect;
mod inline;
mod inode;
mod journal;
mod map;
mod overlay;
mod superblock;
mod xattr;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

pub use self::journal::replay_journal;

use self::blocks::Blocks;
use self::htree::Answer;
use self::inode::InodeRecord;
use self::superblock::Superblock;
use super::{DirEntry, Driver, FileSystem, FileType, FsError, Identity, Inode, Journal, Stat, Xattr};
use super::{recognise, refuse};
use crate::limits::Limits;
use crate::volume::Volume;
use crate::volume::bytes::{Bytes, to_usize};
use agentless_core::cache::Cache;

/// The driver for ext2, ext3 and ext4: one format, told apart by feature flags.
#[derive(Debug)]
pub struct Ext4Driver;

impl Driver for Ext4Driver {
    fn name(&self) -> &'static str {
        "ext4"
    }

    fn probe(&self, head: &[u8]) -> bool {
        Bytes(head).get(to_usize(superblock::OFFSET), superblock::SIZE).is_ok_and(superblock::has_magic)
    }

    fn open(&self, volumes: &[Arc<dyn Volume>], limits: &Limits) -> Result<Box<dyn FileSystem>, FsError> {
        Ok(Box::new(Ext4::open(recognise::only(volumes)?, limits)?))
    }
}

/// An ext2, ext3 or ext4 filesystem.
#[derive(Debug)]
pub struct Ext4 {
    sb: Superblock,
    blocks: Blocks,
    inodes: RefCell<Cache<Arc<InodeRecord>>>,
    journal: Journal,
    limits: Limits,
}

impl Ext4 {
    /// `EXT4_ROOT_INO`
    const ROOT: Inode = Inode(2);

    /// Opens the filesystem of `volume`, and replays its journal in memory if it is dirty.
    ///
    /// # Errors
    ///
    /// [`FsError::Corrupt`] for a damaged superblock or a volume that is shorter than its filesystem,
    /// [`FsError::Unsupported`] for features that this version does not read.
    pub fn open(volume: Arc<dyn Volume>, limits: &Limits) -> Result<Self, FsError> {
        let mut raw = [0; superblock::SIZE];
        volume.read_at(superblock::OFFSET, &mut raw)?;
        let sb = Superblock::parse(&raw)?;
        let volume_size = volume.size();
        let blocks = Blocks::new(volume, sb.block_size, sb.blocks_count, limits);
        // An eighth of what blocks may take; a record is its inode and less than as much again.
        let record = u64::from(sb.inode_size).saturating_mul(2).saturating_add(128);
        let inodes = RefCell::new(Cache::of_bytes(limits.cache_bytes / 8, record));
        let mut opened = Self { sb, blocks, inodes, journal: Journal::Clean, limits: limits.clone() };
        refuse::cut_short("ext4", opened.sb.size(), volume_size)?;
        match (opened.sb.needs_recovery(), opened.sb.has_journal()) {
            (false, _) => {}
            (true, true) => {
                opened.replay()?;
                refuse::cut_short("ext4", opened.sb.size(), volume_size)?;
            }
            (true, false) => opened.journal = Journal::Ignored { reason: "the journal is missing" },
        }
        Ok(opened)
    }

    /// Replays the journal, and reads the superblock again as the journal leaves it.
    fn replay(&mut self) -> Result<(), FsError> {
        if self.sb.journal_inum == 0 {
            let reason = if self.sb.journal_dev == 0 {
                "the journal is missing"
            } else {
                "the journal is on another volume"
            };
            self.journal = Journal::Ignored { reason };
            return Ok(());
        }
        let inode = match self.inode(Inode(u64::from(self.sb.journal_inum))) {
            Ok(inode) => inode,
            Err(FsError::Corrupt { .. }) => {
                self.journal = Journal::Ignored { reason: "the journal's inode is damaged" };
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let (overlay, journal) = journal::replay(&self.blocks, &inode, &self.limits)?;
        self.journal = journal;
        self.blocks.replay(overlay);
        self.inodes.get_mut().clear();

        let mut raw = [0; superblock::SIZE];
        let block_size = u64::from(self.sb.block_size);
        self.blocks.data(superblock::OFFSET / block_size, superblock::OFFSET % block_size, &mut raw)?;
        let replayed = Superblock::parse(&raw)?;
        if replayed.block_size != self.sb.block_size {
            return Err(FsError::corrupt("the ext4 superblock", "the journal changes the block size"));
        }
        self.blocks.resize(replayed.blocks_count);
        self.sb = replayed;
        Ok(())
    }

    fn inode(&self, inode: Inode) -> Result<Arc<InodeRecord>, FsError> {
        self.blocks.budget().step()?;
        if let Some(found) = self.inodes.borrow_mut().get(inode.0) {
            return Ok(found);
        }
        let record = Arc::new(InodeRecord::read(&self.blocks, &self.sb, inode)?);
        self.inodes.borrow_mut().insert(inode.0, Arc::clone(&record));
        Ok(record)
    }

    fn directory(&self, inode: Inode) -> Result<Arc<InodeRecord>, FsError> {
        let record = self.inode(inode)?;
        if record.stat.file_type != FileType::Directory {
            return Err(FsError::NOT_A_DIRECTORY);
        }
        record.check_readable()?;
        Ok(record)
    }

    /// A file or directory that has blocks, and those of them with these bytes that are worth fetching before they are read.
    fn mapped(&self, inode: Inode, bytes: &Range<u64>) -> Option<(Arc<InodeRecord>, Range<u64>)> {
        let record = self.inode(inode).ok()?;
        let most = match record.stat.file_type {
            FileType::Regular => self.limits.file_bytes,
            FileType::Directory => dir::AHEAD,
            _ => return None,
        };
        let has_blocks = !record.has_inline_data() && record.check_readable().is_ok();
        let size = u64::from(self.sb.block_size).max(1);
        let start = bytes.start.checked_div(size).unwrap_or(0);
        let end = record.stat.size.min(most).min(bytes.end).div_ceil(size);
        has_blocks.then_some((record, start..end))
    }

    fn reader(&self) -> dir::Reader<'_> {
        dir::Reader { blocks: &self.blocks, sb: &self.sb, limits: &self.limits }
    }
}

impl FileSystem for Ext4 {
    fn kind(&self) -> &'static str {
        self.sb.kind()
    }

    fn journal(&self) -> Journal {
        self.journal
    }

    fn identity(&self) -> Identity {
        Identity {
            uuid: Some(uuid::Uuid::from_bytes(self.sb.uuid).to_string()),
            label: Some(self.sb.label.clone()).filter(|label| !label.is_empty()),
            size: Some(self.sb.size()),
            block_size: Some(self.sb.block_size),
            features: feature::names(self.sb.compat, self.sb.incompat, self.sb.ro_compat),
        }
    }

    fn root(&self) -> Inode {
        Self::ROOT
    }

    fn stat(&self, inode: Inode) -> Result<Stat, FsError> {
        Ok(self.inode(inode)?.stat)
    }

    fn read_dir(
        &self,
        dir: Inode,
        visit: &mut dyn FnMut(DirEntry<'_>) -> ControlFlow<()>,
    ) -> Result<(), FsError> {
        let record = self.directory(dir)?;
        dir::read(self.reader(), &record, visit)
    }

    fn lookup(&self, dir: Inode, name: &[u8]) -> Result<Option<Inode>, FsError> {
        let record = self.directory(dir)?;
        // A directory of one block is read as fast as it is searched.
        if record.has_htree() && record.stat.size > u64::from(self.sb.block_size) {
            match htree::lookup(self.reader(), &record, name)? {
                Answer::Found(inode) => return Ok(Some(inode)),
                Answer::Absent => return Ok(None),
                Answer::NoTree => {}
            }
        }
        dir::lookup(self.reader(), &record, name)
    }

    fn read(&self, inode: Inode, offset: u64, dst: &mut [u8]) -> Result<usize, FsError> {
        let record = self.inode(inode)?;
        if record.stat.file_type != FileType::Regular {
            return Err(FsError::NOT_A_FILE);
        }
        record.check_readable()?;
        let available = to_usize(record.stat.size.saturating_sub(offset));
        let length = dst.len().min(available);
        let Some(dst) = dst.get_mut(..length) else { return Ok(0) };
        if record.has_inline_data() {
            let content = inline::content(&record)?;
            let start = to_usize(offset);
            if let Some(source) = content.get(start..start.saturating_add(length)) {
                dst.copy_from_slice(source);
            }
        } else {
            map::read(&self.blocks, &record, offset, dst, &self.limits)?;
        }
        Ok(length)
    }

    fn read_link(&self, inode: Inode) -> Result<Vec<u8>, FsError> {
        let record = self.inode(inode)?;
        if record.stat.file_type != FileType::Symlink {
            return Err(FsError::NOT_A_LINK);
        }
        record.check_readable()?;
        self.limits.check_link(record.stat.size)?;
        if record.has_inline_data() {
            return inline::content(&record);
        }
        let length = to_usize(record.stat.size);
        if record.is_fast_symlink(&self.sb) {
            return Ok(record.block.get(..length).unwrap_or_default().to_vec());
        }
        let mut target = vec![0; length];
        map::read(&self.blocks, &record, 0, &mut target, &self.limits)?;
        Ok(target)
    }

    fn xattrs(
        &self,
        inode: Inode,
        visit: &mut dyn FnMut(Xattr<'_>) -> ControlFlow<()>,
    ) -> Result<(), FsError> {
        let record = self.inode(inode)?;
        xattr::visit(self, &record, visit)
    }

    fn prefetch_inodes(&self, inodes: &[Inode]) {
        let prefetch = |blocks: BTreeSet<u64>| {
            let missing = blocks.into_iter().filter(|&block| !self.blocks.is_cached(block));
            self.blocks.prefetch(missing.map(|block| block..block.saturating_add(1)));
        };
        let groups = inodes.iter().filter_map(|&inode| inode::place(&self.sb, inode));
        prefetch(groups.map(|(group, _)| group::descriptor_block(&self.sb, group)).collect());
        let places = inodes.iter().filter_map(|&inode| inode::location(&self.blocks, &self.sb, inode).ok());
        prefetch(places.map(|(block, _)| block).collect());
    }

    fn prefetch_parts(&self, parts: &[(Inode, Range<u64>)]) {
        /// Files and runs are taken in groups, so that hints for many files of many pieces take no more memory than one
        /// file's.
        const GROUP: usize = 4096;

        for parts in parts.chunks(GROUP) {
            let wanted: Vec<_> =
                parts.iter().filter_map(|(inode, bytes)| self.mapped(*inode, bytes)).collect();
            map::prefetch_indexes(&self.blocks, &wanted, &self.limits);
            let mut runs = Vec::new();
            for (record, blocks) in wanted {
                runs.extend(map::runs(&self.blocks, &record, blocks, &self.limits).unwrap_or_default());
                if runs.len() >= GROUP {
                    self.blocks.prefetch(runs.drain(..));
                }
            }
            self.blocks.prefetch(runs.into_iter());
        }
    }
}
