//! What the two processes say to each other.

use std::ops::Range;

use agentless_core::fs::{FileType, Inode, Stat};
use agentless_core::limits::Limits;
use agentless_core::source::{ArchiveFormat, Place};
use agentless_core::task::Task;
use serde::{Deserialize, Serialize};
use tracing::Level;

use super::part::Part;
use crate::confine::Confinement;

/// The version of the protocol. Both processes are the same program, so another one means that something else answers.
pub const VERSION: u32 = 1;

/// What the analyser says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromChild {
    /// It has given up its power, and waits for its task. The first message, and the only one of its kind.
    Ready {
        /// [`VERSION`].
        version: u32,
        /// What it can no longer do.
        confinement: Confinement,
    },
    /// It needs a piece of a volume: the answer is its bytes, or [`ToChild::Zeros`], or [`ToChild::Failed`].
    Read {
        /// The volume, by its place in [`Start::source`].
        volume: u32,
        /// The piece, counted from the start of the volume.
        piece: u64,
    },
    /// It will need these pieces soon. There is no answer.
    Prefetch {
        /// The volume.
        volume: u32,
        /// The pieces.
        pieces: Vec<Range<u64>>,
    },
    /// It asks about the directory that it is to read. The answer is [`ToChild::Directory`], the bytes of a file, or
    /// [`ToChild::Failed`].
    Directory(DirectoryRequest),
    /// It has something to say to developers.
    Log {
        /// How important it is.
        level: LogLevel,
        /// One line.
        text: String,
    },
    /// A part of its report. The parts come in order, when everything was read.
    Part(Part),
    /// Everything was said.
    Done,
    /// What was asked for cannot be done. The last message.
    Failed {
        /// Why not.
        reason: String,
    },
}

/// What the analyser is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToChild {
    /// What to do. The first message, and the only one of its kind.
    Start(Box<Start>),
    /// The piece that was asked for is all zeros.
    Zeros,
    /// What was asked about the directory.
    Directory(DirectoryAnswer),
    /// What was asked for could not be read.
    Failed {
        /// Why not.
        reason: String,
    },
}

/// What the analyser is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// What is wanted.
    pub task: Task,
    /// The id of the target.
    pub id: String,
    /// Where its files are.
    pub source: StartSource,
    /// What it may cost.
    pub limits: Limits,
    /// What to log at most; none for nothing.
    pub log: Option<LogLevel>,
}

/// Where the files of the target are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum StartSource {
    /// On these disks.
    Disks(Vec<StartDisk>),
    /// In a directory, whose root this is.
    Directory(Inode),
    /// In these archives of a function.
    Function(Vec<StartArchive>),
}

/// One archive of a function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartArchive {
    /// Its id.
    pub id: String,
    /// Where it is unpacked.
    pub place: Place,
    /// How it is packed.
    pub format: ArchiveFormat,
    /// Whether it can be read.
    pub state: StartDiskState,
}

/// One disk of the target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartDisk {
    /// Its id.
    pub id: String,
    /// The name by which it is attached.
    pub device: Option<String>,
    /// Whether it can be read.
    pub state: StartDiskState,
}

/// Whether a disk can be read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum StartDiskState {
    /// It can be asked for.
    Open {
        /// Its size in bytes.
        size: u64,
        /// The size of its pieces in bytes; the last one may be shorter.
        piece: u32,
    },
    /// Nothing was ever written to it.
    Empty {
        /// Its size in bytes.
        size: u64,
    },
    /// It cannot be read.
    Unread {
        /// Why not.
        reason: String,
    },
}

/// A question about a directory: the methods of [`FileSystem`](agentless_core::fs::FileSystem).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum DirectoryRequest {
    /// What an inode is.
    Stat(Inode),
    /// The entries of a directory.
    Entries(Inode),
    /// The inode of a name.
    Lookup(Inode, Vec<u8>),
    /// The bytes of a file: the answer is these.
    Read {
        /// The file.
        inode: Inode,
        /// From where on.
        offset: u64,
        /// How many; at most what a frame may have.
        length: u32,
    },
    /// The target of a symbolic link.
    Link(Inode),
    /// The extended attributes.
    Attributes(Inode),
}

/// The answer to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum DirectoryAnswer {
    /// What the inode is.
    Stat(Stat),
    /// Entries of the directory.
    Entries {
        /// Names with their inodes and types.
        entries: Vec<(Vec<u8>, Inode, Option<FileType>)>,
        /// Whether more follow in a further answer.
        more: bool,
    },
    /// The inode of the name, if there is one.
    Found(Option<Inode>),
    /// The target of the link.
    Link(Vec<u8>),
    /// Names and values of the attributes.
    Attributes(Vec<(Vec<u8>, Vec<u8>)>),
}

/// How important a line of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LogLevel {
    /// Something is wrong.
    Error,
    /// Something may be wrong.
    Warn,
    /// What happens.
    Info,
    /// How it happens.
    Debug,
    /// Every step.
    Trace,
}

impl LogLevel {
    /// The level of an event in this process.
    pub(crate) fn of(level: Level) -> Self {
        match level {
            Level::ERROR => Self::Error,
            Level::WARN => Self::Warn,
            Level::INFO => Self::Info,
            Level::DEBUG => Self::Debug,
            _ => Self::Trace,
        }
    }

    /// The level that an event has in this process.
    pub(crate) fn level(self) -> Level {
        match self {
            Self::Error => Level::ERROR,
            Self::Warn => Level::WARN,
            Self::Info => Level::INFO,
            Self::Debug => Level::DEBUG,
            Self::Trace => Level::TRACE,
        }
    }
}
