//! The bytes of a database file, wherever its structures say that they are.

use std::collections::VecDeque;

use crate::fs::FsError;
use crate::limits::Limits;
use crate::read_at::ReadAt;
use crate::volume::bytes::{Truncated, to_u64, to_usize};

/// Bytes that are read together: pages that belong together mostly follow each other.
const PIECE: u64 = 32 << 10;
/// Pieces that are kept, 4 MiB in all.
const PIECES: usize = 128;
/// How often each byte of the file may be fetched on the average. Pages of a database that was in use for years are in any
/// order, so that a piece is fetched again when it was not kept; more than this is a file that was made to cost time.
const FETCHES: u64 = 8;

/// Why something could not be read.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is damaged. What else is there can be read.
    Damaged(String),
    /// It is behind the end of the file, which was cut off. What else is there can be read.
    Missing(String),
    /// Nothing more can be read.
    End(String),
}

impl Fault {
    pub(super) fn reason(self) -> String {
        match self {
            Self::Damaged(reason) | Self::Missing(reason) | Self::End(reason) => reason,
        }
    }
}

impl From<FsError> for Fault {
    fn from(error: FsError) -> Self {
        let reason = crate::chain(&error);
        if matches!(error, FsError::Limit { .. }) { Self::End(reason) } else { Self::Damaged(reason) }
    }
}

impl From<Truncated> for Fault {
    fn from(_: Truncated) -> Self {
        Self::Damaged("a structure ends before its fields do".to_owned())
    }
}

/// Takes each header of a database, or what is damaged or missing. It ends the reading with an error.
pub(super) type Emit<'a> = dyn FnMut(Result<&[u8], Fault>) -> Result<(), Fault> + 'a;

/// Passes on what is damaged or missing: the rest is read. What ends everything is an error.
pub(super) fn unless_damaged<T>(result: Result<T, Fault>, emit: &mut Emit<'_>) -> Result<Option<T>, Fault> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(end @ Fault::End(_)) => Err(end),
        Err(fault) => emit(Err(fault)).map(|()| None),
    }
}

/// A database file. It is not read as a whole: most of an SQLite file is indices, which nobody here needs, and a file is
/// larger than all that is kept of it.
pub(super) struct Store<'a> {
    file: &'a dyn ReadAt,
    /// The piece that was used last is the first.
    pieces: VecDeque<(u64, Vec<u8>)>,
    /// Bytes that may still be given.
    left: u64,
    /// Pieces that may still be fetched.
    fetches: u64,
    limit: u64,
}

impl<'a> Store<'a> {
    pub(super) fn new(file: &'a dyn ReadAt, limits: &Limits) -> Self {
        let limit = limits.file_bytes;
        let fetches = (limit / PIECE).saturating_add(1).saturating_mul(FETCHES);
        Self { file, pieces: VecDeque::new(), left: limit, fetches, limit }
    }

    /// The file's size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.file.size()
    }

    /// Appends `length` bytes from `offset` on to `to`. No memory is taken for bytes that the file does not have.
    pub(super) fn append(&mut self, offset: u64, length: usize, to: &mut Vec<u8>) -> Result<(), Fault> {
        let missing = || Fault::Missing(format!("it ends before the {length} bytes at offset {offset}"));
        let end = offset.checked_add(to_u64(length)).filter(|&end| end <= self.size());
        let end = end.ok_or_else(missing)?;
        let Some(left) = self.left.checked_sub(to_u64(length)) else { return Err(self.too_much()) };
        self.left = left;
        let mut at = offset;
        while at < end {
            let number = at / PIECE;
            let start = number.saturating_mul(PIECE);
            let from = to_usize(at.saturating_sub(start));
            let until = to_usize(end.saturating_sub(start).min(PIECE));
            let bytes = self.piece(number)?.get(from..until).ok_or_else(missing)?;
            to.extend_from_slice(bytes);
            at = start.saturating_add(PIECE);
        }
        Ok(())
    }

    /// `length` bytes from `offset` on.
    pub(super) fn get(&mut self, offset: u64, length: usize) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::new();
        self.append(offset, length, &mut bytes)?;
        Ok(bytes)
    }

    fn piece(&mut self, number: u64) -> Result<&[u8], Fault> {
        let kept = self.pieces.iter().position(|(kept, _)| *kept == number);
        let piece = if let Some(piece) = kept.and_then(|index| self.pieces.remove(index)) {
            piece
        } else {
            let Some(fetches) = self.fetches.checked_sub(1) else { return Err(self.too_much()) };
            self.fetches = fetches;
            let mut bytes = vec![0; to_usize(PIECE)];
            let count = self.file.read_at(number.saturating_mul(PIECE), &mut bytes)?;
            bytes.truncate(count);
            self.pieces.truncate(PIECES.saturating_sub(1));
            (number, bytes)
        };
        self.pieces.push_front(piece);
        Ok(self.pieces.front().map(|(_, bytes)| bytes.as_slice()).unwrap_or_default())
    }

    fn too_much(&self) -> Fault {
        Fault::End(format!("more of it would have to be read than {} bytes (`file_bytes`)", self.limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_what_is_there() {
        let content: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let file = content.as_slice();
        let limits = Limits::default();
        let mut store = Store::new(&file, &limits);
        for (offset, length) in [(0, 0), (0, 4), (32_767, 2), (1, 3_000_000), (3_999_999, 1), (70_000, 8)] {
            let end = offset + length;
            assert_eq!(store.get(u64::try_from(offset).unwrap(), length).unwrap(), content[offset..end]);
        }
        assert!(matches!(store.get(3_999_999, 2), Err(Fault::Missing(_))));
        assert!(matches!(store.get(u64::MAX, 2), Err(Fault::Missing(_))));
    }

    #[test]
    fn reading_ends_at_the_limit() {
        let content = vec![0; 1 << 20];
        let file = content.as_slice();
        let limits = Limits { file_bytes: 100_000, ..Limits::default() };
        let mut store = Store::new(&file, &limits);
        store.get(0, 90_000).unwrap();
        assert!(matches!(store.get(0, 20_000), Err(Fault::End(reason)) if reason.contains("file_bytes")));
        let mut store = Store::new(&file, &Limits { file_bytes: 1000, ..Limits::default() });
        let fetched = (0..32).take_while(|piece| store.get(piece * PIECE, 1).is_ok()).count();
        assert_eq!(to_u64(fetched), FETCHES);
    }
}
