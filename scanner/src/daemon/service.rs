//! The service: what is due is queued, what is queued is scanned, what was found is handed to the sinks, and what scans left
//! behind is deleted.
//!
//! Four loops share a queue: the survey, the schedule, the workers and the sweep. Each goes on whatever happens to the others,
//! and whatever AWS says.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agentless_core::number::to_u64;
use agentless_service::board::{self, Board, Severity};
use agentless_service::delivery::{Clock, Delivery};
use agentless_service::queue::{Cause, Job, Order, Queue, Refused};
use agentless_service::report::{Outcome, Report};
use agentless_service::schedule::{LOOK_BACK, Schedule, Watermark};
use agentless_service::span;
use agentless_service::target::{Kind, Place, Target};
use futures_util::{StreamExt, stream};
use time::OffsetDateTime;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::discovery::{Reason, Survey};
use super::inventory::{Inventory, KINDS};
use super::running::Running;
use super::world::{Figures, Scanned, World};

/// When things are done.
#[derive(Clone, Debug)]
pub struct Times {
    /// How often a target is scanned.
    pub scan_interval: Duration,
    /// How often what there is to scan is looked for.
    pub discovery_interval: Duration,
}

/// What the service is made of.
#[derive(Debug)]
pub struct Service<W> {
    /// AWS, or a simulation of it.
    pub world: Arc<W>,
    /// The scans that wait.
    pub queue: Queue,
    /// What is shown.
    pub board: Arc<Board>,
    /// The sinks.
    pub delivery: Arc<Delivery>,
    /// What there is to scan.
    pub inventory: Inventory,
    /// The scans that run.
    pub running: Running,
    /// When things are done; read again whenever it counts.
    pub times: tokio::sync::watch::Receiver<Times>,
    /// Where the heartbeat is.
    pub state_directory: PathBuf,
    /// The time of the day.
    pub clock: Clock,
    /// Ends the loops that begin something.
    pub stop: CancellationToken,
}

/// How often it is looked what is due.
const TICK: Duration = Duration::from_secs(30);
/// How often places are swept.
const SWEEP: Duration = Duration::from_hours(1);
/// Places that are looked at at a time.
const PLACES_AT_ONCE: usize = 8;
/// How soon a place that could not be reached is tried again.
const RETRY: Duration = Duration::from_mins(2);
/// How long a report is kept that no spool could take, before it is tried again.
const KEEP: Duration = Duration::from_secs(30);

impl<W: World> Service<W> {
    fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// Looks for what there is to scan, again and again.
    pub async fn survey(&self) {
        let mut next: BTreeMap<Place, Instant> = BTreeMap::new();
        loop {
            match self.world.places().await {
                Err(error) => self.board.problem("places", Severity::Error, &error, self.now()),
                Ok(places) => {
                    self.board.solved("places");
                    next.retain(|place, _| places.contains(place));
                    self.inventory.retain(|place| places.contains(place));
                    self.inventory.expect(&places);
                    self.board.retain_places(|place| places.contains(place));
                    let due: Vec<_> = places
                        .into_iter()
                        .filter(|place| next.get(place).is_none_or(|at| *at <= Instant::now()))
                        .collect();
                    let interval = self.times.borrow().discovery_interval;
                    let mut surveys = std::pin::pin!(
                        stream::iter(due)
                            .map(async |place| (self.survey_place(&place).await, place))
                            .buffer_unordered(PLACES_AT_ONCE)
                    );
                    while let Some((is_done, place)) = surveys.next().await {
                        next.insert(place, Instant::now() + if is_done { interval } else { RETRY });
                    }
                }
            }
            tokio::select! {
                () = sleep(TICK) => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// Surveys one place. True if it could be reached.
    async fn survey_place(&self, place: &Place) -> bool {
        let survey = match self.world.survey(place).await {
            Ok(survey) => survey,
            Err(error) => {
                tracing::warn!(%place, error, "a place could not be surveyed");
                self.board.discovery_failed(place, &error, self.now());
                return false;
            }
        };
        for error in &survey.errors {
            tracing::warn!(%place, %error, "a part of a place could not be surveyed");
        }
        let appeared = self.inventory.take(place, &survey);
        self.board.discovered(self.shown(place, &survey));
        if !survey.errors.is_empty() {
            let errors: Vec<_> = survey.errors.iter().map(ToString::to_string).collect();
            self.board.discovery_failed(place, &errors.join("; "), self.now());
        }
        // Whatever is started is scanned soon, and not only in its slot.
        for target in appeared {
            tracing::info!(target = target.arn, "a new target");
            self.push(target).await;
        }
        true
    }

    fn shown(&self, place: &Place, survey: &Survey) -> board::Discovery {
        let mut shown = board::Discovery::new(place.clone());
        shown.last_ok = Some(self.now());
        shown.targets = self.inventory.counts(place);
        for skipped in &survey.skipped {
            let count = match skipped.reason {
                Reason::OptedOut | Reason::VolumesOptedOut => &mut shown.opted_out,
                Reason::Excluded { .. } | Reason::NotIncluded { .. } => &mut shown.excluded,
                _ => shown.skipped.entry(skipped.reason.to_string()).or_default(),
            };
            *count = count.saturating_add(1);
            shown
                .left_out
                .push(board::LeftOut { target: skipped.arn.clone(), reason: skipped.reason.to_string() });
        }
        shown
    }

    /// Queues what is due, again and again.
    pub async fn schedule(&self) {
        let interval = self.times.borrow().scan_interval;
        let mut watermark = Watermark::open(&self.state_directory, interval, self.now());
        let start = watermark.window(self.now()).from;
        // At once: a crash before the first survey must not move the time from which on everything is looked for.
        if let Err(error) = watermark.advance(start) {
            self.board.problem("heartbeat", Severity::Warning, &crate::chain(&error), self.now());
        }
        // Up to when each kind of targets of each place was queued: one that cannot be surveyed yet misses nothing by it, also
        // when the service is started again, since the heartbeat waits for it.
        let mut covered: BTreeMap<(Place, Kind), OffsetDateTime> = BTreeMap::new();
        // The slots of what is queued and not yet scanned, by target: the queue does not survive a crash.
        let mut outstanding: BTreeMap<String, OffsetDateTime> = BTreeMap::new();
        let mut seen = self.now();
        loop {
            self.board.beat();
            let schedule = Schedule::new(self.times.borrow().scan_interval);
            let now = self.now();
            if now + TICK * 2 < seen {
                tracing::warn!(before = %seen, %now, "the clock was set back");
                let window = watermark.window(now);
                for at in covered.values_mut() {
                    *at = (*at).min(window.from);
                }
            }
            seen = now;
            let places = self.inventory.places();
            covered.retain(|(place, _), _| places.contains(place));
            for (place, kind) in places.iter().flat_map(|place| KINDS.map(|kind| (place, kind))) {
                let up_to = covered.entry((place.clone(), kind)).or_insert(start);
                if !self.inventory.is_surveyed(place, kind) {
                    continue;
                }
                let from = (*up_to).min(now);
                for target in self.inventory.due(place, kind, schedule, (from, now)) {
                    let (arn, slot) = (target.arn.clone(), schedule.slot(&target.arn, now));
                    self.push(target).await;
                    outstanding.entry(arn).or_insert(slot);
                }
                *up_to = now;
            }
            outstanding.retain(|arn, _| self.queue.holds(arn));
            // Asked after the queue: what a queue that was closed does not hold is not scanned.
            if self.stop.is_cancelled() {
                return;
            }
            let undone = outstanding.values().min().map(|slot| *slot - Duration::from_secs(1));
            if let Some(up_to) = covered.values().copied().chain(undone).min() {
                match watermark.advance(up_to) {
                    Ok(()) => self.board.solved("heartbeat"),
                    Err(error) => {
                        self.board.problem("heartbeat", Severity::Warning, &crate::chain(&error), now);
                    }
                }
            }
            self.show(schedule, now);
            tokio::select! {
                () = sleep(TICK) => {}
                // What is due there need not wait for the next look.
                () = self.inventory.learned() => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// Queues a target that is due; waits while the queue is full.
    async fn push(&self, target: Target) {
        loop {
            match self.queue.push(Order::new(target.clone(), Cause::Schedule)) {
                Ok(_) => return self.board.solved("queue"),
                Err(Refused::Closed) => return,
                Err(full @ Refused::Full { .. }) => {
                    self.board.problem("queue", Severity::Warning, &full.to_string(), self.now());
                    self.board.beat();
                    tokio::select! {
                        () = sleep(TICK) => {}
                        () = self.stop.cancelled() => return,
                    }
                }
            }
        }
    }

    /// Shows what is due next, and how the sinks fare.
    fn show(&self, schedule: Schedule, now: OffsetDateTime) {
        self.board.due(self.inventory.upcoming(schedule, now, Board::DUE));
        self.show_queue();
        for sink in self.delivery.state() {
            self.board.sink(super::figures::sink(&sink, now));
        }
    }

    fn show_queue(&self) {
        self.board.queue(super::figures::queue(&self.queue.snapshot(self.now())));
    }

    /// Scans what is queued, one target after the other, until the queue is closed. Several of these run at once.
    pub async fn work(&self) {
        while let Some(job) = self.queue.take().await {
            let span = span::scan(job.scan, &job.target.arn);
            self.scan(job).instrument(span).await;
            self.show_queue();
        }
    }

    async fn scan(&self, job: Job) {
        let _entry = self.running.enter(job.scan);
        let started = self.now();
        let begin = Instant::now();
        self.board.scan_started(board::Running {
            scan: job.scan.to_string(),
            target: (&job.target).into(),
            since: started,
            deadline: started.checked_add(job.deadline.try_into().unwrap_or(time::Duration::MAX)),
            step: String::new(),
        });
        self.show_queue();
        tracing::info!(cause = job.cause.name(), "a scan begins");
        let step = |step: &str| self.board.scan_step(&job.scan.to_string(), step);
        let scanned = self.world.scan(&job, &step).await;
        let last = |outcome, reason| board::Last {
            scan: job.scan.to_string(),
            target: (&job.target).into(),
            outcome,
            at: self.now(),
            duration: begin.elapsed(),
            packages: 0,
            unknowns: 0,
            reason,
        };
        let last = match scanned {
            Scanned::Cancelled => {
                tracing::info!("the scan was cancelled");
                last(board::Outcome::Cancelled, None)
            }
            Scanned::Skipped(reason) => {
                tracing::info!(reason, "the target is skipped");
                last(board::Outcome::Skipped, Some(reason))
            }
            Scanned::Reported(figures) => {
                let Figures { report, packages, unknowns } = *figures;
                let (outcome, reason) = match &report.outcome {
                    Outcome::Failed(reason) => (board::Outcome::Failed, Some(reason.clone())),
                    Outcome::Listed(_) if unknowns > 0 => (board::Outcome::Incomplete, None),
                    Outcome::Listed(_) => (board::Outcome::Complete, None),
                };
                if let Some(reason) = &reason {
                    tracing::warn!(reason, "the scan failed");
                } else {
                    tracing::info!(packages, unknowns, "the scan is complete");
                }
                self.submit(report).await;
                board::Last { packages, unknowns, ..last(outcome, reason) }
            }
        };
        self.board.scan_ended(last);
    }

    /// Hands a report to the spools. One that a spool cannot take, as the disk is full, stays in memory until it can: whoever
    /// scans waits with it, so that no more than one report a worker does.
    async fn submit(&self, report: Report) {
        let report = Arc::new(report);
        let mut missing = match self.delivery.submit(Arc::clone(&report)).await {
            Ok(()) => return,
            Err(missing) => missing,
        };
        loop {
            tracing::error!(error = %missing, "a report is not kept");
            self.board.problem("spool", Severity::Error, &missing.to_string(), self.now());
            tokio::select! {
                () = sleep(KEEP) => {}
                // The successor finds the target due; here is nothing more to be done.
                () = self.stop.cancelled() => {}
            }
            match self.delivery.submit_again(Arc::clone(&report), &missing).await {
                Ok(()) => return self.board.solved("spool"),
                Err(still) => missing = still,
            }
            if self.stop.is_cancelled() {
                tracing::error!(error = %missing, target = report.target.arn, "a report is lost");
                return;
            }
        }
    }

    /// Sweeps every place, at once and every hour.
    pub async fn sweep(&self) {
        loop {
            let is_done = match self.world.places().await {
                // The survey says so.
                Err(_) => false,
                Ok(places) => {
                    let sweeps = stream::iter(places).map(async |place| self.sweep_place(place).await);
                    sweeps.buffer_unordered(PLACES_AT_ONCE).all(async |is_done| is_done).await
                }
            };
            tokio::select! {
                () = sleep(if is_done { SWEEP } else { RETRY }) => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// Sweeps one place. True if nothing is left of what should be gone.
    pub async fn sweep_place(&self, place: Place) -> bool {
        let result = self.world.sweep(&place, &self.running).await;
        let (sweep, is_done) = match result {
            Ok(swept) => {
                let failures: Vec<_> =
                    swept.failed.iter().map(|(id, error)| format!("{id}: {error}")).collect();
                let found = to_u64(swept.deleted.len()).saturating_add(to_u64(swept.failed.len()));
                let failing = (!failures.is_empty()).then(|| failures.join("; "));
                let sweep = super::figures::sweep(
                    place,
                    (found, to_u64(swept.deleted.len()), to_u64(swept.failed.len())),
                    failing.as_deref(),
                    self.now(),
                );
                (sweep, failing.is_none())
            }
            Err(error) => {
                tracing::warn!(%place, error, "a place could not be swept");
                (super::figures::sweep(place, (0, 0, 0), Some(&error), self.now()), false)
            }
        };
        self.board.swept(sweep);
        is_done
    }

    /// Takes no more work, lets what runs go on for `grace`, then cancels it, and sends what can be sent. Whoever comes next
    /// finds what is handed back due.
    pub async fn drain(&self, grace: Duration, next: Next) {
        self.board.phase(board::Phase::Draining);
        self.stop.cancel();
        let handed = match next {
            Next::SameDisk => {
                self.queue.close();
                self.queue.drain().len()
            }
            Next::FreshDisk => self.hand_back(),
        };
        tracing::info!(handed, "no more is taken on; what the next scanner finds due is handed back");
        if tokio::time::timeout(grace, self.queue.idle()).await.is_err() {
            tracing::warn!("scans still run: they are cancelled, and what they made is deleted");
            self.queue.close();
            self.queue.drain();
            self.queue.cancel_running();
            if tokio::time::timeout(CLEANUP, self.queue.idle()).await.is_err() {
                tracing::error!("scans did not end: the journal knows what they may have left");
            }
        }
        let left = self.delivery.flush(FLUSH).await;
        for (sink, count) in left {
            tracing::warn!(sink, count, "reports are not sent yet; they stay in the spool");
        }
        self.board.phase(board::Phase::Stopping);
        self.queue.close();
    }

    /// Hands back what a scanner without this disk finds due, which looks back from its own start; returns how much. The rest
    /// is scanned here.
    fn hand_back(&self) -> usize {
        let (schedule, now) = (Schedule::new(self.times.borrow().scan_interval), self.now());
        let is_found = |order: &Order| {
            order.cause == Cause::Schedule && schedule.slot(&order.target.arn, now) > now - LOOK_BACK / 2
        };
        self.queue.hand_back(is_found).len()
    }
}

/// Who comes after a service that ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next {
    /// The same service, started again: the heartbeat says what is due.
    SameDisk,
    /// Another instance, which knows nothing of this one. It has started, or will within half of the time that it looks back.
    FreshDisk,
}

/// How long cancelled scans have for deleting what they made.
const CLEANUP: Duration = Duration::from_mins(3);
/// How long the sinks have for what waits.
const FLUSH: Duration = Duration::from_mins(1);
