//! Which images of a RAID volume have current data: the record that device-mapper's `raid` target keeps of each, `struct
//! dm_raid_superblock` of the kernel's `drivers/md/dm-raid.c`. All numbers are little-endian.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use crate::fs::FsError;
use crate::volume::Volume;
use crate::volume::bytes::{Bytes, to_usize};

/// `DM_RAID_MAGIC`: the letters `DmRd`.
const MAGIC: u32 = 0x6452_6d44;
/// Up to the `flags`, which are the last that is needed.
const SIZE: usize = 64;

/// What an image's metadata volume says.
#[derive(Clone, Copy, Debug)]
pub(super) struct ImageRecord {
    /// Counts the changes of the array's state.
    events: u64,
    /// One bit for each image that was thrown out.
    failed: u64,
    /// Whether all of the image has been filled: a `disk_recovery_offset` of `MaxSector`.
    is_whole: bool,
}

impl ImageRecord {
    /// `None` if the volume has none: the array was never in use.
    pub(super) fn read(volume: &dyn Volume) -> Result<Option<Self>, FsError> {
        let mut bytes = vec![0; SIZE.min(to_usize(volume.size()))];
        volume.read_at(0, &mut bytes)?;
        let record = Bytes(&bytes);
        if record.le32(0)? != MAGIC {
            return Ok(None);
        }
        Ok(Some(Self {
            events: record.le64(16)?,
            failed: record.le64(24)?,
            is_whole: record.le64(32)? == u64::MAX,
        }))
    }
}

/// What is known of an image: `None` if it is missing, the record where it has one.
pub(super) type ImageState = Option<Option<ImageRecord>>;

/// Which of the images of one array have current data, the best first: by events, then by their place, because a new
/// array's others are filled from the first one.
pub(super) fn current(images: &[ImageState]) -> Vec<usize> {
    let records = || images.iter().flatten().flatten();
    let newest = records().max_by_key(|record| record.events);
    let failed = newest.map_or(0, |newest| newest.failed);
    let mut current: Vec<(u64, usize)> = Vec::new();
    for (place, state) in images.iter().enumerate() {
        let has_failed =
            u32::try_from(place).ok().and_then(|place| failed.checked_shr(place)).unwrap_or(0) & 1 == 1;
        match state {
            Some(Some(record)) if record.is_whole && !has_failed => current.push((record.events, place)),
            // Without a record where others have one, it joined later and has not been filled.
            Some(None) if newest.is_none() => current.push((0, place)),
            _ => {}
        }
    }
    current.sort_by_key(|&(events, place)| (std::cmp::Reverse(events), place));
    current.into_iter().map(|(_, place)| place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::MemoryVolume;

    fn record(events: u64, failed: u64, recovered: u64) -> Option<ImageRecord> {
        let mut bytes = vec![0; 4096];
        bytes[..4].copy_from_slice(b"DmRd");
        bytes[16..24].copy_from_slice(&events.to_le_bytes());
        bytes[24..32].copy_from_slice(&failed.to_le_bytes());
        bytes[32..40].copy_from_slice(&recovered.to_le_bytes());
        ImageRecord::read(&MemoryVolume::new(bytes)).unwrap()
    }

    #[test]
    fn current_images_come_in_the_order_of_their_events() {
        let whole = |events| Some(record(events, 0, u64::MAX));
        assert_eq!(current(&[whole(3), whole(3)]), [0, 1]);
        assert_eq!(current(&[whole(2), whole(3)]), [1, 0]);
        assert_eq!(current(&[None, whole(3)]), [1]);
        assert_eq!(
            current(&[Some(record(2, 0, u64::MAX)), Some(record(3, 0b01, u64::MAX))]),
            [1],
            "the first one failed"
        );
        assert_eq!(current(&[Some(record(9, 0, 4096)), whole(3)]), [1], "the first one is being filled");
        assert_eq!(current(&[Some(None), whole(3)]), [1], "the first one is new");
        assert_eq!(current(&[Some(None), Some(None)]), [0, 1], "never in use");
        assert!(current(&[None, None]).is_empty());
    }

    #[test]
    fn volumes_without_a_record_have_none() {
        assert!(ImageRecord::read(&MemoryVolume::new(vec![0; 4096])).unwrap().is_none());
        assert!(ImageRecord::read(&MemoryVolume::new(vec![0; 2])).is_err());
    }
}
