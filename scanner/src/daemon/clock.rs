//! The service while the clock of its machine is wrong. The time of day is injected, and hours pass in no time; the schedule, the
//! queue, the heartbeat, the spool and the board are the real ones.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use agentless_service::board::{self, Board};
use agentless_service::delivery::{Clock, Delivery, Options};
use agentless_service::queue::{Bounds, Job, Queue};
use agentless_service::report::{Outcome, Report};
use agentless_service::sink::files::Files;
use agentless_service::target::{Kind, Place, Target};
use tempfile::TempDir;
use time::OffsetDateTime;
use time::macros::datetime;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::discovery::Survey;
use super::inventory::Inventory;
use super::running::Running;
use super::service::{Service, Times};
use super::sweep::{InUse, Swept};
use super::world::{Figures, Scanned, World};

const BEGINNING: OffsetDateTime = datetime!(2026-11-21 06:00:00 UTC);
const INTERVAL: Duration = Duration::from_hours(12);
const TARGETS: usize = 40;
const HOUR: Duration = Duration::from_hours(1);

/// One place, in which every scan succeeds after a minute.
#[derive(Debug)]
struct Calm {
    began: Instant,
    /// When each target was scanned, since the beginning, by a clock that nobody sets.
    scanned: Mutex<BTreeMap<String, Vec<Duration>>>,
}

/// A service on a disk, whose clock can be set.
struct Machine {
    world: Arc<Calm>,
    service: Arc<Service<Calm>>,
    /// How many seconds the clock is ahead.
    ahead: Arc<AtomicI64>,
    tasks: JoinSet<()>,
}

impl World for Calm {
    async fn places(&self) -> Result<Vec<Place>, String> {
        Ok(vec![place()])
    }

    async fn survey(&self, _: &Place) -> Result<Survey, String> {
        Ok(Survey { targets: (0..TARGETS).map(target).collect(), ..Survey::default() })
    }

    async fn scan(&self, job: &Job, _: &(dyn Fn(&str) + Sync)) -> Scanned {
        sleep(Duration::from_mins(1)).await;
        self.scanned.lock().unwrap().entry(job.target.id.clone()).or_default().push(self.began.elapsed());
        let report = Report {
            target: job.target.clone(),
            scan: job.scan,
            scanner: "scanner".to_owned(),
            started: BEGINNING,
            duration: Duration::from_mins(1),
            outcome: Outcome::Failed("nothing is read here".to_owned()),
        };
        Scanned::Reported(Box::new(Figures { report, packages: 0, unknowns: 0 }))
    }

    async fn sweep(&self, _: &Place, _: &impl InUse) -> Result<Swept, String> {
        Ok(Swept::default())
    }
}

impl Machine {
    /// Starts the service on a disk, with a clock that is so far ahead.
    fn start(disk: &Path, world: &Arc<Calm>, seconds_ahead: i64) -> Self {
        let ahead = Arc::new(AtomicI64::new(seconds_ahead));
        let (of, began) = (Arc::clone(&ahead), world.began);
        let clock = Clock::new(move || {
            BEGINNING + began.elapsed() + time::Duration::seconds(of.load(Ordering::Relaxed))
        });
        let options =
            Options { directory: disk.join("spool"), limit: 1 << 20, seed: 1, clock: clock.clone() };
        let (_, times) =
            watch::channel(Times { scan_interval: INTERVAL, discovery_interval: Duration::from_mins(15) });
        let service = Arc::new(Service {
            world: Arc::clone(world),
            queue: Queue::new(Bounds { length: 100, per_place: 4, deadline: HOUR }),
            board: Board::new(board::Identity {
                scanner: "scanner".to_owned(),
                version: "0".to_owned(),
                instance: None,
                started: clock.now(),
            }),
            delivery: Arc::new(Delivery::start(vec![Arc::new(Files::new(disk.join("lists")))], &options)),
            inventory: Inventory::default(),
            running: Running::default(),
            times,
            scheduled: watch::Sender::default(),
            state_directory: disk.to_owned(),
            clock,
            stop: CancellationToken::new(),
        });
        let mut tasks = JoinSet::new();
        let of = Arc::clone(&service);
        tasks.spawn(async move { of.survey().await });
        let of = Arc::clone(&service);
        tasks.spawn(async move { of.schedule().await });
        for _ in 0..4 {
            let of = Arc::clone(&service);
            tasks.spawn(async move { of.work().await });
        }
        Self { world: Arc::clone(world), service, ahead, tasks }
    }

    fn set_clock(&self, by: time::Duration) {
        self.ahead.fetch_add(by.whole_seconds(), Ordering::Relaxed);
    }

    /// What the status says of the clock.
    fn told(&self) -> Option<String> {
        let view = self.service.board.view(self.service.clock.now(), 0);
        view.problems.into_iter().find(|problem| problem.key == "clock").map(|problem| problem.text)
    }

    async fn kill(mut self) {
        self.tasks.shutdown().await;
    }
}

impl Calm {
    fn new() -> Arc<Self> {
        Arc::new(Self { began: Instant::now(), scanned: Mutex::default() })
    }

    /// The longest time that any target waited for its next scan, from the beginning to now.
    fn longest_gap(&self) -> Duration {
        let (scanned, now) = (self.scanned.lock().unwrap(), self.began.elapsed());
        let gap = |id: String| {
            let times = scanned.get(&id).cloned().unwrap_or_default();
            let all: Vec<_> = [Duration::ZERO].into_iter().chain(times).chain([now]).collect();
            all.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap_or_default()
        };
        (0..TARGETS).map(|number| gap(target(number).id)).max().unwrap_or_default()
    }

    /// How many scans there were.
    fn scans(&self) -> usize {
        self.scanned.lock().unwrap().values().map(Vec::len).sum()
    }
}

/// A disk that forgets quickly: no test takes the power away.
fn disk() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn place() -> Place {
    Place { account: "111122223333".to_owned(), region: "eu-central-1".to_owned() }
}

fn target(number: usize) -> Target {
    let id = format!("i-{number:017x}");
    let arn = format!("arn:aws:ec2:eu-central-1:111122223333:instance/{id}");
    Target { arn, place: place(), kind: Kind::Instance, id, tags: BTreeMap::new() }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_is_shown_and_costs_nobody_more_than_that() {
    let disk = disk();
    let machine = Machine::start(disk.path(), &Calm::new(), 0);
    sleep(INTERVAL + HOUR).await;
    assert!(machine.world.longest_gap() <= INTERVAL + HOUR, "{:?}", machine.world.longest_gap());
    assert_eq!(machine.told(), None);

    machine.set_clock(-time::Duration::hours(5));
    sleep(Duration::from_mins(2)).await;
    let told = machine.told().unwrap();
    assert!(told.contains("set back") && told.contains("synchronised"), "{told}");
    // What was due just before the clock was set is queued again: nobody knows what of it was done.
    sleep(HOUR * 2).await;
    assert_eq!(machine.told(), None, "it is shown for a while");
    sleep(INTERVAL * 2).await;
    let longest = machine.world.longest_gap();
    assert!(longest <= INTERVAL + HOUR * 6, "{longest:?}");
    assert!(machine.service.board.is_moving(Board::SILENCE));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_set_back_while_the_service_was_down_is_shown_and_nothing_waits_for_it() {
    let (disk, world) = (disk(), Calm::new());
    // Three days in the future.
    let machine = Machine::start(disk.path(), &world, 3 * 24 * 3600);
    sleep(HOUR).await;
    machine.kill().await;
    let machine = Machine::start(disk.path(), &world, 0);
    sleep(Duration::from_mins(2)).await;
    assert!(machine.told().is_some());
    sleep(INTERVAL + HOUR).await;
    assert!(world.longest_gap() <= INTERVAL + HOUR * 3, "{:?}", world.longest_gap());
    assert_eq!(machine.told(), None);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_leaps_ahead_has_everything_scanned_once() {
    let disk = disk();
    let machine = Machine::start(disk.path(), &Calm::new(), 0);
    sleep(HOUR).await;
    let before = machine.world.scans();
    machine.set_clock(time::Duration::days(7));
    sleep(HOUR).await;
    let after = machine.world.scans() - before;
    assert!((TARGETS..=TARGETS + TARGETS / 4).contains(&after), "{after} scans of {TARGETS} targets");
    assert_eq!(machine.told(), None);
}
