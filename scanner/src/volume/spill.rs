//! Blocks that no longer fit into memory.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// A temporary file without a name: it is gone when the scan is, however that ends.
#[derive(Debug)]
pub(super) struct Spill {
    file: File,
    block_size: u64,
    /// The place in the file, counted in blocks, of each block that it holds.
    places: HashMap<u64, u64>,
}

impl Spill {
    /// Makes the file in the system's directory for temporary files.
    pub(super) fn new(block_size: u32) -> io::Result<Self> {
        Ok(Self { file: tempfile::tempfile()?, block_size: u64::from(block_size), places: HashMap::new() })
    }

    pub(super) fn contains(&self, index: u64) -> bool {
        self.places.contains_key(&index)
    }

    /// Appends a block.
    pub(super) fn put(&mut self, index: u64, block: &[u8]) -> io::Result<()> {
        let place = u64::try_from(self.places.len()).map_err(io::Error::other)?;
        self.file.write_all_at(block, self.offset_of(place)?)?;
        self.places.insert(index, place);
        Ok(())
    }

    /// Reads a part of a block. `None` if the file does not hold it.
    pub(super) fn read(&self, index: u64, start: u64, dst: &mut [u8]) -> Option<io::Result<()>> {
        let place = *self.places.get(&index)?;
        Some(
            self.offset_of(place)
                .and_then(|offset| self.file.read_exact_at(dst, offset.saturating_add(start))),
        )
    }

    fn offset_of(&self, place: u64) -> io::Result<u64> {
        place.checked_mul(self.block_size).ok_or_else(|| io::ErrorKind::FileTooLarge.into())
    }
}
