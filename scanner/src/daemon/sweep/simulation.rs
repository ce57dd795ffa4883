//! Scanners that scan, crash and sweep by chance, in a cloud in which requests fail by chance: at the end nothing that has
//! expired is there, and nobody lost a snapshot to another scanner.

use std::collections::HashSet;
use std::path::Path;

use futures_util::future::join_all;
use time::Duration as Span;
use time::format_description::well_known::Rfc3339;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::tests::{folder, place};
use super::*;
use crate::target::ebs::Patience;
use crate::target::fake::Cloud;
use crate::target::{Identity, Origin, Permits, Shared, Snapshots};

/// A scanner, over all its lives.
struct Scanner<'a> {
    cloud: Arc<Cloud>,
    name: &'a str,
    journal: &'a Path,
    /// By how much its clock is slow.
    slow: Span,
    random: fastrand::Rng,
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_whatever_fails() {
    for seed in 0..200 {
        run(seed).await;
    }
}

async fn run(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let cloud = Cloud::new(&["vol-1", "vol-2"])
        .pending_for(Duration::from_secs(random.u64(0..600)))
        .hidden_for(Duration::from_secs(random.u64(0..20)))
        .with_time();
    cloud.set_chance(seed, random.u32(0..30));
    let folder = folder();
    let paths = [folder.path().join("one"), folder.path().join("two")];
    let scanners = ["one", "two"].iter().zip(&paths).map(|(name, journal)| Scanner {
        cloud: Arc::clone(&cloud),
        name,
        journal,
        slow: Span::minutes(random.i64(0..30)),
        random: random.fork(),
    });
    let mut scanners: Vec<_> = scanners.collect();
    join_all(scanners.iter_mut().map(Scanner::live)).await;
    // One of them is gone for good. The other one sweeps until what that left has expired.
    cloud.set_chance(seed, 0);
    let Some(scanner) = scanners.first_mut() else { return };
    let _ = timeout(Duration::from_hours(6), scanner.serve(0)).await;
    let now = cloud.now();
    for snapshot in cloud.left() {
        let expires = OffsetDateTime::parse(&snapshot.tags[tags::EXPIRES_AT], &Rfc3339).unwrap();
        assert!(expires > now, "seed {seed}: {snapshot:?} at {now}");
    }
    assert!(cloud.is_clean(), "seed {seed}: {:?}", cloud.left());
    assert!(scanner.open().await.open_items().is_empty(), "seed {seed}");
}

impl Scanner<'_> {
    /// Some lives, each ended by a crash.
    async fn live(&mut self) {
        for _ in 0..self.random.u32(1..4) {
            let life = Duration::from_secs(self.random.u64(1..3 * 3600));
            let scans = self.random.u64(1..4);
            let _ = timeout(life, self.serve(scans)).await;
        }
    }

    /// Scans, and sweeps at once and every hour until it is dropped.
    async fn serve(&mut self, scans: u64) {
        let journal = self.open().await;
        let chronicle: Arc<dyn Chronicle> = Arc::<Journal>::clone(&journal);
        let shared = Arc::new(Shared::new(Arc::clone(&self.cloud), place(), Permits::default(), chronicle));
        let running = Mutex::new(HashSet::new());
        let sweeper = Sweeper::new(Arc::clone(&self.cloud), place(), self.name.to_owned(), journal);
        let randoms: Vec<_> = (0..scans).map(|_| self.random.fork()).collect();
        let scans = randoms.into_iter().map(|random| self.scan(&shared, &running, random));
        let sweeps = async {
            loop {
                let in_use = |scan: Uuid| running.lock().unwrap().contains(&scan);
                // It is tried again an hour later.
                let _ = sweeper.sweep(&in_use, self.cloud.now() - self.slow).await;
                sleep(Duration::from_hours(1)).await;
            }
        };
        tokio::join!(join_all(scans), sweeps);
    }

    async fn scan(
        &self,
        shared: &Arc<Shared<Cloud>>,
        running: &Mutex<HashSet<Uuid>>,
        mut random: fastrand::Rng,
    ) {
        sleep(Duration::from_secs(random.u64(0..3600))).await;
        let scan = Uuid::from_u128(random.u128(..));
        let expires = self.cloud.now() - self.slow + Span::HOUR * 4;
        let identity = Identity { scan, scanner: self.name.to_owned(), target: "i-1".to_owned(), expires };
        running.lock().unwrap().insert(scan);
        let snapshots = Snapshots::of(Arc::clone(shared), identity);
        let cancel = CancellationToken::new();
        let patience =
            Patience { timeout: Duration::from_secs(random.u64(60..900)), cancel: &cancel, look: &|_| {} };
        let made = join_all(
            ["vol-1", "vol-2"].map(async |volume| snapshots.create(Origin::Volume(volume), &cancel).await),
        )
        .await;
        let ids: Vec<_> = made.into_iter().flatten().map(|snapshot| snapshot.id).collect();
        if let Ok(failures) = snapshots.wait(&ids, patience).await {
            for failure in failures.values() {
                assert!(!failure.to_string().contains("somebody deleted it"), "{failure}");
            }
        }
        // It reads them for longer than any grace, and they stay.
        sleep(Duration::from_secs(random.u64(0..5400))).await;
        let left: HashSet<_> = self.cloud.left().into_iter().map(|snapshot| snapshot.id).collect();
        assert!(ids.iter().all(|id| left.contains(id)), "{}: {ids:?} of {left:?}", self.name);
        let _ = snapshots.delete_all("eu-central-1").await;
        running.lock().unwrap().remove(&scan);
    }

    /// The journal, as soon as what the last life still wrote is written.
    async fn open(&self) -> Arc<Journal> {
        loop {
            match Journal::open(self.journal) {
                Ok(journal) => return Arc::new(journal),
                Err(agentless_service::journal::JournalError::InUse { .. }) => {
                    sleep(Duration::from_secs(1)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}
