//! A volume whose parts are parts of other volumes: what device-mapper's `linear`, `striped`, `zero` and `error` targets
//! make, and md's RAID0.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::ops::Range;

use super::bytes::{to_u64, to_usize};
use super::{SliceVolume, Unreadable, Volume, VolumeError};

/// Bytes of one hint that are passed on. Against a hint for petabytes in stripes of one sector, on volumes that are striped
/// themselves.
const HINT_BYTES: u64 = 1 << 30;

/// Parts, one behind the other.
#[derive(Debug)]
pub(crate) struct MappedVolume {
    /// By their ends, which ascend. No part is empty.
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    start: u64,
    end: u64,
    target: Target,
}

/// Where the bytes of a part are.
#[derive(Debug)]
pub(crate) enum Target {
    /// In one volume, which is as long as the part.
    Linear(SliceVolume),
    /// In turn in each of several volumes.
    Striped(Stripes),
    /// Nowhere: they are zero.
    Zero,
    /// Nowhere: they cannot be read.
    Error,
}

/// Volumes that hold the chunks of a part in turn.
#[derive(Debug)]
pub(crate) struct Stripes {
    /// The length of a chunk in bytes, at least one.
    chunk: u64,
    /// Not empty.
    volumes: Vec<SliceVolume>,
    /// Which volume has the first chunk.
    first: u64,
}

impl Stripes {
    /// `None` if there is no volume, or the chunks are empty.
    pub(crate) fn new(chunk: u64, volumes: Vec<SliceVolume>, first: u64) -> Option<Self> {
        (chunk > 0 && !volumes.is_empty()).then_some(Self { chunk, volumes, first })
    }

    fn count(&self) -> u64 {
        to_u64(self.volumes.len())
    }

    /// The volume that has the byte at `offset` of the part, the byte's offset there, and how many bytes of the chunk are
    /// left.
    fn find(&self, offset: u64) -> (Option<&SliceVolume>, u64, u64) {
        let chunk = offset.checked_div(self.chunk).unwrap_or(0);
        let inside = offset.checked_rem(self.chunk).unwrap_or(0);
        let row = chunk.checked_div(self.count()).unwrap_or(0);
        let which = self.first.saturating_add(chunk).checked_rem(self.count()).unwrap_or(0);
        let place = row.saturating_mul(self.chunk).saturating_add(inside);
        (self.volumes.get(to_usize(which)), place, self.chunk.saturating_sub(inside))
    }

    /// Tells each volume which bytes of a range that is not empty it has. They are contiguous in it.
    fn prefetch(&self, range: &Range<u64>) {
        let chunk_of = |offset: u64| offset.checked_div(self.chunk).unwrap_or(0);
        let (first, last) = (chunk_of(range.start), chunk_of(range.end.saturating_sub(1)));
        for chunk in (first..=last).take(self.volumes.len()) {
            // This chunk is the volume's first one in the range, and this its last one.
            let rows = last.saturating_sub(chunk).checked_div(self.count()).unwrap_or(0);
            let final_chunk = rows.saturating_mul(self.count()).saturating_add(chunk);
            let start = range.start.max(chunk.saturating_mul(self.chunk));
            let final_start = range.start.max(final_chunk.saturating_mul(self.chunk));
            let final_end = range.end.min(final_chunk.saturating_add(1).saturating_mul(self.chunk));
            if let (Some(volume), place, _) = self.find(start) {
                let (_, end, _) = self.find(final_start);
                let end = end.saturating_add(final_end.saturating_sub(final_start));
                volume.prefetch(std::slice::from_ref(&(place..end)));
            }
        }
    }
}

impl MappedVolume {
    /// The volume of these parts with their lengths. Empty parts are left out.
    ///
    /// # Errors
    ///
    /// [`Unreadable::Damaged`] if a part is longer than what is below it, or all together are longer than 2⁶⁴ bytes.
    pub(crate) fn new(targets: impl IntoIterator<Item = (u64, Target)>) -> Result<Self, Unreadable> {
        let mut parts: Vec<Part> = Vec::new();
        let mut start = 0_u64;
        for (length, target) in targets {
            let available = match &target {
                Target::Linear(volume) => volume.size(),
                // The shortest volume decides, because each chunk of the last row is whole.
                Target::Striped(stripes) => {
                    let shortest = stripes.volumes.iter().map(Volume::size).min().unwrap_or(0);
                    shortest.saturating_mul(stripes.count())
                }
                Target::Zero | Target::Error => u64::MAX,
            };
            if length > available {
                return Err(Unreadable::damaged(format!(
                    "a part of it has {length} bytes, but what it is made of only {available}"
                )));
            }
            let Some(end) = start.checked_add(length) else {
                return Err(Unreadable::damaged("it has more than 2^64 bytes"));
            };
            if length > 0 {
                parts.push(Part { start, end, target });
            }
            start = end;
        }
        Ok(Self { parts })
    }

    /// The parts that have bytes of this range, in order.
    fn parts(&self, range: &Range<u64>) -> impl Iterator<Item = &Part> {
        let first = self.parts.partition_point(|part| part.end <= range.start);
        let end = range.end;
        self.parts.iter().skip(first).take_while(move |part| part.start < end)
    }
}

impl Volume for MappedVolume {
    fn size(&self) -> u64 {
        self.parts.last().map_or(0, |part| part.end)
    }

    fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<(), VolumeError> {
        VolumeError::check_range(offset, dst.len(), self.size())?;
        let mut rest = dst;
        let mut position = offset;
        for part in self.parts(&(offset..offset.saturating_add(to_u64(rest.len())))) {
            let length = rest.len().min(to_usize(part.end.saturating_sub(position)));
            let (chunk, remaining) = rest.split_at_mut(length);
            part.target.read(position, position.saturating_sub(part.start), chunk)?;
            rest = remaining;
            position = part.end;
        }
        Ok(())
    }

    fn prefetch(&self, ranges: &[Range<u64>]) {
        let mut left = HINT_BYTES;
        for range in ranges {
            let range = range.start..range.end.min(range.start.saturating_add(left));
            left = left.saturating_sub(range.end.saturating_sub(range.start));
            for part in self.parts(&range) {
                let start = range.start.saturating_sub(part.start);
                let end = range.end.min(part.end).saturating_sub(part.start);
                match &part.target {
                    Target::Linear(volume) => volume.prefetch(std::slice::from_ref(&(start..end))),
                    Target::Striped(stripes) => stripes.prefetch(&(start..end)),
                    Target::Zero | Target::Error => {}
                }
            }
        }
    }
}

impl Target {
    /// Reads from `offset` within the part, which is `position` within the volume.
    fn read(&self, position: u64, offset: u64, dst: &mut [u8]) -> Result<(), VolumeError> {
        match self {
            Self::Linear(volume) => volume.read_at(offset, dst),
            Self::Striped(stripes) => {
                let (mut offset, mut rest) = (offset, dst);
                while !rest.is_empty() {
                    let (volume, place, left) = stripes.find(offset);
                    let length = rest.len().min(to_usize(left));
                    let (chunk, remaining) = rest.split_at_mut(length);
                    if let Some(volume) = volume {
                        volume.read_at(place, chunk)?;
                    }
                    offset = offset.saturating_add(left);
                    rest = remaining;
                }
                Ok(())
            }
            Self::Zero => {
                dst.fill(0);
                Ok(())
            }
            Self::Error => Err(VolumeError::unmapped(
                position,
                dst.len(),
                Unreadable::damaged("this part is mapped to the target `error`"),
            )),
        }
    }
}
