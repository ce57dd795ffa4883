//! What is made of disks, which are read-only runs of bytes: partitions, logical volumes of LVM2, arrays of Linux RAID.
//!
//! Everything above this module reads through [`Volume`] and nothing else, so a filesystem driver cannot tell a snapshot
//! from an image file, or a partition from a logical volume. A volume is never written to: no trait here offers it.
//! [`storage`](crate::storage) decides which volumes are divided and put together; the formats of that are here.

pub(crate) mod bytes;
pub mod lvm;
mod mapped;
mod memory;
pub mod partition;
pub mod raid;
mod slice;
mod sparse;
pub mod survey;
mod unreadable;

pub use agentless_core::volume::{Volume, VolumeError};
pub use memory::MemoryVolume;
pub use slice::SliceVolume;
pub use sparse::SparseVolume;
pub use unreadable::Unreadable;
