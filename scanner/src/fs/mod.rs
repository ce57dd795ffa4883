//! Filesystems, read in user space.
//!
//! A driver implements [`FileSystem`] on inode handles; [`DRIVERS`] lists them, and [`probe`] finds the one for a volume.
//! Paths and symbolic links are resolved once, above the trait, by [`Tree`], and never leave the tree.

mod directory;
pub mod ext4;
mod path;
mod recognise;
pub mod survey;
mod tree;

use std::fmt::Debug;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;

pub use directory::Directory;
pub use path::FsPath;
pub use recognise::{DRIVERS, Driver, Recognised, open, probe};
pub use tree::{Entry, File, Tree};

use crate::volume::VolumeError;

/// One mounted-in-memory, read-only filesystem.
///
/// Works on inode numbers. Every method is bounded by the [`Limits`](crate::limits::Limits) that the filesystem was
/// opened with, whatever the bytes on the volume say.
pub trait FileSystem: Debug + Send {
    /// The format's name as the kernel's `/proc/filesystems` spells it, e.g. `ext4`.
    fn kind(&self) -> &'static str;

    /// What was done about a journal that had not been replayed.
    fn journal(&self) -> Journal;

    /// The inode of the root directory.
    fn root(&self) -> Inode;

    /// Type, mode, size and ownership of an inode.
    fn stat(&self, inode: Inode) -> Result<Stat, FsError>;

    /// Calls `visit` with each entry of a directory except `.` and `..`, until it breaks.
    fn read_dir(
        &self,
        dir: Inode,
        visit: &mut dyn FnMut(DirEntry<'_>) -> ControlFlow<()>,
    ) -> Result<(), FsError>;

    /// The inode that `name` has in a directory, if any.
    fn lookup(&self, dir: Inode, name: &[u8]) -> Result<Option<Inode>, FsError>;

    /// Reads from a regular file at `offset`, and returns how many bytes it gave: fewer than asked only at the end.
    fn read(&self, inode: Inode, offset: u64, dst: &mut [u8]) -> Result<usize, FsError>;

    /// The target of a symbolic link: at most [`path_bytes`](crate::limits::Limits::path_bytes) long.
    fn read_link(&self, inode: Inode) -> Result<Vec<u8>, FsError>;

    /// Says that these inodes will be looked at soon, by [`stat`](Self::stat) or in order to read what they hold. A
    /// hint: it never fails, and what cannot be read is skipped.
    fn prefetch_inodes(&self, _inodes: &[Inode]) {}

    /// Says that these files and directories will be read from start to end soon. A hint, as
    /// [`prefetch_inodes`](Self::prefetch_inodes).
    fn prefetch_content(&self, _inodes: &[Inode]) {}
}

/// An inode's number within its filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Inode(pub u64);

/// What an inode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileType {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A character or block device, a socket or a named pipe: never opened.
    Special,
}

/// What the filesystem records about an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stat {
    /// What it is.
    pub file_type: FileType,
    /// Permission bits with set-user-ID, set-group-ID and sticky, as in `st_mode & 0o7777`.
    pub mode: u16,
    /// Size in bytes.
    pub size: u64,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Number of hard links.
    pub links: u32,
    /// Time of last modification, in seconds since 1970.
    pub mtime: i64,
}

/// One name in a directory.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct DirEntry<'a> {
    /// The name: any bytes but `/` and NUL.
    pub name: &'a [u8],
    /// The inode it names.
    pub inode: Inode,
    /// Its type, where the directory records it.
    pub file_type: Option<FileType>,
}

/// What was done about a journal. Stands in every report, because a reader that ignores a dirty journal reads old
/// metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Journal {
    /// The filesystem was unmounted cleanly, or has no journal.
    Clean,
    /// The journal was replayed in memory.
    Replayed {
        /// How many committed transactions it held.
        transactions: u64,
    },
    /// The journal is dirty and was not replayed: the report may show an older state.
    Ignored {
        /// Why it could not be.
        reason: &'static str,
    },
}

/// Why a filesystem, a file or a directory could not be read. Sorted by who must act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FsError {
    /// The data: the bytes contradict the format's specification.
    #[error("{structure} is damaged: {problem}")]
    Corrupt {
        /// The on-disk structure, in the format's own terms, e.g. `inode 12`.
        structure: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Ours: valid, but this version does not read it.
    #[error("{feature} is not supported")]
    Unsupported {
        /// The feature, in the format's own terms.
        feature: String,
    },
    /// A limit stopped the work. Protects against hostile disks; raise it where a real disk needs more.
    #[error("{what} exceeds the limit of {limit}")]
    Limit {
        /// What was counted.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The caller: not what the operation needs, such as reading a directory as a file.
    #[error("{problem}")]
    Invalid {
        /// What does not fit.
        problem: &'static str,
    },
    /// The environment: the volume below could not be read.
    #[error("the volume could not be read")]
    Volume(#[from] VolumeError),
    /// The environment: the operating system could not read a local directory tree.
    #[error("could not read {}", path.display())]
    Local {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl FsError {
    /// A structure that contradicts the format's specification.
    pub(crate) fn corrupt(structure: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Corrupt { structure: structure.into(), problem: problem.into() }
    }
}

impl FileType {
    /// From the format bits of a Unix mode, `None` where they mean nothing.
    pub(crate) fn from_mode(mode: u32) -> Option<Self> {
        match mode & 0o170_000 {
            0o100_000 => Some(Self::Regular),
            0o040_000 => Some(Self::Directory),
            0o120_000 => Some(Self::Symlink),
            // Character device, block device, named pipe, socket.
            0o020_000 | 0o060_000 | 0o010_000 | 0o140_000 => Some(Self::Special),
            _ => None,
        }
    }
}
