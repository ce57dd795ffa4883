//! What waits and what runs, for the status.

use time::OffsetDateTime;
use uuid::Uuid;

use super::Cause;
use crate::target::{Kind, Place};

/// What waits and what runs, at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Whether the scanner is stopping.
    pub is_closed: bool,
    /// How many may wait.
    pub length: usize,
    /// How many wait for the end of another scan of the same target; not in `waiting`.
    pub following: usize,
    /// Since when the one waits that waits longest.
    pub oldest: Option<OffsetDateTime>,
    /// How many wait, by place.
    pub waiting: Vec<Waiting>,
    /// What runs, the longest first.
    pub running: Vec<Running>,
}

/// How many wait in one place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Waiting {
    /// Where.
    pub place: Place,
    /// Those that somebody or a task asked for.
    pub urgent: usize,
    /// Those that are due.
    pub due: usize,
}

/// One scan that runs.
#[derive(Clone, Debug)]
pub struct Running {
    /// The scan.
    pub scan: Uuid,
    /// The ARN of what is scanned.
    pub target: String,
    /// What that is.
    pub kind: Kind,
    /// Where it is.
    pub place: Place,
    /// Why it is scanned.
    pub cause: Cause,
    /// Since when it runs.
    pub since: OffsetDateTime,
    /// Whether it was told to stop.
    pub is_cancelled: bool,
}

impl Snapshot {
    /// How many wait.
    pub fn waiting_count(&self) -> usize {
        self.waiting.iter().map(|it| it.urgent.saturating_add(it.due)).sum::<usize>() + self.following
    }
}
