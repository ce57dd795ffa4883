//! Where the files of a target are.

use std::sync::Arc;

use crate::fs::FileSystem;
use crate::volume::Volume;

/// One disk of a target.
#[derive(Clone, Debug)]
pub struct Disk {
    /// What to call it: the id of a volume or a snapshot, or the path of a local one.
    pub id: String,
    /// The name by which it is attached to its instance, such as `/dev/xvda`.
    pub device: Option<String>,
    /// Its bytes.
    pub state: DiskState,
}

/// Where a target's files are.
#[derive(Debug)]
pub enum Source<'a> {
    /// On these disks.
    Disks(&'a [Disk]),
    /// In this directory of this machine.
    Directory(Box<dyn FileSystem + Send>),
}

/// Whether a disk can be read.
#[derive(Clone, Debug)]
pub enum DiskState {
    /// These are its bytes.
    Open(Arc<dyn Volume>),
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
