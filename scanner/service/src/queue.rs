//! The scans that wait, and those that run.
//!
//! Bounded, and nothing is dropped silently: what does not fit is refused with the reason. A target is never in it twice. What
//! somebody asked for goes before what is merely due; after that, accounts take turns, and the regions of an account take
//! turns, so that a large account never holds up a small one.

mod job;
mod lanes;
mod order;
mod snapshot;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use state::State;

pub use job::Job;
pub use order::{Cause, Order, Scope};
pub use snapshot::{Running, Snapshot, Waiting};

/// How much the queue holds and hands out.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How many scans wait at most.
    pub length: usize,
    /// How many run at once at most in one region of one account.
    pub per_place: usize,
    /// How long a scan may take; the job says so, who runs it keeps it.
    pub deadline: Duration,
}

/// What became of an order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pushed {
    /// It waits, as a scan of its own.
    Queued(Uuid),
    /// The same target waits or runs already, and what was asked for is covered by that scan.
    Joined(Uuid),
}

/// Why an order was not taken. It is to be tried again, or said to whoever asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refused {
    /// As many wait as may.
    #[error("{length} scans wait, and no more may: try again when some are done, or raise `queue.length`")]
    Full {
        /// How many that is.
        length: usize,
    },
    /// The scanner is being stopped.
    #[error("the scanner is stopping and takes no more scans: another instance takes over")]
    Closed,
}

/// What [`Queue::cancel`] found.
#[derive(Debug, Default)]
pub struct Cancelled {
    /// This waited, and does no longer.
    pub waiting: Option<Order>,
    /// This scan runs, and was told to stop.
    pub running: Option<Uuid>,
}

/// The scans that wait, and those that run. Clones are the same queue.
#[derive(Clone, Debug)]
pub struct Queue {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Told after each change that could let somebody go on.
    changed: Notify,
}

impl Queue {
    /// An empty queue.
    pub fn new(bounds: Bounds) -> Self {
        let state = Mutex::new(State::new(bounds));
        Self { shared: Arc::new(Shared { state, changed: Notify::new() }) }
    }

    /// Adds a scan, unless its target waits or runs already: then it joins that scan, which takes on the more urgent cause and
    /// what both asked for. A scan that runs can take on nothing: where it does not cover the order, the order waits for its
    /// end.
    ///
    /// # Errors
    ///
    /// The queue is full or closed.
    pub fn push(&self, order: Order) -> Result<Pushed, Refused> {
        let pushed = self.shared.lock().push(order, Instant::now());
        self.shared.changed.notify_waiters();
        pushed
    }

    /// The next scan, as soon as there is one that may run. None once the queue is closed. May be dropped while it waits
    /// without losing anything.
    pub async fn take(&self) -> Option<Job> {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            {
                let mut state = self.shared.lock();
                if state.is_closed() {
                    return None;
                }
                if let Some(started) = state.take(Instant::now()) {
                    return Some(Job::new(started, Arc::clone(&self.shared)));
                }
            }
            changed.await;
        }
    }

    /// Cancels whatever there is of this target: what waits is given back, what runs is told to stop.
    pub fn cancel(&self, arn: &str) -> Cancelled {
        let cancelled = self.shared.lock().cancel(arn);
        self.shared.changed.notify_waiters();
        cancelled
    }

    /// Tells all scans that run to stop.
    pub fn cancel_running(&self) {
        self.shared.lock().cancel_running();
    }

    /// From now on nothing is taken or added. What runs goes on.
    pub fn close(&self) {
        self.shared.lock().close();
        self.shared.changed.notify_waiters();
    }

    /// Removes all that waits and gives it back, the next one first, to be handed over.
    pub fn drain(&self) -> Vec<Order> {
        let drained = self.shared.lock().drain();
        self.shared.changed.notify_waiters();
        drained
    }

    /// From now on nothing is added. What waits and is `theirs`, of whoever takes over, is removed and given back; the rest is
    /// still taken.
    pub fn hand_back(&self, theirs: impl Fn(&Order) -> bool) -> Vec<Order> {
        let handed = self.shared.lock().hand_back(theirs);
        self.shared.changed.notify_waiters();
        handed
    }

    /// Returns when nothing runs, and nothing will: nothing waits, or the queue is closed.
    pub async fn idle(&self) {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.shared.lock().is_idle() {
                return;
            }
            changed.await;
        }
    }

    /// Whether a scan of this target waits or runs.
    pub fn holds(&self, arn: &str) -> bool {
        self.shared.lock().holds(arn)
    }

    /// What waits and what runs, for the status.
    pub fn snapshot(&self, now: OffsetDateTime) -> Snapshot {
        self.shared.lock().snapshot(now, Instant::now())
    }
}

impl Shared {
    /// A panic elsewhere leaves the state as consistent as it was: each change is made in one piece.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
