//! Where the bytes of an archive are.

use std::fmt::Debug;

use crate::extract::Input;
use crate::fs::{File, FsError};
use crate::volume::bytes::{to_u64, to_usize};

/// Bytes that are read here and there.
///
/// Without a position of its own, unlike `Read` and `Seek`: several entries of an archive can be open at the same time.
pub trait Source: Debug {
    /// How many bytes there are.
    fn size(&self) -> u64;

    /// Reads from `offset`, and returns how many bytes it gave: none only at the end.
    fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<usize, FsError>;

    /// Fills `dst`. Bytes that are not there are what a file that was cut short looks like.
    fn read_exact_at(&self, offset: u64, dst: &mut [u8]) -> Result<(), FsError> {
        let (mut offset, mut rest) = (offset, dst);
        while !rest.is_empty() {
            let count = self.read_at(offset, rest)?;
            if count == 0 {
                return Err(FsError::corrupt("the archive", "it ends before what should be in it"));
            }
            offset = offset.saturating_add(to_u64(count));
            rest = rest.get_mut(count..).unwrap_or_default();
        }
        Ok(())
    }
}

impl Source for File<'_> {
    fn size(&self) -> u64 {
        self.size()
    }

    fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<usize, FsError> {
        self.read_at(offset, dst)
    }
}

impl Source for Input<'_> {
    fn size(&self) -> u64 {
        self.size()
    }

    fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<usize, FsError> {
        self.read_at(offset, dst)
    }
}

impl Source for [u8] {
    fn size(&self) -> u64 {
        to_u64(self.len())
    }

    fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<usize, FsError> {
        let rest = self.get(to_usize(offset)..).unwrap_or_default();
        let count = rest.len().min(dst.len());
        for (to, from) in dst.iter_mut().zip(rest) {
            *to = *from;
        }
        Ok(count)
    }
}

impl<S: Source + ?Sized> Source for &S {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<usize, FsError> {
        (**self).read_at(offset, dst)
    }
}

/// An archive in another one.
#[derive(Debug)]
pub enum Nested<'a> {
    /// It is stored without compression: a part of the other one.
    InPlace {
        /// The archive that it is in.
        outer: &'a dyn Source,
        /// Where it starts there.
        offset: u64,
        /// How many bytes it has.
        size: u64,
    },
    /// It was decompressed.
    InMemory(Vec<u8>),
}

impl Source for Nested<'_> {
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
