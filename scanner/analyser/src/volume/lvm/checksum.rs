//! The checksum of LVM2's on-disk structures.

/// CRC-32 with the reflected polynomial 0xEDB88320 that starts with 0xF597A6CF and is not inverted at the end:
/// `calc_crc` and `INITIAL_CRC` of LVM2's `lib/misc/crc.h`. The data may be in several pieces.
pub(super) fn crc(pieces: &[&[u8]]) -> u32 {
    /// The library inverts the register at both ends.
    const INITIAL: u32 = !0xf597_a6cf;
    let mut hasher = crc32fast::Hasher::new_with_initial(INITIAL);
    for piece in pieces {
        hasher.update(piece);
    }
    !hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_definition_bit_by_bit() {
        let slow = |data: &[u8]| {
            data.iter().fold(0xf597_a6cf_u32, |crc, &byte| {
                (0..8).fold(crc ^ u32::from(byte), |crc, _| {
                    if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 }
                })
            })
        };
        for data in [&b""[..], b"1", b"123456789"] {
            assert_eq!(crc(&[data]), slow(data));
        }
        assert_eq!(crc(&[b"123", b"456789"]), slow(b"123456789"));
    }
}
