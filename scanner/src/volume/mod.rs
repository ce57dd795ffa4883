//! Read-only runs of bytes: an EBS snapshot, a file, a partition of either.
//!
//! Everything above this module reads through [`Volume`] and nothing else, so a filesystem driver cannot tell a snapshot
//! from an image file. A volume is never written to: no trait here offers it.

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
