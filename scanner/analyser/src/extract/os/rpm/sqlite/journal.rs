//! The rollback journal: pages as they were before a change. One that is left is of a change that was not finished.

use std::collections::HashMap;

use super::overlay::Overlay;
use crate::volume::bytes::{Bytes, to_usize};

const MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
/// A number of pages that stands for all that there are.
const ALL: u32 = u32::MAX;
/// Every so many bytes of a page, from its end on, one is in its checksum.
const CHECKED: usize = 200;

/// The pages that undo what was not finished. `None` if the journal is of a change that was, or was never begun.
pub(super) fn undo(journal: Vec<u8>, page_size: usize) -> Option<Overlay> {
    let first = Segment::read(&journal, 0, page_size)?;
    let mut places = HashMap::new();
    let mut next = Some((first, 0));
    while let Some((segment, start)) = next {
        let (last, end) = segment.pages(&journal, start, page_size, &mut places);
        // What is behind a damaged page was not written before the change began.
        next = last.then_some(()).and_then(|()| {
            let start = end.checked_next_multiple_of(segment.sector)?;
            Some((Segment::read(&journal, start, page_size)?, start))
        });
    }
    (!places.is_empty()).then(|| Overlay::new(first.pages_before, journal, places))
}

/// A part of a journal: a header in a sector of its own, and pages.
#[derive(Clone, Copy, Debug)]
struct Segment {
    count: u32,
    /// What the checksums begin with.
    nonce: u32,
    /// How many pages the database had.
    pages_before: u32,
    sector: usize,
}

impl Segment {
    fn read(journal: &[u8], at: usize, page_size: usize) -> Option<Self> {
        let bytes = Bytes(journal.get(at..)?);
        let sector = bytes.be32(20).ok()?;
        let is_whole = bytes.array(0).ok()? == MAGIC && to_usize(bytes.be32(24).ok()?) == page_size;
        let is_sector = sector.is_power_of_two() && (32..=65536).contains(&sector);
        (is_whole && is_sector).then_some(Self {
            count: bytes.be32(8).ok()?,
            nonce: bytes.be32(12).ok()?,
            pages_before: bytes.be32(16).ok()?,
            sector: to_usize(sector),
        })
    }

    /// Adds its pages to `places`. Whether all were there, and where they end.
    fn pages(
        self,
        journal: &[u8],
        start: usize,
        page_size: usize,
        places: &mut HashMap<u32, usize>,
    ) -> (bool, usize) {
        let mut at = start.saturating_add(self.sector);
        let mut left = self.count;
        while left > 0 {
            let Some(number) = self.page(journal, at, page_size) else { return (self.count == ALL, at) };
            // A page is in a journal once. Of one that is not, the first is the older.
            let page = at.saturating_add(4);
            places.entry(number).or_insert(page);
            at = at.saturating_add(page_size).saturating_add(8);
            left = left.saturating_sub(1);
        }
        (true, at)
    }

    /// The number of the page at `at`, if its checksum is right.
    fn page(self, journal: &[u8], at: usize, page_size: usize) -> Option<u32> {
        let bytes = Bytes(journal.get(at..)?);
        let page = bytes.get(4, page_size).ok()?;
        let checked = page.iter().rev().skip(CHECKED.saturating_sub(1)).step_by(CHECKED);
        let sum = checked.fold(self.nonce, |sum, &byte| sum.wrapping_add(u32::from(byte)));
        let recorded = bytes.be32(page_size.checked_add(4)?).ok()?;
        let number = bytes.be32(0).ok()?;
        (sum == recorded && number != 0).then_some(number)
    }
}
