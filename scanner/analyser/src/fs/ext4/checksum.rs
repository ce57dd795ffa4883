//! The checksums of ext4's metadata.

pub(super) use crate::fs::checksum::crc32c;

/// CRC-16 with the reflected polynomial 0xA001, as Linux's `crc16`: group descriptors without `metadata_csum`.
pub(super) fn crc16(seed: u16, data: &[u8]) -> u16 {
    data.iter().fold(seed, |crc, &byte| {
        (0..8).fold(crc ^ u16::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xa001 } else { crc >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of the catalogue of parametrised CRC algorithms.
    #[test]
    fn known_value() {
        // CRC-16/ARC starts with 0.
        assert_eq!(crc16(0, b"123456789"), 0xbb3d);
    }
}
