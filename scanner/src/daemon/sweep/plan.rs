//! Which snapshots nobody needs any more. Decided from what is known, without a request.

use std::collections::BTreeSet;
use std::fmt;

use agentless_service::journal::Intent;
use scanner_policy::tags;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::InUse;
use crate::aws::Snapshot;

/// Who cleans up, and what.
#[derive(Clone, Debug)]
pub struct Rules<'a> {
    /// The scanner whose snapshots are deleted when their scan does not run.
    pub scanner: &'a str,
    /// Scans of it that are known to have ended.
    pub ended: BTreeSet<Uuid>,
    /// Whether those of others are deleted when they have expired.
    pub of_others: bool,
}

/// A snapshot that nobody needs any more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Doomed {
    /// The snapshot.
    pub id: String,
    /// Why it is to be deleted.
    pub reason: Reason,
    /// The scanner that made it.
    pub scanner: String,
    /// What its scan was asked to look at.
    pub target: String,
    /// When it was started; none if no list shows it.
    pub started: Option<OffsetDateTime>,
    /// When it expires; none if that cannot be read.
    pub expires: Option<OffsetDateTime>,
}

/// Why a snapshot is to be deleted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// The journal knows that its scan was cut short.
    Interrupted,
    /// It is old, and its scan does not run.
    Orphaned,
    /// It has expired.
    Expired,
    /// It is old, and has no expiry that could be read.
    WithoutExpiry,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupted => "its scan was interrupted",
            Self::Orphaned => "its scan does not run",
            Self::Expired => "expired",
            Self::WithoutExpiry => "no readable expiry",
        })
    }
}

/// So old is a snapshot before it counts that its scan does not run: a scan of an instance that is being replaced may.
const GRACE: Duration = Duration::HOUR;
/// So old is one without an expiry before it counts as expired.
const WITHOUT_EXPIRY: Duration = Duration::DAY;

impl Rules<'_> {
    /// Those of these snapshots that nobody needs any more.
    pub fn doomed(&self, listed: &[Snapshot], in_use: &impl InUse, now: OffsetDateTime) -> Vec<Doomed> {
        // AWS has the right time. A clock that was set back is at least known to be behind the newest snapshot.
        let now = listed.iter().filter_map(|snapshot| snapshot.started).fold(now, Ord::max);
        let doomed = listed.iter().filter_map(|snapshot| {
            let reason = self.reason(snapshot, in_use, now)?;
            let text = |key| snapshot.tags.get(key).cloned().unwrap_or_default();
            Some(Doomed {
                id: snapshot.id.clone(),
                reason,
                scanner: text(tags::SCANNER_ID),
                target: text(tags::TARGET),
                started: snapshot.started,
                expires: expiry(snapshot),
            })
        });
        doomed.collect()
    }

    fn reason(&self, snapshot: &Snapshot, in_use: &impl InUse, now: OffsetDateTime) -> Option<Reason> {
        let tag = |key| snapshot.tags.get(key).map(String::as_str);
        let is_own = tag(tags::SCANNER_ID) == Some(self.scanner);
        let scan = tag(tags::SCAN_ID).and_then(|id| Uuid::parse_str(id).ok());
        let is_older = |age| snapshot.started.is_some_and(|started| now - started >= age);
        if is_own && scan.is_some_and(|scan| in_use.runs(scan)) {
            return None;
        }
        let expired = match expiry(snapshot) {
            Some(expires) => (expires <= now).then_some(Reason::Expired),
            None => is_older(WITHOUT_EXPIRY).then_some(Reason::WithoutExpiry),
        };
        if !is_own {
            return expired.filter(|_| self.of_others);
        }
        if in_use.keeps(&snapshot.id) {
            return expired;
        }
        if scan.is_some_and(|scan| self.ended.contains(&scan)) {
            return Some(Reason::Interrupted);
        }
        expired.or_else(|| is_older(GRACE).then_some(Reason::Orphaned))
    }
}

impl Doomed {
    /// One that the journal knows, and no list.
    pub(super) fn unseen(id: &str, scanner: &str, intent: &Intent) -> Self {
        Self {
            id: id.to_owned(),
            reason: Reason::Interrupted,
            scanner: scanner.to_owned(),
            target: intent.target.clone(),
            started: None,
            expires: Some(intent.expires),
        }
    }

    /// Whether a list showed it.
    pub(super) fn is_listed(&self) -> bool {
        self.started.is_some()
    }
}

fn expiry(snapshot: &Snapshot) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(snapshot.tags.get(tags::EXPIRES_AT)?, &Rfc3339).ok()
}
