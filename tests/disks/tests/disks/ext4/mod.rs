//! ext2, ext3 and ext4.

pub(crate) mod attributes;
pub(crate) mod dirty_journals;
mod formats;
