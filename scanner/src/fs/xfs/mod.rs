//! XFS, read only.

mod crc;
mod feature;
mod superblock;

use super::FsError;
