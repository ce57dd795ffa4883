//! Snapshots of LVM2's older kind: device-mapper's `snapshot` target with a persistent store of exceptions.
//! `drivers/md/dm-snap-persistent.c` of the kernel. All numbers are little-endian.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::fs::FsError;
use crate::limits::{Budget, Limits};
use crate::volume::bytes::{Bytes, to_u64, to_usize};
use crate::volume::{SliceVolume, Volume, VolumeError};

/// `SNAP_MAGIC`
const MAGIC: u32 = 0x7041_6e53;
/// `SNAPSHOT_DISK_VERSION`
const VERSION: u32 = 1;
/// `struct disk_exception`: a chunk of the snapshot and its place in the store.
const EXCEPTION: usize = 16;
const SECTOR: u64 = 512;

/// A volume that equals another one but for the chunks that are in its store.
#[derive(Debug)]
pub(super) struct SnapshotVolume {
    origin: SliceVolume,
    store: Arc<dyn Volume>,
    /// In bytes: at least one sector.
    chunk_size: u64,
    /// The chunks that are in the store, with their places there, sorted. Read when the first byte is: most snapshots are
    /// never looked into.
    exceptions: OnceLock<Result<Vec<(u64, u64)>, FsError>>,
    room: Arc<Room>,
    limits: Limits,
}

/// How many more chunks the snapshots together may have of their own, all of which are kept in memory.
#[derive(Debug)]
pub(super) struct Room(AtomicU64);

impl Room {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(limits.snapshot_exceptions)))
    }

    /// Takes room for one; false if there is none.
    fn take(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    fn give_back(&self, count: usize) {
        self.0.fetch_add(to_u64(count), Ordering::Relaxed);
    }
}

impl SnapshotVolume {
    /// Reads the store's header.
    pub(super) fn open(
        origin: SliceVolume,
        store: Arc<dyn Volume>,
        room: &Arc<Room>,
        limits: &Limits,
    ) -> Result<Self, FsError> {
        let mut header = vec![0; to_usize(store.size().min(SECTOR))];
        store.read_at(0, &mut header)?;
        let header = Bytes(&header);
        if header.le32(0)? != MAGIC {
            return Err(damaged("it has no magic number"));
        }
        if header.le32(4)? == 0 {
            return Err(damaged("it was marked invalid, as when it was full"));
        }
        let version = header.le32(8)?;
        if version != VERSION {
            return Err(FsError::Unsupported { feature: format!("a snapshot's store of version {version}") });
        }
        // The store's own size of chunks counts, not the volume group's: `persistent_read_metadata`.
        let chunk_size = u64::from(header.le32(12)?).saturating_mul(SECTOR);
        if chunk_size == 0 || chunk_size > store.size() {
            return Err(damaged(format!("its chunks have {chunk_size} bytes")));
        }
        Ok(Self {
            origin,
            store,
            chunk_size,
            exceptions: OnceLock::new(),
            room: Arc::clone(room),
            limits: limits.clone(),
        })
    }

    fn exceptions(&self) -> Result<&[(u64, u64)], String> {
        let result = self.exceptions.get_or_init(|| self.read_exceptions());
        result.as_deref().map_err(|error| crate::chain(error))
    }

    fn read_exceptions(&self) -> Result<Vec<(u64, u64)>, FsError> {
        let mut exceptions = Vec::new();
        match self.read_areas(&mut exceptions) {
            Ok(()) => {
                exceptions.sort_unstable();
                Ok(exceptions)
            }
            Err(error) => {
                self.room.give_back(exceptions.len());
                Err(error)
            }
        }
    }

    /// Reads all areas: one chunk of exceptions, then as many chunks of data, and so on behind the header.
    fn read_areas(&self, exceptions: &mut Vec<(u64, u64)>) -> Result<(), FsError> {
        let budget = Budget::new(&self.limits);
        let area_chunks = self.chunk_size.checked_div(to_u64(EXCEPTION)).unwrap_or(0).saturating_add(1);
        // A piece at a time: a chunk may be as large as the store.
        let mut piece = vec![0; to_usize(self.chunk_size.min(64 << 10))];
        let mut area = 1_u64;
        'areas: loop {
            let start = area.saturating_mul(self.chunk_size);
            if start.saturating_add(self.chunk_size) > self.store.size() {
                break;
            }
            let mut at = 0;
            while at < self.chunk_size {
                let length = to_usize(self.chunk_size.saturating_sub(at)).min(piece.len());
                let part = piece.get_mut(..length).unwrap_or_default();
                budget.bytes(to_u64(length))?;
                self.store.read_at(start.saturating_add(at), part)?;
                for exception in part.chunks_exact(EXCEPTION) {
                    budget.step()?;
                    let (old, new) = (Bytes(exception).le64(0)?, Bytes(exception).le64(8)?);
                    // No data is in the header's chunk: here the exceptions end.
                    if new == 0 {
                        break 'areas;
                    }
                    if !self.room.take() {
                        let limit = self.limits.snapshot_exceptions;
                        return Err(FsError::Limit {
                            what: "the number of the snapshots' own chunks (`snapshot_exceptions`)",
                            limit,
                        });
                    }
                    exceptions.push((old, new));
                }
                at = at.saturating_add(to_u64(length));
            }
            area = area.saturating_add(area_chunks);
        }
        Ok(())
    }

    /// The part of `offset..end` that begins with `offset` and is in one place: its length, and where it is in the store,
    /// if it is there.
    fn part(&self, exceptions: &[(u64, u64)], offset: u64, end: u64) -> (u64, Option<u64>) {
        let chunk = offset.checked_div(self.chunk_size).unwrap_or(0);
        let inside = offset.checked_rem(self.chunk_size).unwrap_or(0);
        let index = exceptions.partition_point(|&(old, _)| old < chunk);
        let (next, place) = match exceptions.get(index) {
            Some(&(old, new)) if old == chunk => {
                let place = new.saturating_mul(self.chunk_size).saturating_add(inside);
                (chunk.saturating_add(1), Some(place))
            }
            Some(&(old, _)) => (old, None),
            None => (u64::MAX, None),
        };
        let part_end = next.saturating_mul(self.chunk_size).min(end);
        (part_end.saturating_sub(offset), place)
    }
}

impl Volume for SnapshotVolume {
    fn size(&self) -> u64 {
        self.origin.size()
    }

    fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<(), VolumeError> {
        VolumeError::check_range(offset, dst.len(), self.size())?;
        let exceptions =
            self.exceptions().map_err(|reason| VolumeError::unmapped(offset, dst.len(), reason))?;
        let end = offset.saturating_add(to_u64(dst.len()));
        let (mut position, mut rest) = (offset, dst);
        while !rest.is_empty() {
            let (length, place) = self.part(exceptions, position, end);
            let (part, remaining) = rest.split_at_mut(to_usize(length).min(rest.len()));
            match place {
                Some(place) => self.store.read_at(place, part)?,
                None => self.origin.read_at(position, part)?,
            }
            position = position.saturating_add(length);
            rest = remaining;
        }
        Ok(())
    }

    fn prefetch(&self, ranges: &[Range<u64>]) {
        let Ok(exceptions) = self.exceptions() else { return };
        let (mut own, mut shared) = (Vec::new(), Vec::new());
        for range in ranges {
            let (mut position, end) = (range.start, range.end.min(self.size()));
            while position < end {
                let (length, place) = self.part(exceptions, position, end);
                match place {
                    Some(place) => own.push(place..place.saturating_add(length)),
                    None => shared.push(position..position.saturating_add(length)),
                }
                position = position.saturating_add(length);
            }
        }
        self.store.prefetch(&own);
        self.origin.prefetch(&shared);
    }
}

fn damaged(problem: impl Into<String>) -> FsError {
    FsError::corrupt("the snapshot's store", problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::MemoryVolume;

    #[test]
    fn snapshots_share_the_room_for_their_chunks() {
        let mut store = vec![0; 8 * 512];
        store[..4].copy_from_slice(&MAGIC.to_le_bytes());
        store[4..8].copy_from_slice(&1_u32.to_le_bytes());
        store[8..12].copy_from_slice(&VERSION.to_le_bytes());
        store[12..16].copy_from_slice(&1_u32.to_le_bytes());
        // Two chunks of its own.
        for (index, place) in [(0, 2_u64), (1, 3)] {
            store[512 + index * EXCEPTION + 8..][..8].copy_from_slice(&place.to_le_bytes());
        }
        let store: Arc<dyn Volume> = Arc::new(MemoryVolume::new(store));
        let limits = Limits { snapshot_exceptions: 5, ..Limits::default() };
        let room = Room::new(&limits);
        let read = || {
            let origin = SliceVolume::new(Arc::clone(&store), 0, 1024).unwrap();
            let snapshot = SnapshotVolume::open(origin, Arc::clone(&store), &room, &limits).unwrap();
            snapshot.read_at(0, &mut [0]).map_err(|error| crate::chain(&error))
        };
        read().unwrap();
        read().unwrap();
        let error = read().unwrap_err();
        assert!(
            error.ends_with(
                "the number of the snapshots' own chunks (`snapshot_exceptions`) exceeds the limit of 5"
            ),
            "{error}"
        );
        // What failed has given its room back.
        assert!(room.take() && !room.take());
    }
}
