//! ext2, ext3 and ext4.

use std::sync::Arc;

use super::{Driver, FileSystem, FsError};
use crate::limits::Limits;
use crate::volume::Volume;
use crate::volume::bytes::Bytes;

/// The driver for ext2, ext3 and ext4: one format, told apart by feature flags.
#[derive(Debug)]
pub struct Ext4Driver;

impl Driver for Ext4Driver {
    fn name(&self) -> &'static str {
        "ext4"
    }

    fn probe(&self, head: &[u8]) -> bool {
        Bytes(head).le16(1024 + 0x38).is_ok_and(|magic| magic == 0xef53)
    }

    fn open(&self, _volume: Arc<dyn Volume>, _limits: &Limits) -> Result<Box<dyn FileSystem>, FsError> {
        Err(FsError::Unsupported { feature: "ext4".to_owned() })
    }
}
