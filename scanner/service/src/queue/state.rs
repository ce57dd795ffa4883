//! What the queue holds, changed under its lock.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::lanes::{Lanes, Rank};
use super::snapshot::{Running, Snapshot, Waiting};
use super::{Bounds, Cancelled, Order, Pushed, Refused};
use crate::target::Place;

/// What waits and what runs.
#[derive(Debug)]
pub(super) struct State {
    bounds: Bounds,
    lanes: Lanes,
    /// Where each entry of the lanes is, by ARN.
    waiting: HashMap<String, (Place, Rank)>,
    running: BTreeMap<Uuid, Run>,
    /// The scan that runs, by ARN.
    scans: HashMap<String, Uuid>,
    /// How many of those that run have another entry waiting for their end.
    following: usize,
    /// Whether nothing is added any more.
    is_full: bool,
    /// Whether nothing is taken any more either.
    is_closed: bool,
}

/// One scan that waits.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) scan: Uuid,
    pub(super) order: Order,
    since: Instant,
}

/// One scan that was started.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) scan: Uuid,
    pub(super) order: Order,
    pub(super) cancel: CancellationToken,
    pub(super) deadline: Duration,
}

/// One scan that runs.
#[derive(Debug)]
struct Run {
    order: Order,
    since: Instant,
    cancel: CancellationToken,
    /// The same target once more, when this is over.
    next: Option<Entry>,
}

impl State {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            lanes: Lanes::default(),
            waiting: HashMap::new(),
            running: BTreeMap::new(),
            scans: HashMap::new(),
            following: 0,
            is_full: false,
            is_closed: false,
        }
    }

    pub(super) fn push(&mut self, order: Order, now: Instant) -> Result<Pushed, Refused> {
        if self.is_closed || self.is_full {
            return Err(Refused::Closed);
        }
        if let Some(scan) = self.join_waiting(&order) {
            return Ok(Pushed::Joined(scan));
        }
        if let Some(scan) = self.scans.get(&order.target.arn).copied() {
            return self.join_running(scan, order, now);
        }
        self.check_length()?;
        let entry = Entry { scan: Uuid::new_v4(), order, since: now };
        let scan = entry.scan;
        self.add(entry);
        Ok(Pushed::Queued(scan))
    }

    /// The scan of this target that waits, with this order joined to it.
    fn join_waiting(&mut self, order: &Order) -> Option<Uuid> {
        let (place, rank) = self.waiting.get(&order.target.arn)?.clone();
        let entry = self.lanes.get_mut(&place, rank)?;
        let scan = entry.scan;
        let becomes_urgent = order.cause.is_urgent() && !entry.order.cause.is_urgent();
        entry.order.join(order.clone());
        if becomes_urgent && let Some(rank) = self.lanes.promote(&place, rank) {
            self.waiting.insert(order.target.arn.clone(), (place, rank));
        }
        Some(scan)
    }

    fn join_running(&mut self, scan: Uuid, order: Order, now: Instant) -> Result<Pushed, Refused> {
        let length = self.check_length();
        let Some(run) = self.running.get_mut(&scan) else { return Err(Refused::Closed) };
        if !run.cancel.is_cancelled() && run.order.scope.covers(order.scope) {
            return Ok(Pushed::Joined(scan));
        }
        if let Some(next) = &mut run.next {
            next.order.join(order);
            return Ok(Pushed::Joined(next.scan));
        }
        length?;
        let next = Entry { scan: Uuid::new_v4(), order, since: now };
        let scan = next.scan;
        run.next = Some(next);
        self.following = self.following.saturating_add(1);
        Ok(Pushed::Queued(scan))
    }

    fn check_length(&self) -> Result<(), Refused> {
        let length = self.waiting.len().saturating_add(self.following);
        if length < self.bounds.length { Ok(()) } else { Err(Refused::Full { length }) }
    }

    fn add(&mut self, entry: Entry) {
        let (arn, place) = (entry.order.target.arn.clone(), entry.order.target.place.clone());
        let rank = self.lanes.add(entry);
        self.waiting.insert(arn, (place, rank));
    }

    pub(super) fn take(&mut self, now: Instant) -> Option<Started> {
        let Entry { scan, order, .. } = self.lanes.take(self.bounds.per_place)?;
        self.waiting.remove(&order.target.arn);
        self.scans.insert(order.target.arn.clone(), scan);
        let cancel = CancellationToken::new();
        let run = Run { order: order.clone(), since: now, cancel: cancel.clone(), next: None };
        self.running.insert(scan, run);
        Some(Started { scan, order, cancel, deadline: self.bounds.deadline })
    }

    pub(super) fn finish(&mut self, scan: Uuid) {
        let Some(run) = self.running.remove(&scan) else { return };
        self.scans.remove(&run.order.target.arn);
        if let Some(next) = run.next {
            self.following = self.following.saturating_sub(1);
            self.add(next);
        }
        self.lanes.finish(&run.order.target.place);
    }

    pub(super) fn cancel(&mut self, arn: &str) -> Cancelled {
        let mut cancelled = Cancelled::default();
        if let Some((place, rank)) = self.waiting.remove(arn) {
            cancelled.waiting = self.lanes.remove(&place, rank).map(|it| it.order);
        }
        if let Some(scan) = self.scans.get(arn)
            && let Some(run) = self.running.get_mut(scan)
        {
            run.cancel.cancel();
            cancelled.running = Some(*scan);
            if let Some(next) = run.next.take() {
                self.following = self.following.saturating_sub(1);
                cancelled.waiting = Some(next.order);
            }
        }
        cancelled
    }

    pub(super) fn cancel_running(&self) {
        for run in self.running.values() {
            run.cancel.cancel();
        }
    }

    pub(super) fn drain(&mut self) -> Vec<Order> {
        self.waiting.clear();
        self.following = 0;
        let following = self.running.values_mut().filter_map(|run| run.next.take());
        let mut drained: Vec<_> = following.map(|it| it.order).collect();
        drained.splice(0..0, self.lanes.drain().into_iter().map(|it| it.order));
        drained
    }

    pub(super) fn hand_back(&mut self, is_theirs: impl Fn(&Order) -> bool) -> Vec<Order> {
        self.is_full = true;
        let (lanes, mut handed) = (&mut self.lanes, Vec::new());
        for (place, rank) in self.waiting.values() {
            if lanes.get_mut(place, *rank).is_some_and(|entry| is_theirs(&entry.order)) {
                handed.extend(lanes.remove(place, *rank).map(|entry| entry.order));
            }
        }
        for order in &handed {
            self.waiting.remove(&order.target.arn);
        }
        handed
    }

    pub(super) fn close(&mut self) {
        self.is_closed = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty() && (self.is_closed || self.waiting.is_empty())
    }

    pub(super) fn holds(&self, arn: &str) -> bool {
        self.waiting.contains_key(arn) || self.scans.contains_key(arn)
    }

    pub(super) fn snapshot(&self, now: OffsetDateTime, instant: Instant) -> Snapshot {
        let since = |then: Instant| {
            let elapsed = instant.saturating_duration_since(then);
            now.saturating_sub(elapsed.try_into().unwrap_or(time::Duration::MAX))
        };
        let waiting = self.lanes.waiting().map(|(place, urgent, due)| Waiting { place, urgent, due });
        let mut running: Vec<_> = self
            .running
            .iter()
            .map(|(scan, run)| Running {
                scan: *scan,
                target: run.order.target.arn.clone(),
                kind: run.order.target.kind,
                place: run.order.target.place.clone(),
                cause: run.order.cause,
                since: since(run.since),
                is_cancelled: run.cancel.is_cancelled(),
            })
            .collect();
        running.sort_by(|run, other| run.since.cmp(&other.since).then_with(|| run.target.cmp(&other.target)));
        Snapshot {
            is_closed: self.is_closed,
            length: self.bounds.length,
            following: self.following,
            oldest: self.lanes.oldest().map(since),
            waiting: waiting.collect(),
            running,
        }
    }
}

impl Entry {
    pub(super) fn since(&self) -> Instant {
        self.since
    }
}
