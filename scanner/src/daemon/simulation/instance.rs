//! An instance on which the service runs, with its disk.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agentless_service::board::{self, Board};
use agentless_service::delivery::{Clock, Delivery, Options};
use agentless_service::journal::{Journal, JournalError};
use agentless_service::queue::{Bounds, Queue};
use agentless_service::schedule::Watermark;
use agentless_service::target::{Kind, Place};
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::aws::Account;
use super::sink::Recorder;
use super::world::Simulated;
use crate::daemon::ending::Next;
use crate::daemon::inventory::Inventory;
use crate::daemon::running::Running;
use crate::daemon::service::{Service, Times};

/// How often a target is scanned.
pub(super) const INTERVAL: Duration = Duration::from_hours(12);
/// How long a scan may take.
pub(super) const DEADLINE: Duration = Duration::from_mins(40);
/// Scans that run at once.
const WORKERS: usize = 4;

/// A disk, with the state directory and the spool on it.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) number: u64,
    folder: TempDir,
}

/// The service, as one process.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) id: String,
    pub(super) disk: Arc<Disk>,
    pub(super) started: OffsetDateTime,
    account: Arc<Account>,
    service: Arc<Service<Simulated>>,
    tasks: JoinSet<()>,
}

impl Disk {
    pub(super) fn new(number: u64) -> Arc<Self> {
        // A disk that forgets quickly: no test takes the power away.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        Arc::new(Self { number, folder })
    }

    /// Up to where all was done in a place, by the heartbeat of a service that was started then.
    pub(super) fn done(&self, place: &Place, started: OffsetDateTime) -> OffsetDateTime {
        Watermark::open(self.folder.path(), INTERVAL, started).up_to(&(place.clone(), Kind::Instance))
    }

    /// What the journal holds.
    pub(super) async fn journal(&self) -> Arc<Journal> {
        loop {
            match Journal::open(&self.path("journal")) {
                Ok(journal) => return Arc::new(journal),
                // What the last process still wrote is soon written.
                Err(JournalError::InUse { .. }) => sleep(Duration::from_secs(1)).await,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Instance {
    /// Starts the service as `line`, with the identity `id`.
    pub(super) async fn start(
        account: &Arc<Account>,
        line: &'static str,
        id: String,
        disk: Arc<Disk>,
    ) -> Self {
        let journal = disk.journal().await;
        let of = Arc::clone(account);
        let clock = Clock::new(move || of.now());
        let started = clock.now();
        let sink = Recorder { account: Arc::clone(account), line, disk: disk.number };
        let options = Options {
            directory: disk.path("spool"),
            limit: 64 << 20,
            seed: fastrand::u64(..),
            clock: clock.clone(),
        };
        let identity = board::Identity {
            scanner: line.to_owned(),
            version: "0".to_owned(),
            instance: Some(id.clone()),
            started,
        };
        let (_, times) =
            watch::channel(Times { scan_interval: INTERVAL, discovery_interval: Duration::from_mins(15) });
        let service = Arc::new(Service {
            world: Arc::new(Simulated::new(account, &id, &journal)),
            queue: Queue::new(Bounds { length: 1000, per_place: WORKERS, deadline: DEADLINE }),
            board: Board::new(identity),
            delivery: Arc::new(Delivery::start(vec![Arc::new(sink)], &options)),
            inventory: Inventory::default(),
            running: Running::default(),
            times,
            state_directory: disk.folder.path().to_owned(),
            clock,
            scheduled: watch::Sender::default(),
            stop: CancellationToken::new(),
        });
        let mut tasks = JoinSet::new();
        let of = Arc::clone(&service);
        tasks.spawn(async move { of.survey().await });
        let of = Arc::clone(&service);
        tasks.spawn(async move { of.schedule().await });
        let of = Arc::clone(&service);
        tasks.spawn(async move { of.sweep().await });
        for _ in 0..WORKERS {
            let of = Arc::clone(&service);
            tasks.spawn(async move { of.work().await });
        }
        Self { id, disk, started, account: Arc::clone(account), service, tasks }
    }

    /// Ends at once, wherever it is. Its disk stays.
    pub(super) async fn kill(mut self) -> Arc<Disk> {
        self.tasks.abort_all();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended
                && let Ok(panic) = error.try_into_panic()
            {
                std::panic::resume_unwind(panic);
            }
        }
        self.disk
    }

    /// Ends as it is told to when it is replaced or stopped.
    pub(super) async fn drain(self, next: Next) -> Arc<Disk> {
        self.service.drain(next).await;
        let running = self.account.running(&self.id);
        // One that is started again soon has little time, and its journal.
        if next == Next::FreshDisk && running > 0 {
            self.account.ledger.violation(format!("{} ended while {running} of its scans ran", self.id));
        }
        self.kill().await
    }
}
