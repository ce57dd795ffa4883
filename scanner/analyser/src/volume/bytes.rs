//! Numbers out of on-disk structures, without a panic for any input.

pub(crate) use agentless_core::number::{to_u64, to_usize};

use crate::fs::FsError;

/// The bytes of one on-disk structure. Field accessors take the field's offset as the format's specification gives it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

/// A structure is shorter than the fields it must have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Truncated {
    at: usize,
    len: usize,
}

impl<'a> Bytes<'a> {
    /// `len` bytes at `at`.
    pub(crate) fn get(self, at: usize, len: usize) -> Result<&'a [u8], Truncated> {
        let end = at.checked_add(len).ok_or(Truncated { at, len })?;
        self.0.get(at..end).ok_or(Truncated { at, len })
    }

    /// `N` bytes at `at`, as an array.
    pub(crate) fn array<const N: usize>(self, at: usize) -> Result<[u8; N], Truncated> {
        let slice = self.get(at, N)?;
        <[u8; N]>::try_from(slice).map_err(|_| Truncated { at, len: N })
    }

    pub(crate) fn u8(self, at: usize) -> Result<u8, Truncated> {
        Ok(u8::from_le_bytes(self.array(at)?))
    }

    pub(crate) fn le16(self, at: usize) -> Result<u16, Truncated> {
        Ok(u16::from_le_bytes(self.array(at)?))
    }

    pub(crate) fn le32(self, at: usize) -> Result<u32, Truncated> {
        Ok(u32::from_le_bytes(self.array(at)?))
    }

    pub(crate) fn le64(self, at: usize) -> Result<u64, Truncated> {
        Ok(u64::from_le_bytes(self.array(at)?))
    }

    pub(crate) fn be16(self, at: usize) -> Result<u16, Truncated> {
        Ok(u16::from_be_bytes(self.array(at)?))
    }

    pub(crate) fn be32(self, at: usize) -> Result<u32, Truncated> {
        Ok(u32::from_be_bytes(self.array(at)?))
    }

    pub(crate) fn be64(self, at: usize) -> Result<u64, Truncated> {
        Ok(u64::from_be_bytes(self.array(at)?))
    }
}

impl From<Truncated> for FsError {
    fn from(Truncated { at, len }: Truncated) -> Self {
        Self::Corrupt {
            structure: "an on-disk structure".to_owned(),
            problem: format!("it ends before its field of {len} bytes at offset {at}"),
        }
    }
}
