//! The checksums of ext4's metadata.

/// CRC-32C as Linux's `crc32c` computes it: without inverting the register before or after, so that calls can be chained.
pub(super) fn crc32c(seed: u32, data: &[u8]) -> u32 {
    !crc32c::crc32c_append(!seed, data)
}

/// CRC-16 with the reflected polynomial 0xA001, as Linux's `crc16`: group descriptors without `metadata_csum`.
pub(super) fn crc16(seed: u16, data: &[u8]) -> u16 {
    data.iter().fold(seed, |crc, &byte| {
        (0..8).fold(crc ^ u16::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xa001 } else { crc >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values of the catalogue of parametrised CRC algorithms.
    #[test]
    fn known_values() {
        assert_eq!(!crc32c(u32::MAX, b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(crc32c(u32::MAX, b"1234"), b"56789"), crc32c(u32::MAX, b"123456789"));
        // CRC-16/ARC starts with 0.
        assert_eq!(crc16(0, b"123456789"), 0xbb3d);
    }
}
