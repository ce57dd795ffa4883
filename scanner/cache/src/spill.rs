//! Blocks that no longer fit into memory.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// A temporary file without a name: it is gone when the scan is, however that ends. Made when the first block needs it, in
/// the system's directory for temporary files.
///
/// Knows which block is where; reading and writing are the work of a [`Place`], so that no lock needs to be held for them.
#[derive(Debug, Default)]
pub(super) struct Spill {
    file: Option<Arc<File>>,
    /// Where in the file the next block goes.
    end: u64,
    /// Where in the file each block is that was written.
    starts: HashMap<u64, u64>,
}

/// Where in the file a block is.
#[derive(Clone, Debug)]
pub(super) struct Place {
    file: Arc<File>,
    start: u64,
}

impl Spill {
    /// A place for one more block.
    pub(super) fn reserve(&mut self, block_size: u32) -> io::Result<Place> {
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(Arc::new(tempfile::tempfile()?)),
        };
        let place = Place { file: Arc::clone(file), start: self.end };
        self.end = self.end.checked_add(u64::from(block_size)).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(place)
    }

    /// Takes note that a block was written to its place.
    pub(super) fn note(&mut self, index: u64, place: &Place) {
        self.starts.insert(index, place.start);
    }

    pub(super) fn contains(&self, index: u64) -> bool {
        self.starts.contains_key(&index)
    }

    /// Where a block is. `None` if the file does not hold it.
    pub(super) fn place(&self, index: u64) -> Option<Place> {
        Some(Place { file: Arc::clone(self.file.as_ref()?), start: *self.starts.get(&index)? })
    }
}

impl Place {
    pub(super) fn write(&self, block: &[u8]) -> io::Result<()> {
        self.file.write_all_at(block, self.start)
    }

    /// Reads the part of the block at `start` that fills `dst`.
    pub(super) fn read(&self, start: u64, dst: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(dst, self.start.saturating_add(start))
    }
}
