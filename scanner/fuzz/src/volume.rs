//! Volumes, without those that are in AWS.

#[path = "../../src/volume/bytes.rs"]
pub(crate) mod bytes;
#[path = "../../src/volume/file.rs"]
mod file;
#[path = "../../src/volume/lvm/mod.rs"]
pub mod lvm;
#[path = "../../src/volume/mapped.rs"]
mod mapped;
#[path = "../../src/volume/memory.rs"]
mod memory;
#[path = "../../src/volume/partition/mod.rs"]
pub mod partition;
#[path = "../../src/volume/raid/mod.rs"]
pub mod raid;
#[path = "../../src/volume/slice.rs"]
mod slice;
#[path = "../../src/volume/sparse.rs"]
mod sparse;
#[path = "../../src/volume/traits.rs"]
mod traits;
#[path = "../../src/volume/unreadable.rs"]
mod unreadable;

pub use file::FileVolume;
pub use memory::MemoryVolume;
pub use slice::SliceVolume;
pub use sparse::SparseVolume;
pub use traits::{Volume, VolumeError};
pub use unreadable::Unreadable;
