//! Visits everything that a volume holds, and counts it.
//!
//! This is what the fuzz targets and the mutation tests run: it reaches every parser of every driver, keeps nothing, and
//! ends within the limits whatever the volume holds.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::{FileSystem, FileType, FsError, Inode, Journal, ext4, open};
use crate::limits::Limits;
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
    file_system(&*opened, &limits)
}

/// Replays the ext4 journal that `encoded` describes.
pub fn encoded_journal(encoded: &[u8]) -> Result<Journal, FsError> {
    ext4::replay_journal(Arc::new(SparseVolume::decode(encoded)), &small_limits())
}

/// Limits so small that the worst disk is done within a second, also in a build with all checks.
pub fn small_limits() -> Limits {
    Limits {
        file_bytes: 1 << 20,
        dir_entries: 10_000,
        dir_bytes: 1 << 20,
        journal_blocks: 10_000,
        cache_bytes: 1 << 20,
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
            Ok(file_system) => survey.visit(&*file_system, limits)?,
            Err(error @ FsError::Volume(VolumeError::Io { .. })) => return Err(error),
            Err(_) => survey.problems = survey.problems.saturating_add(1),
        }
    }
    Ok(survey)
}

/// Reads everything in one filesystem.
///
/// # Errors
///
/// As [`disk`].
pub fn file_system(file_system: &dyn FileSystem, limits: &Limits) -> Result<Survey, FsError> {
    let mut survey = Survey::default();
    survey.visit(file_system, limits)?;
    Ok(survey)
}

impl Survey {
    fn visit(&mut self, file_system: &dyn FileSystem, limits: &Limits) -> Result<(), FsError> {
        let mut visited = HashSet::new();
        let mut waiting = vec![file_system.root()];
        while let Some(dir) = waiting.pop() {
            let mut found: Vec<(Vec<u8>, Inode)> = Vec::new();
            let listed = file_system.read_dir(dir, &mut |entry| {
                found.push((entry.name.to_vec(), entry.inode));
                ControlFlow::Continue(())
            });
            self.tally(listed)?;
            for (name, inode) in found {
                self.entries = self.entries.saturating_add(1);
                let looked_up = file_system.lookup(dir, &name);
                self.tally(looked_up.map(drop))?;
                if !visited.insert(inode) {
                    continue;
                }
                let attributes = file_system.xattrs(inode, &mut |_| ControlFlow::Continue(()));
                self.tally(attributes)?;
                match self.tally(file_system.stat(inode))?.map(|stat| stat.file_type) {
                    Some(FileType::Directory) => waiting.push(inode),
                    Some(FileType::Symlink) => {
                        let target = file_system.read_link(inode);
                        self.tally(target.map(drop))?;
                    }
                    Some(FileType::Regular) => {
                        let read = self.read(file_system, inode, limits);
                        self.tally(read)?;
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn read(&mut self, file_system: &dyn FileSystem, inode: Inode, limits: &Limits) -> Result<(), FsError> {
        file_system.prefetch_content(&[inode]);
        let mut buffer = vec![0; 64 << 10];
        let mut offset = 0;
        while offset < limits.file_bytes {
            let count = u64::try_from(file_system.read(inode, offset, &mut buffer)?).unwrap_or(u64::MAX);
            if count == 0 {
                break;
            }
            offset = offset.saturating_add(count);
            self.bytes = self.bytes.saturating_add(count);
        }
        Ok(())
    }

    /// Counts what concerns one file, and passes on what ends the visit.
    fn tally<T>(&mut self, result: Result<T, FsError>) -> Result<Option<T>, FsError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error @ FsError::Limit { .. }) => Err(error),
            Err(_) => {
                self.problems = self.problems.saturating_add(1);
                Ok(None)
            }
        }
    }
}
