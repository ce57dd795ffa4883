//! The snapshots that one scan makes, and that must be gone when it has ended.
//!
//! A snapshot is on the ledger from before its request leaves until it is known to be deleted. `CreateSnapshot` has no
//! idempotency token: when only its answer is lost, the snapshot is found again by the scan's own tag.
//!
//! The scans of one place share what belongs to all of them ([`Shared`]): the permits for snapshots in progress, the watcher
//! that looks at their states, and, in the service, the journal, which knows of each snapshot before AWS does and still does
//! after a crash.

mod leftover;
mod shared;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agentless_service::journal::{Entry, Intent, JournalError};
use agentless_service::target::Place;
use futures_util::future::{join_all, select_all};
use scanner_policy::tags;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::ebs::Patience;
use super::permits::Permit;
use super::watch::{Sight, Watch};
use crate::aws::{AwsError, Ec2, Snapshot, Tags};

pub use leftover::Leftover;
pub use shared::Shared;

/// What is left of a snapshot's life when its scan should long be over, before others may delete it.
pub const EXPIRY_MARGIN: Duration = Duration::from_hours(2);

/// What is written on everything that a scan makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The scan.
    pub scan: Uuid,
    /// The scanner, so that two scanners of one account leave each other's snapshots alone.
    pub scanner: String,
    /// What the scan was asked to look at.
    pub target: String,
    /// When any scanner of the account may delete what is left.
    pub expires: OffsetDateTime,
}

impl Identity {
    /// The tags of a snapshot of `origin`.
    pub fn tags(&self, origin: &str) -> Tags {
        let pairs = [
            (tags::SCANNER, tags::TRUE.to_owned()),
            (tags::SCAN_ID, self.scan.to_string()),
            (tags::SCANNER_ID, self.scanner.clone()),
            (tags::TARGET, self.target.clone()),
            (tags::ORIGIN, origin.to_owned()),
            (tags::EXPIRES_AT, self.expires.format(&Rfc3339).unwrap_or_default()),
        ];
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// The tag that no other scan's snapshots have.
    fn own_tag(&self) -> Tags {
        Tags::from([(tags::SCAN_ID.to_owned(), self.scan.to_string())])
    }
}

/// The snapshots of one scan.
#[derive(Debug)]
pub struct Snapshots<C> {
    shared: Arc<Shared<C>>,
    identity: Identity,
    ledger: Mutex<Ledger>,
}

#[derive(Debug, Default)]
struct Ledger {
    /// Snapshots that exist, or may.
    ids: BTreeSet<String>,
    /// What is seen of those that were made a moment ago.
    watches: BTreeMap<String, Watch>,
    /// Requests to create one of which it is not known whether they were carried out, by what they are to show.
    unanswered: BTreeMap<String, u32>,
    /// The permits of these.
    permits: Vec<Permit>,
}

/// What a snapshot is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin<'a> {
    /// A volume.
    Volume(&'a str),
    /// A snapshot, of which it is a copy.
    Snapshot(&'a str),
}

impl<'a> Origin<'a> {
    /// Its id.
    pub fn id(self) -> &'a str {
        match self {
            Self::Volume(id) | Self::Snapshot(id) => id,
        }
    }
}

/// Why a volume has no snapshot that can be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotFailure {
    /// AWS said no, or nothing.
    #[error("no snapshot of {origin} could be made")]
    Create {
        /// The volume or snapshot.
        origin: String,
        /// Why.
        source: AwsError,
    },
    /// It may not be made, since it would be forgotten by a crash.
    #[error("no snapshot of {origin} was made")]
    Journal {
        /// The volume or snapshot.
        origin: String,
        /// Why.
        source: JournalError,
    },
    /// The state of the snapshots is not known.
    #[error("the snapshots could not be looked up")]
    Describe(#[source] Arc<AwsError>),
    /// The snapshot failed.
    #[error("the snapshot {id} cannot be read ({reason})")]
    Unusable {
        /// The snapshot.
        id: String,
        /// EC2's state and message.
        reason: String,
    },
    /// It takes too long.
    #[error(
        "the snapshot {id} was not complete after {} s{progress}: the first snapshot of a large volume can take hours, \
         give more time with --snapshot-timeout",
        timeout.as_secs()
    )]
    Timeout {
        /// The snapshot.
        id: String,
        /// How long was waited.
        timeout: Duration,
        /// How far it was, with a space before it.
        progress: String,
    },
    /// The owner does not want it scanned.
    #[error(
        "{id} must not be scanned: it carries the tag {}={}, by which its owner opts out",
        tags::SCANNER,
        tags::FALSE
    )]
    OptedOut {
        /// The instance, volume, image or snapshot.
        id: String,
    },
    /// The user ended the scan.
    #[error("the scan was cancelled")]
    Cancelled,
}

/// How often a snapshot is asked for, while that fails for a passing reason.
const CREATE_ATTEMPTS: u32 = 3;
/// How often lost snapshots are looked for. EC2 shows new ones only after a moment.
const LOOKUPS: u32 = 3;
/// How often the deletion of a snapshot is tried. With doubled pauses, for about a minute.
const DELETE_ATTEMPTS: u32 = 6;
/// How often EC2 must say that it does not know a snapshot before that means that it is gone.
const UNKNOWN_ATTEMPTS: u32 = 3;
/// The first pause between attempts.
const PAUSE: Duration = Duration::from_secs(2);
/// How long an answer is waited for when the user has ended the scan.
const GRACE: Duration = Duration::from_secs(10);
/// How long AWS may have as many snapshots in progress as it allows, of others in the account, before a scan gives up.
const FULL_PATIENCE: Duration = Duration::from_hours(1);
/// Pauses between attempts meanwhile.
const FULL_PAUSE: Duration = Duration::from_secs(15);
const FULL_PAUSE_MAX: Duration = Duration::from_mins(2);

impl<C: Ec2> Snapshots<C> {
    /// Nothing yet, of a scan that shares nothing with others.
    pub fn new(ec2: Arc<C>, identity: Identity) -> Self {
        Self::of(Arc::new(Shared::alone(ec2)), identity)
    }

    /// Nothing yet, of one of the scans of a place.
    pub fn of(shared: Arc<Shared<C>>, identity: Identity) -> Self {
        Self { shared, identity, ledger: Mutex::default() }
    }

    /// Starts a snapshot, as soon as another one may be in progress.
    pub async fn create(
        &self,
        origin: Origin<'_>,
        cancel: &CancellationToken,
    ) -> Result<Snapshot, SnapshotFailure> {
        let mut permit = tokio::select! {
            permit = self.shared.permits.take() => Some(permit),
            () = cancel.cancelled() => return Err(SnapshotFailure::Cancelled),
        };
        let (mut pause, mut full_pause) = (PAUSE, FULL_PAUSE);
        let mut attempt = 1;
        let patience = Instant::now() + FULL_PATIENCE;
        while !cancel.is_cancelled() {
            self.intend(origin.id()).await?;
            let Some(answer) = self.create_once(origin, cancel).await else {
                self.ledger().permits.extend(permit);
                break;
            };
            let error = match answer {
                Ok(snapshot) => {
                    tracing::info!(origin = origin.id(), snapshot = snapshot.id, "snapshot started");
                    self.made(origin.id(), &snapshot.id, permit).await;
                    return Ok(snapshot);
                }
                Err(error) => error,
            };
            if !error.is_ambiguous() {
                self.not_made(origin.id()).await;
            } else if let Some(snapshot) = self.find_lost(origin.id(), cancel).await {
                tracing::warn!(
                    origin = origin.id(),
                    snapshot = snapshot.id,
                    "the answer was lost, the snapshot was found by its tag"
                );
                self.made(origin.id(), &snapshot.id, permit).await;
                return Ok(snapshot);
            } else {
                // It may be in progress beside the one of the next attempt.
                self.ledger().permits.extend(permit.take());
            }
            let pause = if error.is_snapshot_limit() && Instant::now() < patience {
                tracing::info!(
                    origin = origin.id(),
                    error = crate::chain(&error),
                    "AWS has as many snapshots in progress as it allows, waiting"
                );
                let pause = full_pause;
                full_pause = (full_pause * 2).min(FULL_PAUSE_MAX);
                // Scanners that were refused together do not come back together.
                pause.mul_f64(0.75 + fastrand::f64() / 2.0)
            } else if attempt < CREATE_ATTEMPTS && error.is_passing() {
                tracing::warn!(
                    origin = origin.id(),
                    error = crate::chain(&error),
                    "the snapshot could not be started, trying again"
                );
                attempt += 1;
                let doubled = pause * 2;
                std::mem::replace(&mut pause, doubled)
            } else {
                return Err(SnapshotFailure::Create { origin: origin.id().to_owned(), source: error });
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = cancel.cancelled() => {}
            }
        }
        Err(SnapshotFailure::Cancelled)
    }

    /// One request. `None` if the user ended the scan and no answer came soon.
    async fn create_once(
        &self,
        origin: Origin<'_>,
        cancel: &CancellationToken,
    ) -> Option<Result<Snapshot, AwsError>> {
        let tags = self.identity.tags(origin.id());
        let request = async {
            match origin {
                Origin::Volume(id) => self.shared.ec2.create_snapshot(id, &tags).await,
                Origin::Snapshot(id) => self.shared.ec2.copy_snapshot(id, &tags).await,
            }
        };
        tokio::select! {
            answer = request => Some(answer),
            () = async { cancel.cancelled().await; sleep(GRACE).await } => None,
        }
    }

    /// A snapshot of this scan whose id never arrived. Not looked for any longer when the user ends the scan: then all
    /// lost ones are looked for together.
    async fn find_lost(&self, origin: &str, cancel: &CancellationToken) -> Option<Snapshot> {
        let mut wanted = self.identity.own_tag();
        wanted.insert(tags::ORIGIN.to_owned(), origin.to_owned());
        let mut pause = PAUSE;
        for _ in 0..LOOKUPS {
            tokio::select! {
                () = sleep(pause) => {}
                () = cancel.cancelled() => return None,
            }
            pause *= 2;
            let Ok(found) = self.shared.ec2.snapshots_tagged(&wanted).await else { continue };
            let known = self.ledger().ids.clone();
            let lost = found.into_iter().find(|found| !known.contains(&found.id));
            if lost.is_some() {
                return lost;
            }
        }
        None
    }

    /// Waits until these snapshots, which need not be the scan's own, can be read. Returns why some of them cannot.
    pub async fn wait(
        &self,
        ids: &[String],
        Patience { timeout, cancel, look }: Patience<'_>,
    ) -> Result<BTreeMap<String, SnapshotFailure>, SnapshotFailure> {
        let deadline = Instant::now() + timeout;
        let mut pending: BTreeMap<_, _> = ids.iter().map(|id| (id.clone(), self.watch(id))).collect();
        let mut failures = BTreeMap::new();
        loop {
            let mut known = String::new();
            for (id, mut watch) in std::mem::take(&mut pending) {
                let reason = match watch.sight() {
                    Some(Sight::Completed) => continue,
                    Some(Sight::Pending { progress }) => {
                        if !progress.is_empty() {
                            known = progress;
                        }
                        pending.insert(id, watch);
                        continue;
                    }
                    Some(Sight::Unseen(error)) => return Err(SnapshotFailure::Describe(error)),
                    Some(Sight::Unusable { reason }) => reason,
                    Some(Sight::Gone) => "somebody deleted it".to_owned(),
                    None => "nobody looks at it any more".to_owned(),
                };
                failures.insert(id.clone(), SnapshotFailure::Unusable { id, reason });
            }
            if pending.is_empty() {
                return Ok(failures);
            }
            look(&format!("waiting for snapshots {known}"));
            let news = select_all(pending.values_mut().map(|watch| Box::pin(watch.changed())));
            tokio::select! {
                _ = news => {}
                () = sleep_until(deadline) => break,
                () = cancel.cancelled() => return Err(SnapshotFailure::Cancelled),
            }
        }
        failures.extend(pending.into_iter().map(|(id, mut watch)| {
            let progress = match watch.sight() {
                Some(Sight::Pending { progress }) if !progress.is_empty() => format!(" (at {progress})"),
                _ => String::new(),
            };
            (id.clone(), SnapshotFailure::Timeout { id, timeout, progress })
        }));
        Ok(failures)
    }

    /// What is seen of a snapshot: of one that was made a moment ago, what was seen since then as well.
    fn watch(&self, id: &str) -> Watch {
        let known = self.ledger().watches.remove(id);
        let over = known.and_then(|mut watch| {
            let is_over = !matches!(watch.sight(), Some(Sight::Pending { .. }) | None);
            is_over.then_some(watch)
        });
        over.unwrap_or_else(|| self.shared.watcher.watch(id))
    }

    /// Deletes every snapshot that the scan made, whatever became of the scan. What could not be deleted is returned.
    pub async fn delete_all(&self, region: &str) -> Option<Leftover> {
        if !self.ledger().unanswered.is_empty() {
            self.adopt_lost().await;
        }
        let ids: Vec<_> = self.ledger().ids.iter().cloned().collect();
        let failures = join_all(ids.iter().map(|id| self.delete(id))).await;
        let reason = failures.into_iter().flatten().next_back();
        self.leftover(region, reason)
    }

    /// Keeps a snapshot beyond the end of the scan. The journal goes on naming it, so that it is not forgotten: whoever wants
    /// it kept says so to the sweep.
    pub fn release(&self, id: &str) {
        {
            let mut ledger = self.ledger();
            ledger.ids.remove(id);
            ledger.watches.remove(id);
        }
        self.shared.watcher.forget(id);
    }

    /// Has a snapshot that an earlier scan kept deleted together with the scan's own.
    pub fn adopt(&self, id: String) {
        self.ledger().ids.insert(id);
    }

    /// What may be left if the program ends now.
    pub fn leftover(&self, region: &str, reason: Option<AwsError>) -> Option<Leftover> {
        let ledger = self.ledger();
        if ledger.ids.is_empty() && ledger.unanswered.is_empty() {
            return None;
        }
        let ids = ledger.ids.iter().cloned().collect();
        Some(Leftover { ids, scan: self.identity.scan, region: region.to_owned(), reason })
    }

    /// Puts the snapshots of unanswered requests on the ledger.
    async fn adopt_lost(&self) {
        let mut pause = PAUSE;
        let mut looked = false;
        for _ in 0..LOOKUPS {
            // Before each look, so that the last one is as late as can be: a list may not show a new snapshot yet.
            sleep(pause).await;
            pause *= 2;
            match self.shared.ec2.snapshots_tagged(&self.identity.own_tag()).await {
                Ok(found) => {
                    looked = true;
                    for snapshot in found {
                        if !self.ledger().ids.contains(&snapshot.id) {
                            let origin = snapshot.tags.get(tags::ORIGIN).cloned().unwrap_or_default();
                            self.made(&origin, &snapshot.id, None).await;
                        }
                    }
                }
                Err(error) => {
                    looked = false;
                    tracing::warn!(error = crate::chain(&error), "could not look for lost snapshots");
                }
            }
        }
        if looked {
            let unanswered = self.ledger().unanswered.clone();
            for (origin, times) in unanswered {
                for _ in 0..times {
                    self.not_made(&origin).await;
                }
            }
            self.ledger().permits.clear();
        }
    }

    async fn delete(&self, id: &str) -> Option<AwsError> {
        let mut pause = PAUSE;
        let mut attempt = 1;
        loop {
            match self.shared.ec2.delete_snapshot(id).await {
                // A snapshot made a moment ago may not be known yet: only when that is said again is it believed.
                Err(AwsError::NotFound { .. }) if attempt < UNKNOWN_ATTEMPTS => {}
                Ok(()) | Err(AwsError::NotFound { .. }) => {
                    tracing::info!(snapshot = id, "snapshot deleted");
                    self.gone(id).await;
                    return None;
                }
                Err(error) if error.is_passing() && attempt < DELETE_ATTEMPTS => {
                    tracing::warn!(
                        snapshot = id,
                        error = crate::chain(&error),
                        "not deleted yet, trying again"
                    );
                }
                Err(error) => return Some(error),
            }
            attempt += 1;
            sleep(pause).await;
            pause *= 2;
        }
    }

    /// A request is about to leave. The journal has it before the ledger, and both have it before AWS.
    async fn intend(&self, origin: &str) -> Result<(), SnapshotFailure> {
        let written = self.shared.write(|place| Entry::Intent(self.intent(place, origin))).await;
        written.map_err(|source| SnapshotFailure::Journal { origin: origin.to_owned(), source })?;
        *self.ledger().unanswered.entry(origin.to_owned()).or_default() += 1;
        Ok(())
    }

    /// A request has made a snapshot.
    async fn made(&self, origin: &str, id: &str, permit: Option<Permit>) {
        {
            let mut ledger = self.ledger();
            ledger.settle(origin);
            ledger.ids.insert(id.to_owned());
            if permit.is_some() {
                let watch = self.shared.watcher.watch_new(id, permit);
                ledger.watches.insert(id.to_owned(), watch);
            }
        }
        let entry = |place| Entry::Made { intent: self.intent(place, origin), snapshot: id.to_owned() };
        // The intent covers it until then.
        self.shared.write_if_possible(entry).await;
    }

    /// A request has made nothing.
    async fn not_made(&self, origin: &str) {
        self.ledger().settle(origin);
        let scan = self.identity.scan;
        let entry = |place| Entry::Abandoned { scan, place, origin: origin.to_owned() };
        self.shared.write_if_possible(entry).await;
    }

    /// A snapshot is deleted.
    async fn gone(&self, id: &str) {
        {
            let mut ledger = self.ledger();
            ledger.ids.remove(id);
            ledger.watches.remove(id);
        }
        self.shared.watcher.forget(id);
        self.shared.write_if_possible(|place| Entry::Gone { place, snapshot: id.to_owned() }).await;
    }

    fn intent(&self, place: Place, origin: &str) -> Intent {
        let Identity { scan, target, expires, .. } = self.identity.clone();
        Intent { scan, place, origin: origin.to_owned(), target, expires }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    /// One request for a snapshot of this has an outcome.
    fn settle(&mut self, origin: &str) {
        if let Some(times) = self.unanswered.get_mut(origin) {
            *times = times.saturating_sub(1);
            if *times == 0 {
                self.unanswered.remove(origin);
            }
        }
    }
}
