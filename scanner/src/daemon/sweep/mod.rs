//! What scans left behind is deleted: at the start of the service, and every hour.
//!
//! Three sources say what that is, each for what the others cannot know:
//!
//! - The journal knows what this scanner made before it crashed, also what no list shows yet. A scan in it that does not run
//!   will delete nothing any more, so that its snapshots are deleted at once.
//! - The tags of snapshots know what the journal forgot, with the disk that it was on: those of this scanner whose scan does
//!   not run are deleted when they are an hour old.
//! - Their expiry is for those of scanners that are gone for good: whoever sweeps the account deletes them.
//!
//! What another scanner made and has not expired is never touched. Scanners that run at the same time must have different
//! identities; with the same one, each takes the other's scans for dead when they are an hour old.

mod delete;
mod plan;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agentless_service::journal::{Chronicle, Entry, Intent, Journal, OpenState};
use agentless_service::target::Place;
use futures_util::{StreamExt, stream};
use scanner_policy::tags;
use time::OffsetDateTime;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use uuid::Uuid;

use crate::aws::{AwsError, Ec2, Snapshot, Tags};

pub use delete::delete;
pub use plan::{Doomed, Reason, Rules};

/// What of this scanner is in use, asked at the moment at which that counts.
pub trait InUse: Sync {
    /// Whether a scan runs: from before it makes its first snapshot until it has deleted, or tried to delete, its last.
    fn runs(&self, scan: Uuid) -> bool;

    /// Whether a snapshot is kept until it expires although its scan has ended.
    fn keeps(&self, _snapshot: &str) -> bool {
        false
    }
}

impl<F: Fn(Uuid) -> bool + Sync> InUse for F {
    fn runs(&self, scan: Uuid) -> bool {
        self(scan)
    }
}

/// Cleans up in one place.
#[derive(Debug)]
pub struct Sweeper<C> {
    ec2: Arc<C>,
    place: Place,
    scanner: String,
    journal: Arc<Journal>,
    /// Requests without an outcome, by scan and origin, with when they were first looked for.
    looked_for: Mutex<BTreeMap<(Uuid, String), Instant>>,
}

/// What became of a sweep.
#[derive(Debug, Default)]
pub struct Swept {
    /// What was deleted, and is known to be gone.
    pub deleted: Vec<Doomed>,
    /// What should have been deleted and may still be there, and why. The next sweep tries again.
    pub failed: Vec<(String, AwsError)>,
    /// How many others scanners made and still need.
    pub kept: usize,
}

/// How many are deleted at a time.
const AT_ONCE: usize = 4;
/// For how long a snapshot whose request had no outcome is looked for, before it was never made. EC2 shows new ones within
/// seconds.
const LOST: Duration = Duration::from_mins(10);

impl<C: Ec2> Sweeper<C> {
    /// Of what this scanner left in a place, and of what is expired there.
    pub fn new(ec2: Arc<C>, place: Place, scanner: String, journal: Arc<Journal>) -> Self {
        Self { ec2, place, scanner, journal, looked_for: Mutex::default() }
    }

    /// Deletes what nobody needs any more. An error if it cannot be found out what that is.
    pub async fn sweep(&self, in_use: &impl InUse, now: OffsetDateTime) -> Result<Swept, AwsError> {
        let listed = list(&*self.ec2).await?;
        let (mut unanswered, mut made) = (Vec::new(), BTreeMap::new());
        // After the list, so that what ended in between is taken for what it is.
        for item in self.journal.open_items() {
            if item.intent.place != self.place || in_use.runs(item.intent.scan) {
                continue;
            }
            match item.state {
                OpenState::Unanswered(times) => unanswered.push((item.intent, times)),
                OpenState::Made(snapshot) => drop(made.insert(snapshot, item.intent)),
            }
        }
        let rules = Rules {
            scanner: &self.scanner,
            ended: unanswered
                .iter()
                .map(|(intent, _)| intent)
                .chain(made.values())
                .map(|of| of.scan)
                .collect(),
            of_others: true,
        };
        let mut doomed = rules.doomed(&listed, in_use, now);
        let shown: BTreeSet<_> = listed.iter().map(|snapshot| &snapshot.id).collect();
        let unseen = made.iter().filter(|(id, _)| !shown.contains(id) && !in_use.keeps(id));
        doomed.extend(unseen.map(|(id, intent)| Doomed::unseen(id, &self.scanner, intent)));

        let mut swept = Swept { kept: listed.len(), ..Swept::default() };
        let ec2 = &*self.ec2;
        let results = stream::iter(doomed).map(|doomed| async move {
            let result = delete(ec2, &doomed.id, doomed.is_listed()).await;
            (doomed, result)
        });
        let mut results = std::pin::pin!(results.buffer_unordered(AT_ONCE));
        while let Some((doomed, result)) = results.next().await {
            swept.kept = swept.kept.saturating_sub(usize::from(doomed.is_listed()));
            match result {
                Ok(()) => {
                    tracing::info!(snapshot = doomed.id, reason = %doomed.reason, "snapshot swept");
                    if made.contains_key(&doomed.id) {
                        let (place, snapshot) = (self.place.clone(), doomed.id.clone());
                        self.write(Entry::Gone { place, snapshot }).await;
                    }
                    swept.deleted.push(doomed);
                }
                Err(error) => {
                    tracing::warn!(
                        snapshot = doomed.id,
                        error = crate::chain(&error),
                        "a snapshot could not be swept, and will be tried again"
                    );
                    swept.failed.push((doomed.id, error));
                }
            }
        }
        self.abandon(unanswered).await;
        Ok(swept)
    }

    /// Gives up requests without an outcome that have been looked for long enough. By this process's own measure: the time of
    /// the day may be anything.
    async fn abandon(&self, unanswered: Vec<(Intent, u32)>) {
        let now = Instant::now();
        let overdue: Vec<_> = {
            let mut looked_for = self.looked_for.lock().unwrap_or_else(PoisonError::into_inner);
            let before = std::mem::take(&mut *looked_for);
            unanswered
                .into_iter()
                .filter(|(Intent { scan, origin, .. }, _)| {
                    let key = (*scan, origin.clone());
                    let since = before.get(&key).copied().unwrap_or(now);
                    looked_for.insert(key, since);
                    now.duration_since(since) >= LOST
                })
                .collect()
        };
        for (Intent { scan, place, origin, .. }, times) in overdue {
            for _ in 0..times {
                self.write(Entry::Abandoned { scan, place: place.clone(), origin: origin.clone() }).await;
            }
        }
    }

    /// What has happened has happened, whether or not it can be written.
    async fn write(&self, entry: Entry) {
        let journal = Arc::clone(&self.journal);
        match spawn_blocking(move || journal.write(entry)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(error = crate::chain(&error), "the journal lacks what was swept");
            }
            Err(error) => tracing::error!(%error, "the journal lacks what was swept"),
        }
    }
}

/// The snapshots of the account here that scanners made.
pub async fn list(ec2: &impl Ec2) -> Result<Vec<Snapshot>, AwsError> {
    ec2.snapshots_tagged(&Tags::from([(tags::SCANNER.to_owned(), tags::TRUE.to_owned())])).await
}
