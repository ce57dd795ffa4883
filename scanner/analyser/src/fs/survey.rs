//! Visits everything that a volume holds, and counts it.
//!
//! This is what the fuzz targets and the mutation tests run: it reaches every parser of every driver, keeps nothing, and
//! ends within the limits whatever the volume holds.

mod btrfs;

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;

use super::walk::{self, Found, Next, Visitor};
use super::{FileSystem, FileType, FsError, FsPath, Journal, Node, Tree, ext4, open, xfs};
use crate::limits::Limits;
use crate::volume::bytes::to_u64;
use crate::volume::{SparseVolume, Volume, VolumeError, partition};

/// What a visit of everything found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Survey {
    /// Directory entries.
    pub entries: u64,
    /// Bytes of regular files.
    pub bytes: u64,
    /// Files, directories, partitions and links that could not be read.
    pub problems: u64,
}

/// Reads everything on the disk that `encoded` describes, as [`SparseVolume::decode`] does: the partition table, and each
/// partition. Like the two below, the body of a fuzz target.
pub fn encoded_disk(encoded: &[u8]) -> Result<Survey, FsError> {
    let volume: Arc<dyn Volume> = Arc::new(SparseVolume::decode(encoded));
    disk(&volume, &small_limits())
}

/// Reads everything in the filesystem that `encoded` describes.
pub fn encoded_volume(encoded: &[u8]) -> Result<Survey, FsError> {
    let limits = small_limits();
    let opened = open(Arc::new(SparseVolume::decode(encoded)), &limits)?;
    let mut survey = Survey::default();
    survey.visit(opened, &limits)?;
    Ok(survey)
}

/// Reads everything in the Btrfs filesystem that `encoded` describes, as if its checksums were right.
pub fn encoded_btrfs(encoded: &[u8]) -> Result<Survey, FsError> {
    let encoded = btrfs::with_right_checksums(encoded);
    let opened = open(Arc::new(SparseVolume::decode(&encoded)), &small_limits())?;
    opened.prefetch_inodes(&[opened.root()]);
    let _ = opened.subvolumes();
    encoded_volume(&encoded)
}

/// Replays the ext4 journal that `encoded` describes.
pub fn encoded_journal(encoded: &[u8]) -> Result<Journal, FsError> {
    ext4::replay_journal(Arc::new(SparseVolume::decode(encoded)), &small_limits())
}

/// Replays the log of the XFS filesystem that `encoded` describes.
pub fn encoded_log(encoded: &[u8]) -> Result<Journal, FsError> {
    let volume: Arc<dyn Volume> = Arc::new(SparseVolume::decode(encoded));
    xfs::replay_log(&volume, &small_limits())
}

/// Limits so small that the worst disk is done within a second, also in a build with all checks.
pub fn small_limits() -> Limits {
    Limits {
        file_bytes: 1 << 20,
        dir_entries: 10_000,
        dir_bytes: 1 << 20,
        journal_blocks: 10_000,
        log_bytes: 4 << 20,
        tree_log_bytes: 1 << 20,
        chunk_stripes: 1000,
        cache_bytes: 1 << 20,
        walk_bytes: 1 << 20,
        steps: 200_000,
        read_bytes: 64 << 20,
        ..Limits::default()
    }
}

/// Reads the partition table and everything in every partition.
///
/// # Errors
///
/// Whatever prevented the visit as a whole, such as an exhausted budget; what concerns one file is counted.
pub fn disk(disk: &Arc<dyn Volume>, limits: &Limits) -> Result<Survey, FsError> {
    let mut survey = Survey::default();
    for partition in partition::read(disk, limits)?.partitions {
        let volume: Arc<dyn Volume> = Arc::new(partition.open(disk)?);
        match open(volume, limits) {
            Ok(file_system) => survey.visit(file_system, limits)?,
            Err(error @ FsError::Volume(VolumeError::Io { .. })) => return Err(error),
            Err(_) => survey.problems = survey.problems.saturating_add(1),
        }
    }
    Ok(survey)
}

impl Survey {
    fn visit(&mut self, file_system: Box<dyn FileSystem>, limits: &Limits) -> Result<(), FsError> {
        let tree = Tree::new(Rc::from(file_system), limits.clone());
        let mut surveyor = Surveyor { tree: &tree, survey: self, read: HashSet::new(), end: None };
        let attributes = surveyor.attributes(tree.root());
        surveyor.tally(attributes);
        walk::walk(&tree, &mut surveyor)?;
        surveyor.end.map_or(Ok(()), Err)
    }
}

struct Surveyor<'a> {
    tree: &'a Tree,
    survey: &'a mut Survey,
    /// What was read before, under another name.
    read: HashSet<Node>,
    /// What ends the visit.
    end: Option<FsError>,
}

impl Visitor for Surveyor<'_> {
    fn found(&mut self, found: &Found<'_>) -> Next {
        self.survey.entries = self.survey.entries.saturating_add(1);
        if let Some(directory) = found.directory() {
            let looked_up = self.tree.child(directory, found.name());
            self.tally(looked_up);
        }
        let node = found.node();
        if self.read.insert(node) {
            let attributes = self.attributes(node);
            self.tally(attributes);
            match self.tally(self.tree.stat(node)).map(|stat| stat.file_type) {
                Some(FileType::Symlink) => drop(self.tally(self.tree.read_link(node))),
                Some(FileType::Regular) => {
                    let read = self.content(node);
                    self.tally(read);
                }
                _ => {}
            }
        }
        if self.end.is_some() { Next::Stop } else { Next::Enter }
    }

    fn unread(&mut self, _path: FsPath, error: FsError) {
        self.tally::<()>(Err(error));
    }
}

impl Surveyor<'_> {
    fn attributes(&self, node: Node) -> Result<(), FsError> {
        self.tree.xattrs(node, &mut |_| ControlFlow::Continue(()))
    }

    fn content(&mut self, node: Node) -> Result<(), FsError> {
        self.tree.prefetch_content(&[node]);
        let file = self.tree.open_node(node, &self.tree.stat(node)?)?;
        let mut buffer = vec![0; 64 << 10];
        let mut offset = 0;
        while offset < self.tree.limits().file_bytes {
            let count = to_u64(file.read_at(offset, &mut buffer)?);
            if count == 0 {
                break;
            }
            offset = offset.saturating_add(count);
            self.survey.bytes = self.survey.bytes.saturating_add(count);
        }
        Ok(())
    }

    /// Counts what concerns one file, and keeps what ends the visit.
    fn tally<T>(&mut self, result: Result<T, FsError>) -> Option<T> {
        match result {
            Ok(value) => return Some(value),
            Err(error @ FsError::Limit { .. }) => self.end = self.end.take().or(Some(error)),
            Err(_) => self.survey.problems = self.survey.problems.saturating_add(1),
        }
        None
    }
}
