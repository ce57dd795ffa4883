//! A volume whose parts are parts of other volumes: what device-mapper's `linear`, `striped`, `zero` and `error` targets
//! make, and md's RAID0.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::ops::Range;

use super::bytes::{to_u64, to_usize};
use super::{SliceVolume, Unreadable, Volume, VolumeError};

/// Bytes of one hint that are passed on. Against a hint for petabytes in the smallest stripes, on volumes that are striped
/// themselves.
const HINT_BYTES: u64 = 256 << 20;

/// The smallest chunk that LVM2 (`STRIPE_SIZE_MIN`) and `mdadm` make. Against chunks of a sector, each of which costs as
/// much as a whole read.
pub(crate) const SMALLEST_CHUNK: u64 = 4096;

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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;

    use super::*;

    /// A volume whose bytes say where they are, and that writes down what it is told to prefetch.
    #[derive(Debug)]
    struct Recorder {
        number: u64,
        size: u64,
        hints: Arc<Mutex<Vec<(u64, u64)>>>,
    }

    impl Recorder {
        fn byte(number: u64, offset: u64) -> u8 {
            u8::try_from((number * 131 + offset * 7 + offset / 256) % 251).unwrap()
        }
    }

    impl Volume for Recorder {
        fn size(&self) -> u64 {
            self.size
        }

        fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<(), VolumeError> {
            VolumeError::check_range(offset, dst.len(), self.size)?;
            for (byte, position) in dst.iter_mut().zip(offset..) {
                *byte = Self::byte(self.number, position);
            }
            Ok(())
        }

        fn prefetch(&self, ranges: &[Range<u64>]) {
            let bytes = ranges.iter().flat_map(|range| range.clone().map(|offset| (self.number, offset)));
            self.hints.lock().unwrap().extend(bytes);
        }
    }

    /// The kinds of parts with their sizes: linear, striped with a number of stripes, zero.
    fn parts() -> impl Strategy<Value = Vec<(u64, u64, u64)>> {
        proptest::collection::vec((0_u64..5, 1_u64..5, 0_u64..40), 1..5)
    }

    proptest! {
        /// Every byte comes from where the definition of each target says, and a hint reaches exactly these bytes.
        #[test]
        fn reads_and_hints_go_where_the_parts_are(
            parts in parts(), first in 0_u64..7, cut in any::<(prop::sample::Index, prop::sample::Index)>()
        ) {
            let hints = Arc::new(Mutex::new(Vec::new()));
            let volume = |number, size| {
                let whole = Arc::new(Recorder { number, size: size + 3, hints: Arc::clone(&hints) });
                SliceVolume::new(whole, 3, size).unwrap()
            };
            let (mut targets, mut places, mut number) = (Vec::new(), Vec::new(), 0);
            for (stripes, chunk, rows) in parts {
                let length = rows * chunk * stripes.max(1);
                let target = match stripes {
                    0 => Target::Zero,
                    1 => Target::Linear(volume(number, length)),
                    _ => {
                        let volumes = (0..stripes).map(|stripe| volume(number + stripe, rows * chunk)).collect();
                        Target::Striped(Stripes::new(chunk, volumes, first).unwrap())
                    }
                };
                places.extend((0..length).map(|offset| (stripes > 0).then(|| {
                    let (turn, inside) = (offset / chunk, offset % chunk);
                    match stripes {
                        1 => (number, offset + 3),
                        _ => (number + (turn + first) % stripes, turn / stripes * chunk + inside + 3),
                    }
                })));
                targets.push((length, target));
                number += stripes;
            }
            let mapped = MappedVolume::new(targets).unwrap();
            prop_assert_eq!(mapped.size(), u64::try_from(places.len()).unwrap());
            let (start, end) = (cut.0.index(places.len() + 1), cut.1.index(places.len() + 1));
            let (start, end) = (start.min(end), start.max(end));
            let mut read = vec![1; end - start];
            mapped.read_at(start.try_into().unwrap(), &mut read).unwrap();
            let wanted: Vec<_> = places[start..end].to_vec();
            let expected: Vec<u8> =
                wanted.iter().map(|place| place.map_or(0, |(number, offset)| Recorder::byte(number, offset))).collect();
            prop_assert_eq!(read, expected);

            mapped.prefetch(std::slice::from_ref(&(start.try_into().unwrap()..end.try_into().unwrap())));
            let mut hinted = std::mem::take(&mut *hints.lock().unwrap());
            let mut wanted: Vec<_> = wanted.into_iter().flatten().collect();
            hinted.sort_unstable();
            wanted.sort_unstable();
            prop_assert_eq!(hinted, wanted);
        }
    }

    #[test]
    fn parts_that_are_longer_than_what_they_are_made_of_are_refused() {
        let volume = |size| {
            let whole = Recorder { number: 0, size, hints: Arc::default() };
            SliceVolume::new(Arc::new(whole), 0, size).unwrap()
        };
        let error = MappedVolume::new([(11, Target::Linear(volume(10)))]).unwrap_err();
        assert_eq!(error.to_string(), "a part of it has 11 bytes, but what it is made of only 10");
        let stripes = || Stripes::new(2, vec![volume(10), volume(8)], 0).unwrap();
        assert_eq!(MappedVolume::new([(16, Target::Striped(stripes()))]).unwrap().size(), 16);
        assert!(MappedVolume::new([(17, Target::Striped(stripes()))]).is_err());
        let error = MappedVolume::new([(u64::MAX, Target::Zero), (1, Target::Zero)]).unwrap_err();
        assert_eq!(error.to_string(), "it has more than 2^64 bytes");
        assert!(Stripes::new(0, vec![volume(1)], 0).is_none());
        assert!(Stripes::new(1, Vec::new(), 0).is_none());
    }

    #[test]
    fn a_hint_for_everything_ends_in_stripes_of_stripes() {
        let zero = MappedVolume::new([(1 << 34, Target::Zero)]).unwrap();
        let mut below: Arc<dyn Volume> = Arc::new(zero);
        for _ in 0..10 {
            let slices =
                (0..100).map(|_| SliceVolume::new(Arc::clone(&below), 0, 1 << 32).unwrap()).collect();
            let stripes = Stripes::new(SMALLEST_CHUNK, slices, 0).unwrap();
            below = Arc::new(MappedVolume::new([(1 << 34, Target::Striped(stripes))]).unwrap());
        }
        below.prefetch(std::slice::from_ref(&(0..1 << 20)));
        below.prefetch(std::slice::from_ref(&(0..u64::MAX)));
    }
}
