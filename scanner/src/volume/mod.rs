//! Read-only runs of bytes: an EBS snapshot, a file, and what is made of these: partitions, logical volumes of LVM2, arrays
//! of Linux RAID.
//!
//! Everything above this module reads through [`Volume`] and nothing else, so a filesystem driver cannot tell a snapshot
//! from an image file, or a partition from a logical volume. A volume is never written to: no trait here offers it.
//! [`storage`](crate::storage) decides which volumes are divided and put together; the formats of that are here.

mod block_source;
pub(crate) mod bytes;
mod cache;
mod ebs;
mod file;
pub mod lvm;
mod mapped;
mod memory;
pub mod partition;
pub mod raid;
mod slice;
mod sparse;
mod spill;
pub mod survey;
mod traits;
mod unreadable;

pub use block_source::{BlockError, BlockSource};
pub use cache::{CacheOptions, CachedVolume, Traffic};
pub use ebs::{SnapshotBlocks, SnapshotError};
pub use file::FileVolume;
pub use memory::MemoryVolume;
pub use slice::SliceVolume;
pub use sparse::SparseVolume;
pub use traits::{Volume, VolumeError};
pub use unreadable::Unreadable;
