//! The header of a package: an index of tags, and the data that it points into.
//!
//! Numbers are big-endian. The layout is that of rpm's `lib/header.c`, without the magic number that a header has in an
//! `.rpm` file.

use crate::volume::bytes::{Bytes, Truncated, to_usize};

/// Most entries and most bytes of data that rpm itself accepts.
const MOST_ENTRIES: u32 = 0xffff;
const MOST_DATA: u32 = 0x0fff_ffff;
/// Bytes of the two lengths in front.
const LENGTHS_BYTES: usize = 8;
/// Bytes of an entry: tag, type, offset, count.
const ENTRY_BYTES: usize = 16;
/// Directories of one package of which the names are kept at the same time.
const MOST_DIRECTORIES: usize = 1 << 20;
/// Bytes of paths for each byte of data. A file has more than a hundred bytes in a header, its checksum among them, and a
/// path is seldom longer.
const PATHS_PER_BYTE: usize = 16;

/// What an entry is about: the numbers of rpm's `rpmtag.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag(u32);

impl Tag {
    pub(super) const NAME: Self = Self(1000);
    pub(super) const VERSION: Self = Self(1001);
    pub(super) const RELEASE: Self = Self(1002);
    pub(super) const EPOCH: Self = Self(1003);
    pub(super) const VENDOR: Self = Self(1011);
    pub(super) const LICENSE: Self = Self(1014);
    pub(super) const ARCH: Self = Self(1022);
    pub(super) const OLD_FILE_NAMES: Self = Self(1027);
    pub(super) const SOURCE_RPM: Self = Self(1044);
    pub(super) const PROVIDE_NAME: Self = Self(1047);
    pub(super) const REQUIRE_NAME: Self = Self(1049);
    pub(super) const DIR_INDEXES: Self = Self(1116);
    pub(super) const BASE_NAMES: Self = Self(1117);
    pub(super) const DIR_NAMES: Self = Self(1118);
    pub(super) const MODULARITY_LABEL: Self = Self(5096);
}

/// Types of data: `RPM_INT32_TYPE`, `RPM_STRING_TYPE`, `RPM_STRING_ARRAY_TYPE`, `RPM_I18NSTRING_TYPE`.
const INT32: u32 = 4;
const STRING: u32 = 6;
const STRING_ARRAY: u32 = 8;
const I18N_STRING: u32 = 9;

/// The header of one package.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header<'a> {
    index: &'a [u8],
    data: &'a [u8],
}

/// Data of one tag, from its first byte to the end of all data.
#[derive(Clone, Copy, Debug)]
struct Entry<'a> {
    kind: u32,
    count: usize,
    data: &'a [u8],
}

impl<'a> Header<'a> {
    /// Finds index and data. What the entries say is checked when they are asked for.
    pub(super) fn new(blob: &'a [u8]) -> Result<Self, String> {
        let bytes = Bytes(blob);
        let read = || -> Result<(u32, u32, Self), Truncated> {
            let (entries, length) = (bytes.be32(0)?, bytes.be32(4)?);
            let index_bytes = to_usize(entries).saturating_mul(ENTRY_BYTES);
            let index = bytes.get(LENGTHS_BYTES, index_bytes)?;
            let data = bytes.get(LENGTHS_BYTES.saturating_add(index_bytes), to_usize(length))?;
            Ok((entries, length, Self { index, data }))
        };
        let damaged = |problem| format!("a header of {} bytes {problem}", blob.len());
        match read() {
            Ok((..=MOST_ENTRIES, ..=MOST_DATA, header)) => Ok(header),
            Ok(_) => Err(damaged("is larger than rpm accepts")),
            Err(_) => Err(damaged("is shorter than it says")),
        }
    }

    /// The text of a tag; of several texts the first.
    pub(super) fn text(self, tag: Tag) -> Option<&'a [u8]> {
        self.texts(tag).next()
    }

    /// All texts of a tag.
    pub(super) fn texts(self, tag: Tag) -> impl Iterator<Item = &'a [u8]> {
        let entry = self.entry(tag).filter(|entry| matches!(entry.kind, STRING | STRING_ARRAY | I18N_STRING));
        let mut rest = entry.map_or(&[][..], |entry| entry.data);
        let texts = std::iter::from_fn(move || {
            // A text without an end is none.
            let end = rest.iter().position(|&byte| byte == 0)?;
            let (text, behind) = rest.split_at_checked(end)?;
            rest = behind.get(1..)?;
            Some(text)
        });
        texts.take(entry.map_or(0, |entry| if entry.kind == STRING { 1 } else { entry.count }))
    }

    /// The number of a tag; of several numbers the first.
    pub(super) fn number(self, tag: Tag) -> Option<u32> {
        self.numbers(tag).next()
    }

    /// All numbers of a tag.
    fn numbers(self, tag: Tag) -> impl Iterator<Item = u32> {
        let entry = self.entry(tag).filter(|entry| entry.kind == INT32);
        let (numbers, _) = entry.map_or(&[][..], |entry| entry.data).as_chunks::<4>();
        numbers.iter().map(|&number| u32::from_be_bytes(number)).take(entry.map_or(0, |entry| entry.count))
    }

    /// Calls `visit` with the directory, its slash included, and the name of each of the package's files.
    ///
    /// A few bytes name a file in a directory with a long name. Of all paths together, no more is given than
    /// [`PATHS_PER_BYTE`] times the header's own bytes.
    pub(super) fn files(self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        let directories: Vec<_> = self.texts(Tag::DIR_NAMES).take(MOST_DIRECTORIES).collect();
        let mut left = self.data.len().saturating_mul(PATHS_PER_BYTE);
        for (name, directory) in self.texts(Tag::BASE_NAMES).zip(self.numbers(Tag::DIR_INDEXES)) {
            let Some(directory) = directories.get(to_usize(directory)) else { continue };
            let bytes = directory.len().saturating_add(name.len());
            let Some(rest) = left.checked_sub(bytes) else { return };
            left = rest;
            visit(directory, name);
        }
        // Before version 4 of rpm, each with its path.
        for path in self.texts(Tag::OLD_FILE_NAMES) {
            let start =
                path.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash.saturating_add(1));
            let (directory, name) = path.split_at_checked(start).unwrap_or_default();
            visit(directory, name);
        }
    }

    /// The first entry of a tag, if what it points to is there.
    fn entry(self, tag: Tag) -> Option<Entry<'a>> {
        let (entries, _) = self.index.as_chunks::<ENTRY_BYTES>();
        let entry =
            entries.iter().map(|entry| Bytes(entry)).find(|entry| entry.be32(0).ok() == Some(tag.0))?;
        let (kind, offset, count) = (entry.be32(4).ok()?, entry.be32(8).ok()?, entry.be32(12).ok()?);
        Some(Entry { kind, count: to_usize(count), data: self.data.get(to_usize(offset)..)? })
    }
}
