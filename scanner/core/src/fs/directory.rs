//! A local directory as a filesystem, so that a directory is scanned by the same code as a disk.
//!
//! The tree may belong to somebody else and may change while it is read. No path is ever handed to the kernel: each file
//! is reached from the root's descriptor one name at a time, with `O_NOFOLLOW`, so that no symbolic link leads out. Only
//! regular files and directories are opened for reading; opening a device or a pipe could do something.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;

use super::{DeviceNumbers, DirEntry, FileSystem, FileType, FsError, Identity, Inode, Journal, Stat, Xattr};
use crate::limits::{Budget, Limits};
use crate::number::{to_u64, to_usize};

/// A directory of this machine.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    root: OwnedFd,
    limits: Limits,
    budget: Budget,
    nodes: RefCell<Nodes>,
}

/// The files that were named so far. An [`Inode`] is an index into `list`: the kernel's inode numbers repeat between
/// mounts, and cannot be opened.
#[derive(Debug)]
struct Nodes {
    list: Vec<Node>,
    known: HashMap<Node, u64>,
}

/// A name in a directory that was named before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Node {
    parent: u64,
    name: Vec<u8>,
}

const ROOT: u64 = 0;

impl Directory {
    /// Opens a directory. A symbolic link at `path` itself is followed: the user named it.
    ///
    /// # Errors
    ///
    /// [`FsError::Local`] if it is no directory or may not be read.
    pub fn open(path: impl AsRef<Path>, limits: &Limits) -> Result<Self, FsError> {
        let path = path.as_ref().to_owned();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&path, flags, Mode::empty())
            .map_err(|errno| FsError::Local { path: path.clone(), source: errno.into() })?;
        let top = Node { parent: ROOT, name: Vec::new() };
        let nodes = RefCell::new(Nodes { list: vec![top], known: HashMap::new() });
        Ok(Self { path, root, limits: limits.clone(), budget: Budget::new(limits), nodes })
    }

    /// The names from the root to `inode`, last one first.
    fn names(&self, inode: Inode) -> Result<Vec<Vec<u8>>, FsError> {
        let nodes = self.nodes.borrow();
        let mut names = Vec::new();
        let mut index = inode.0;
        while index != ROOT {
            let node = nodes
                .list
                .get(to_usize(index))
                .ok_or(FsError::Invalid { problem: "an inode that this directory did not give" })?;
            names.push(node.name.clone());
            index = node.parent;
        }
        Ok(names)
    }

    /// A descriptor of `inode`: `O_PATH` if only its place is needed.
    fn descriptor(&self, inode: Inode, flags: OFlags) -> Result<OwnedFd, FsError> {
        const STEP: OFlags =
            OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
        let names = self.names(inode)?;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || {
            let Some((last, above)) = names.split_first() else {
                return rustix::fs::openat(&self.root, ".", flags, Mode::empty());
            };
            let mut here = None;
            for name in above.iter().rev() {
                let from = here.as_ref().unwrap_or(&self.root);
                here = Some(rustix::fs::openat(from, name.as_slice(), STEP, Mode::empty())?);
            }
            rustix::fs::openat(here.as_ref().unwrap_or(&self.root), last.as_slice(), flags, Mode::empty())
        };
        open().map_err(|errno| self.failed(&names, errno))
    }

    fn failed(&self, names: &[Vec<u8>], errno: Errno) -> FsError {
        let mut path = self.path.clone();
        path.extend(names.iter().rev().map(|name| OsStr::from_bytes(name)));
        FsError::Local { path, source: io::Error::from(errno) }
    }

    fn failed_at(&self, inode: Inode, errno: Errno) -> FsError {
        match self.names(inode) {
            Ok(names) => self.failed(&names, errno),
            Err(error) => error,
        }
    }

    /// The inode of a name in a directory.
    fn node(&self, dir: Inode, name: &[u8]) -> Inode {
        let mut nodes = self.nodes.borrow_mut();
        let node = Node { parent: dir.0, name: name.to_vec() };
        if let Some(&index) = nodes.known.get(&node) {
            return Inode(index);
        }
        let index = to_u64(nodes.list.len());
        nodes.list.push(node.clone());
        nodes.known.insert(node, index);
        Inode(index)
    }
}

impl FileSystem for Directory {
    fn kind(&self) -> &'static str {
        "directory"
    }

    /// The kernel has replayed what there was to replay.
    fn journal(&self) -> Journal {
        Journal::Clean
    }

    /// The kernel knows it by its path.
    fn identity(&self) -> Identity {
        Identity::default()
    }

    fn root(&self) -> Inode {
        Inode(ROOT)
    }

    fn stat(&self, inode: Inode) -> Result<Stat, FsError> {
        self.budget.step()?;
        let descriptor = self.descriptor(inode, OFlags::PATH)?;
        let found = rustix::fs::statat(&descriptor, "", AtFlags::EMPTY_PATH)
            .map_err(|errno| self.failed_at(inode, errno))?;
        let file_type = FileType::from_mode(found.st_mode)
            .ok_or(FsError::Invalid { problem: "a file of a type that this program does not know" })?;
        let is_device = matches!(file_type, FileType::CharacterDevice | FileType::BlockDevice);
        Ok(Stat {
            file_type,
            mode: u16::try_from(found.st_mode & 0o7777).unwrap_or(0),
            size: u64::try_from(found.st_size).unwrap_or(0),
            uid: found.st_uid,
            gid: found.st_gid,
            links: u32::try_from(found.st_nlink).unwrap_or(u32::MAX),
            mtime: found.st_mtime,
            device: is_device.then(|| DeviceNumbers {
                major: rustix::fs::major(found.st_rdev),
                minor: rustix::fs::minor(found.st_rdev),
            }),
        })
    }

    fn read_dir(
        &self,
        dir: Inode,
        visit: &mut dyn FnMut(DirEntry<'_>) -> ControlFlow<()>,
    ) -> Result<(), FsError> {
        let descriptor = self.descriptor(dir, OFlags::RDONLY | OFlags::DIRECTORY)?;
        if is_generated(&descriptor) {
            return Ok(());
        }
        for entry in Dir::new(descriptor).map_err(|errno| self.failed_at(dir, errno))? {
            self.budget.step()?;
            let entry = entry.map_err(|errno| self.failed_at(dir, errno))?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let file_type = match entry.file_type() {
                rustix::fs::FileType::RegularFile => Some(FileType::Regular),
                rustix::fs::FileType::Directory => Some(FileType::Directory),
                rustix::fs::FileType::Symlink => Some(FileType::Symlink),
                rustix::fs::FileType::CharacterDevice => Some(FileType::CharacterDevice),
                rustix::fs::FileType::BlockDevice => Some(FileType::BlockDevice),
                rustix::fs::FileType::Fifo => Some(FileType::Fifo),
                rustix::fs::FileType::Socket => Some(FileType::Socket),
                rustix::fs::FileType::Unknown => None,
            };
            if visit(DirEntry { name, inode: self.node(dir, name), file_type }).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn lookup(&self, dir: Inode, name: &[u8]) -> Result<Option<Inode>, FsError> {
        self.budget.step()?;
        if !DirEntry::is_name(name) || matches!(name, b"." | b"..") {
            return Err(FsError::Invalid { problem: "not the name of a directory entry" });
        }
        let descriptor = self.descriptor(dir, OFlags::PATH | OFlags::DIRECTORY)?;
        // Whoever asks may know names that were not listed: in /proc are the environment and the memory of this process.
        if is_generated(&descriptor) {
            return Ok(None);
        }
        match rustix::fs::statat(&descriptor, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(Some(self.node(dir, name))),
            Err(Errno::NOENT | Errno::NAMETOOLONG) => Ok(None),
            Err(errno) => Err(self.failed_at(dir, errno)),
        }
    }

    fn read(&self, inode: Inode, offset: u64, dst: &mut [u8]) -> Result<usize, FsError> {
        self.budget.step()?;
        self.budget.bytes(to_u64(dst.len()))?;
        if self.stat(inode)?.file_type != FileType::Regular {
            return Err(FsError::NOT_A_FILE);
        }
        // The file may have been exchanged since: without O_NONBLOCK, a pipe in its place would make us wait.
        let descriptor = self.descriptor(inode, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
        // As it is now, whatever the name meant a moment ago: a device could be another disk of this machine. Or one that is
        // mounted by itself, at a name elsewhere.
        let found = rustix::fs::fstat(&descriptor).map_err(|errno| self.failed_at(inode, errno))?;
        if FileType::from_mode(found.st_mode) != Some(FileType::Regular) || is_generated(&descriptor) {
            return Err(FsError::NOT_A_FILE);
        }
        let mut done = 0;
        while let Some(rest) = dst.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let position = offset.saturating_add(to_u64(done));
            match rustix::io::pread(&descriptor, rest, position) {
                Ok(0) => break,
                Ok(count) => done = done.saturating_add(count),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(self.failed_at(inode, errno)),
            }
        }
        Ok(done)
    }

    fn read_link(&self, inode: Inode) -> Result<Vec<u8>, FsError> {
        self.budget.step()?;
        let descriptor = self.descriptor(inode, OFlags::PATH)?;
        let target = rustix::fs::readlinkat(&descriptor, "", Vec::new())
            .map_err(|errno| self.failed_at(inode, errno))?
            .into_bytes();
        self.limits.check_link(to_u64(target.len()))?;
        Ok(target)
    }

    fn xattrs(
        &self,
        inode: Inode,
        visit: &mut dyn FnMut(Xattr<'_>) -> ControlFlow<()>,
    ) -> Result<(), FsError> {
        /// `XATTR_LIST_MAX` and `XATTR_SIZE_MAX` of Linux.
        const MOST: usize = 64 << 10;

        self.budget.step()?;
        let descriptor = self.descriptor(inode, OFlags::PATH)?;
        // The kernel gives no attributes of an `O_PATH` descriptor itself; through this link it does.
        let path = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
        let mut names = vec![0; MOST];
        let length = match rustix::fs::listxattr(&path, names.as_mut_slice()) {
            Ok(length) => length,
            Err(Errno::OPNOTSUPP) => return Ok(()),
            Err(errno) => return Err(self.failed_at(inode, errno)),
        };
        names.truncate(length);
        for name in names.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
            if name.starts_with(b"system.posix_acl_") {
                continue;
            }
            let mut value = vec![0; MOST];
            match rustix::fs::getxattr(&path, name, value.as_mut_slice()) {
                Ok(length) => value.truncate(length),
                // It was removed a moment ago, or only the kernel may read it.
                Err(Errno::NODATA | Errno::PERM | Errno::ACCESS) => continue,
                Err(errno) => return Err(self.failed_at(inode, errno)),
            }
            if visit(Xattr { name, value: &value }).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// Whether a directory's files are made up by the kernel as they are read: `/proc` and `/sys` are no installed software,
/// and some of their files have no end. Such a directory counts as empty. Values from `linux/magic.h`.
fn is_generated(descriptor: &OwnedFd) -> bool {
    const MAGICS: [u64; 10] = [
        0x9fa0,      // proc
        0x6265_6572, // sysfs
        0x1cd1,      // devpts
        0x0027_e0eb, // cgroup
        0x6367_7270, // cgroup2
        0x6462_6720, // debugfs
        0x7472_6163, // tracefs
        0x7363_6673, // securityfs
        0xcafe_4a11, // bpf
        0x6165_676c, // pstore
    ];
    rustix::fs::fstatfs(descriptor)
        .is_ok_and(|found| u64::try_from(found.f_type).is_ok_and(|magic| MAGICS.contains(&magic)))
}
