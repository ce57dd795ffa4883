//! Volumes that are fetched in blocks, such as EBS snapshots: each block is fetched once, and kept.

#![forbid(unsafe_code)]

mod block_source;
mod spill;
mod volume;

pub use block_source::{BlockError, BlockSource};
pub use volume::{CacheOptions, CachedVolume, Traffic};
