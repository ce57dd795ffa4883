//! Pages that stand for those in the database file.

use std::collections::HashMap;

/// Pages that stand for those in the database file, in the file that they came from.
#[derive(Debug)]
pub(super) struct Overlay {
    /// How many pages the database has.
    pub(super) pages: u32,
    content: Vec<u8>,
    /// Where each page begins.
    places: HashMap<u32, usize>,
}

impl Overlay {
    /// None at all.
    pub(super) fn none(pages: u32) -> Self {
        Self { pages, content: Vec::new(), places: HashMap::new() }
    }

    pub(super) fn new(pages: u32, content: Vec<u8>, places: HashMap<u32, usize>) -> Self {
        Self { pages, content, places }
    }

    /// A page, if it is not that of the file.
    pub(super) fn page(&self, number: u32, page_size: usize) -> Option<&[u8]> {
        let start = *self.places.get(&number)?;
        self.content.get(start..start.checked_add(page_size)?)
    }
}
