//! The four checksums that a filesystem can be made with, for metadata and for data.

use std::hash::Hasher;

use blake2::Blake2b256;
use sha2::{Digest, Sha256};
use twox_hash::XxHash64;

use super::FsError;
use crate::fs::checksum;

/// The room for a checksum in the superblock and in the header of a node, `BTRFS_CSUM_SIZE`.
pub(in crate::fs) const ROOM: usize = 32;

/// `enum btrfs_csum_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::fs) enum ChecksumType {
    Crc32c,
    Xxhash64,
    Sha256,
    Blake2b,
}

impl ChecksumType {
    /// From `csum_type` of the superblock.
    pub(in crate::fs) fn from_number(number: u16) -> Result<Self, FsError> {
        match number {
            0 => Ok(Self::Crc32c),
            1 => Ok(Self::Xxhash64),
            2 => Ok(Self::Sha256),
            3 => Ok(Self::Blake2b),
            _ => Err(FsError::Unsupported { feature: format!("Btrfs with checksums of type {number}") }),
        }
    }

    /// How many bytes of a checksum are recorded.
    pub(in crate::fs) fn size(self) -> usize {
        match self {
            Self::Crc32c => 4,
            Self::Xxhash64 => 8,
            Self::Sha256 | Self::Blake2b => 32,
        }
    }

    /// The checksum of `data`, as it is recorded; behind [`size`](Self::size) zeros.
    pub(in crate::fs) fn compute(self, data: &[u8]) -> [u8; ROOM] {
        let mut checksum = [0; ROOM];
        match self {
            Self::Crc32c => fill(&mut checksum, &crc32c::crc32c(data).to_le_bytes()),
            Self::Xxhash64 => {
                let mut hasher = XxHash64::with_seed(0);
                hasher.write(data);
                fill(&mut checksum, &hasher.finish().to_le_bytes());
            }
            Self::Sha256 => fill(&mut checksum, &Sha256::digest(data)),
            Self::Blake2b => fill(&mut checksum, &Blake2b256::digest(data)),
        }
        checksum
    }

    /// Whether `data` has the checksum that `recorded` begins with.
    pub(super) fn matches(self, data: &[u8], recorded: &[u8]) -> bool {
        let computed = self.compute(data);
        computed.get(..self.size()).is_some_and(|computed| recorded.get(..self.size()) == Some(computed))
    }
}

fn fill(room: &mut [u8; ROOM], checksum: &[u8]) {
    for (to, from) in room.iter_mut().zip(checksum) {
        *to = *from;
    }
}

/// The hash of names in directories, `btrfs_name_hash`: CRC-32C from the seed ¬1, with the register not inverted.
pub(super) fn name_hash(name: &[u8]) -> u32 {
    checksum::crc32c(!1, name)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn hex(kind: ChecksumType, data: &[u8]) -> String {
        let mut hex = String::new();
        for byte in &kind.compute(data)[..kind.size()] {
            write!(hex, "{byte:02x}").unwrap();
        }
        hex
    }

    /// The algorithms' own published values: the CRC catalogue, xxHash's reference, FIPS 180-4, RFC 7693's `b2sum -l 256`.
    #[test]
    fn known_values() {
        assert_eq!(hex(ChecksumType::Crc32c, b"123456789"), "839206e3");
        assert_eq!(hex(ChecksumType::Xxhash64, b""), "99e9d85137db46ef");
        assert_eq!(
            hex(ChecksumType::Sha256, b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            hex(ChecksumType::Blake2b, b""),
            "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"
        );
    }
}
