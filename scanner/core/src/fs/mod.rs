//! What a filesystem is, whoever reads it: the files of a disk, or a directory of this machine.

mod directory;
mod path;

use std::fmt::Debug;
use std::io;
use std::ops::{ControlFlow, Range};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use directory::Directory;
pub use path::FsPath;

use crate::volume::VolumeError;

/// One mounted-in-memory, read-only filesystem.
///
/// Works on inode numbers. Every method is bounded by the [`Limits`](crate::limits::Limits) that the filesystem was
/// opened with, whatever the bytes on the volume say.
pub trait FileSystem: Debug {
    /// The format's name as the kernel's `/proc/filesystems` spells it, e.g. `ext4`.
    fn kind(&self) -> &'static str;

    /// What was done about a journal that had not been replayed.
    fn journal(&self) -> Journal;

    /// What the filesystem says about itself as a whole.
    fn identity(&self) -> Identity;

    /// What is in it and cannot be read, as far as that was found when it was opened; nothing for most formats.
    fn problems(&self) -> Vec<String> {
        Vec::new()
    }

    /// The inode of the root directory; of a filesystem with subvolumes that of its default one.
    fn root(&self) -> Inode;

    /// The trees within the filesystem that can be mounted each on its own; none for formats without.
    fn subvolumes(&self) -> Result<Subvolumes, FsError> {
        Ok(Subvolumes::default())
    }

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

    /// Calls `visit` with each extended attribute, until it breaks. Access control lists are left out: they are stored in a
    /// form of their own, and nothing here needs them.
    fn xattrs(
        &self,
        inode: Inode,
        visit: &mut dyn FnMut(Xattr<'_>) -> ControlFlow<()>,
    ) -> Result<(), FsError>;

    /// The value of one extended attribute, if the inode has it.
    fn xattr(&self, inode: Inode, name: &[u8]) -> Result<Option<Vec<u8>>, FsError> {
        let mut found = None;
        self.xattrs(inode, &mut |each| {
            if each.name != name {
                return ControlFlow::Continue(());
            }
            found = Some(each.value.to_vec());
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// Says that these inodes will be looked at soon, by [`stat`](Self::stat) or in order to read what they hold. A
    /// hint: it never fails, and what cannot be read is skipped.
    fn prefetch_inodes(&self, _inodes: &[Inode]) {}

    /// Says that these files and directories will be read from start to end soon. A hint, as
    /// [`prefetch_inodes`](Self::prefetch_inodes).
    fn prefetch_content(&self, inodes: &[Inode]) {
        let parts: Vec<_> = inodes.iter().map(|&inode| (inode, 0..u64::MAX)).collect();
        self.prefetch_parts(&parts);
    }

    /// Says that these bytes of files and directories will be read soon; what is behind the end is left out. A hint, as
    /// [`prefetch_inodes`](Self::prefetch_inodes).
    fn prefetch_parts(&self, _parts: &[(Inode, Range<u64>)]) {}
}

/// An inode's number within its filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Inode(pub u64);

/// What an inode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FileType {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A character device. An overlay's whiteout is one with the numbers 0, 0.
    CharacterDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// The numbers of a device, in its inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DeviceNumbers {
    /// Which driver.
    pub major: u32,
    /// Which of its devices.
    pub minor: u32,
}

/// The subvolumes of a filesystem.
#[derive(Debug, Default)]
pub struct Subvolumes {
    /// Those that can be opened by their paths, by number.
    pub found: Vec<Subvolume>,
    /// The numbers of the others, with what is wrong: no name, or a damaged one.
    pub problems: Vec<(u64, FsError)>,
}

/// A tree within a filesystem that can be mounted on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subvolume {
    /// What `subvolid=` names it by.
    pub id: u64,
    /// Its path from the filesystem's top level, without a leading `/`: what `subvol=` names it by. Empty for the top
    /// level itself.
    pub path: Vec<u8>,
    /// Its root directory.
    pub root: Inode,
    /// Whether it was made as a copy of another one.
    pub is_snapshot: bool,
    /// Whether it is the one that is mounted when none is named.
    pub is_default: bool,
}

/// What a filesystem says about itself as a whole: what `/etc/fstab` names it by, and what people want to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Its UUID, in lower case as in `/dev/disk/by-uuid`.
    pub uuid: Option<String>,
    /// Its label, if it has one: any bytes.
    pub label: Option<Vec<u8>>,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// The size of its blocks in bytes.
    pub block_size: Option<u32>,
    /// The features that it was made with, by the names that the format's own tools print.
    pub features: Vec<String>,
}

/// What the filesystem records about an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The numbers of a device; none for anything else.
    pub device: Option<DeviceNumbers>,
}

/// One name in a directory.
#[derive(Clone, Copy, Debug)]
pub struct DirEntry<'a> {
    /// The name: any bytes but `/` and NUL.
    pub name: &'a [u8],
    /// The inode it names.
    pub inode: Inode,
    /// Its type, where the directory records it.
    pub file_type: Option<FileType>,
}

/// One extended attribute.
#[derive(Clone, Copy, Debug)]
pub struct Xattr<'a> {
    /// The name with its namespace's prefix, such as `trusted.overlay.opaque`.
    pub name: &'a [u8],
    /// The value.
    pub value: &'a [u8],
}

/// What was done about a journal. Stands in every report, because a reader that ignores a dirty journal reads old
/// metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Journal {
    /// The filesystem was unmounted cleanly, or has no journal.
    Clean,
    /// The journal was replayed in memory.
    Replayed {
        /// How many committed transactions it held.
        transactions: u64,
    },
    /// A part of the journal was replayed in memory; what the rest would have changed may show an older state.
    Partial {
        /// How many committed transactions were replayed.
        transactions: u64,
        /// Why the rest was not.
        reason: &'static str,
    },
    /// The journal is dirty and was not replayed: the report may show an older state.
    Ignored {
        /// Why it could not be.
        reason: &'static str,
    },
}

/// Why a filesystem, a file or a directory could not be read. Sorted by who must act.
#[derive(Debug, thiserror::Error)]
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
    /// The environment: who has the files could not read them, in its own words.
    #[error("{reason}")]
    Remote {
        /// Why not.
        reason: String,
    },
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
    /// Something else was taken for a directory.
    pub const NOT_A_DIRECTORY: Self = Self::Invalid { problem: "not a directory" };
    /// Something else was taken for a regular file.
    pub const NOT_A_FILE: Self = Self::Invalid { problem: "not a regular file" };
    /// Something else was taken for a symbolic link.
    pub const NOT_A_LINK: Self = Self::Invalid { problem: "not a symbolic link" };

    /// A structure that contradicts the format's specification.
    pub fn corrupt(structure: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Corrupt { structure: structure.into(), problem: problem.into() }
    }
}

impl DeviceNumbers {
    /// From the encoding that inodes of ext4 have, `new_encode_dev` of the kernel: twelve bits of the major number
    /// in the middle of twenty of the minor one.
    pub fn decode(encoded: u32) -> Self {
        Self { major: (encoded >> 8) & 0xfff, minor: (encoded & 0xff) | ((encoded >> 12) & 0xf_ff00) }
    }
}

impl DirEntry<'_> {
    /// Whether an entry can have this name.
    pub fn is_name(name: &[u8]) -> bool {
        !name.is_empty() && !name.contains(&b'/') && !name.contains(&0)
    }
}

impl FileType {
    /// From the type in a directory entry, which is the same in all formats: `FT_*` of the kernel's
    /// `include/linux/fs_types.h`. `None` where the number means nothing.
    pub fn from_entry(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Regular),
            2 => Some(Self::Directory),
            3 => Some(Self::CharacterDevice),
            4 => Some(Self::BlockDevice),
            5 => Some(Self::Fifo),
            6 => Some(Self::Socket),
            7 => Some(Self::Symlink),
            _ => None,
        }
    }

    /// The number that [`from_entry`](Self::from_entry) takes for this type.
    pub fn entry_number(self) -> u8 {
        match self {
            Self::Regular => 1,
            Self::Directory => 2,
            Self::CharacterDevice => 3,
            Self::BlockDevice => 4,
            Self::Fifo => 5,
            Self::Socket => 6,
            Self::Symlink => 7,
        }
    }

    /// From the format bits of a Unix mode, `None` where they mean nothing.
    pub fn from_mode(mode: u32) -> Option<Self> {
        match mode & 0o170_000 {
            0o100_000 => Some(Self::Regular),
            0o040_000 => Some(Self::Directory),
            0o120_000 => Some(Self::Symlink),
            0o020_000 => Some(Self::CharacterDevice),
            0o060_000 => Some(Self::BlockDevice),
            0o010_000 => Some(Self::Fifo),
            0o140_000 => Some(Self::Socket),
            _ => None,
        }
    }
}
