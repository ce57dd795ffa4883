//! The two orders that the interface takes.

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

/// Who carries them out.
pub trait Control: Send + Sync + 'static {
    /// Scans a target now, named by its ARN or its id: puts it into the queue, before what is due by the schedule.
    fn scan_now<'c>(&'c self, target: &'c str) -> BoxFuture<'c, Result<Accepted, Refused>>;

    /// Cancels the scan of a target, named by its ARN or its id, or a scan by its own id: takes it out of the queue, or ends it
    /// and cleans up after it.
    fn cancel<'c>(&'c self, target: &'c str) -> BoxFuture<'c, Result<Accepted, Refused>>;
}

/// What happens now.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Accepted {
    /// The target's ARN.
    pub target: String,
    /// What happens with it, such as `queued`, `scanning already`, `cancelling`.
    pub state: String,
}

/// Why nothing happens.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// It is not what a target is named by.
    #[error("{0}")]
    Invalid(String),
    /// There is no such target, or no such scan.
    #[error("{0}")]
    Unknown(String),
    /// It is known, and not scanned: its owner opted out, or the configuration excludes it.
    #[error("{0}")]
    Excluded(String),
    /// Not now: the queue is full, or the service takes no new work.
    #[error("{0}")]
    Busy(String),
}
