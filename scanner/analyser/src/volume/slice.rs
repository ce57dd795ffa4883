//! A part of a volume as a volume of its own: a partition.

use std::ops::Range;
use std::sync::Arc;

use super::{Volume, VolumeError};

/// A contiguous part of another volume.
#[derive(Clone, Debug)]
pub struct SliceVolume {
    whole: Arc<dyn Volume>,
    start: u64,
    size: u64,
}

impl SliceVolume {
    /// The `size` bytes of `whole` that begin at `start`.
    ///
    /// # Errors
    ///
    /// [`VolumeError::OutOfRange`] if they do not all lie inside `whole`.
    pub fn new(whole: Arc<dyn Volume>, start: u64, size: u64) -> Result<Self, VolumeError> {
        match start.checked_add(size) {
            Some(end) if end <= whole.size() => Ok(Self { whole, start, size }),
            _ => Err(VolumeError::OutOfRange { offset: start, len: size, size: whole.size() }),
        }
    }

    /// Where in the whole volume this part's byte `offset` is. Exact for offsets inside the part, of which the
    /// constructor proved that they do not overflow.
    fn absolute(&self, offset: u64) -> u64 {
        self.start.saturating_add(offset.min(self.size))
    }
}

impl Volume for SliceVolume {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<(), VolumeError> {
        VolumeError::check_range(offset, dst.len(), self.size)?;
        self.whole.read_at(self.absolute(offset), dst)
    }

    fn prefetch(&self, ranges: &[Range<u64>]) {
        let ranges: Vec<_> =
            ranges.iter().map(|range| self.absolute(range.start)..self.absolute(range.end)).collect();
        self.whole.prefetch(&ranges);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::MemoryVolume;

    #[test]
    fn a_slice_sees_its_part_only() {
        let whole: Arc<dyn Volume> = Arc::new(MemoryVolume::new((0..100).collect()));
        let slice = SliceVolume::new(Arc::clone(&whole), 10, 20).unwrap();
        let mut buffer = [0; 4];
        slice.read_at(16, &mut buffer).unwrap();
        assert_eq!(buffer, [26, 27, 28, 29]);
        assert!(slice.read_at(17, &mut buffer).is_err());
        assert!(SliceVolume::new(Arc::clone(&whole), 90, 11).is_err());
        assert!(SliceVolume::new(whole, u64::MAX, 1).is_err());
    }
}
