//! A volume in memory: small images of tests and fuzzers.

use super::bytes::{to_u64, to_usize};
use super::{Volume, VolumeError};

/// A volume whose bytes are in memory.
#[derive(Clone)]
pub struct MemoryVolume(Vec<u8>);

impl MemoryVolume {
    /// A volume of exactly these bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl std::fmt::Debug for MemoryVolume {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MemoryVolume({} bytes)", self.0.len())
    }
}

impl Volume for MemoryVolume {
    fn size(&self) -> u64 {
        to_u64(self.0.len())
    }

    fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<(), VolumeError> {
        VolumeError::check_range(offset, dst.len(), self.size())?;
        let start = to_usize(offset);
        if let Some(src) = self.0.get(start..start.saturating_add(dst.len())) {
            dst.copy_from_slice(src);
        }
        Ok(())
    }
}
