//! What happens to the scanners: crashes, replacements and outages, by chance.

use std::sync::Arc;
use std::time::Duration;

use agentless_service::schedule::Schedule;
use scanner_policy::tags;
use tokio::time::{Instant, sleep, sleep_until};

use super::aws::Account;
use super::instance::{Disk, INTERVAL, Instance};
use super::ledger::{Ledger, Loss};
use crate::daemon::ending::Next;

/// The scanners that run side by side.
const LINES: [&str; 2] = ["one", "two"];
/// How many instances there are to scan at the beginning.
const HOSTS: u32 = 20;
/// For so long things go wrong.
const TROUBLE: Duration = Duration::from_hours(72);
/// After that, for so long nothing does: longer than a snapshot has until it expires, and until it is swept.
const CALM: Duration = Duration::from_hours(8);
/// So long before the end is the last slot that must be scanned.
const SLACK: Duration = Duration::from_hours(2);
/// From a snapshot's expiry until it must be gone, when nothing goes wrong and when things do.
const SWEPT: Duration = Duration::from_mins(70);
const SWEPT_IN_TROUBLE: Duration = Duration::from_hours(8);

/// One run. What it was made of, and what went against a promise.
pub(super) async fn run(seed: u64) -> (String, Vec<String>) {
    fastrand::seed(seed);
    let mut random = fastrand::Rng::with_seed(seed);
    let ledger = Arc::new(Ledger::default());
    let account = Account::new(random.u64(..), Arc::clone(&ledger));
    let (start, begin) = (Instant::now(), account.now());
    let percent = random.u32(0..20);
    account.set_faults(percent);
    let mut lines = LINES.map(|name| Line {
        account: Arc::clone(&account),
        name,
        random: random.fork(),
        instances: 0,
        events: 0,
    });
    let [one, two] = &mut lines;
    let ((one, two), ()) = tokio::join!(
        async { tokio::join!(one.live(start + TROUBLE), two.live(start + TROUBLE)) },
        trouble(&account, random.fork(), percent, start + TROUBLE),
    );
    account.set_faults(0);
    // Whoever was being replaced then had its time.
    sleep(CALM).await;

    let mut violations = account.overdue(SWEPT);
    let ids = [one.id.clone(), two.id.clone()];
    let end = account.now() - SLACK;
    let (one, two) = tokio::join!(one.drain(Next::FreshDisk), two.drain(Next::FreshDisk));
    for disk in [one, two] {
        let open = disk.journal().await.open_items();
        if !open.is_empty() {
            violations.push(format!("the journal of disk {} is not settled: {open:?}", disk.number));
        }
    }
    for (id, tags) in account.left() {
        let is_of_drained = ids.contains(&tags[tags::SCANNER_ID]);
        violations.push(format!("{id} is left; of a scanner that drained: {is_of_drained}: {tags:?}"));
    }
    let (tally, broken) = ledger.close(&LINES, Schedule::new(INTERVAL), (begin, end));
    violations.extend(broken);
    let (created, faults) = account.counts();
    let events: u32 = lines.iter().map(|line| line.events).sum();
    let summary =
        format!("{percent} % faults, {events} events, {created} snapshots, {faults} faults, {tally}");
    (summary, violations)
}

/// Targets appear and vanish, and sometimes nothing works at all.
async fn trouble(account: &Account, mut random: fastrand::Rng, percent: u32, end: Instant) {
    let places = Account::places();
    let mut hosts = Vec::new();
    let mut number = 0_u32;
    let mut appear = |hosts: &mut Vec<_>, random: &mut fastrand::Rng| {
        number += 1;
        let (place, id) = (random.choice(&places).unwrap().clone(), format!("i-{number}"));
        account.appear(&place, &id, random.usize(1..4));
        hosts.push((place, id));
    };
    for _ in 0..HOSTS {
        appear(&mut hosts, &mut random);
    }
    while Instant::now() < end {
        sleep(Duration::from_mins(random.u64(10..180))).await;
        for overdue in account.overdue(SWEPT_IN_TROUBLE) {
            account.ledger.violation(overdue);
        }
        match random.u32(0..4) {
            0 => appear(&mut hosts, &mut random),
            1 if hosts.len() > 10 => {
                let (place, id) = hosts.swap_remove(random.usize(0..hosts.len()));
                account.vanish(&place, &id);
            }
            2 => {
                account.set_faults(100);
                sleep(Duration::from_mins(random.u64(1..40))).await;
                account.set_faults(percent);
            }
            _ => {}
        }
    }
}

/// A scanner and those that take over from it.
#[derive(Debug)]
struct Line {
    account: Arc<Account>,
    name: &'static str,
    random: fastrand::Rng,
    instances: u64,
    events: u32,
}

impl Line {
    /// Lives until then, through whatever happens. The last instance goes on.
    async fn live(&mut self, end: Instant) -> Instance {
        let mut instance = self.fresh().await;
        loop {
            // Often again while it recovers from the last time.
            let most = *self.random.choice(&[10, 60, 600]).unwrap();
            let next = Instant::now() + self.minutes(0..most);
            if next >= end {
                sleep_until(end).await;
                return instance;
            }
            sleep_until(next).await;
            self.events += 1;
            let which = self.random.u32(0..10);
            let what = [
                "crash", "crash", "crash", "crash", "lose", "lose", "rotate", "rotate", "replace", "restart",
            ];
            let text = format!("{} {}", what[usize::try_from(which).unwrap()], instance.id);
            self.account.ledger.event(self.name, self.account.now(), text);
            instance = match which {
                0..4 => self.crash(instance).await,
                4..6 => self.lose(instance).await,
                6..8 => self.rotate(instance).await,
                8 => self.replace(instance).await,
                _ => self.restart(instance).await,
            };
        }
    }

    /// SIGKILL, and started again on the same disk.
    async fn crash(&mut self, instance: Instance) -> Instance {
        let id = instance.id.clone();
        let disk = instance.kill().await;
        let most = *self.random.choice(&[1, 5, 120]).unwrap();
        sleep(Duration::from_secs(2) + self.minutes(0..most)).await;
        Instance::start(&self.account, self.name, id, disk).await
    }

    /// The instance is gone with its disk.
    async fn lose(&mut self, instance: Instance) -> Instance {
        let started = instance.started;
        let disk = instance.kill().await;
        sleep(self.minutes(1..90)).await;
        let successor = self.fresh().await;
        let done = Account::places().map(|place| (place.clone(), disk.done(&place, started))).into();
        let lost = Loss { line: self.name, disk: disk.number, done, started: successor.started };
        self.account.ledger.lost(lost);
        successor
    }

    /// The successor is there before the instance is told to go.
    async fn rotate(&mut self, instance: Instance) -> Instance {
        let successor = self.fresh().await;
        sleep(self.minutes(0..10)).await;
        instance.drain(Next::FreshDisk).await;
        successor
    }

    /// The successor comes when the instance was told to go.
    async fn replace(&mut self, instance: Instance) -> Instance {
        let launch = self.minutes(1..10);
        let successor = async {
            sleep(launch).await;
            self.fresh().await
        };
        tokio::join!(instance.drain(Next::FreshDisk), successor).1
    }

    /// The service is stopped, and started again on the same disk.
    async fn restart(&mut self, instance: Instance) -> Instance {
        let id = instance.id.clone();
        let disk = instance.drain(Next::SameDisk).await;
        sleep(Duration::from_secs(2) + self.minutes(0..60)).await;
        Instance::start(&self.account, self.name, id, disk).await
    }

    async fn fresh(&mut self) -> Instance {
        self.instances += 1;
        let id = format!("{}/i-{}", self.name, self.instances);
        let number = self.random.u64(..);
        Instance::start(&self.account, self.name, id, Disk::new(number)).await
    }

    fn minutes(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_secs(self.random.u64(range.start * 60..range.end * 60))
    }
}
