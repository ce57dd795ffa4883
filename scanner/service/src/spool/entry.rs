//! How a payload lies in its file.
//!
//! | bytes | |
//! |---|---|
//! | 8 | `AGSPOOL` and the version, 1 |
//! | 4 | CRC-32 of everything after it |
//! | 4 | length of the header |
//! | 8 | length of the body |
//! | … | the header, JSON: everything of the payload but its body, and when it was made |
//! | … | the body |
//!
//! Numbers are little-endian.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::sink::Payload;

/// No file is longer.
pub const LONGEST: u64 = 256 << 20;

/// Why a file is no payload.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// It begins otherwise.
    #[error("it does not begin as a payload of this version does")]
    Magic,
    /// Its lengths are not its own.
    #[error("its length is not what it says")]
    Length,
    /// Its contents are not what was written.
    #[error("its checksum is wrong")]
    Checksum,
    /// Its header is not what a header is.
    #[error("its header is not understood")]
    Header,
}

/// What comes before the body of a payload.
pub(super) fn head(payload: &Payload, created: i64) -> Vec<u8> {
    // Serialising strings into memory does not fail; an empty header would be found when read.
    let header = serde_json::to_vec(&HeaderOut { created, payload }).unwrap_or_default();
    let mut summed = Vec::with_capacity(header.len().saturating_add(12));
    summed.extend(u32::try_from(header.len()).unwrap_or(u32::MAX).to_le_bytes());
    summed.extend(u64::try_from(payload.body.len()).unwrap_or(u64::MAX).to_le_bytes());
    summed.extend(header);
    let mut sum = crc32fast::Hasher::new();
    sum.update(&summed);
    sum.update(&payload.body);
    [MAGIC, &sum.finalize().to_le_bytes(), &summed].concat()
}

/// The payload in a file. The body is not copied.
pub fn payload(file: &Bytes) -> Result<Payload, Damage> {
    let rest = file.strip_prefix(MAGIC).ok_or(Damage::Magic)?;
    let (sum, summed) = rest.split_first_chunk::<4>().ok_or(Damage::Length)?;
    let (header_length, rest) = summed.split_first_chunk::<4>().ok_or(Damage::Length)?;
    let (body_length, rest) = rest.split_first_chunk::<8>().ok_or(Damage::Length)?;
    let header_length = usize::try_from(u32::from_le_bytes(*header_length)).map_err(|_| Damage::Length)?;
    let body_length = usize::try_from(u64::from_le_bytes(*body_length)).map_err(|_| Damage::Length)?;
    let (header, body) = rest.split_at_checked(header_length).ok_or(Damage::Length)?;
    if body.len() != body_length {
        return Err(Damage::Length);
    }
    if crc32fast::hash(summed) != u32::from_le_bytes(*sum) {
        return Err(Damage::Checksum);
    }
    let header: HeaderIn = serde_json::from_slice(header).map_err(|_| Damage::Header)?;
    let body = file.slice_ref(body);
    Ok(Payload { body, ..header.payload })
}

#[derive(Serialize)]
struct HeaderOut<'a> {
    /// Seconds since 1970.
    created: i64,
    payload: &'a Payload,
}

#[derive(Deserialize)]
struct HeaderIn {
    payload: Payload,
}

const MAGIC: &[u8] = b"AGSPOOL\x01";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::payload as read;
    use super::*;

    fn whole(payload: &Payload) -> Vec<u8> {
        [head(payload, 1_772_366_400), payload.body.to_vec()].concat()
    }

    #[test]
    fn seeds_of_the_fuzzer_are_payloads() {
        let seed = Bytes::from_static(include_bytes!("../../../fuzz/corpus/spool/payload"));
        assert_eq!(read(&seed).unwrap().body, "body".as_bytes());
        let seed = Bytes::from_static(include_bytes!("../../../fuzz/corpus/spool/bad-header"));
        assert_eq!(read(&seed), Err(Damage::Header));
    }

    proptest! {
        #[test]
        fn a_payload_is_read_as_it_was_written(
            key in ".*",
            content_type in ".*",
            headers in prop::collection::vec((".*", ".*"), 0..4),
            note in ".*",
            body in prop::collection::vec(any::<u8>(), 0..2000),
        ) {
            let payload = Payload { key, content_type, headers, note, body: body.into() };
            prop_assert_eq!(read(&whole(&payload).into()), Ok(payload));
        }

        #[test]
        fn a_changed_or_cut_file_is_damaged(body in prop::collection::vec(any::<u8>(), 0..64), at: prop::sample::Index, bit in 0..8_u32) {
            let payload = Payload { key: "k".to_owned(), content_type: "t".to_owned(), headers: Vec::new(), note: String::new(), body: body.into() };
            let mut file = whole(&payload);
            let at = at.index(file.len());
            prop_assert!(read(&file[..at].to_vec().into()).is_err());
            file[at] ^= 1_u8 << bit;
            prop_assert!(read(&file.into()).is_err());
        }

        #[test]
        fn nothing_makes_it_panic(file in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&[MAGIC, &file].concat().into());
            prop_assert!(read(&file.into()).is_err());
        }
    }
}
