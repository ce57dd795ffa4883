use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use agentless_cache::BlockSource;
use agentless_core::report::StorageReport;
use agentless_core::source::{DiskState, Source};
use agentless_service::journal::{Chronicle, Journal};
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::*;
use crate::aws::{Ec2, Tags};
use crate::daemon::cloud::AndKept;
use crate::daemon::sweep::{Reason, Sweeper, Swept};
use crate::limits::Limits;
use crate::scan::{Options, Read, ScanError, with_remote};
use crate::target::ebs::EbsTarget;
use crate::target::fake::{BEGINNING, Cloud, Mishap};
use crate::target::{Identity, Permits, Shared, SnapshotBlocks, Snapshots, Target};

const BLOCK: usize = 512 << 10;
const KEPT_FOR: Duration = Duration::from_hours(24);

fn place() -> Place {
    Place { account: "111122223333".to_owned(), region: "eu-central-1".to_owned() }
}

/// A disk whose blocks are filled with these; 0 is a block that is not there.
fn disk(blocks: &[u8]) -> Vec<u8> {
    blocks.iter().flat_map(|&byte| vec![byte; BLOCK]).collect()
}

/// A scanner that is alone with a cloud.
struct Scene {
    cloud: Arc<Cloud>,
    kept: Arc<Kept>,
    journal: Arc<Journal>,
    folder: tempfile::TempDir,
    scans: u128,
}

impl Scene {
    fn new(blocks: &[u8]) -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let journal = Arc::new(Journal::open(&folder.path().join("journal")).unwrap());
        let kept = Arc::new(Kept::open(folder.path().join("kept"), MAX_BYTES).unwrap());
        let cloud = Cloud::new(&["vol-1"]).content("vol-1", disk(blocks)).with_time();
        Self { cloud, kept, journal, folder, scans: 0 }
    }

    fn again(&mut self) {
        self.kept = Arc::new(Kept::open(self.folder.path().join("kept"), MAX_BYTES).unwrap());
    }

    /// Scans the instance, and returns what was on the disk.
    async fn scan(&mut self, is_incremental: bool) -> (Vec<u8>, Read) {
        let (seen, read) = self.scan_with(is_incremental, Ok).await;
        (seen, read.unwrap())
    }

    async fn scan_with(
        &mut self,
        is_incremental: bool,
        end: fn(StorageReport) -> Result<StorageReport, agentless_sandbox::parent::SandboxError>,
    ) -> (Vec<u8>, Result<Read, ScanError>) {
        self.scans += 1;
        let now = self.cloud.now();
        let expires = now + KEPT_FOR;
        let keeping = Keeping { kept: Arc::clone(&self.kept), place: place(), expires, now };
        let options = Options {
            limits: Limits::default(),
            concurrency: NonZeroUsize::new(8).unwrap(),
            snapshot_timeout: Duration::from_mins(10),
            now,
            cancel: CancellationToken::new(),
            progress: Arc::default(),
            keeping: is_incremental.then_some(keeping),
        };
        let identity = Identity {
            scan: Uuid::from_u128(self.scans),
            scanner: "one".to_owned(),
            target: "i-1".to_owned(),
            expires,
        };
        let chronicle: Arc<dyn Chronicle> = Arc::<Journal>::clone(&self.journal);
        let shared = Shared::new(Arc::clone(&self.cloud), place(), Permits::default(), chronicle);
        let snapshots = Snapshots::of(Arc::new(shared), identity);
        let (sender, receiver) = std::sync::mpsc::channel();
        let length = self.cloud.length("vol-1");
        let analysis = move |source: Source<'_>| {
            let Source::Disks(disks) = source else { panic!("no disks") };
            if let DiskState::Open(volume) = &disks[0].state {
                let mut seen = vec![0; length];
                volume.read_at(0, &mut seen).unwrap();
                sender.send(seen).unwrap();
            }
            end(StorageReport::default())
        };
        let target = Target::Instance("i-1".to_owned());
        let (read, leftover) = with_remote(
            &self.cloud,
            "eu-central-1",
            &snapshots,
            (&target, EbsTarget::Instance("i-1")),
            &options,
            analysis,
        )
        .await;
        assert!(leftover.is_none(), "{leftover:?}");
        (receiver.recv().unwrap_or_default(), read)
    }

    async fn sweep(&self) -> Swept {
        let sweeper =
            Sweeper::new(Arc::clone(&self.cloud), place(), "one".to_owned(), Arc::clone(&self.journal));
        let now = self.cloud.now();
        self.kept.expire(now);
        let nothing = |_: Uuid| false;
        sweeper.sweep(&AndKept { in_use: &nothing, kept: &self.kept }, now).await.unwrap()
    }

    fn left(&self) -> Vec<String> {
        self.cloud.left().into_iter().map(|snapshot| snapshot.id).collect()
    }
}

fn fetched(read: &Read) -> u64 {
    read.costs["vol-1"].fetched_blocks
}

#[tokio::test]
async fn a_quiet_host_costs_no_blocks() {
    let mut scene = Scene::new(&[1, 2, 0, 3, 4]);
    let (seen, read) = scene.scan(true).await;
    assert!(seen == disk(&[1, 2, 0, 3, 4]));
    assert_eq!((fetched(&read), scene.cloud.gets()), (4, 4));
    assert_eq!(scene.left(), ["snap-1"]);
    // Also after the scanner was started anew.
    for (round, kept) in [(2, "snap-2"), (3, "snap-3"), (4, "snap-4")] {
        scene.again();
        let (seen, read) = scene.scan(true).await;
        assert!(seen == disk(&[1, 2, 0, 3, 4]), "{round}");
        assert_eq!((fetched(&read), read.costs["vol-1"].fetched_bytes, scene.cloud.gets()), (0, 0, 4));
        assert_eq!(read.costs["vol-1"].allocated_blocks, 4);
        assert_eq!(scene.left(), [kept]);
    }
    assert_eq!(scene.journal.open_items().len(), 1);
}

#[tokio::test]
async fn only_what_has_changed_is_read() {
    let mut scene = Scene::new(&[1, 2, 0, 3, 4, 5]);
    scene.scan(true).await;
    scene.cloud.write("vol-1", disk(&[1, 9, 8, 3, 0, 5]));
    let (seen, read) = scene.scan(true).await;
    assert!(seen == disk(&[1, 9, 8, 3, 0, 5]));
    assert_eq!(fetched(&read), 2);
}

#[tokio::test]
async fn nothing_is_left_of_a_scan_that_is_not_incremental() {
    let mut scene = Scene::new(&[1, 2]);
    let (_, read) = scene.scan(false).await;
    assert_eq!(fetched(&read), 2);
    assert!(scene.cloud.is_clean() && scene.journal.open_items().is_empty());
    assert_eq!(fs::read_dir(scene.folder.path().join("kept")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_scan_that_fails_changes_nothing() {
    let mut scene = Scene::new(&[1, 2]);
    scene.scan(true).await;
    scene.cloud.write("vol-1", disk(&[1, 3]));
    let fails = |_: StorageReport| Err(agentless_sandbox::parent::SandboxError::Stopped);
    let (_, read) = scene.scan_with(true, fails).await;
    assert!(matches!(read, Err(ScanError::Cancelled)), "{read:?}");
    assert_eq!(scene.left(), ["snap-1"]);
    let (seen, read) = scene.scan(true).await;
    assert!(seen == disk(&[1, 3]));
    assert_eq!(fetched(&read), 1);
    assert_eq!(fs::read_dir(scene.folder.path().join("kept")).unwrap().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn whatever_is_in_the_way_costs_a_full_scan() {
    type Obstacle = fn(&Scene);
    let obstacles: [(&str, Obstacle); 5] = [
        ("denied", |scene| scene.cloud.expect(Mishap::ChangesDenied)),
        ("resized", |scene| scene.cloud.resize("vol-1", 2)),
        ("cut", |scene| {
            let path = scene.folder.path().join("kept/vol-1");
            let bytes = fs::read(&path).unwrap();
            fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
        }),
        ("missing", |scene| fs::remove_file(scene.folder.path().join("kept/vol-1")).unwrap()),
        ("blocks damaged", |scene| {
            let path = scene.folder.path().join("kept/vol-1");
            let mut bytes = fs::read(&path).unwrap();
            // The description is as it was.
            let start = usize::try_from(u64::from_le_bytes(
                bytes[bytes.len() - 56..bytes.len() - 48].try_into().unwrap(),
            ));
            bytes[..start.unwrap()].fill(0xff);
            fs::write(path, &bytes).unwrap();
        }),
    ];
    for (name, obstacle) in obstacles {
        let mut scene = Scene::new(&[1, 2, 3]);
        scene.scan(true).await;
        scene.cloud.write("vol-1", disk(&[1, 2, 4]));
        obstacle(&scene);
        let (seen, read) = scene.scan(true).await;
        assert!(seen == disk(&[1, 2, 4]), "{name}");
        assert_eq!(fetched(&read), 3, "{name}");
        // The old one is deleted now, or by the sweep.
        scene.sweep().await;
        assert_eq!(scene.left(), ["snap-2"], "{name}");
        let (_, read) = scene.scan(true).await;
        assert_eq!(fetched(&read), 0, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_snapshot_may_be_gone() {
    let mut scene = Scene::new(&[1, 2]);
    scene.scan(true).await;
    scene.cloud.delete_snapshot("snap-1").await.unwrap();
    let (seen, read) = scene.scan(true).await;
    assert!(seen == disk(&[1, 2]));
    assert_eq!(fetched(&read), 2);
    assert_eq!(scene.left(), ["snap-2"]);
    assert_eq!(scene.journal.open_items().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_not_swept_until_it_expires() {
    let mut scene = Scene::new(&[1]);
    scene.scan(true).await;
    assert!(scene.sweep().await.deleted.is_empty());
    tokio::time::sleep(Duration::from_hours(23)).await;
    scene.again();
    assert!(scene.sweep().await.deleted.is_empty());
    assert_eq!(scene.left(), ["snap-1"]);
    tokio::time::sleep(Duration::from_hours(2)).await;
    let swept = scene.sweep().await;
    // It is nobody's any more.
    let reasons: Vec<_> = swept.deleted.iter().map(|doomed| (&*doomed.id, doomed.reason)).collect();
    assert_eq!(reasons, [("snap-1", Reason::Interrupted)]);
    assert!(scene.cloud.is_clean() && scene.journal.open_items().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_forgotten_is_swept_at_once() {
    let mut scene = Scene::new(&[1]);
    scene.scan(true).await;
    assert_eq!(scene.kept.clear(), BTreeSet::from([place()]));
    assert_eq!(scene.sweep().await.deleted.len(), 1);
    assert!(scene.cloud.is_clean());
    assert!(scene.kept.clear().is_empty());
}

#[test]
fn there_is_room_for_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kept");
    let kept = Kept::open(path.clone(), 5000).unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    for number in 0..4_u32 {
        let mut writer = kept.record().unwrap();
        let block: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(2000).collect();
        writer.add(0, file::Packed::new(&block)).unwrap();
        let about = About {
            place: place(),
            volume: format!("vol-{number}"),
            snapshot: format!("snap-{number}"),
            expires: i64::from(number),
            block_size: 2000,
            size: 1 << 30,
        };
        assert_eq!(kept.keep(writer, about).unwrap(), None);
    }
    let is_kept =
        |kept: &Kept| (0..4).map(|number| kept.keeps(&format!("snap-{number}"))).collect::<Vec<_>>();
    assert_eq!(is_kept(&kept), [false, false, true, true]);
    fs::write(path.join(".unfinished-x"), "x").unwrap();
    fs::write(path.join("vol-9"), "x").unwrap();
    let kept = Kept::open(path.clone(), 3000).unwrap();
    assert_eq!(is_kept(&kept), [false, false, false, true]);
    assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// An incremental scan sees what a full one does, whatever has changed, and whatever each of them reads.
    #[test]
    fn an_incremental_scan_sees_what_a_full_one_does(
        rounds in prop::collection::vec(
            (prop::collection::vec(0..3_u8, 8), prop::collection::vec(0..8_u64, 0..12), any::<bool>()),
            1..6,
        ),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
            let kept = Arc::new(Kept::open(folder.path().join("kept"), MAX_BYTES).unwrap());
            let cloud = Cloud::new(&["vol-1"]);
            // What the last scan that was kept read, and saw.
            let mut last = BTreeMap::new();
            for (blocks, reads, is_finished) in rounds {
                cloud.write("vol-1", disk(&blocks));
                let snapshot = cloud.create_snapshot("vol-1", &Tags::new()).await.unwrap().id;
                let full = SnapshotBlocks::open(Arc::clone(&cloud), snapshot.clone()).await.unwrap();
                let now = BEGINNING;
                let keeping = Keeping { kept: Arc::clone(&kept), place: place(), expires: now + KEPT_FOR, now };
                let source = Incremental::open(full, &*cloud, &keeping, ("vol-1", &snapshot)).await;
                let before = cloud.gets();
                let mut seen = BTreeMap::new();
                for index in reads {
                    let byte = blocks[usize::try_from(index).unwrap()];
                    assert_eq!(source.contains(index), byte != 0);
                    if byte != 0 && !seen.contains_key(&index) {
                        assert_eq!(source.is_here(index), last.get(&index) == Some(&byte));
                        assert!(source.fetch(index).await.unwrap() == vec![byte; BLOCK]);
                        seen.insert(index, byte);
                    }
                }
                let known = seen.iter().filter(|(index, byte)| last.get(*index) == Some(*byte)).count();
                assert_eq!(cloud.gets() - before, seen.len() - known);
                let recording = source.recording().unwrap();
                if is_finished && recording.keep().await.is_some() {
                    last = seen;
                }
            }
        });
    }
}
