//! The checksums of version 5 metadata: CRC-32C of a whole structure, computed as if the checksum's own field were zero,
//! and stored little-endian in a format that is otherwise big-endian (kernel: `fs/xfs/libxfs/xfs_cksum.h`).
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use crate::volume::bytes::{Bytes, Truncated};

/// The checksum that `structure` should have in its field at `field`.
pub(super) fn crc(structure: &[u8], field: usize) -> Result<u32, Truncated> {
    let bytes = Bytes(structure);
    let before = bytes.get(0, field)?;
    let behind = field.saturating_add(4);
    let after = bytes.get(behind, structure.len().saturating_sub(behind))?;
    let crc = crc32c::crc32c_append(crc32c::crc32c(before), &[0; 4]);
    Ok(crc32c::crc32c_append(crc, after))
}

/// Whether the field at `field` holds the checksum of `structure`.
pub(super) fn is_right(structure: &[u8], field: usize) -> Result<bool, Truncated> {
    Ok(crc(structure, field)? == Bytes(structure).le32(field)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_itself_counts_as_zeros() {
        let mut structure = *b"123456789\xff\xff\xff\xffabc";
        let expected = crc32c::crc32c(b"123456789\0\0\0\0abc");
        assert_eq!(crc(&structure, 9).unwrap(), expected);
        assert!(!is_right(&structure, 9).unwrap());
        structure[9..13].copy_from_slice(&expected.to_le_bytes());
        assert!(is_right(&structure, 9).unwrap());
        assert!(is_right(&structure, 13).is_err(), "the field is not within the structure");
    }
}
