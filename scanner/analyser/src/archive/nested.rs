//! Archives in archives.

use crate::fs::FsError;
use crate::read_at::ReadAt;
use crate::volume::bytes::{to_u64, to_usize};

/// An archive in another one.
#[derive(Debug)]
pub enum Nested<'a> {
    /// It is stored without compression: a part of the other one.
    InPlace {
        /// The archive that it is in.
        outer: &'a dyn ReadAt,
        /// Where it starts there.
        offset: u64,
        /// How many bytes it has.
        size: u64,
    },
    /// It was decompressed.
    InMemory(Vec<u8>),
}

impl ReadAt for Nested<'_> {
    fn size(&self) -> u64 {
        match self {
            Self::InPlace { size, .. } => *size,
            Self::InMemory(content) => to_u64(content.len()),
        }
    }

    fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<usize, FsError> {
        match self {
            Self::InPlace { outer, offset: start, size } => {
                let most = to_usize(size.saturating_sub(offset)).min(dst.len());
                let dst = dst.get_mut(..most).unwrap_or_default();
                if dst.is_empty() { Ok(0) } else { outer.read_at(start.saturating_add(offset), dst) }
            }
            Self::InMemory(content) => content.as_slice().read_at(offset, dst),
        }
    }
}
