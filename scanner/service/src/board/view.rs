//! What the service knows of itself, as it is shown: plain values, and the JSON of the status interface.
//!
//! Whoever reads them may be another version of the program, so every field may be missing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::stamp;
use crate::target::{Kind, Place, Target};

/// Everything, at one moment.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct View {
    /// The moment.
    #[serde(with = "stamp")]
    pub now: OffsetDateTime,
    /// Who this is.
    pub identity: Identity,
    /// What the service is about.
    pub phase: Phase,
    /// Whether it does its work.
    #[serde(default)]
    pub health: Health,
    /// What is wrong at present, the worst first.
    #[serde(default)]
    pub problems: Vec<Problem>,
    /// How many problems had no place in the list.
    #[serde(default)]
    pub problems_omitted: u64,
    /// What was found in each place.
    #[serde(default)]
    pub places: Vec<Discovery>,
    /// What waits.
    #[serde(default)]
    pub queue: Queue,
    /// What is being scanned, the longest first.
    #[serde(default)]
    pub scans: Vec<Running>,
    /// What is due next.
    #[serde(default)]
    pub due: Vec<Due>,
    /// The newest results, the newest first.
    #[serde(default)]
    pub results: Vec<Last>,
    /// What was scanned since the start.
    #[serde(default)]
    pub totals: Totals,
    /// Where lists go.
    #[serde(default)]
    pub sinks: Vec<Sink>,
    /// Where tasks come from.
    #[serde(default)]
    pub sources: Vec<Source>,
    /// What the last sweep of each place did.
    #[serde(default)]
    pub sweeps: Vec<Sweep>,
    /// The snapshots of each place.
    #[serde(default)]
    pub snapshots: Vec<Snapshots>,
    /// Requests to AWS, by action.
    #[serde(default)]
    pub calls: Vec<Calls>,
    /// How often AWS asked to slow down, by class of requests.
    #[serde(default)]
    pub throttles: BTreeMap<String, u64>,
}

/// Who this is.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Identity {
    /// The scanner's id.
    pub scanner: String,
    /// The version of the program.
    pub version: String,
    /// The instance it runs on.
    #[serde(default)]
    pub instance: Option<String>,
    /// When it was started.
    #[serde(with = "stamp")]
    pub started: OffsetDateTime,
}

/// What the service is about.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It tests itself and sweeps; it takes no work yet.
    Starting,
    /// It works.
    Ready,
    /// It takes no new work, and finishes what it has.
    Draining,
    /// It delivers, cleans up and ends.
    Stopping,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Starting, Self::Ready, Self::Draining, Self::Stopping];

    /// The name in messages and labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Stopping => "stopping",
        }
    }
}

/// Whether the service does its work.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Health {
    /// Whether it does.
    #[serde(default)]
    pub healthy: bool,
    /// Why it does not.
    #[serde(default)]
    pub reasons: Vec<String>,
}

/// Something that is wrong.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Problem {
    /// What it is about. There is one problem of each key.
    pub key: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, and what to do.
    pub text: String,
    /// Since when.
    #[serde(with = "stamp")]
    pub since: OffsetDateTime,
    /// When it was last seen.
    #[serde(with = "stamp")]
    pub last: OffsetDateTime,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The service does its work in spite of it, or will.
    Warning,
    /// The service does not do its work because of it.
    Error,
}

impl Severity {
    /// The name in messages and labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// An attempt that fails, again and again.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Trouble {
    /// Why it failed the last time.
    pub text: String,
    /// When it first failed.
    #[serde(with = "stamp")]
    pub since: OffsetDateTime,
    /// When it last failed.
    #[serde(with = "stamp")]
    pub last: OffsetDateTime,
}

/// What was found in a place.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Discovery {
    /// The place.
    pub place: Place,
    /// When it was last looked at with success.
    #[serde(default, with = "stamp::option")]
    pub last_ok: Option<OffsetDateTime>,
    /// How many targets there are.
    #[serde(default)]
    pub targets: BTreeMap<Kind, u64>,
    /// How many have the tag by which their owner opts out.
    #[serde(default)]
    pub opted_out: u64,
    /// How many the configuration excludes by tags.
    #[serde(default)]
    pub excluded: u64,
    /// How many are left out for another reason, by reason.
    #[serde(default)]
    pub skipped: BTreeMap<String, u64>,
    /// Some of those that are left out.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
    /// Why the last look failed, if it did.
    #[serde(default)]
    pub failing: Option<Trouble>,
}

impl Discovery {
    /// A place that was not looked at yet.
    pub fn new(place: Place) -> Self {
        Self {
            place,
            last_ok: None,
            targets: BTreeMap::new(),
            opted_out: 0,
            excluded: 0,
            skipped: BTreeMap::new(),
            left_out: Vec::new(),
            failing: None,
        }
    }
}

/// What is not scanned.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LeftOut {
    /// Its ARN or id.
    pub target: String,
    /// Why.
    pub reason: String,
}

/// What waits to be scanned.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Queue {
    /// How many targets wait.
    #[serde(default)]
    pub waiting: u64,
    /// How many may.
    #[serde(default)]
    pub length: u64,
    /// How many scans run.
    #[serde(default)]
    pub running: u64,
    /// How many may.
    #[serde(default)]
    pub workers: u64,
    /// How many targets were turned away since the start, because the queue was full.
    #[serde(default)]
    pub refused: u64,
    /// Since when the one that waits the longest does.
    #[serde(default, with = "stamp::option")]
    pub oldest: Option<OffsetDateTime>,
}

/// Which target.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Name {
    /// Its ARN.
    pub arn: String,
    /// How AWS's requests name it.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// Where it is.
    pub place: Place,
}

impl From<&Target> for Name {
    fn from(target: &Target) -> Self {
        Self {
            arn: target.arn.clone(),
            id: target.id.clone(),
            kind: target.kind,
            place: target.place.clone(),
        }
    }
}

/// A scan under way.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Running {
    /// The scan.
    pub scan: String,
    /// What it scans.
    pub target: Name,
    /// Since when.
    #[serde(with = "stamp")]
    pub since: OffsetDateTime,
    /// When it is given up.
    #[serde(default, with = "stamp::option")]
    pub deadline: Option<OffsetDateTime>,
    /// What it does at present.
    #[serde(default)]
    pub step: String,
}

/// What is due next.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Due {
    /// The target.
    pub target: Name,
    /// When.
    #[serde(with = "stamp")]
    pub at: OffsetDateTime,
}

/// The last result of a target.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Last {
    /// The scan.
    pub scan: String,
    /// The target.
    pub target: Name,
    /// How it ended.
    pub outcome: Outcome,
    /// When it ended.
    #[serde(with = "stamp")]
    pub at: OffsetDateTime,
    /// How long it took.
    #[serde(rename = "duration_seconds", with = "stamp::seconds")]
    pub duration: Duration,
    /// How many packages were found.
    #[serde(default)]
    pub packages: u64,
    /// How many things could not be read.
    #[serde(default)]
    pub unknowns: u64,
    /// Why it failed, was cancelled or was left out.
    #[serde(default)]
    pub reason: Option<String>,
}

/// How a scan ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything was read.
    Complete,
    /// There are lists, and something could not be read.
    Incomplete,
    /// There is no list.
    Failed,
    /// It was cancelled.
    Cancelled,
    /// It was left out on purpose: a vendor's agent lists the packages already, or the target is gone.
    Skipped,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Complete, Self::Incomplete, Self::Failed, Self::Cancelled, Self::Skipped];

    /// The name in messages and labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }
}

/// What was scanned since the start.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Totals {
    /// Scans, by how they ended.
    #[serde(default)]
    pub outcomes: BTreeMap<Outcome, u64>,
    /// How many packages they found.
    #[serde(default)]
    pub packages: u64,
    /// How many targets have a result that is remembered.
    #[serde(default)]
    pub targets: u64,
    /// How long they took.
    #[serde(default)]
    pub durations: Durations,
}

/// How long scans took.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Durations {
    /// How many took at most as long as [`BOUNDS`](Self::BOUNDS) says, each counted in the first that fits; the longest of all
    /// are only in `count`.
    #[serde(default)]
    pub buckets: [u64; 10],
    /// How many there were.
    #[serde(default)]
    pub count: u64,
    /// How long all of them took.
    #[serde(default, rename = "sum_seconds", with = "stamp::seconds")]
    pub sum: Duration,
}

impl Durations {
    /// The bounds of the buckets, in seconds.
    pub const BOUNDS: [u64; 10] = [5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 10_800];

    /// Counts one.
    pub(super) fn add(&mut self, duration: Duration) {
        self.count = self.count.saturating_add(1);
        self.sum = self.sum.saturating_add(duration);
        let bounds = Self::BOUNDS.iter();
        let fitting =
            self.buckets.iter_mut().zip(bounds).find(|(_, bound)| duration <= Duration::from_secs(**bound));
        if let Some((bucket, _)) = fitting {
            *bucket = bucket.saturating_add(1);
        }
    }
}

/// A sink and its spool.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sink {
    /// Its name: `files`, `s3`, `datadog`, `https`.
    pub name: String,
    /// How many reports wait.
    #[serde(default)]
    pub queued: u64,
    /// How much room they take.
    #[serde(default)]
    pub queued_bytes: u64,
    /// How much they may.
    #[serde(default)]
    pub capacity_bytes: u64,
    /// How many were delivered since the start.
    #[serde(default)]
    pub delivered: u64,
    /// How many were refused for good.
    #[serde(default)]
    pub refused: u64,
    /// How many had no room.
    #[serde(default)]
    pub dropped: u64,
    /// How many attempts failed and were made again.
    #[serde(default)]
    pub retried: u64,
    /// When one was last delivered.
    #[serde(default, with = "stamp::option")]
    pub last_ok: Option<OffsetDateTime>,
    /// When the next attempt is, while it fails.
    #[serde(default, with = "stamp::option")]
    pub next: Option<OffsetDateTime>,
    /// Why the last attempt failed, if it did.
    #[serde(default)]
    pub failing: Option<Trouble>,
}

/// A source of tasks.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Source {
    /// Its name: `directory`, `file`, `url`.
    pub name: String,
    /// How many tasks were taken since the start.
    #[serde(default)]
    pub accepted: u64,
    /// How many were not.
    #[serde(default)]
    pub rejected: u64,
    /// When it was last read with success.
    #[serde(default, with = "stamp::option")]
    pub last_ok: Option<OffsetDateTime>,
    /// Why the last attempt failed, if it did.
    #[serde(default)]
    pub failing: Option<Trouble>,
}

/// What the last sweep of a place did.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sweep {
    /// The place.
    pub place: Place,
    /// When it ended.
    #[serde(with = "stamp")]
    pub at: OffsetDateTime,
    /// How many snapshots of scanners there were.
    #[serde(default)]
    pub found: u64,
    /// How many were deleted.
    #[serde(default)]
    pub deleted: u64,
    /// How many are still to be deleted.
    #[serde(default)]
    pub left: u64,
    /// Why it failed, or why some are left.
    #[serde(default)]
    pub failing: Option<Trouble>,
}

/// The snapshots of this scanner in a place.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Snapshots {
    /// The place.
    pub place: Place,
    /// How many are being made.
    #[serde(default)]
    pub pending: u64,
    /// How many may be.
    #[serde(default)]
    pub limit: u64,
    /// How many are kept for the next scan.
    #[serde(default)]
    pub kept: u64,
}

/// Requests to AWS of one action.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Calls {
    /// The action, such as `ec2:CreateSnapshot`.
    pub action: String,
    /// How many there were, with those that failed.
    pub calls: u64,
}
