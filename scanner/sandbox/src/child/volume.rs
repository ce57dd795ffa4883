//! A volume whose bytes the scanner has.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agentless_core::cache::Cache;
use agentless_core::number::{to_u64, to_usize};
use agentless_core::volume::{Volume, VolumeError};

use super::link::Link;
use crate::protocol::frame::{Frame, WireError};
use crate::protocol::message::{FromChild, ToChild};

/// A volume that is asked for piece by piece. The pieces that were used last are kept.
#[derive(Debug)]
pub(super) struct RemoteVolume {
    link: Arc<Link>,
    number: u32,
    size: u64,
    piece: u32,
    kept: Mutex<Cache<Piece>>,
    /// Pieces that are named in one hint.
    hinted: usize,
}

/// The bytes of a piece.
#[derive(Clone, Debug)]
enum Piece {
    Zeros,
    Bytes(Arc<Vec<u8>>),
}

/// A read that is longer than a block of a snapshot, and so waits for several.
const LONG: usize = 512 << 10;
/// Runs of pieces that one message names.
const RUNS_AT_ONCE: usize = 1 << 12;

impl RemoteVolume {
    /// The volume with this number. Pieces are kept in `cache` bytes of memory, and `hinted` of them are named in one hint.
    pub(super) fn new(
        link: Arc<Link>,
        number: u32,
        (size, piece): (u64, u32),
        (cache, hinted): (u64, usize),
    ) -> Self {
        let piece = piece.max(1);
        let kept = Mutex::new(Cache::of_bytes(cache, u64::from(piece)));
        Self { link, number, size, piece, kept, hinted }
    }

    fn kept(&self) -> MutexGuard<'_, Cache<Piece>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A piece, from memory or from the scanner. To keep one costs memory that is touched for the first time, which takes as
    /// long as the rest of it.
    fn get(&self, piece: u64, keep: bool) -> Result<Piece, VolumeError> {
        if let Some(piece) = self.kept().get(piece) {
            return Ok(piece);
        }
        let failed = |error: WireError| VolumeError::Remote { reason: agentless_core::chain(&error) };
        let answer = self.link.ask(&FromChild::Read { volume: self.number, piece }).map_err(failed)?;
        let answer = match answer {
            Frame::Bytes(bytes) => Piece::Bytes(Arc::new(bytes)),
            Frame::Message(ToChild::Zeros) => Piece::Zeros,
            Frame::Message(ToChild::Failed { reason }) => return Err(VolumeError::Remote { reason }),
            Frame::Message(_) => return Err(failed(WireError::protocol("another answer than a piece"))),
        };
        if keep {
            self.kept().insert(piece, answer.clone());
        }
        Ok(answer)
    }
}

impl Volume for RemoteVolume {
    fn size(&self) -> u64 {
        self.size
    }

    fn piece(&self) -> u32 {
        self.piece
    }

    fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<(), VolumeError> {
        VolumeError::check_range(offset, dst.len(), self.size)?;
        let length = u64::from(self.piece);
        if dst.len() > LONG {
            // All of it is fetched together, though it is asked for piece by piece.
            self.prefetch(std::slice::from_ref(&(offset..offset.saturating_add(to_u64(dst.len())))));
        }
        let (mut rest, mut position) = (dst, offset);
        while !rest.is_empty() {
            let start = position % length;
            let part = rest.len().min(to_usize(length.saturating_sub(start)));
            let Some((now, later)) = rest.split_at_mut_checked(part) else { break };
            // Who reads a whole piece does not come back for the rest of it: it is content, not metadata.
            match self.get(position / length, to_u64(part) < length)? {
                Piece::Zeros => now.fill(0),
                Piece::Bytes(bytes) => {
                    let start = to_usize(start);
                    let source = bytes.get(start..start.saturating_add(part)).ok_or_else(|| {
                        VolumeError::Remote { reason: "a piece of the volume came cut short".to_owned() }
                    })?;
                    now.copy_from_slice(source);
                }
            }
            position = position.saturating_add(to_u64(part));
            rest = later;
        }
        Ok(())
    }

    fn prefetch(&self, ranges: &[Range<u64>]) {
        let length = u64::from(self.piece);
        let kept = self.kept();
        let inside = ranges.iter().map(|range| range.start..range.end.min(self.size));
        let pieces = inside
            .filter(|range| !range.is_empty())
            .flat_map(|range| range.start / length..=range.end.saturating_sub(1) / length)
            .take(self.hinted)
            .filter(|&piece| !kept.contains(piece));
        let mut runs: Vec<Range<u64>> = Vec::new();
        for piece in pieces {
            let next = piece.saturating_add(1);
            match runs.last_mut() {
                // Many short ranges of one piece are the rule.
                Some(last) if last.contains(&piece) => {}
                Some(last) if last.end == piece => last.end = next,
                _ => runs.push(piece..next),
            }
        }
        drop(kept);
        for pieces in runs.chunks(RUNS_AT_ONCE) {
            let hint = FromChild::Prefetch { volume: self.number, pieces: pieces.to_vec() };
            if self.link.send(&hint).is_err() {
                // The next read says why.
                return;
            }
        }
    }
}
