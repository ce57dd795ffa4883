//! Thirty days of images: each day a new one, two of them bad, and instances that come and go, while scans go on.
//!
//! The instances are real services, as in the [other simulation](super), in an Auto Scaling group that is a [model](group) written
//! from AWS's documentation. Each day an image is built, published as candidate and applied: an instance refresh with automatic
//! rollback and bake time, after whose success it becomes the current one. Instances are replaced when they are a day old, hosts
//! fail, zones have no capacity, requests go wrong. What must hold:
//!
//! - there is a healthy instance, but for the time in which one is replaced that failed by itself;
//! - a bad image is never the current one, at most one instance of it is in service, and it is launched a few times at most;
//! - no launch begets the next: there is a bound on launches in any day;
//! - no scan is lost but what was on the disk of an instance that failed, no report, and no snapshot is left.
//!
//! `AGENTLESS_SIMULATED_MONTHS=20` runs so many seeds instead of one.

mod group;
mod instance;
mod pipeline;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use agentless_service::schedule::Schedule;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::aws::Account;
use super::instance::INTERVAL;
use super::ledger::Ledger;
use group::{Group, Id, Launched, Version};
use instance::{Fleet, Quality};
use pipeline::Images;

/// The scanner, whose instances these are.
const LINE: &str = "month";
/// A month.
const DAYS: u32 = 30;
/// How many instances there are to scan.
const HOSTS: u32 = 12;
/// How many of a hundred requests go wrong.
const FAULTS: u32 = 3;
/// How often the group does what is to be done.
const STEP: Duration = Duration::from_secs(5);
/// How long a group may be without a healthy instance: until one that is off is noticed, another is launched, and that is ready.
const REPLACEMENT: Duration = Duration::from_mins(15);
/// How often a group launches at most in any day: twice for each reason, and a bad image some times until it is given up.
const LAUNCHES: usize = 16;
/// How often a bad image is launched at most.
const TRIES: usize = 10;
/// After the last day, until everything that anybody left has expired and is swept.
const CALM: Duration = Duration::from_hours(8);
/// So long before the end is the last slot that must be scanned.
const SLACK: Duration = Duration::from_hours(2);
/// From a snapshot's expiry until it must be gone.
const SWEPT: Duration = Duration::from_mins(70);

#[test]
fn a_month_of_images_leaves_the_service_running_and_loses_no_scan() {
    let months = std::env::var("AGENTLESS_SIMULATED_MONTHS").map_or(1, |value| value.parse().unwrap());
    let mut failures = Vec::new();
    for seed in 1..=months {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        let (summary, violations) = runtime.unwrap().block_on(run(seed));
        println!("seed {seed}: {summary}");
        if !violations.is_empty() {
            failures.push(format!("seed {seed}:\n  {}", violations.join("\n  ")));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// One run. What it was made of, and what went against a promise.
async fn run(seed: u64) -> (String, Vec<String>) {
    fastrand::seed(seed);
    let mut random = fastrand::Rng::with_seed(seed);
    let ledger = Arc::new(Ledger::default());
    let account = Account::new(random.u64(..), Arc::clone(&ledger));
    account.set_faults(FAULTS);
    for number in 0..HOSTS {
        let place = random.choice(Account::places()).unwrap();
        account.appear(&place, &format!("i-{number}"), random.usize(1..4));
    }
    let group = Arc::new(Group::new(random.u64(..), 0));
    let fleet = Fleet::new(&account, &group, random.u64(..));
    let images = Images::new();
    let (begin, last) = (account.now(), Instant::now() + Duration::from_hours(24) * DAYS);
    let story = async {
        tokio::join!(
            pipeline::deliver(&fleet, &images, random.fork()),
            pipeline::zones(&group, random.fork(), last),
            pipeline::hosts(&fleet, random.fork(), last),
        );
        account.set_faults(0);
        sleep(CALM).await;
        group.close();
        (account.now() - SLACK, account.overdue(SWEPT))
    };
    let ((end, mut violations), watched) = tokio::join!(story, watch(&fleet, &images));

    violations.extend(account.left().into_iter().map(|(id, tags)| format!("{id} is left: {tags:?}")));
    let (tally, broken) = ledger.close(&[LINE], Schedule::new(INTERVAL), (begin, end));
    violations.extend(broken);
    violations.extend(watched.violations(&images));
    let launches = group.launches();
    let in_a_day = launches_in_a_day(&launches);
    if in_a_day > LAUNCHES {
        violations.push(format!("{in_a_day} launches in one day"));
    }
    for (version, quality) in images.all().into_iter().enumerate() {
        let tries = launches.iter().filter(|launched| launched.version == version).count();
        if quality != Quality::Good && tries > TRIES {
            violations.push(format!("image {version}, {quality:?}, was launched {tries} times"));
        }
    }
    let (made, faults) = account.counts();
    let summary = format!(
        "{} images, {} launches (at most {in_a_day} a day), {} replaced by age, {} hosts failed, at most {:?} without a healthy \
         instance, {made} snapshots, {faults} faults, {tally}",
        images.all().len(),
        launches.len(),
        group.aged(),
        fleet.failed(),
        watched.longest_gap,
    );
    (summary, violations)
}

/// What was seen of the group.
#[derive(Debug, Default)]
struct Seen {
    longest_gap: Duration,
    /// The instances that were ever in service.
    admitted: BTreeSet<(Version, Id)>,
    /// How many of one bad image took on work at once.
    bad_at_once: usize,
}

/// Runs the group and its instances until it is closed and empty.
async fn watch(fleet: &Arc<Fleet>, images: &Images) -> Seen {
    let mut seen = Seen::default();
    let mut instances = JoinSet::new();
    let mut healthy: Option<Instant> = None;
    while !fleet.group.is_closed() || !instances.is_empty() {
        if let Some(launched) = fleet.group.step() {
            let quality = images.quality(launched.version);
            instances.spawn(Arc::clone(fleet).live(launched, quality));
        }
        while let Some(ended) = instances.try_join_next() {
            ended.unwrap();
        }
        let in_service = fleet.group.in_service();
        let working: Vec<_> = in_service.iter().filter(|(id, _)| fleet.works(*id)).collect();
        let is_bad = |version| images.quality(version) != Quality::Good;
        let bad = working.iter().filter(|(_, version)| is_bad(*version)).count();
        seen.bad_at_once = seen.bad_at_once.max(bad);
        let is_healthy = !working.is_empty();
        seen.admitted.extend(in_service.into_iter().map(|(id, version)| (version, id)));
        if is_healthy {
            healthy = Some(Instant::now());
        } else if let Some(last) = healthy.filter(|_| !fleet.group.is_closed()) {
            seen.longest_gap = seen.longest_gap.max(last.elapsed());
        }
        sleep(STEP).await;
    }
    seen
}

impl Seen {
    fn violations(&self, images: &Images) -> Vec<String> {
        let mut violations = Vec::new();
        if self.longest_gap > REPLACEMENT {
            violations.push(format!("for {:?} there was no healthy instance", self.longest_gap));
        }
        if self.bad_at_once > 1 {
            violations.push(format!("{} instances of bad images were in service at once", self.bad_at_once));
        }
        for (version, quality) in images.all().into_iter().enumerate() {
            let admitted = self.admitted.range((version, 0)..=(version, Id::MAX)).count();
            let most = match quality {
                Quality::Good => usize::MAX,
                // One that is off is replaced by another of its kind until the alarm has gone off.
                Quality::DiesAfter(_) => 2,
                Quality::Broken | Quality::Stuck => 0,
            };
            if admitted > most {
                violations.push(format!(
                    "{admitted} instances of image {version} were in service: it is {quality:?}"
                ));
            }
        }
        violations
    }
}

/// The most launches within any 24 hours.
fn launches_in_a_day(launches: &[Launched]) -> usize {
    let within = |first: &Launched| {
        launches.iter().filter(|it| it.at >= first.at && it.at - first.at < Duration::from_hours(24)).count()
    };
    launches.iter().map(within).max().unwrap_or(0)
}
