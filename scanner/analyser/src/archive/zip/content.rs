//! The content of entries.

use std::io::{self, Read};
use std::ops::Range;

use crc32fast::Hasher;
use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};

use super::Archive;
use super::entry::{DEFLATED, Entry, STORED};
use crate::archive::Allowance;
use crate::fs::FsError;
use crate::read_at::ReadAt;
use crate::volume::bytes::{Bytes, to_u64, to_usize};

/// Bytes of compressed content that are read at once.
const PIECE: u64 = 32 << 10;

/// Where the content of an entry is in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// As it is.
    Stored(Range<u64>),
    /// As a deflate stream.
    Deflated(Range<u64>),
}

impl<S: ReadAt> Archive<S> {
    /// Where the content of an entry is, for who reads parts of it: nobody compares its checksum.
    pub fn place_of(&self, entry: &Entry, allowance: &Allowance) -> Result<Place, FsError> {
        let Content { at, compressed_left, inflater, .. } = self.content(entry, allowance)?;
        let range = at..at.saturating_add(compressed_left);
        Ok(if inflater.is_some() { Place::Deflated(range) } else { Place::Stored(range) })
    }

    /// Where the content of an entry is in the source, compressed or not, and how many bytes it has there.
    pub(super) fn place(&self, entry: &Entry, allowance: &Allowance) -> Result<(u64, u64), FsError> {
        /// A local file header without what has a length of its own (4.3.7).
        const HEADER: usize = 30;
        const SIGNATURE: u32 = 0x0403_4b50;

        allowance.opening()?;
        let mut header = [0; HEADER];
        self.source.read_exact_at(entry.header, &mut header)?;
        let header = Bytes(&header);
        if header.le32(0)? != SIGNATURE {
            return Err(damaged("it has no local header"));
        }
        let lengths = u64::from(header.le16(26)?).saturating_add(header.le16(28)?.into());
        let offset = entry.header.saturating_add(to_u64(HEADER)).saturating_add(lengths);
        if offset.saturating_add(entry.compressed_size) > self.directory.start {
            return Err(damaged("it reaches beyond the place for content"));
        }
        Ok((offset, entry.compressed_size))
    }

    pub(super) fn content<'a>(
        &'a self,
        entry: &Entry,
        allowance: &'a Allowance,
    ) -> Result<Content<'a>, FsError> {
        if entry.is_encrypted {
            return Err(FsError::Unsupported { feature: "encryption in zip archives".to_owned() });
        }
        let inflater = match entry.method {
            STORED if entry.size != entry.compressed_size => {
                return Err(damaged("it is stored, and its two sizes differ"));
            }
            STORED => None,
            DEFLATED => Some(InflateState::new_boxed(DataFormat::Raw)),
            method => return Err(FsError::Unsupported { feature: method_name(method) }),
        };
        let (at, compressed_left) = self.place(entry, allowance)?;
        Ok(Content {
            source: &self.source,
            allowance,
            at,
            compressed_left,
            left: entry.size,
            inflater,
            buffer: Vec::new(),
            taken: 0,
            hasher: Hasher::new(),
            crc: entry.crc,
            is_finished: false,
        })
    }
}

/// The content of an entry, with a position.
pub struct Content<'a> {
    source: &'a dyn ReadAt,
    allowance: &'a Allowance,
    /// Where the next bytes are in the source, and how many there are.
    at: u64,
    compressed_left: u64,
    /// How many bytes are still to come, according to the directory.
    left: u64,
    /// None if it is stored.
    inflater: Option<Box<InflateState>>,
    /// Compressed bytes, and how many of them are used.
    buffer: Vec<u8>,
    taken: usize,
    hasher: Hasher,
    crc: u32,
    is_finished: bool,
}

impl std::fmt::Debug for Content<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content").field("at", &self.at).field("left", &self.left).finish_non_exhaustive()
    }
}

impl Content<'_> {
    /// All that is left of it. Memory grows with what is there, not with what should be.
    pub fn read_all(&mut self) -> Result<Vec<u8>, FsError> {
        let mut content = Vec::new();
        let mut piece = vec![0; to_usize(self.left.clamp(1, PIECE))];
        loop {
            let count = self.read_some(&mut piece)?;
            if count == 0 {
                return Ok(content);
            }
            content.extend_from_slice(piece.get(..count).unwrap_or_default());
        }
    }

    /// Reads some bytes, and returns how many: none only at the end, when all that was read is what it should be.
    pub fn read_some(&mut self, dst: &mut [u8]) -> Result<usize, FsError> {
        let most = to_usize(self.left).min(dst.len());
        let dst = dst.get_mut(..most).unwrap_or_default();
        if dst.is_empty() {
            if self.left == 0 {
                self.finish()?;
            }
            return Ok(0);
        }
        let count = if self.inflater.is_some() { self.inflate(dst)? } else { self.copy(dst)? };
        if count == 0 {
            return Err(damaged("it has fewer bytes than the directory says"));
        }
        self.hasher.update(dst.get(..count).unwrap_or_default());
        self.left = self.left.saturating_sub(to_u64(count));
        Ok(count)
    }

    fn copy(&mut self, dst: &mut [u8]) -> Result<usize, FsError> {
        let count = self.source.read_at(self.at, dst)?;
        self.allowance.bytes(to_u64(count))?;
        self.at = self.at.saturating_add(to_u64(count));
        Ok(count)
    }

    /// Decompresses some bytes; none only at the end of the stream.
    fn inflate(&mut self, dst: &mut [u8]) -> Result<usize, FsError> {
        loop {
            self.fill()?;
            let Some(inflater) = &mut self.inflater else { return Ok(0) };
            let source = self.buffer.get(self.taken..).unwrap_or_default();
            let result = inflate(inflater, source, dst, MZFlush::None);
            self.taken = self.taken.saturating_add(result.bytes_consumed);
            // A stream of nothing but empty blocks costs time as well.
            self.allowance.bytes(to_u64(result.bytes_consumed.max(result.bytes_written)))?;
            if result.bytes_written > 0 {
                return Ok(result.bytes_written);
            }
            match result.status {
                Ok(MZStatus::StreamEnd) => return Ok(0),
                Ok(_) | Err(MZError::Buf) if result.bytes_consumed > 0 => {}
                Ok(_) | Err(MZError::Buf) => return Err(damaged("its deflate stream is cut short")),
                Err(_) => return Err(damaged("its deflate stream is damaged")),
            }
        }
    }

    /// Reads compressed bytes if all of those before are used.
    fn fill(&mut self) -> Result<(), FsError> {
        if self.taken < self.buffer.len() || self.compressed_left == 0 {
            return Ok(());
        }
        let count = self.compressed_left.min(PIECE);
        self.buffer.resize(to_usize(count), 0);
        self.source.read_exact_at(self.at, &mut self.buffer)?;
        self.taken = 0;
        self.at = self.at.saturating_add(count);
        self.compressed_left = self.compressed_left.saturating_sub(count);
        Ok(())
    }

    /// Compares it with what the directory says.
    fn finish(&mut self) -> Result<(), FsError> {
        if std::mem::replace(&mut self.is_finished, true) {
            return Ok(());
        }
        // Some write nothing at all for a file of no bytes, not even an empty stream.
        let is_nothing = self.compressed_left == 0 && self.buffer.is_empty();
        if self.inflater.is_some() && !is_nothing && self.inflate(&mut [0])? > 0 {
            return Err(damaged("it has more bytes than the directory says"));
        }
        if self.hasher.clone().finalize() != self.crc {
            return Err(damaged("its checksum is not that of the directory"));
        }
        Ok(())
    }
}

impl Read for Content<'_> {
    fn read(&mut self, dst: &mut [u8]) -> io::Result<usize> {
        self.read_some(dst).map_err(io::Error::other)
    }
}

/// A compression method for people (4.4.5).
fn method_name(method: u16) -> String {
    let name = match method {
        1 => "shrink",
        6 => "implode",
        9 => "deflate64",
        12 => "bzip2",
        14 => "LZMA",
        20 | 93 => "zstd",
        95 => "xz",
        98 => "PPMd",
        99 => "AES encryption",
        _ => "a method without a name",
    };
    format!("{name} in zip archives (method {method})")
}

fn damaged(problem: &str) -> FsError {
    FsError::corrupt("the entry", problem)
}
