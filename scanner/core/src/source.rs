//! Where the files of a target are.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

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

/// One archive of a function: its code, one of its layers, or one of its image's.
#[derive(Clone, Debug)]
pub struct Archive {
    /// What to call it: the ARN of a function or of a version of a layer, or the digest of an image's layer.
    pub id: String,
    /// Where it is unpacked.
    pub place: Place,
    /// How it is packed.
    pub format: ArchiveFormat,
    /// Its bytes.
    pub state: DiskState,
}

/// Where an archive of a function is unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// In `/var/task`: the code of a zip function.
    Task,
    /// In `/opt`: a layer of a zip function.
    Opt,
    /// In `/`: a layer of a container image.
    Root,
}

/// How an archive is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArchiveFormat {
    /// A zip.
    Zip,
    /// A tar. Whether it is compressed, and how, is told from its first bytes, as engines do.
    Tar,
}

/// Where a target's files are.
#[derive(Debug)]
pub enum Source<'a> {
    /// On these disks.
    Disks(&'a [Disk]),
    /// In this directory of this machine.
    Directory(Box<dyn FileSystem + Send>),
    /// In these archives of a function, which are unpacked in this order, so that what a later one has covers what an
    /// earlier one has: the code and the layers of a zip function, or the layers of an image from the lowest to the highest.
    Function(&'a [Archive]),
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
