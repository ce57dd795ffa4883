//! A volume of mostly zeros, from a compact description: the seeds of fuzzing and the images of tests.

use std::collections::BTreeMap;

use super::bytes::{Bytes, Truncated, to_u64, to_usize};
use super::{Volume, VolumeError};

/// A volume in memory that keeps only the sectors that are not zero.
///
/// Its encoded form is the number of sectors, then the number of each sector that is not zero with its 512 bytes; numbers
/// have 32 bits, little-endian. Any bytes are a valid encoding, so that a fuzzer's every idea is a disk: what is cut short
/// or lies beyond the end is ignored.
#[derive(Clone)]
pub struct SparseVolume {
    sectors: BTreeMap<u32, [u8; SECTOR]>,
    size: u64,
}

const SECTOR: usize = 512;
/// 64 MiB, so that an encoding of a few bytes cannot ask for more work than that.
const MOST_SECTORS: u32 = 1 << 17;

impl SparseVolume {
    /// The volume that `encoded` describes.
    pub fn decode(encoded: &[u8]) -> Self {
        let count = Bytes(encoded).le32(0).unwrap_or(0).min(MOST_SECTORS);
        let record = |record: &[u8]| -> Result<(u32, [u8; SECTOR]), Truncated> {
            Ok((Bytes(record).le32(0)?, Bytes(record).array(4)?))
        };
        let sectors = encoded
            .get(4..)
            .unwrap_or_default()
            .chunks_exact(SECTOR.saturating_add(4))
            .filter_map(|bytes| record(bytes).ok())
            .filter(|&(number, _)| number < count)
            .collect();
        Self { sectors, size: u64::from(count).saturating_mul(to_u64(SECTOR)) }
    }

    /// The encoded form of an image. A last sector that is not whole is left out.
    pub fn encode(image: &[u8]) -> Vec<u8> {
        let sectors = image.as_chunks::<SECTOR>().0;
        let mut encoded = u32::try_from(sectors.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
        for (number, sector) in (0_u32..).zip(sectors) {
            if sector.iter().any(|&byte| byte != 0) {
                encoded.extend_from_slice(&number.to_le_bytes());
                encoded.extend_from_slice(sector);
            }
        }
        encoded
    }
}

impl std::fmt::Debug for SparseVolume {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SparseVolume({} of {} bytes)", self.sectors.len().saturating_mul(SECTOR), self.size)
    }
}

impl Volume for SparseVolume {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<(), VolumeError> {
        VolumeError::check_range(offset, dst.len(), self.size)?;
        let mut position = to_usize(offset);
        let mut rest = dst;
        while !rest.is_empty() {
            let (number, inside) = (position / SECTOR, position % SECTOR);
            let length = rest.len().min(SECTOR.saturating_sub(inside));
            let (part, remaining) = rest.split_at_mut(length);
            let sector = u32::try_from(number).ok().and_then(|number| self.sectors.get(&number));
            match sector.and_then(|sector| sector.get(inside..inside.saturating_add(length))) {
                Some(source) => part.copy_from_slice(source),
                None => part.fill(0),
            }
            position = position.saturating_add(length);
            rest = remaining;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_encoded_image_reads_as_the_image(
            image in proptest::collection::vec(prop_oneof![Just([0; SECTOR]), Just([7; SECTOR])], 0..8),
            offset in 0_usize..5000,
            length in 0_usize..3000,
        ) {
            let image = image.concat();
            let volume = SparseVolume::decode(&SparseVolume::encode(&image));
            prop_assert_eq!(volume.size(), to_u64(image.len()));
            let mut read = vec![1; length];
            let result = volume.read_at(to_u64(offset), &mut read);
            match image.get(offset..offset + length) {
                Some(expected) => prop_assert_eq!(read, expected),
                None => prop_assert!(result.is_err()),
            }
        }
    }
}
