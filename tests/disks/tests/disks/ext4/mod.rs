//! ext2, ext3 and ext4.

pub(crate) mod attributes;
mod dirty_journals;
mod formats;
mod truncations;
