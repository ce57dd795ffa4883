//! Bytes that are read here and there.

use std::fmt::Debug;

use crate::extract::Input;
use crate::fs::{File, FsError};
use crate::volume::bytes::{to_u64, to_usize};

/// Bytes that are read here and there: a file, or what is in memory.
///
/// Without a position of its own, unlike `Read` and `Seek`: several entries of an archive can be open at the same time.
pub trait ReadAt: Debug {
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

impl ReadAt for File<'_> {
    fn size(&self) -> u64 {
        self.size()
    }

    fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<usize, FsError> {
        self.read_at(offset, dst)
    }
}

impl ReadAt for Input<'_> {
    fn size(&self) -> u64 {
        self.size()
    }

    fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<usize, FsError> {
        self.read_at(offset, dst)
    }
}

impl ReadAt for [u8] {
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

impl<S: ReadAt + ?Sized> ReadAt for &S {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<usize, FsError> {
        (**self).read_at(offset, dst)
    }
}
