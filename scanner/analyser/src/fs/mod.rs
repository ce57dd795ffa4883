//! Filesystems, read in user space.
//!
//! A driver implements [`FileSystem`] on inode handles; [`DRIVERS`] lists them, and [`probe`] finds the one for a volume.
//! Paths and symbolic links are resolved once, above the trait, by [`Tree`], which shows the filesystems that a system
//! mounts as one tree and never leaves it. [`walk`] lists a tree, [`fstab`] says what a system mounts.
//!
//! What looks for files goes through [`Tree`]; only [`storage`](crate::storage), which finds and joins the filesystems of a
//! machine, opens them.

pub mod btrfs;
mod checksum;
pub mod ext4;
pub mod fstab;
pub mod overlay;
mod recognise;
mod refuse;
pub mod survey;
mod tree;
pub mod unpacked;
pub mod walk;
pub mod xfs;

pub use agentless_core::fs::{
    DeviceNumbers, DirEntry, FileSystem, FileType, FsError, FsPath, Identity, Inode, Journal, Stat,
    Subvolume, Subvolumes, Xattr,
};
pub use recognise::{DRIVERS, Driver, Membership, Recognised, open, probe, probe_head};
pub use tree::{Entry, File, Node, Tree};
