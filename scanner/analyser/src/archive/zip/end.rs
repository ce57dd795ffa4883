//! The records at the end of an archive, which say where its directory is.

use crate::archive::Allowance;
use crate::fs::FsError;
use crate::read_at::ReadAt;
use crate::volume::bytes::{Bytes, Truncated, to_u64, to_usize};

/// Where the central directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// Where the archive starts in its source: a program may stand before it.
    pub(super) base: u64,
    /// Where the directory starts in the source.
    pub(super) directory: u64,
    /// The size of the directory in bytes.
    pub(super) size: u64,
    /// How many entries it should have.
    pub(super) entries: u64,
    /// Whether that number has 64 bits. One of 16 bits may have overflown.
    pub(super) is_zip64: bool,
}

/// The end of central directory record without its comment (4.3.16).
const END: usize = 22;
const END_SIGNATURE: [u8; 4] = *b"PK\x05\x06";
/// Bytes of the longest comment.
const COMMENT: u64 = 0xffff;
/// The zip64 end of central directory locator (4.3.15).
const LOCATOR: usize = 20;
const LOCATOR_SIGNATURE: u32 = 0x0706_4b50;
/// The zip64 end of central directory record without its extensible data (4.3.14).
const END64: usize = 56;
const END64_SIGNATURE: u32 = 0x0606_4b50;

impl End {
    pub(super) fn find(source: &dyn ReadAt, allowance: &Allowance) -> Result<Self, FsError> {
        allowance.opening()?;
        let (at, record) = match last(source, to_u64(END), allowance)? {
            Some(found) => found,
            // It has a comment, or something else behind it.
            None => last(source, COMMENT.saturating_add(to_u64(END)), allowance)?
                .ok_or_else(|| damaged("it has no end of central directory record"))?,
        };
        let record = Bytes(&record);
        let of_record = |_: Truncated| damaged("its end of central directory record is cut short");
        let disk = record.le16(4).map_err(of_record)?;
        let narrow = Self {
            base: 0,
            directory: record.le32(16).map_err(of_record)?.into(),
            size: record.le32(12).map_err(of_record)?.into(),
            entries: record.le16(10).map_err(of_record)?.into(),
            is_zip64: false,
        };
        let is_saturated = narrow.directory == u64::from(u32::MAX)
            || narrow.size == u64::from(u32::MAX)
            || narrow.entries == u64::from(u16::MAX);
        let wide = if is_saturated { zip64(source, at)? } else { None };
        if wide.is_none() && disk != 0 {
            return Err(FsError::Unsupported { feature: "a zip archive of several volumes".to_owned() });
        }
        let (end_of_directory, found) = wide.unwrap_or((at, narrow));
        let no_room = || damaged("its directory starts before the archive does");
        let directory = end_of_directory.checked_sub(found.size).ok_or_else(no_room)?;
        let base = directory.checked_sub(found.directory).ok_or_else(no_room)?;
        Ok(Self { base, directory, ..found })
    }
}

/// The last end record that begins within the last `within` bytes, and its offset. One whose comment reaches to the end of
/// the source is preferred; else there may be something behind it.
fn last(
    source: &dyn ReadAt,
    within: u64,
    allowance: &Allowance,
) -> Result<Option<(u64, [u8; END])>, FsError> {
    let start = source.size().saturating_sub(within);
    let mut tail = vec![0; to_usize(source.size().saturating_sub(start))];
    allowance.bytes(to_u64(tail.len()))?;
    source.read_exact_at(start, &mut tail)?;
    let mut found = None;
    for (at, record) in tail.windows(END).enumerate().rev() {
        if !record.starts_with(&END_SIGNATURE) {
            continue;
        }
        let Ok(record) = <[u8; END]>::try_from(record) else { continue };
        let comment = Bytes(&record).le16(20).unwrap_or_default();
        let end = at.saturating_add(END).saturating_add(comment.into());
        let is_exact = end == tail.len();
        if is_exact || (end < tail.len() && found.is_none()) {
            found = Some((start.saturating_add(to_u64(at)), record));
        }
        if is_exact {
            break;
        }
    }
    Ok(found)
}

/// What the zip64 record before the end record at `at` says, and its offset; none if there is no locator.
fn zip64(source: &dyn ReadAt, at: u64) -> Result<Option<(u64, End)>, FsError> {
    let Some(locator_at) = at.checked_sub(to_u64(LOCATOR)) else { return Ok(None) };
    let mut locator = [0; LOCATOR];
    source.read_exact_at(locator_at, &mut locator)?;
    let locator = Bytes(&locator);
    if locator.le32(0)? != LOCATOR_SIGNATURE {
        return Ok(None);
    }
    // The locator counts from the start of the archive. Where something stands before that, the record is still
    // directly before the locator.
    let before = locator_at.checked_sub(to_u64(END64));
    for record_at in [Some(locator.le64(8)?), before].into_iter().flatten() {
        let mut record = [0; END64];
        if before.is_none_or(|before| record_at > before) {
            continue;
        }
        source.read_exact_at(record_at, &mut record)?;
        let record = Bytes(&record);
        if record.le32(0)? != END64_SIGNATURE {
            continue;
        }
        let (entries, size, directory) = (record.le64(32)?, record.le64(40)?, record.le64(48)?);
        return Ok(Some((record_at, End { base: 0, directory, size, entries, is_zip64: true })));
    }
    Err(damaged("its zip64 end of central directory record is not where its locator says"))
}

pub(super) fn damaged(problem: impl Into<String>) -> FsError {
    FsError::corrupt("the zip archive", problem)
}
