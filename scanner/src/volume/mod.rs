//! Read-only runs of bytes: an EBS snapshot, a file, a partition of either.
//!
//! Everything above this module reads through [`Volume`] and nothing else, so a filesystem driver cannot tell a snapshot
//! from an image file. A volume is never written to: no trait here offers it.

pub(crate) mod bytes;
mod file;
mod memory;
pub mod partition;
mod slice;
mod sparse;
mod traits;

pub use file::FileVolume;
pub use memory::MemoryVolume;
pub use slice::SliceVolume;
pub use sparse::SparseVolume;
pub use traits::{Volume, VolumeError};
