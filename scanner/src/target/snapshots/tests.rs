use time::macros::datetime;

use super::super::fake::{Cloud, Mishap};
use super::*;
use crate::aws::SnapshotState;

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
    let cloud = Cloud::new(&["vol-1"]).with(&[Mishap::CreateAnswerLost]).hidden_for(Duration::from_secs(18));
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
    let snapshot = snapshots_of_one.create(Origin::Volume("vol-1"), &CancellationToken::new()).await.unwrap();
    let leftover = snapshots_of_one.delete_all("eu-central-1").await.unwrap();
    assert_eq!(leftover.ids, std::slice::from_ref(&snapshot.id));
    let text = leftover.to_string();
    let command = format!("`aws ec2 delete-snapshot --region eu-central-1 --snapshot-id {}`", snapshot.id);
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
    let failures = snapshots_of_one.wait(std::slice::from_ref(&id), patience(&cancel, 600)).await.unwrap();
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
    let (result, ()) = tokio::join!(snapshots.wait(&ids, patience(&cancel, 600)), async { cancel.cancel() });
    assert!(matches!(result, Err(SnapshotFailure::Cancelled)));
}

/// Keeps what it is told, and fails when it is told to.
#[derive(Debug, Default)]
struct Notes {
    entries: Mutex<Vec<Entry>>,
    is_full: std::sync::atomic::AtomicBool,
}

impl agentless_service::journal::Chronicle for Notes {
    fn write(&self, entry: Entry) -> Result<(), JournalError> {
        if self.is_full.load(std::sync::atomic::Ordering::Relaxed) {
            let source = std::io::ErrorKind::StorageFull.into();
            return Err(JournalError::Write { path: "journal".into(), source });
        }
        self.entries.lock().unwrap().push(entry);
        Ok(())
    }
}

impl Notes {
    /// The kinds of its entries, with what they are of.
    fn kinds(&self) -> Vec<String> {
        let entries = self.entries.lock().unwrap();
        let kind = |entry: &Entry| match entry {
            Entry::Intent(Intent { origin, .. }) => format!("intent {origin}"),
            Entry::Made { snapshot, .. } => format!("made {snapshot}"),
            Entry::Abandoned { origin, .. } => format!("abandoned {origin}"),
            Entry::Gone { snapshot, .. } => format!("gone {snapshot}"),
        };
        entries.iter().map(kind).collect()
    }
}

fn noted(cloud: &Arc<Cloud>, notes: &Arc<Notes>, permits: usize) -> Snapshots<Cloud> {
    let place = Place { account: "111122223333".to_owned(), region: "eu-central-1".to_owned() };
    let permits = super::super::Permits::new(permits.try_into().unwrap());
    let chronicle: Arc<dyn agentless_service::journal::Chronicle> = Arc::<Notes>::clone(notes);
    Snapshots::of(
        Arc::new(Shared::new(Arc::clone(cloud), place, permits, chronicle)),
        snapshots(cloud).identity,
    )
}

#[tokio::test(start_paused = true)]
async fn the_journal_knows_of_each_request_and_of_its_outcome() {
    use Mishap::{CreateAnswerLost, CreateDenied, CreateThrottled};
    let cancel = CancellationToken::new();
    for (mishaps, hidden, expected) in [
        (&[][..], 0, &["intent vol-1", "made snap-1", "gone snap-1"][..]),
        (
            &[CreateThrottled][..],
            0,
            &["intent vol-1", "abandoned vol-1", "intent vol-1", "made snap-1", "gone snap-1"][..],
        ),
        (&[CreateDenied][..], 0, &["intent vol-1", "abandoned vol-1"][..]),
        (&[CreateAnswerLost][..], 0, &["intent vol-1", "made snap-1", "gone snap-1"][..]),
        (
            &[CreateAnswerLost][..],
            20,
            &["intent vol-1", "intent vol-1", "made snap-2", "made snap-1", "gone snap-1", "gone snap-2"][..],
        ),
    ] {
        let cloud = Cloud::new(&["vol-1"]).with(mishaps).hidden_for(Duration::from_secs(hidden));
        let notes = Arc::new(Notes::default());
        let snapshots = noted(&cloud, &notes, 10);
        let _ = snapshots.create(Origin::Volume("vol-1"), &cancel).await;
        assert!(snapshots.delete_all("r").await.is_none());
        assert!(cloud.is_clean());
        let mut kinds = notes.kinds();
        // Those that are deleted at the same time come in any order.
        kinds.sort_by_key(|kind| kind.starts_with("gone").then(|| kind.clone()));
        assert_eq!(kinds, expected, "{mishaps:?}");
        assert_eq!(snapshots.shared.in_progress(), 0, "{mishaps:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_journal_nothing_is_made_and_all_is_deleted() {
    let cloud = Cloud::new(&["vol-1", "vol-2"]);
    let notes = Arc::new(Notes::default());
    let snapshots = noted(&cloud, &notes, 10);
    let cancel = CancellationToken::new();
    snapshots.create(Origin::Volume("vol-1"), &cancel).await.unwrap();
    notes.is_full.store(true, std::sync::atomic::Ordering::Relaxed);
    let error = snapshots.create(Origin::Volume("vol-2"), &cancel).await.unwrap_err();
    let text = crate::chain(&error);
    assert!(text.contains("no snapshot of vol-2 was made") && text.contains("disk is full"), "{text}");
    assert_eq!(cloud.created(), 1);
    assert!(snapshots.delete_all("r").await.is_none());
    assert!(cloud.is_clean());
}

#[tokio::test(start_paused = true)]
async fn no_more_snapshots_are_in_progress_than_may_be() {
    let volumes: Vec<_> = (0..20).map(|number| format!("vol-{number}")).collect();
    let cloud = Cloud::new(&["vol-0"]).pending_for(Duration::from_mins(3));
    let notes = Arc::new(Notes::default());
    let one = noted(&cloud, &notes, 4);
    let two = Snapshots::of(Arc::clone(&one.shared), one.identity.clone());
    let cancel = CancellationToken::new();
    // Each wants more than there are, before it waits for any.
    let all = async |of: &Snapshots<Cloud>| {
        join_all(volumes.iter().map(|id| of.create(Origin::Volume(id), &cancel))).await
    };
    let counting = async {
        loop {
            let is_pending = |snapshot: &Snapshot| matches!(snapshot.state, SnapshotState::Pending { .. });
            let pending = cloud.left().iter().filter(|snapshot| is_pending(snapshot)).count();
            assert!(pending <= 4, "{pending}");
            sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        (first, second) = async { tokio::join!(all(&one), all(&two)) } => {
            assert!(first.into_iter().chain(second).all(|made| made.is_ok()));
        }
        () = counting => {}
    }
    assert_eq!(cloud.created(), 40);
    assert!(one.delete_all("r").await.is_none() && two.delete_all("r").await.is_none());
    assert_eq!(one.shared.in_progress(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_aws_is_waited_out() {
    let cloud = Cloud::new(&["vol-1"]).with(&[Mishap::CreateLimited; 20]);
    let snapshots_of_one = snapshots(&cloud);
    let cancel = CancellationToken::new();
    snapshots_of_one.create(Origin::Volume("vol-1"), &cancel).await.unwrap();
    assert!(snapshots_of_one.delete_all("r").await.is_none());

    let cloud = Cloud::new(&["vol-1"]).with(&[Mishap::CreateLimited; 100]);
    let error = snapshots(&cloud).create(Origin::Volume("vol-1"), &cancel).await.unwrap_err();
    assert!(crate::chain(&error).contains("as many snapshots"), "{error}");
    assert_eq!(cloud.created(), 0);
}
