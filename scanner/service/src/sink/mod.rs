//! Where reports go. A sink turns a report into payloads, and sends one payload at a time; it keeps nothing and retries
//! nothing, which is [`delivery`](crate::delivery)'s part.

mod answer;
mod credential;
pub mod datadog;
pub mod document;
pub mod files;
pub mod https;
pub mod names;
#[cfg(test)]
pub(crate) mod test_reports;
#[cfg(test)]
pub(crate) mod test_server;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

pub use credential::Credential;

use crate::report::Report;

/// A place that reports go to.
pub trait Sink: Send + Sync + 'static {
    /// Its name: in the configuration, in messages, and of its directory in the spool.
    fn name(&self) -> &'static str;

    /// What of a report it wants, in the order in which it is to be sent. Runs where blocking is allowed.
    fn render(&self, report: &Report, now: OffsetDateTime) -> Vec<Payload>;

    /// Sends one payload, once. `Ok` only when the other side has it for good. It may be dropped at any moment, and the
    /// same payload may come again.
    fn send<'a>(&'a self, payload: &'a Payload) -> BoxFuture<'a, Result<(), SendError>>;
}

/// One thing to send, whole.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
pub struct Payload {
    /// How the sink names it: a file's path, an object's key, an entity. Shown in messages.
    pub key: String,
    /// What the body is.
    pub content_type: String,
    /// Further headers of the request. Never a secret: they lie on the disk.
    pub headers: Vec<(String, String)>,
    /// What the sink wants to know when the payload was accepted. Not sent.
    pub note: String,
    /// The contents. Not part of the header under which a payload lies in the spool.
    #[serde(skip)]
    pub body: Bytes,
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload")
            .field("key", &self.key)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Why a payload was not accepted, by what is to be done.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SendError {
    /// The same attempt will fail again until something changes.
    #[error("{reason}")]
    Permanent {
        /// What went wrong, and what to do.
        reason: String,
        /// Whether it is this payload that is not wanted; otherwise it is the sink's address or credentials, and other
        /// payloads would fare no better.
        is_about_payload: bool,
    },
    /// It may succeed later.
    #[error("{reason}")]
    Passing {
        /// What went wrong.
        reason: String,
        /// When the other side wants to be asked again.
        retry_after: Option<Duration>,
    },
}

impl SendError {
    /// The other side does not want this payload.
    pub fn refused(reason: impl Into<String>) -> Self {
        Self::Permanent { reason: reason.into(), is_about_payload: true }
    }

    /// The sink's address or credentials are not right.
    pub fn misconfigured(reason: impl Into<String>) -> Self {
        Self::Permanent { reason: reason.into(), is_about_payload: false }
    }

    /// It may succeed later.
    pub fn passing(reason: impl Into<String>) -> Self {
        Self::Passing { reason: reason.into(), retry_after: None }
    }
}
