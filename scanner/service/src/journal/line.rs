//! A line of the journal: its checksum (CRC-32C, eight hexadecimal digits), a space, and an entry in JSON with the version
//! of the form.

use std::io;

use serde::{Deserialize, Serialize};

use super::Entry;

/// The version of what follows the checksum.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Versioned<'a> {
    v: u32,
    #[serde(flatten)]
    entry: &'a Entry,
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

/// Why a line says nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unread {
    /// It is not what was written.
    Damaged,
    /// It is what was written, by another version.
    Foreign,
}

/// The line with its end.
pub(super) fn encode(entry: &Entry) -> io::Result<String> {
    let json = serde_json::to_string(&Versioned { v: VERSION, entry })?;
    Ok(format!("{:08x} {json}\n", crc32c::crc32c(json.as_bytes())))
}

/// The entry of a line without its end.
pub(super) fn decode(line: &[u8]) -> Result<Entry, Unread> {
    let (checksum, json) = line.split_at_checked(9).ok_or(Unread::Damaged)?;
    let checksum = checksum.strip_suffix(b" ").and_then(|digits| str::from_utf8(digits).ok());
    let checksum = checksum.and_then(|digits| u32::from_str_radix(digits, 16).ok());
    if checksum != Some(crc32c::crc32c(json)) {
        return Err(Unread::Damaged);
    }
    // From here on it is what somebody wrote.
    let version: Version = serde_json::from_slice(json).map_err(|_| Unread::Foreign)?;
    if version.v != VERSION {
        return Err(Unread::Foreign);
    }
    serde_json::from_slice(json).map_err(|_| Unread::Foreign)
}

/// An identifier as text.
pub(super) mod text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use uuid::Uuid;

    pub(in super::super) fn serialize<S: Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Uuid, D::Error> {
        let text = String::deserialize(deserializer)?;
        Uuid::parse_str(&text).map_err(D::Error::custom)
    }
}

/// A time in seconds since 1970.
pub(super) mod seconds {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use time::OffsetDateTime;

    pub(in super::super) fn serialize<S: Serializer>(
        time: &OffsetDateTime,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(time.unix_timestamp())
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<OffsetDateTime, D::Error> {
        let seconds = i64::deserialize(deserializer)?;
        OffsetDateTime::from_unix_timestamp(seconds).map_err(D::Error::custom)
    }
}
