//! What the analyser is asked to do with a target.

use serde::{Deserialize, Serialize};

/// What to do with the disks of a target, or with its directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// Report on the storage, and list the packages of every system.
    Packages(Scope),
    /// Report on the storage, and which operating systems are on it.
    Systems,
    /// Print one file or directory of a system.
    File(FileTask),
}

/// Which packages to list, and what of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Those that were installed for a language, and those of lock files, too. Needs a walk over everything; without, only
    /// the files in which operating systems record their packages are read.
    pub languages: bool,
    /// Those in containers.
    pub containers: bool,
    /// The licences of Debian packages, each of which has a file of its own for them.
    pub copyright: bool,
}

impl Default for Scope {
    fn default() -> Self {
        Self { languages: true, containers: true, copyright: false }
    }
}

/// What to print.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileTask {
    /// In which form.
    pub action: FileAction,
    /// The path from the root of the tree.
    pub path: Vec<u8>,
    /// The tree that the path is in.
    pub tree: TreeChoice,
}

/// What to print of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileAction {
    /// The entries of a directory, in the form of `ls -l`.
    List,
    /// What the filesystem records about it.
    Stat,
    /// Its bytes.
    Content,
}

/// A tree of files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TreeChoice {
    /// The system with this number, counted from 1, with what is mounted in it.
    System(usize),
    /// The filesystem on the device of this name, or with this UUID or label, by itself.
    Device(String),
}
