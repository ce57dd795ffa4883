//! The hash of names, by which directories and extended attributes are sorted (kernel: `xfs_da_hashname` and
//! `xfs_ascii_ci_hashname`).
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

/// The hash of a name.
pub(super) fn hash(name: &[u8]) -> u32 {
    name.iter().fold(0, |hash: u32, &byte| u32::from(byte) ^ hash.rotate_left(7))
}

/// The hash of a name in a directory that does not regard case.
pub(super) fn hash_without_case(name: &[u8]) -> u32 {
    name.iter().fold(0, |hash: u32, &byte| u32::from(fold(byte)) ^ hash.rotate_left(7))
}

/// Whether two names are the same but for case.
pub(super) fn equal_without_case(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| fold(a) == fold(b))
}

/// The lower case of a letter of ISO 8859-1: what the kernel's `tolower` knew when the feature was made
/// (`xfs_ascii_ci_xfrm`).
fn fold(byte: u8) -> u8 {
    match byte {
        b'A'..=b'Z' | 0xc0..=0xd6 | 0xd8..=0xde => byte | 0x20,
        _ => byte,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_is_that_of_iso_8859_1() {
        assert!(equal_without_case(b"ABCxyz\xc4", b"abcXYZ\xe4"));
        assert!(
            !equal_without_case(b"\xd7", b"\xf7"),
            "the signs of multiplication and division are no letters"
        );
        assert_eq!(hash_without_case(b"README"), hash(b"readme"));
        assert_ne!(hash(b"README"), hash(b"readme"));
    }
}
