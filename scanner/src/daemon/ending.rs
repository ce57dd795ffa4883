//! The end of the service: what is left is scanned or handed back, and sent.

use std::time::Duration;

use agentless_service::board;
use agentless_service::queue::{Cause, Order};
use agentless_service::schedule::{LOOK_BACK, Schedule};
use tokio::time::sleep;

use super::service::{Service, TICK};
use super::world::World;

/// Who comes after a service that ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next {
    /// The same service, started again: the heartbeat says what is due.
    SameDisk,
    /// Another instance, which knows nothing of this one. It has started, or will within half of the time that it looks back.
    FreshDisk,
}

impl Next {
    /// How long what is left may go on.
    ///
    /// Where the disk is lost, nobody else knows of what waited for longer than a successor looks back: it is scanned here to
    /// the last, which ends as nothing is added, and at the latest when all of it is due anew.
    fn grace(self, interval: Duration) -> Duration {
        match self {
            Self::SameDisk => STOPPED,
            Self::FreshDisk => interval.min(REPLACED),
        }
    }

    /// How long the sinks have for what waits. Where the disk is lost, what they do not take is lost with it.
    fn flush(self) -> Duration {
        match self {
            Self::SameDisk => FLUSH,
            Self::FreshDisk => FLUSH_ALL,
        }
    }
}

impl<W: World> Service<W> {
    /// Takes no more work, lets what is left go on for as long as `next` allows, then cancels it, and sends what can be sent.
    /// Whoever comes next finds what is handed back due.
    pub async fn drain(&self, next: Next) {
        tokio::select! {
            () = self.wind_up(next) => {}
            () = self.beat() => {}
        }
    }

    /// Shows that the service is alive, after the schedule has ended. Never returns.
    async fn beat(&self) {
        loop {
            self.board.beat();
            sleep(TICK).await;
        }
    }

    async fn wind_up(&self, next: Next) {
        self.board.phase(board::Phase::Draining);
        if next == Next::FreshDisk {
            self.catch_up().await;
        }
        self.stop.cancel();
        let handed = match next {
            Next::SameDisk => {
                self.queue.close();
                self.queue.drain().len()
            }
            Next::FreshDisk => self.hand_back(),
        };
        tracing::info!(handed, "no more is taken on; what the next scanner finds due is handed back");
        let grace = next.grace(self.times.borrow().scan_interval);
        if tokio::time::timeout(grace, self.queue.idle()).await.is_err() {
            tracing::warn!("scans still run: they are cancelled, and what they made is deleted");
            self.queue.close();
            self.queue.drain();
            self.queue.cancel_running();
            if tokio::time::timeout(CLEANUP, self.queue.idle()).await.is_err() {
                tracing::error!("scans did not end: the journal knows what they may have left");
            }
        }
        let left = self.delivery.flush(next.flush()).await;
        for (sink, count) in left {
            tracing::warn!(sink, count, "reports are not sent yet; they stay in the spool");
        }
        self.board.phase(board::Phase::Stopping);
        self.queue.close();
    }

    /// Waits until everything is queued that was due before a successor looks: one that is replaced soon after its start may not
    /// even have surveyed what there is. A place that could not be surveyed for long is not waited for.
    async fn catch_up(&self) {
        let is_behind = || {
            let scheduled = *self.scheduled.borrow();
            scheduled.is_some_and(|(begin, up_to)| {
                begin.elapsed() < HOPELESS && self.now() - up_to > LOOK_BACK / 2
            })
        };
        while is_behind() {
            sleep(Duration::from_secs(1)).await;
        }
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

/// How long scans that run may go on when the service is stopped by hand.
const STOPPED: Duration = Duration::from_mins(1);
/// How long they may at most when its instance is replaced: half of what a lifecycle hook can be kept waiting.
const REPLACED: Duration = Duration::from_hours(24);
/// A place that could not be surveyed for so long after the start is not waited for.
const HOPELESS: Duration = Duration::from_hours(2);
/// How long cancelled scans have for deleting what they made.
const CLEANUP: Duration = Duration::from_mins(3);
/// How long the sinks have for what waits, on a disk that stays.
const FLUSH: Duration = Duration::from_mins(1);
/// How long they have where the disk is lost.
const FLUSH_ALL: Duration = Duration::from_hours(1);
