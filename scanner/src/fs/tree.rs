//! Paths over inodes: the view that extractors have of a filesystem.

use std::ops::ControlFlow;

use super::{FileSystem, FileType, FsError, FsPath, Inode, Stat};
use crate::limits::Limits;
use crate::volume::bytes::{to_u64, to_usize};

/// A filesystem addressed by path.
///
/// Symbolic links are followed inside the tree as a process with its root there would follow them: an absolute target
/// starts again at the root, and `..` never leaves it. What does not exist is `None`, not an error, and so is what lies
/// behind a dangling link or below something that is no directory.
#[derive(Debug)]
pub struct Tree {
    file_system: Box<dyn FileSystem>,
    limits: Limits,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The name: any bytes but `/` and NUL.
    pub name: Vec<u8>,
    /// The inode it names.
    pub inode: Inode,
    /// Its type, where the directory records it; [`FileSystem::stat`] always knows.
    pub file_type: Option<FileType>,
}

impl Tree {
    /// A tree over `file_system`.
    pub fn new(file_system: Box<dyn FileSystem>, limits: Limits) -> Self {
        Self { file_system, limits }
    }

    /// The filesystem below, for what works on inodes.
    pub fn file_system(&self) -> &dyn FileSystem {
        &*self.file_system
    }

    /// The bounds that reading through this tree keeps.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Finds a file, following symbolic links, the last component's too. The result is never a symbolic link.
    ///
    /// # Errors
    ///
    /// [`FsError::Limit`] for more symbolic links than [`Limits::symlinks`], and what the driver reports about damaged
    /// directories on the way.
    pub fn lookup(&self, path: &FsPath) -> Result<Option<(Inode, Stat)>, FsError> {
        // The directories passed through, so that `..` behind a link goes to the parent of the link's target.
        let mut ancestors = Vec::new();
        let mut here = self.file_system.root();
        let mut stat = self.file_system.stat(here)?;
        // What is still to be walked, last component first.
        let mut rest: Vec<Vec<u8>> = Vec::new();
        queue(&mut rest, path.as_relative_bytes());
        let mut links = 0;

        while let Some(name) = rest.pop() {
            if stat.file_type != FileType::Directory {
                return Ok(None);
            }
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    if let Some(parent) = ancestors.pop() {
                        here = parent;
                        stat = self.file_system.stat(here)?;
                    }
                    continue;
                }
                _ => {}
            }
            let Some(found) = self.file_system.lookup(here, &name)? else { return Ok(None) };
            let found_stat = self.file_system.stat(found)?;
            if found_stat.file_type == FileType::Symlink {
                links += 1;
                if links > self.limits.symlinks {
                    let limit = u64::from(self.limits.symlinks);
                    return Err(FsError::Limit { what: "the number of symbolic links in one path", limit });
                }
                let target = self.file_system.read_link(found)?;
                self.check_length(&target, &rest)?;
                if target.first() == Some(&b'/') {
                    ancestors.clear();
                    here = self.file_system.root();
                    stat = self.file_system.stat(here)?;
                }
                queue(&mut rest, &target);
            } else {
                ancestors.push(here);
                here = found;
                stat = found_stat;
            }
        }
        Ok(Some((here, stat)))
    }

    /// Opens a regular file.
    ///
    /// # Errors
    ///
    /// [`FsError::Invalid`] if there is something else than a regular file, and as [`lookup`](Self::lookup).
    pub fn open(&self, path: &FsPath) -> Result<Option<File<'_>>, FsError> {
        let Some((inode, stat)) = self.lookup(path)? else { return Ok(None) };
        self.open_inode(inode, &stat).map(Some)
    }

    /// Opens a regular file that was found before.
    ///
    /// # Errors
    ///
    /// [`FsError::Invalid`] if it is no regular file.
    pub fn open_inode(&self, inode: Inode, stat: &Stat) -> Result<File<'_>, FsError> {
        if stat.file_type != FileType::Regular {
            return Err(FsError::Invalid { problem: "not a regular file" });
        }
        Ok(File { tree: self, inode, size: stat.size })
    }

    /// Lists a directory, sorted by name, without `.` and `..`.
    ///
    /// # Errors
    ///
    /// [`FsError::Invalid`] if it is no directory, and as [`lookup`](Self::lookup).
    pub fn read_dir(&self, path: &FsPath) -> Result<Option<Vec<Entry>>, FsError> {
        let Some((inode, stat)) = self.lookup(path)? else { return Ok(None) };
        if stat.file_type != FileType::Directory {
            return Err(FsError::Invalid { problem: "not a directory" });
        }
        self.read_dir_inode(inode).map(Some)
    }

    /// Lists a directory that was found before, sorted by name, without `.` and `..`.
    ///
    /// # Errors
    ///
    /// [`FsError::Limit`] for more entries than [`Limits::dir_entries`], and what the driver reports.
    pub fn read_dir_inode(&self, dir: Inode) -> Result<Vec<Entry>, FsError> {
        let mut entries = Vec::new();
        let mut excess = false;
        self.file_system.read_dir(dir, &mut |entry| {
            if to_u64(entries.len()) >= self.limits.dir_entries {
                excess = true;
                return ControlFlow::Break(());
            }
            let super::DirEntry { name, inode, file_type } = entry;
            entries.push(Entry { name: name.to_vec(), inode, file_type });
            ControlFlow::Continue(())
        })?;
        if excess {
            return Err(FsError::Limit {
                what: "the number of entries in one directory",
                limit: self.limits.dir_entries,
            });
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// What remains to be walked after following a link stays as short as a path may be.
    fn check_length(&self, target: &[u8], rest: &[Vec<u8>]) -> Result<(), FsError> {
        let waiting: usize = rest.iter().map(|name| name.len().saturating_add(1)).sum();
        if target.len().saturating_add(waiting) > self.limits.path_bytes {
            let limit = to_u64(self.limits.path_bytes);
            return Err(FsError::Limit { what: "the length of a path behind symbolic links", limit });
        }
        Ok(())
    }
}

/// Puts the components of `path` on the stack of what is still to be walked.
fn queue(rest: &mut Vec<Vec<u8>>, path: &[u8]) {
    rest.extend(path.split(|&byte| byte == b'/').rev().map(<[u8]>::to_vec));
}

/// An open regular file.
#[derive(Clone, Copy, Debug)]
pub struct File<'tree> {
    tree: &'tree Tree,
    inode: Inode,
    size: u64,
}

impl File<'_> {
    /// The size in bytes, as the inode records it: a sparse file may claim more than the volume holds.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The file's inode.
    pub fn inode(&self) -> Inode {
        self.inode
    }

    /// Reads at `offset`, and returns how many bytes it gave: fewer than asked only at the end of the file.
    pub fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<usize, FsError> {
        self.tree.file_system.read(self.inode, offset, dst)
    }

    /// Reads the whole file. This is the only whole-file read there is, because it is the only one that is bounded.
    ///
    /// # Errors
    ///
    /// [`FsError::Limit`] for a file larger than [`Limits::file_bytes`].
    pub fn read_all(&self) -> Result<Vec<u8>, FsError> {
        self.read_up_to(self.tree.limits.file_bytes)
    }

    /// Reads the whole file if it has at most `limit` bytes: for formats that are known to be small.
    ///
    /// # Errors
    ///
    /// [`FsError::Limit`] for a larger file; a `limit` above [`Limits::file_bytes`] does not raise that one.
    pub fn read_up_to(&self, limit: u64) -> Result<Vec<u8>, FsError> {
        /// Memory is claimed in steps of this size, so that it follows what was read and not what the inode says.
        const STEP: usize = 1 << 20;

        let limit = limit.min(self.tree.limits.file_bytes);
        if self.size > limit {
            return Err(FsError::Limit { what: "the size of a file", limit });
        }
        let size = to_usize(self.size);
        if size > STEP {
            self.tree.file_system.prefetch_content(&[self.inode]);
        }
        let mut content = Vec::new();
        while content.len() < size {
            let start = content.len();
            let end = size.min(start.saturating_add(STEP));
            // Exactly, because doubling would claim up to twice the limit; and not at any price, because a sandboxed
            // process has little memory and would be ended.
            content.try_reserve_exact(end.saturating_sub(start)).map_err(|_| FsError::Limit {
                what: "the size of a file, by the memory that there is,",
                limit: to_u64(start),
            })?;
            content.resize(end, 0);
            let part = content.get_mut(start..).unwrap_or_default();
            let (wanted, given) = (part.len(), self.read_at(to_u64(start), part)?);
            if given < wanted {
                content.truncate(start.saturating_add(given));
                break;
            }
        }
        Ok(content)
    }
}
