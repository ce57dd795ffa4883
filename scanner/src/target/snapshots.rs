//! The snapshots that one scan makes, and that must be gone when it has ended.
//!
//! A snapshot is on the ledger from before its request leaves until it is known to be deleted. `CreateSnapshot` has no
//! idempotency token: when only its answer is lost, the snapshot is found again by the scan's own tag.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use scanner_policy::tags;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::ebs::Patience;
use crate::aws::{AwsError, Ec2, Snapshot, SnapshotState, Tags};

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
    ec2: Arc<C>,
    identity: Identity,
    ledger: Mutex<Ledger>,
}

#[derive(Debug, Default)]
struct Ledger {
    /// Snapshots that exist, or may.
    ids: BTreeSet<String>,
    /// Requests to create one of which it is not known whether they were carried out.
    unanswered: u32,
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
    /// The state of the snapshots is not known.
    #[error("the snapshots could not be looked up")]
    Describe(#[source] AwsError),
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
/// How often in a row the states of snapshots cannot be looked up, for a passing reason, before the scan gives up.
const BLIND_LOOKS: u32 = 5;
/// The first pause between attempts.
const PAUSE: Duration = Duration::from_secs(2);
/// How long an answer is waited for when the user has ended the scan.
const GRACE: Duration = Duration::from_secs(10);
/// For so long a new snapshot may be unknown to EC2's lists.
const SETTLE: Duration = Duration::from_mins(1);
/// Pauses between looks at a snapshot's state.
const POLL: Duration = Duration::from_secs(1);
const POLL_MAX: Duration = Duration::from_secs(15);

impl<C: Ec2> Snapshots<C> {
    /// Nothing yet.
    pub fn new(ec2: Arc<C>, identity: Identity) -> Self {
        Self { ec2, identity, ledger: Mutex::default() }
    }

    /// Starts a snapshot.
    pub async fn create(
        &self,
        origin: Origin<'_>,
        cancel: &CancellationToken,
    ) -> Result<Snapshot, SnapshotFailure> {
        let mut pause = PAUSE;
        for attempt in 1.. {
            if cancel.is_cancelled() {
                break;
            }
            self.ledger().unanswered += 1;
            let Some(answer) = self.create_once(origin, cancel).await else { break };
            let error = match answer {
                Ok(snapshot) => {
                    self.answered(Some(&snapshot.id));
                    tracing::info!(origin = origin.id(), snapshot = snapshot.id, "snapshot started");
                    return Ok(snapshot);
                }
                Err(error) => error,
            };
            if !error.is_ambiguous() {
                self.answered(None);
            } else if let Some(snapshot) = self.find_lost(origin.id(), cancel).await {
                tracing::warn!(
                    origin = origin.id(),
                    snapshot = snapshot.id,
                    "the answer was lost, the snapshot was found by its tag"
                );
                self.answered(Some(&snapshot.id));
                return Ok(snapshot);
            }
            if attempt >= CREATE_ATTEMPTS || !error.is_passing() {
                return Err(SnapshotFailure::Create { origin: origin.id().to_owned(), source: error });
            }
            tracing::warn!(
                origin = origin.id(),
                error = crate::chain(&error),
                "the snapshot could not be started, trying again"
            );
            tokio::select! {
                () = sleep(pause) => pause *= 2,
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
                Origin::Volume(id) => self.ec2.create_snapshot(id, &tags).await,
                Origin::Snapshot(id) => self.ec2.copy_snapshot(id, &tags).await,
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
            let Ok(found) = self.ec2.snapshots_tagged(&wanted).await else { continue };
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
        let start = Instant::now();
        let mut pending: BTreeMap<String, String> =
            ids.iter().map(|id| (id.clone(), String::new())).collect();
        let mut failures = BTreeMap::new();
        let mut pause = POLL;
        let mut blind = 0;
        while !pending.is_empty() {
            let wanted: Vec<_> = pending.keys().cloned().collect();
            let described = tokio::select! {
                described = self.ec2.snapshots(&wanted) => described,
                () = cancel.cancelled() => return Err(SnapshotFailure::Cancelled),
            };
            match described {
                Ok(snapshots) => {
                    blind = 0;
                    for Snapshot { id, state, .. } in snapshots {
                        match state {
                            SnapshotState::Completed => drop(pending.remove(&id)),
                            SnapshotState::Unusable { reason } => {
                                pending.remove(&id);
                                failures.insert(id.clone(), SnapshotFailure::Unusable { id, reason });
                            }
                            SnapshotState::Pending { progress } => {
                                pending.entry(id).and_modify(|known| *known = progress);
                            }
                        }
                    }
                }
                Err(AwsError::NotFound { .. }) if start.elapsed() < SETTLE.min(timeout) => {}
                // EC2 answers for all or none: one that somebody deleted must not cost the others.
                Err(AwsError::NotFound { .. }) if wanted.len() > 1 => {
                    for id in wanted {
                        if self.is_gone(&id).await {
                            pending.remove(&id);
                            let reason = "somebody deleted it".to_owned();
                            failures.insert(id.clone(), SnapshotFailure::Unusable { id, reason });
                        }
                    }
                }
                // Hours of waiting are not lost over a minute without answers.
                Err(error) if error.is_passing() && blind < BLIND_LOOKS => {
                    blind += 1;
                    tracing::warn!(
                        error = crate::chain(&error),
                        "the snapshots could not be looked up, trying again"
                    );
                }
                Err(error) => return Err(SnapshotFailure::Describe(error)),
            }
            if pending.is_empty() {
                break;
            }
            if start.elapsed() >= timeout {
                failures.extend(pending.into_iter().map(|(id, progress)| {
                    let progress = if progress.is_empty() { progress } else { format!(" (at {progress})") };
                    (id.clone(), SnapshotFailure::Timeout { id, timeout, progress })
                }));
                break;
            }
            let progress = pending.values().find(|progress| !progress.is_empty());
            look(&format!("waiting for snapshots {}", progress.map_or("", |progress| progress)));
            tokio::select! {
                () = sleep(pause.min(timeout.saturating_sub(start.elapsed()))) => {}
                () = cancel.cancelled() => return Err(SnapshotFailure::Cancelled),
            }
            pause = (pause * 3 / 2).min(POLL_MAX);
        }
        Ok(failures)
    }

    async fn is_gone(&self, id: &str) -> bool {
        matches!(self.ec2.snapshots(&[id.to_owned()]).await, Err(AwsError::NotFound { .. }))
    }

    /// Deletes every snapshot that the scan made, whatever became of the scan. What could not be deleted is returned.
    pub async fn delete_all(&self, region: &str) -> Option<Leftover> {
        if self.ledger().unanswered > 0 {
            self.adopt_lost().await;
        }
        let ids: Vec<_> = self.ledger().ids.iter().cloned().collect();
        let failures = join_all(ids.iter().map(|id| self.delete(id))).await;
        let reason = failures.into_iter().flatten().next_back();
        self.leftover(region, reason)
    }

    /// What may be left if the program ends now.
    pub fn leftover(&self, region: &str, reason: Option<AwsError>) -> Option<Leftover> {
        let ledger = self.ledger();
        if ledger.ids.is_empty() && ledger.unanswered == 0 {
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
            match self.ec2.snapshots_tagged(&self.identity.own_tag()).await {
                Ok(found) => {
                    looked = true;
                    self.ledger().ids.extend(found.into_iter().map(|snapshot| snapshot.id));
                }
                Err(error) => {
                    looked = false;
                    tracing::warn!(error = crate::chain(&error), "could not look for lost snapshots");
                }
            }
        }
        if looked {
            self.ledger().unanswered = 0;
        }
    }

    async fn delete(&self, id: &str) -> Option<AwsError> {
        let mut pause = PAUSE;
        let mut attempt = 1;
        loop {
            match self.ec2.delete_snapshot(id).await {
                // A snapshot made a moment ago may not be known yet: only when that is said again is it believed.
                Err(AwsError::NotFound { .. }) if attempt < UNKNOWN_ATTEMPTS => {}
                Ok(()) | Err(AwsError::NotFound { .. }) => {
                    tracing::info!(snapshot = id, "snapshot deleted");
                    self.ledger().ids.remove(id);
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

    fn answered(&self, id: Option<&str>) {
        let mut ledger = self.ledger();
        ledger.unanswered = ledger.unanswered.saturating_sub(1);
        ledger.ids.extend(id.map(str::to_owned));
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Snapshots that exist, or may, after the scan.
#[derive(Debug)]
pub struct Leftover {
    /// Those whose ids are known.
    pub ids: Vec<String>,
    scan: Uuid,
    region: String,
    reason: Option<AwsError>,
}

impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ids, scan, region, reason } = self;
        let find = format!(
            "`aws ec2 describe-snapshots --region {region} --owner-ids self --filters Name=tag:{},Values={scan}`",
            tags::SCAN_ID
        );
        if ids.is_empty() {
            write!(f, "a snapshot may be left behind: find it with {find} and delete it")?;
        } else {
            write!(f, "left behind and to be deleted:")?;
            for id in ids {
                write!(f, " `aws ec2 delete-snapshot --region {region} --snapshot-id {id}`")?;
            }
            write!(f, "; {find} shows what is left")?;
        }
        match reason {
            Some(reason) => write!(f, "; {}", crate::chain(reason)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::super::fake::{Cloud, Mishap};
    use super::*;

    fn snapshots(cloud: &Arc<Cloud>) -> Snapshots<Cloud> {
        let identity = Identity {
            scan: Uuid::from_u128(7),
            scanner: "cli@test".to_owned(),
            target: "i-1".to_owned(),
            expires: datetime!(2026-11-21 06:00:00 UTC),
        };
        Snapshots::new(Arc::clone(cloud), identity)
    }

    fn patience(cancel: &CancellationToken, seconds: u64) -> Patience<'_> {
        Patience { timeout: Duration::from_secs(seconds), cancel, look: &|_| {} }
    }

    #[tokio::test(start_paused = true)]
    async fn a_snapshot_carries_its_tags_and_is_deleted() {
        let cloud = Cloud::new(&["vol-1"]);
        let snapshots = snapshots(&cloud);
        let snapshot = snapshots.create(Origin::Volume("vol-1"), &CancellationToken::new()).await.unwrap();
        let tags = cloud.tags_of(&snapshot.id);
        let expected = [
            ("DatadogAgentlessScanner", "true"),
            ("DatadogAgentlessScannerExpiresAt", "2026-11-21T06:00:00Z"),
            ("DatadogAgentlessScannerOrigin", "vol-1"),
            ("DatadogAgentlessScannerScanId", "00000000-0000-0000-0000-000000000007"),
            ("DatadogAgentlessScannerScannerId", "cli@test"),
            ("DatadogAgentlessScannerTarget", "i-1"),
        ];
        assert_eq!(tags.iter().map(|(key, value)| (&key[..], &value[..])).collect::<Vec<_>>(), expected);
        assert!(snapshots.leftover("r", None).is_some());
        assert!(snapshots.delete_all("r").await.is_none());
        assert!(cloud.is_clean());
    }

    #[tokio::test(start_paused = true)]
    async fn a_snapshot_whose_answer_was_lost_is_found_and_not_made_twice() {
        let cloud = Cloud::new(&["vol-1"]).with(&[Mishap::CreateAnswerLost]);
        let snapshots = snapshots(&cloud);
        snapshots.create(Origin::Volume("vol-1"), &CancellationToken::new()).await.unwrap();
        assert_eq!(cloud.created(), 1);
        assert!(snapshots.delete_all("r").await.is_none());
        assert!(cloud.is_clean());
    }

    #[tokio::test(start_paused = true)]
    async fn a_snapshot_that_shows_up_late_is_deleted_too() {
        // The answer is lost, and EC2's lists do not show the snapshot until after it was asked for again.
        let cloud =
            Cloud::new(&["vol-1"]).with(&[Mishap::CreateAnswerLost]).hidden_for(Duration::from_secs(18));
        let snapshots = snapshots(&cloud);
        snapshots.create(Origin::Volume("vol-1"), &CancellationToken::new()).await.unwrap();
        assert_eq!(cloud.created(), 2);
        assert!(snapshots.delete_all("r").await.is_none());
        assert!(cloud.is_clean());
    }

    #[tokio::test(start_paused = true)]
    async fn throttling_is_waited_out_and_denial_is_not() {
        let cloud = Cloud::new(&["vol-1"]).with(&[Mishap::CreateThrottled, Mishap::CreateThrottled]);
        snapshots(&cloud).create(Origin::Volume("vol-1"), &CancellationToken::new()).await.unwrap();

        let cloud = Cloud::new(&["vol-1"]).with(&[Mishap::CreateDenied]);
        let error =
            snapshots(&cloud).create(Origin::Volume("vol-1"), &CancellationToken::new()).await.unwrap_err();
        assert!(
            crate::chain(&error)
                .contains("no snapshot of vol-1 could be made: ec2:CreateSnapshot is not allowed")
        );
        assert_eq!(cloud.created(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_cancelled_under_way_leaves_nothing() {
        let cloud = Cloud::new(&["vol-1"]).with(&[Mishap::CreateHangs]);
        let snapshots = snapshots(&cloud);
        let cancel = CancellationToken::new();
        let (result, ()) =
            tokio::join!(snapshots.create(Origin::Volume("vol-1"), &cancel), async { cancel.cancel() });
        assert!(matches!(result, Err(SnapshotFailure::Cancelled)));
        assert_eq!(cloud.created(), 1);
        assert!(snapshots.delete_all("r").await.is_none());
        assert!(cloud.is_clean());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_created_after_the_end() {
        let cloud = Cloud::new(&["vol-1"]);
        let cancel = CancellationToken::new();
        cancel.cancel();
        assert!(matches!(
            snapshots(&cloud).create(Origin::Volume("vol-1"), &cancel).await,
            Err(SnapshotFailure::Cancelled)
        ));
        assert_eq!(cloud.created(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn deletion_is_tried_again_and_what_stays_is_named() {
        let cloud = Cloud::new(&["vol-1"]).with(&[Mishap::DeleteFails; 3]);
        let snapshots_of_one = snapshots(&cloud);
        snapshots_of_one.create(Origin::Volume("vol-1"), &CancellationToken::new()).await.unwrap();
        assert!(snapshots_of_one.delete_all("r").await.is_none());
        assert!(cloud.is_clean());

        let cloud = Cloud::new(&["vol-1"]).with(&[Mishap::DeleteFails; 6]);
        let snapshots_of_one = snapshots(&cloud);
        let snapshot =
            snapshots_of_one.create(Origin::Volume("vol-1"), &CancellationToken::new()).await.unwrap();
        let leftover = snapshots_of_one.delete_all("eu-central-1").await.unwrap();
        assert_eq!(leftover.ids, std::slice::from_ref(&snapshot.id));
        let text = leftover.to_string();
        let command =
            format!("`aws ec2 delete-snapshot --region eu-central-1 --snapshot-id {}`", snapshot.id);
        assert!(text.contains(&command), "{text}");
        assert!(text.contains("Name=tag:DatadogAgentlessScannerScanId,Values=00000000"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_snapshot_that_is_not_known_yet_is_deleted_too() {
        let cloud = Cloud::new(&["vol-1"]).with(&[Mishap::DeleteNotKnownYet; 2]);
        let snapshots = snapshots(&cloud);
        snapshots.create(Origin::Volume("vol-1"), &CancellationToken::new()).await.unwrap();
        assert!(snapshots.delete_all("r").await.is_none());
        assert!(cloud.is_clean());
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_survives_a_while_without_answers_and_no_longer() {
        let cancel = CancellationToken::new();
        for (failures, survives) in [(5, true), (6, false)] {
            let cloud = Cloud::new(&["vol-1"]).with(&vec![Mishap::DescribeFails; failures]);
            let snapshots = snapshots(&cloud);
            let id = snapshots.create(Origin::Volume("vol-1"), &cancel).await.unwrap().id;
            let waited = snapshots.wait(&[id], patience(&cancel, 600)).await;
            assert_eq!(waited.is_ok(), survives, "{waited:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_snapshot_is_waited_for_until_it_is_complete() {
        let cloud = Cloud::new(&["vol-1"]).pending_for(Duration::from_mins(5));
        let snapshots = snapshots(&cloud);
        let cancel = CancellationToken::new();
        let snapshot = snapshots.create(Origin::Volume("vol-1"), &cancel).await.unwrap();
        let failures = snapshots.wait(&[snapshot.id], patience(&cancel, 600)).await.unwrap();
        assert!(failures.is_empty(), "{failures:?}");
        assert!(cloud.looks() < 40, "{}", cloud.looks());
    }

    #[tokio::test(start_paused = true)]
    async fn a_snapshot_that_fails_or_takes_too_long_says_why() {
        let cloud = Cloud::new(&["vol-1"]).with(&[Mishap::SnapshotFails]);
        let snapshots_of_one = snapshots(&cloud);
        let cancel = CancellationToken::new();
        let id = snapshots_of_one.create(Origin::Volume("vol-1"), &cancel).await.unwrap().id;
        let failures =
            snapshots_of_one.wait(std::slice::from_ref(&id), patience(&cancel, 600)).await.unwrap();
        assert!(failures[&id].to_string().contains("cannot be read (error: no key)"), "{failures:?}");

        let cloud = Cloud::new(&["vol-1"]).pending_for(Duration::from_hours(1));
        let snapshots_of_one = snapshots(&cloud);
        let id = snapshots_of_one.create(Origin::Volume("vol-1"), &cancel).await.unwrap().id;
        let failures = snapshots_of_one.wait(std::slice::from_ref(&id), patience(&cancel, 60)).await.unwrap();
        let text = failures[&id].to_string();
        assert!(
            text.contains("not complete after 60 s (at 40%)") && text.contains("--snapshot-timeout"),
            "{text}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_snapshot_that_somebody_deletes_does_not_cost_the_others() {
        let cloud = Cloud::new(&["vol-1", "vol-2"]).pending_for(Duration::from_mins(5));
        let snapshots = snapshots(&cloud);
        let cancel = CancellationToken::new();
        let deleted = snapshots.create(Origin::Volume("vol-1"), &cancel).await.unwrap().id;
        let kept = snapshots.create(Origin::Volume("vol-2"), &cancel).await.unwrap().id;
        cloud.delete_snapshot(&deleted).await.unwrap();
        let failures = snapshots.wait(&[deleted.clone(), kept], patience(&cancel, 600)).await.unwrap();
        assert_eq!(failures.keys().collect::<Vec<_>>(), [&deleted]);
        assert!(failures[&deleted].to_string().contains("somebody deleted it"), "{failures:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_when_the_scan_does() {
        let cloud = Cloud::new(&["vol-1"]).pending_for(Duration::from_hours(1));
        let snapshots = snapshots(&cloud);
        let cancel = CancellationToken::new();
        let id = snapshots.create(Origin::Volume("vol-1"), &cancel).await.unwrap().id;
        let ids = [id];
        let (result, ()) =
            tokio::join!(snapshots.wait(&ids, patience(&cancel, 600)), async { cancel.cancel() });
        assert!(matches!(result, Err(SnapshotFailure::Cancelled)));
    }
}
