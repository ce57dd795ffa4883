//! A metadata area: a header, and a circular buffer of texts of which one is current. `struct mda_header` and `struct
//! raw_locn` of LVM2's `lib/format_text/layout.h`.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::ops::Range;

use super::checksum::crc;
use crate::fs::FsError;
use crate::limits::Limits;
use crate::volume::Volume;
use crate::volume::bytes::{Bytes, to_usize};

/// `MDA_HEADER_SIZE`
const HEADER_SIZE: usize = 512;
/// `FMTT_MAGIC`
const MAGIC: &[u8; 16] = b" LVM2 x[5A%r0N*>";
/// `RAW_LOCN_IGNORED`
const IGNORED: u32 = 1;

/// Reads the current text of an area. `None` if it has none: it is new, or set aside in favour of other physical volumes.
pub(super) fn read(
    volume: &dyn Volume,
    area: &Range<u64>,
    limits: &Limits,
) -> Result<Option<Vec<u8>>, FsError> {
    let mut header = vec![0; HEADER_SIZE];
    volume.read_at(area.start, &mut header)?;
    let bytes = Bytes(&header);
    if crc(&[bytes.get(4, HEADER_SIZE.saturating_sub(4))?]) != bytes.le32(0)? {
        return Err(damaged("the checksum of its header is wrong"));
    }
    if bytes.get(4, 16)? != MAGIC {
        return Err(damaged("its header has no magic number"));
    }
    let version = bytes.le32(20)?;
    if version != 1 {
        return Err(FsError::Unsupported { feature: format!("LVM2 metadata area of version {version}") });
    }
    let (start, size) = (bytes.le64(24)?, bytes.le64(32)?);
    if start != area.start {
        return Err(damaged("its header is a copy from another place"));
    }
    if start.checked_add(size).is_none_or(|end| end > volume.size()) {
        return Err(damaged(format!("it has {size} bytes, more than the volume")));
    }
    let location = Bytes(bytes.get(40, 24)?);
    let (text_start, text_size) = (location.le64(0)?, location.le64(8)?);
    if text_start == 0 || location.le32(20)? & IGNORED != 0 {
        return Ok(None);
    }
    if text_size > limits.lvm_text_bytes {
        return Err(FsError::Limit {
            what: "the size of LVM2 metadata (`lvm_text_bytes`)",
            limit: limits.lvm_text_bytes,
        });
    }
    // The text may go round the end of the buffer, which begins behind the header.
    let header_size = u64::try_from(HEADER_SIZE).unwrap_or(u64::MAX);
    let before_end = size.saturating_sub(text_start);
    if text_start < header_size || before_end == 0 || text_size > size.saturating_sub(header_size) {
        return Err(damaged("its text is outside of it"));
    }
    let mut text = vec![0; to_usize(text_size)];
    let (first, second) = text.split_at_mut(to_usize(text_size.min(before_end)));
    volume.read_at(start.saturating_add(text_start), first)?;
    volume.read_at(start.saturating_add(header_size), second)?;
    if crc(&[&text]) != location.le32(16)? {
        return Err(damaged("the checksum of its text is wrong"));
    }
    Ok(Some(text))
}

pub(super) fn damaged(problem: impl Into<String>) -> FsError {
    FsError::corrupt("the LVM2 metadata area", problem)
}
