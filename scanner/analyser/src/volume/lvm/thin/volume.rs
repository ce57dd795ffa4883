//! A thin volume as a volume.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::ops::Range;
use std::sync::Arc;

use super::Pool;
use super::btree::Run;
use crate::fs::FsError;
use crate::volume::bytes::{to_u64, to_usize};
use crate::volume::{Volume, VolumeError};

/// Runs that one hint looks up. Against a hint for petabytes, all of it in single blocks.
const RUNS_A_HINT: u32 = 1 << 16;

/// A volume whose blocks are allocated in a pool when they are first written.
#[derive(Debug)]
pub(in super::super) struct ThinVolume {
    pool: Arc<Pool>,
    /// The root of its tree of blocks.
    root: u64,
    size: u64,
    /// What shows where nothing was written; without it that is zero.
    external_origin: Option<Arc<dyn Volume>>,
}

impl ThinVolume {
    /// The thin volume with this number in the pool.
    pub(in super::super) fn open(
        pool: Arc<Pool>,
        device: u64,
        size: u64,
        external_origin: Option<Arc<dyn Volume>>,
    ) -> Result<Self, FsError> {
        let root = pool.device_root(device)?;
        Ok(Self { pool, root, size, external_origin })
    }

    /// The part of `offset..end` that begins with `offset` and is in one place: its length and where it is in the pool's
    /// data.
    pub(super) fn part(&self, offset: u64, end: u64) -> Result<(u64, Option<u64>), FsError> {
        let block_size = self.pool.superblock.block_size;
        let block = offset.checked_div(block_size).unwrap_or(0);
        let inside = offset.checked_rem(block_size).unwrap_or(0);
        let wanted = end.div_ceil(block_size).saturating_sub(block);
        let Run { start, blocks } = self.pool.run(self.root, block, wanted)?;
        let available = blocks.saturating_mul(block_size).saturating_sub(inside);
        let place = start.map(|start| start.saturating_mul(block_size).saturating_add(inside));
        Ok((available.min(end.saturating_sub(offset)), place))
    }

    /// Reads what was never written.
    fn read_hole(&self, offset: u64, dst: &mut [u8]) -> Result<(), VolumeError> {
        dst.fill(0);
        let Some(origin) = &self.external_origin else { return Ok(()) };
        // The origin may be shorter than the volume has become.
        let length = to_usize(origin.size().saturating_sub(offset)).min(dst.len());
        match dst.get_mut(..length) {
            Some(part) if length > 0 => origin.read_at(offset, part),
            _ => Ok(()),
        }
    }
}

impl Volume for ThinVolume {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<(), VolumeError> {
        VolumeError::check_range(offset, dst.len(), self.size)?;
        let end = offset.saturating_add(to_u64(dst.len()));
        let (mut position, mut rest) = (offset, dst);
        while !rest.is_empty() {
            let (length, place) = self
                .part(position, end)
                .map_err(|error| VolumeError::unmapped(position, rest.len(), error))?;
            let (part, remaining) = rest.split_at_mut(to_usize(length).min(rest.len()));
            match place {
                Some(place) => self.pool.data.read_at(place, part)?,
                None => self.read_hole(position, part)?,
            }
            position = position.saturating_add(length);
            rest = remaining;
        }
        Ok(())
    }

    fn prefetch(&self, ranges: &[Range<u64>]) {
        let (mut data, mut holes) = (Vec::new(), Vec::new());
        let mut left = RUNS_A_HINT;
        for range in ranges {
            let (mut position, end) = (range.start, range.end.min(self.size));
            while position < end {
                let Some(next) = left.checked_sub(1) else { break };
                left = next;
                let Ok((length, place)) = self.part(position, end) else { break };
                match place {
                    Some(place) => data.push(place..place.saturating_add(length)),
                    None => holes.push(position..position.saturating_add(length)),
                }
                position = position.saturating_add(length);
            }
        }
        self.pool.data.prefetch(&data);
        if let Some(origin) = &self.external_origin {
            holes.retain_mut(|hole| {
                hole.end = hole.end.min(origin.size());
                hole.start < hole.end
            });
            origin.prefetch(&holes);
        }
    }
}
