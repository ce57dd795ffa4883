use std::num::NonZeroUsize;

use time::Duration as Span;
use time::format_description::well_known::Rfc3339;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::target::fake::{BEGINNING, Cloud, Mishap};
use crate::target::{Identity, Origin, Permits, Shared, Snapshots};

pub(super) fn place() -> Place {
    Place { account: "111122223333".to_owned(), region: "eu-central-1".to_owned() }
}

/// A directory for a journal, on a disk that forgets quickly: no test takes the power away.
pub(super) fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A scanner that is alone with a cloud.
struct Scene {
    cloud: Arc<Cloud>,
    journal: Arc<Journal>,
    sweeper: Sweeper<Cloud>,
    folder: tempfile::TempDir,
}

impl Scene {
    fn new(cloud: Arc<Cloud>) -> Self {
        let folder = folder();
        let journal = Arc::new(Journal::open(&folder.path().join("journal")).unwrap());
        Self { sweeper: sweeper(&cloud, &journal), cloud, journal, folder }
    }

    /// As after a crash.
    fn again(self) -> Self {
        let Self { cloud, journal, sweeper: old, folder } = self;
        drop((journal, old));
        let journal = Arc::new(Journal::open(&folder.path().join("journal")).unwrap());
        Self { sweeper: sweeper(&cloud, &journal), cloud, journal, folder }
    }

    fn scan(&self, scan: u128) -> Snapshots<Cloud> {
        let chronicle: Arc<dyn Chronicle> = Arc::<Journal>::clone(&self.journal);
        let permits = Permits::new(NonZeroUsize::new(10).unwrap());
        let shared = Shared::new(Arc::clone(&self.cloud), place(), permits, chronicle);
        let identity = Identity {
            scan: Uuid::from_u128(scan),
            scanner: "one".to_owned(),
            target: "i-1".to_owned(),
            expires: self.cloud.now() + Span::HOUR * 3,
        };
        Snapshots::of(Arc::new(shared), identity)
    }

    async fn sweep(&self, running: &[u128], now: OffsetDateTime) -> Swept {
        let in_use = |scan: Uuid| running.contains(&scan.as_u128());
        self.sweeper.sweep(&in_use, now).await.unwrap()
    }
}

fn sweeper(cloud: &Arc<Cloud>, journal: &Arc<Journal>) -> Sweeper<Cloud> {
    Sweeper::new(Arc::clone(cloud), place(), "one".to_owned(), Arc::clone(journal))
}

/// The tags of a snapshot of a scan of a scanner.
fn tagged(scanner: &str, scan: u128, expires: Option<OffsetDateTime>) -> Tags {
    let mut tags = Tags::from(
        [
            (tags::SCANNER, tags::TRUE.to_owned()),
            (tags::SCAN_ID, Uuid::from_u128(scan).to_string()),
            (tags::SCANNER_ID, scanner.to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value)),
    );
    if let Some(expires) = expires {
        tags.insert(tags::EXPIRES_AT.to_owned(), expires.format(&Rfc3339).unwrap());
    }
    tags
}

async fn create(snapshots: &Snapshots<Cloud>) -> Option<String> {
    let snapshot = snapshots.create(Origin::Volume("vol-1"), &CancellationToken::new()).await;
    snapshot.ok().map(|snapshot| snapshot.id)
}

fn ids(cloud: &Cloud) -> Vec<String> {
    cloud.left().into_iter().map(|snapshot| snapshot.id).collect()
}

fn reasons(swept: &Swept) -> Vec<(&str, Reason)> {
    swept.deleted.iter().map(|doomed| (doomed.id.as_str(), doomed.reason)).collect()
}

#[tokio::test(start_paused = true)]
async fn what_a_crash_left_is_deleted_at_the_start() {
    let scene = Scene::new(Cloud::new(&["vol-1"]));
    let id = create(&scene.scan(1)).await.unwrap();
    // While the scan runs nothing of it is touched.
    let swept = scene.sweep(&[1], BEGINNING).await;
    assert_eq!((reasons(&swept), swept.kept), (vec![], 1));
    let scene = scene.again();
    let swept = scene.sweep(&[], BEGINNING).await;
    assert_eq!(reasons(&swept), [(id.as_str(), Reason::Interrupted)]);
    assert!(scene.cloud.is_clean() && scene.journal.open_items().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_of_a_scan_that_crashed_is_no_lost_snapshot() {
    let cloud = Cloud::new(&["vol-1"]).hidden_for(Duration::from_secs(40)).with(&[Mishap::CreateHangs]);
    let scene = Scene::new(cloud);
    let scan = scene.scan(1);
    let creating = tokio::time::timeout(Duration::from_secs(1), create(&scan)).await;
    assert!(creating.is_err());
    drop(scan);
    let scene = scene.again();
    // No list shows it yet.
    assert!(scene.sweep(&[], BEGINNING).await.deleted.is_empty());
    assert_eq!(scene.journal.open_items().len(), 1);
    tokio::time::sleep(Duration::from_hours(1)).await;
    let swept = scene.sweep(&[], BEGINNING).await;
    assert_eq!(reasons(&swept), [("snap-1", Reason::Interrupted)]);
    assert!(scene.cloud.is_clean() && scene.journal.open_items().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_no_list_shows_yet_is_deleted_by_its_id() {
    let scene = Scene::new(Cloud::new(&["vol-1"]).hidden_for(Duration::from_hours(1)));
    create(&scene.scan(1)).await.unwrap();
    let swept = scene.again().sweep(&[], BEGINNING).await;
    assert_eq!(reasons(&swept), [("snap-1", Reason::Interrupted)]);
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_is_lost_is_replaced_by_tags() {
    let hour = Span::HOUR;
    let soon = BEGINNING + hour * 3;
    let cloud = Cloud::new(&["vol-1"])
        .snapshot("snap-new", BEGINNING - hour / 2, tagged("one", 1, Some(soon)))
        .snapshot("snap-old", BEGINNING - hour, tagged("one", 2, Some(soon)))
        .snapshot("snap-runs", BEGINNING - hour * 9, tagged("one", 3, Some(BEGINNING)));
    let scene = Scene::new(cloud);
    let swept = scene.sweep(&[3], BEGINNING).await;
    assert_eq!((reasons(&swept), swept.kept), (vec![("snap-old", Reason::Orphaned)], 2));
    assert_eq!(ids(&scene.cloud), ["snap-new", "snap-runs"]);
}

#[tokio::test(start_paused = true)]
async fn those_of_others_are_deleted_when_they_have_expired_and_not_before() {
    let hour = Span::HOUR;
    let cloud = Cloud::new(&["vol-1"])
        .snapshot("snap-a", BEGINNING - hour * 20, tagged("two", 1, Some(BEGINNING + hour)))
        .snapshot("snap-b", BEGINNING - hour * 20, tagged("two", 1, Some(BEGINNING)))
        .snapshot("snap-c", BEGINNING - hour * 20, tagged("two", 1, None))
        .snapshot("snap-d", BEGINNING - hour * 24, tagged("two", 1, None));
    let scene = Scene::new(cloud);
    let swept = scene.sweep(&[], BEGINNING).await;
    assert_eq!(reasons(&swept), [("snap-b", Reason::Expired), ("snap-d", Reason::WithoutExpiry)]);
    assert_eq!(ids(&scene.cloud), ["snap-a", "snap-c"]);
    let swept = scene.sweep(&[], BEGINNING + hour * 4).await;
    assert_eq!(reasons(&swept), [("snap-a", Reason::Expired), ("snap-c", Reason::WithoutExpiry)]);
    assert!(scene.cloud.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_set_back_deletes_nothing_that_lives_and_forgets_nothing() {
    let day = Span::DAY;
    let cloud = Cloud::new(&["vol-1"])
        .snapshot("snap-expired", BEGINNING - day, tagged("two", 1, Some(BEGINNING - day / 2)))
        .snapshot("snap-own", BEGINNING - day, tagged("one", 2, Some(BEGINNING - day / 2)))
        .snapshot("snap-live", BEGINNING, tagged("two", 3, Some(BEGINNING + day)));
    let scene = Scene::new(cloud);
    create(&scene.scan(4)).await.unwrap();
    let scene = scene.again();
    // A year: the newest snapshot tells better.
    let swept = scene.sweep(&[], BEGINNING - day * 365).await;
    assert_eq!(swept.deleted.len(), 3, "{swept:?}");
    assert_eq!(ids(&scene.cloud), ["snap-live"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_deleted_when_it_expires() {
    struct Kept;
    impl InUse for Kept {
        fn runs(&self, _scan: Uuid) -> bool {
            false
        }

        fn keeps(&self, snapshot: &str) -> bool {
            snapshot == "snap-1"
        }
    }
    let scene = Scene::new(Cloud::new(&["vol-1"]));
    create(&scene.scan(1)).await.unwrap();
    let now = BEGINNING + Span::HOUR * 2;
    assert!(scene.sweeper.sweep(&Kept, now).await.unwrap().deleted.is_empty());
    let swept = scene.sweeper.sweep(&Kept, now + Span::HOUR).await.unwrap();
    assert_eq!(reasons(&swept), [("snap-1", Reason::Expired)]);
    assert!(scene.journal.open_items().is_empty());
}

#[tokio::test(start_paused = true)]
async fn deletion_is_tried_until_it_is_confirmed() {
    use Mishap::{DeleteAnswerLost, DeleteDenied, DeleteFails, DeleteNotKnownYet};
    for mishaps in [&[DeleteFails; 5][..], &[DeleteAnswerLost], &[DeleteNotKnownYet; 2]] {
        let scene = Scene::new(Cloud::new(&["vol-1"]).with(mishaps));
        create(&scene.scan(1)).await.unwrap();
        let swept = scene.sweep(&[], BEGINNING).await;
        assert_eq!((swept.deleted.len(), swept.failed.len()), (1, 0), "{mishaps:?}");
        assert!(scene.cloud.is_clean() && scene.journal.open_items().is_empty(), "{mishaps:?}");
    }
    for mishaps in [&[DeleteFails; 6][..], &[DeleteDenied]] {
        let scene = Scene::new(Cloud::new(&["vol-1"]).with(mishaps));
        create(&scene.scan(1)).await.unwrap();
        let swept = scene.sweep(&[], BEGINNING).await;
        assert_eq!((swept.deleted.len(), swept.failed.len()), (0, 1), "{mishaps:?}");
        assert_eq!(scene.journal.open_items().len(), 1);
        // It is not forgotten.
        assert_eq!(scene.sweep(&[], BEGINNING).await.deleted.len(), 1);
        assert!(scene.cloud.is_clean());
    }
}

#[tokio::test(start_paused = true)]
async fn another_place_is_left_to_its_own_sweeper() {
    let scene = Scene::new(Cloud::new(&["vol-1"]));
    let elsewhere = Place { region: "us-east-1".to_owned(), ..place() };
    let intent = Intent {
        scan: Uuid::from_u128(1),
        place: elsewhere,
        origin: "vol-9".to_owned(),
        target: "i-9".to_owned(),
        expires: BEGINNING,
    };
    scene.journal.write(Entry::Made { intent, snapshot: "snap-9".to_owned() }).unwrap();
    assert!(scene.sweep(&[], BEGINNING).await.deleted.is_empty());
    assert_eq!(scene.journal.open_items().len(), 1);
}
