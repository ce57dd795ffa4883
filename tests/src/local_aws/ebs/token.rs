//! Tokens of EBS direct: opaque to the client, bound to what they were given out for, and valid for a time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::local_aws::clock::epoch_seconds;

/// What a token is for. A token of one purpose is not valid for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Reading one block: AWS gives these seven days.
    Block,
    /// The next page of `ListSnapshotBlocks`: 60 minutes.
    ListPage,
    /// The next page of `ListChangedBlocks`: 60 minutes.
    ChangedPage,
}

impl Purpose {
    /// How long a token is valid (EBS direct API reference, `BlockToken` and `NextToken`).
    pub(crate) fn lifetime(self) -> Duration {
        match self {
            Self::Block => Duration::from_hours(7 * 24),
            Self::ListPage | Self::ChangedPage => Duration::from_hours(1),
        }
    }
}

/// Issues tokens and recognises its own.
#[derive(Debug)]
pub(crate) struct Tokens {
    secret: [u8; 16],
}

impl Tokens {
    pub(crate) fn new() -> Self {
        Self { secret: *uuid::Uuid::new_v4().as_bytes() }
    }

    /// A token that carries `value` and is valid for `subject` only, in AWS's alphabet `[A-Za-z0-9+/=]`.
    pub(crate) fn issue(&self, purpose: Purpose, subject: &str, value: u64, now: SystemTime) -> String {
        let expires = epoch_seconds(now.checked_add(purpose.lifetime()).unwrap_or(UNIX_EPOCH));
        let mac = self.mac(purpose, subject, value, expires);
        STANDARD.encode([expires.to_be_bytes().as_slice(), &value.to_be_bytes(), &mac].concat())
    }

    /// The value of a token that was issued for this purpose and subject and has not expired.
    pub(crate) fn open(&self, token: &str, purpose: Purpose, subject: &str, now: SystemTime) -> Option<u64> {
        let bytes = STANDARD.decode(token).ok()?;
        let (expires, rest) = bytes.split_first_chunk()?;
        let (value, mac) = rest.split_first_chunk()?;
        let (expires, value) = (u64::from_be_bytes(*expires), u64::from_be_bytes(*value));
        let valid = mac == self.mac(purpose, subject, value, expires) && epoch_seconds(now) < expires;
        valid.then_some(value)
    }

    fn mac(&self, purpose: Purpose, subject: &str, value: u64, expires: u64) -> [u8; 32] {
        let bound = format!("{purpose:?} {subject} {value} {expires}");
        Sha256::new_with_prefix(self.secret).chain_update(bound).finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_bound_and_expire() {
        let tokens = Tokens::new();
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let token = tokens.issue(Purpose::Block, "snap-1", 7, now);
        let open = |purpose, subject, now| tokens.open(&token, purpose, subject, now);
        assert_eq!(open(Purpose::Block, "snap-1", now), Some(7));
        assert_eq!(open(Purpose::Block, "snap-2", now), None);
        assert_eq!(open(Purpose::ListPage, "snap-1", now), None);
        assert_eq!(open(Purpose::Block, "snap-1", now + Purpose::Block.lifetime()), None);
        assert_eq!(Tokens::new().open(&token, Purpose::Block, "snap-1", now), None);
        for garbage in ["", "AAAA", "not base64!"] {
            assert_eq!(tokens.open(garbage, Purpose::Block, "snap-1", now), None);
        }
    }
}
