//! The write-ahead log: pages that were changed, in the order of the changes.
//!
//! rpm's databases are in this mode: what the last transactions wrote is in the log, until it is copied into the database.
//! The log is not emptied then but written anew from its start, with other salts: what is left of the older one is behind the
//! last frame that has the right salts and checksum.

use std::collections::HashMap;

use super::overlay::Overlay;
use crate::volume::bytes::{Bytes, to_usize};

/// The two magic numbers: checksums are over little-endian or big-endian words.
const MAGIC_LITTLE: u32 = 0x377f_0682;
const MAGIC_BIG: u32 = 0x377f_0683;
/// Bytes of the log's header, of which the last 8 are its checksum.
const HEADER_BYTES: usize = 32;
/// Bytes of a frame's header, of which the first 8 and the page behind it are in its checksum.
const FRAME_BYTES: usize = 24;

/// The pages of the finished transactions, each as it was written last. `None` if there is none.
///
/// # Errors
///
/// What is wrong with the log as a whole, as text.
pub(super) fn committed(log: Vec<u8>, page_size: usize) -> Result<Option<Overlay>, String> {
    let Some(header) = Header::read(&log) else { return Ok(None) };
    if header.page_size != page_size {
        return Err(format!("the pages in its log have {} bytes, not {page_size}", header.page_size));
    }
    let mut places = HashMap::new();
    let mut pages = None;
    // Those of the transaction that is not finished yet.
    let mut pending = Vec::new();
    let mut sum = header.sum;
    let mut at = HEADER_BYTES;
    while let Some(frame) = Frame::read(&log, at, &header, &mut sum) {
        pending.push((frame.page, at.saturating_add(FRAME_BYTES)));
        if frame.pages_after_commit != 0 {
            pages = Some(frame.pages_after_commit);
            places.extend(pending.drain(..));
        }
        at = at.saturating_add(FRAME_BYTES).saturating_add(page_size);
    }
    Ok(pages.map(|pages| Overlay::new(pages, log, places)))
}

struct Header {
    is_big_endian: bool,
    page_size: usize,
    salts: [u8; 8],
    sum: Sum,
}

impl Header {
    /// A header whose checksum is wrong is one that was not written to its end: there is no log.
    fn read(log: &[u8]) -> Option<Self> {
        let bytes = Bytes(log);
        let is_big_endian = match bytes.be32(0).ok()? {
            MAGIC_LITTLE => false,
            MAGIC_BIG => true,
            _ => return None,
        };
        let sum = Sum::default().over(bytes.get(0, 24).ok()?, is_big_endian);
        (sum == Sum::read(bytes, 24)?).then_some(Self {
            is_big_endian,
            page_size: to_usize(bytes.be32(8).ok()?),
            salts: bytes.array(16).ok()?,
            sum,
        })
    }
}

/// One page.
struct Frame {
    page: u32,
    /// Of the last frame of a transaction: how many pages the database has then. 0 for the others.
    pages_after_commit: u32,
}

impl Frame {
    /// The frame at `at`, if it belongs to this log. `sum` is the checksum of all before it, then with it.
    fn read(log: &[u8], at: usize, header: &Header, sum: &mut Sum) -> Option<Self> {
        let frame = Bytes(log.get(at..)?);
        if frame.array(8).ok()? != header.salts {
            return None;
        }
        let page = frame.get(FRAME_BYTES, header.page_size).ok()?;
        *sum = sum.over(frame.get(0, 8).ok()?, header.is_big_endian).over(page, header.is_big_endian);
        let (number, pages_after_commit) = (frame.be32(0).ok()?, frame.be32(4).ok()?);
        (*sum == Sum::read(frame, 16)? && number != 0).then_some(Self { page: number, pages_after_commit })
    }
}

/// The log's checksum, which goes on from frame to frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum(u32, u32);

impl Sum {
    fn read(bytes: Bytes<'_>, at: usize) -> Option<Self> {
        Some(Self(bytes.be32(at).ok()?, bytes.be32(at.checked_add(4)?).ok()?))
    }

    fn over(self, bytes: &[u8], is_big_endian: bool) -> Self {
        let word = |word: [u8; 4]| {
            if is_big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
        };
        let (pairs, _) = bytes.as_chunks::<8>();
        pairs.iter().fold(self, |Self(first, second), &[a, b, c, d, e, f, g, h]| {
            let first = first.wrapping_add(word([a, b, c, d])).wrapping_add(second);
            Self(first, second.wrapping_add(word([e, f, g, h])).wrapping_add(first))
        })
    }
}
