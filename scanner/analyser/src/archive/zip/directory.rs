//! The central directory: what is in an archive.

use std::collections::HashMap;

use super::end::{End, damaged};
use super::entry::{Entry, HEADER, Header};
use crate::archive::Allowance;
use crate::fs::{FsError, FsPath};
use crate::read_at::ReadAt;
use crate::volume::bytes::{to_u64, to_usize};

/// The central directory, with what is wrong with it.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) entries: Vec<Entry>,
    pub(super) problems: Vec<FsError>,
    /// Where it starts in the source. The content of every entry is before it.
    pub(super) start: u64,
    /// About how many bytes of memory the entries have.
    memory: u64,
}

impl Directory {
    /// Reads the directory of an archive, which may keep so many bytes of memory.
    pub(super) fn read(source: &dyn ReadAt, memory: u64, allowance: &Allowance) -> Result<Self, FsError> {
        let end = End::find(source, allowance)?;
        let mut directory =
            Self { entries: Vec::new(), problems: Vec::new(), start: end.directory, memory: 0 };
        if let Err(error) = directory.list(source, end, memory, allowance) {
            directory.problems.push(error);
        }
        directory.mark_superseded();
        Ok(directory)
    }

    pub(super) fn memory(&self) -> u64 {
        self.memory
    }

    fn list(
        &mut self,
        source: &dyn ReadAt,
        end: End,
        memory: u64,
        allowance: &Allowance,
    ) -> Result<(), FsError> {
        let limits = allowance.limits();
        let memory_limit = FsError::Limit {
            what: "the memory for archives in each other (`file_bytes`)",
            limit: limits.file_bytes,
        };
        let mut window = Window::new(source, end, allowance);
        let mut outside = Outside::default();
        let mut count = 0_u64;
        while window.is_more() {
            if count >= limits.archive_entries {
                let what = "the number of entries of an archive (`archive_entries`)";
                return Err(FsError::Limit { what, limit: limits.archive_entries });
            }
            let header = *window.take(HEADER)?.first_chunk().unwrap_or(&[0; HEADER]);
            let header = Header(&header);
            if !header.is_header() {
                return Err(damaged(format!("entry {count} of its directory is none")));
            }
            let (name, extra) = (header.name_length(), header.extra_length());
            let rest = window.take(name.saturating_add(extra).saturating_add(header.comment_length()))?;
            let (name, rest) = rest.split_at_checked(name).unwrap_or_default();
            let extra = rest.get(..extra).unwrap_or_default();
            count = count.saturating_add(1);
            let is_path = name.len() <= limits.path_bytes;
            let Some(entry) = header.entry(name, extra, end.base).filter(|_| is_path) else {
                outside.add(name);
                continue;
            };
            // The name is there twice while superseded entries are looked for.
            let bytes = name.len().saturating_mul(2).saturating_add(size_of::<Entry>().saturating_mul(2));
            self.memory = self.memory.saturating_add(to_u64(bytes));
            if self.memory > memory {
                return Err(memory_limit);
            }
            self.entries.push(entry);
        }
        let expected = if end.is_zip64 { count } else { count & u64::from(u16::MAX) };
        if expected != end.entries {
            let said = end.entries;
            self.problems.push(damaged(format!("it says that it has {said} entries, and lists {count}")));
        }
        self.problems.extend(outside.problem());
        Ok(())
    }

    /// Finds the entries that a later one of the same path replaces.
    fn mark_superseded(&mut self) {
        let mut last: HashMap<&FsPath, usize> = HashMap::with_capacity(self.entries.len());
        let mut superseded = Vec::new();
        for (index, entry) in self.entries.iter().enumerate() {
            superseded.extend(last.insert(&entry.path, index));
        }
        for index in superseded {
            if let Some(entry) = self.entries.get_mut(index) {
                entry.is_superseded = true;
            }
        }
    }
}

/// Entries whose names lead out of the archive: counted, with the first one's name.
#[derive(Debug, Default)]
struct Outside {
    count: u64,
    first: Vec<u8>,
}

impl Outside {
    fn add(&mut self, name: &[u8]) {
        /// Bytes of a name that say enough.
        const SHOWN: usize = 64;

        if self.count == 0 {
            self.first = name.get(..name.len().min(SHOWN)).unwrap_or_default().to_vec();
        }
        self.count = self.count.saturating_add(1);
    }

    fn problem(&self) -> Option<FsError> {
        let Self { count, first } = self;
        let name = first.escape_ascii();
        let problem =
            format!("{count} entries have names that lead out of it or are none, such as \"{name}\"");
        (*count > 0).then(|| damaged(problem))
    }
}

/// The bytes of the directory, a piece at a time: what it says of its size is no reason to have room for it.
#[derive(Debug)]
struct Window<'a> {
    source: &'a dyn ReadAt,
    allowance: &'a Allowance,
    /// What is read and not taken.
    buffer: Vec<u8>,
    taken: usize,
    /// Where the next bytes are.
    at: u64,
    end: u64,
}

impl<'a> Window<'a> {
    fn new(source: &'a dyn ReadAt, end: End, allowance: &'a Allowance) -> Self {
        let (at, end) = (end.directory, end.directory.saturating_add(end.size));
        Self { source, allowance, buffer: Vec::new(), taken: 0, at, end }
    }

    fn is_more(&self) -> bool {
        self.at < self.end || self.taken < self.buffer.len()
    }

    fn take(&mut self, count: usize) -> Result<&[u8], FsError> {
        /// As many bytes as are read at once.
        const PIECE: usize = 64 << 10;

        let left = self.buffer.len().saturating_sub(self.taken);
        if left < count {
            self.buffer.drain(..self.taken.min(self.buffer.len()));
            self.taken = 0;
            let more = to_usize(self.end.saturating_sub(self.at)).min(PIECE.max(count.saturating_sub(left)));
            self.buffer.resize(left.saturating_add(more), 0);
            self.allowance.bytes(to_u64(more))?;
            self.source.read_exact_at(self.at, self.buffer.get_mut(left..).unwrap_or_default())?;
            self.at = self.at.saturating_add(to_u64(more));
        }
        let start = self.taken;
        self.taken = start.saturating_add(count);
        self.buffer.get(start..self.taken).ok_or_else(|| damaged("its directory ends within an entry"))
    }
}
