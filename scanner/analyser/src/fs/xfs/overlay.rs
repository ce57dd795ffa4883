//! Bytes that the log replaces.
//!
//! The log's unit is the basic block of 512 bytes, and so is the overlay's: an inode is one of them, a block of a directory
//! eight. What recovery changed is kept whole, with its checksum computed again, so that a reader cannot tell it from what
//! the kernel would have written.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::BTreeMap;

use crate::volume::bytes::{to_u64, to_usize};

/// `BBSIZE`, the size of a basic block.
const BASIC_BLOCK: usize = 512;
/// The same as an offset's unit.
const UNIT: u64 = 512;

/// The replaced basic blocks of a filesystem; none after a clean unmount.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    replaced: BTreeMap<u64, Box<[u8; BASIC_BLOCK]>>,
}

impl Overlay {
    /// Whether nothing is replaced.
    pub(super) fn is_empty(&self) -> bool {
        self.replaced.is_empty()
    }

    /// How many more bytes of memory [`replace`](Self::replace) will take: what is replaced already takes none.
    pub(super) fn added_by(&self, number: u64, content: &[u8]) -> u64 {
        /// With its place in the tree.
        const EACH: u64 = UNIT + 64;

        let count = to_u64(content.len() / BASIC_BLOCK);
        let replaced = self.replaced.range(number..number.saturating_add(count)).count();
        count.saturating_sub(to_u64(replaced)).saturating_mul(EACH)
    }

    /// Whether any of `length` bytes at `offset` is replaced.
    pub(super) fn touches(&self, offset: u64, length: u32) -> bool {
        let end = offset.saturating_add(u64::from(length));
        self.replaced.range(offset / UNIT..end.div_ceil(UNIT)).next().is_some()
    }

    /// Patches `dst`, which holds what the volume has at `offset`.
    pub(super) fn apply(&self, offset: u64, dst: &mut [u8]) {
        if self.is_empty() {
            return;
        }
        let end = offset.saturating_add(to_u64(dst.len()));
        for (&number, content) in self.replaced.range(offset / UNIT..end.div_ceil(UNIT)) {
            let start = number.saturating_mul(UNIT);
            // What the basic block and `dst` have in common, from the start of each.
            let skipped = to_usize(offset.saturating_sub(start));
            let at = to_usize(start.saturating_sub(offset));
            let source = content.get(skipped..).unwrap_or_default();
            let target = dst.get_mut(at..).unwrap_or_default();
            let length = source.len().min(target.len());
            if let (Some(target), Some(source)) = (target.get_mut(..length), source.get(..length)) {
                target.copy_from_slice(source);
            }
        }
    }

    /// Replaces whole basic blocks; `number` is the first one's.
    pub(super) fn replace(&mut self, number: u64, content: &[u8]) {
        for (number, block) in (number..).zip(content.as_chunks::<BASIC_BLOCK>().0) {
            self.replaced.insert(number, Box::new(*block));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn reading_through_the_overlay_is_reading_what_it_makes_of_the_volume(
            replacements in proptest::collection::vec((0_u64..8, 1_usize..4), 0..5),
            offset in 0_usize..4096,
            length in 0_usize..3000,
        ) {
            let mut volume = vec![0; 16 * BASIC_BLOCK];
            let untouched = volume.clone();
            let mut overlay = Overlay::default();
            for (value, (number, count)) in (1_u8..).zip(replacements) {
                let content = vec![value; count * BASIC_BLOCK];
                volume[to_usize(number) * BASIC_BLOCK..][..content.len()].copy_from_slice(&content);
                overlay.replace(number, &content);
            }
            let mut read = untouched[offset..offset + length].to_vec();
            overlay.apply(to_u64(offset), &mut read);
            prop_assert_eq!(&read, &volume[offset..offset + length]);
            let length_32 = u32::try_from(length).unwrap();
            prop_assert!(overlay.touches(to_u64(offset), length_32) || read == untouched[offset..offset + length]);
        }
    }
}
