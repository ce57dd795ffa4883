//! Zip archives, as APPNOTE.TXT 6.3.10 of PKWARE describes them.
//!
//! The central directory says what is in an archive; what the local headers repeat of it is not looked at. Written here
//! because the crates for it believe the directory's counts when they allocate, keep every field of every entry, and drop
//! one of two entries of the same name without a word.
//!
//! ```text
//! let allowance = Allowance::new(limits);
//! let archive = Archive::read(input, &allowance)?;
//! for entry in archive.entries() {
//!     let content = archive.read_all(entry, limits.small_file_bytes, &allowance)?;
//! }
//! ```

mod content;
mod directory;
mod end;
mod entry;
#[cfg(test)]
pub(crate) mod test_archive;
#[cfg(test)]
mod tests;

pub use content::{Content, Place};
pub use entry::Entry;

use super::{Allowance, Nested};
use crate::fs::FsError;
use crate::read_at::ReadAt;
use crate::volume::bytes::to_u64;
use directory::Directory;

/// A zip archive whose directory was read.
#[derive(Debug)]
pub struct Archive<S> {
    source: S,
    directory: Directory,
    /// In how many others it is.
    depth: u32,
    /// How much memory is left for those in it.
    memory: u64,
}

impl<S: ReadAt> Archive<S> {
    /// Reads the directory of an archive. What is wrong with parts of it is in [`problems`](Self::problems); an error means
    /// that nothing could be read.
    pub fn read(source: S, allowance: &Allowance) -> Result<Self, FsError> {
        Self::read_within(source, 0, allowance.limits().file_bytes, allowance)
    }

    fn read_within(source: S, depth: u32, memory: u64, allowance: &Allowance) -> Result<Self, FsError> {
        let directory = Directory::read(&source, memory, allowance)?;
        let memory = memory.saturating_sub(directory.memory());
        Ok(Self { source, directory, depth, memory })
    }

    /// What is in it, in the order of the directory. None leads out of it.
    pub fn entries(&self) -> &[Entry] {
        &self.directory.entries
    }

    /// What is wrong with the directory: the entries that are meant are not listed.
    pub fn problems(&self) -> &[FsError] {
        &self.directory.problems
    }

    /// The content of an entry, from its start. Reading it ends with an error if it is not what the directory says:
    /// its size and checksum are compared at the end.
    pub fn open<'a>(&'a self, entry: &Entry, allowance: &'a Allowance) -> Result<Content<'a>, FsError> {
        self.content(entry, allowance)
    }

    /// The content of an entry as a whole, if it has no more than `most` bytes.
    pub fn read_all(&self, entry: &Entry, most: u64, allowance: &Allowance) -> Result<Vec<u8>, FsError> {
        if entry.size() > most {
            return Err(FsError::Limit { what: "the size of a file in an archive", limit: most });
        }
        self.open(entry, allowance)?.read_all()
    }

    /// The archive that an entry is. Read where it is if it is stored; decompressed into memory otherwise, of which there is
    /// [`file_bytes`](crate::limits::Limits::file_bytes) for an archive and all that it is in.
    pub fn nested(&self, entry: &Entry, allowance: &Allowance) -> Result<Archive<Nested<'_>>, FsError> {
        let limit = allowance.limits().archive_depth;
        if self.depth >= limit {
            let what = "the number of archives in each other (`archive_depth`)";
            return Err(FsError::Limit { what, limit: u64::from(limit) });
        }
        let (nested, kept) = if entry.is_stored() {
            let (offset, size) = self.place(entry, allowance)?;
            (Nested::InPlace { outer: &self.source, offset, size }, 0)
        } else {
            if entry.size() > self.memory {
                let what = "the memory for archives in each other (`file_bytes`)";
                return Err(FsError::Limit { what, limit: allowance.limits().file_bytes });
            }
            let content = self.open(entry, allowance)?.read_all()?;
            let kept = to_u64(content.capacity());
            (Nested::InMemory(content), kept)
        };
        let memory = self.memory.saturating_sub(kept);
        Archive::read_within(nested, self.depth.saturating_add(1), memory, allowance)
    }
}
