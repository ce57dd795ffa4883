//! One sink: its spool, its state, and the loop that sends.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agentless_core::chain;
use time::OffsetDateTime;
use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::backoff::Backoff;
use super::state::SinkState;
use super::{Clock, Options};
use crate::report::Report;
use crate::sink::{Payload, SendError, Sink};
use crate::spool::{Cause, Spool, SpoolError, Ticket};

/// One sink with its spool.
pub(super) struct Line {
    sink: Arc<dyn Sink>,
    /// Locked only where blocking is allowed.
    spool: Mutex<Spool>,
    state: watch::Sender<SinkState>,
    /// Something new is in the spool.
    news: Notify,
    /// No waiting between attempts now.
    hurry: Notify,
    clock: Clock,
    seed: u64,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("state", &*self.state.borrow()).finish_non_exhaustive()
    }
}

/// What became of an attempt.
enum Attempt {
    /// Accepted, or set aside: on to the next.
    Done,
    /// Nothing waits.
    Idle,
    /// Not now.
    Wait(Duration),
}

impl Line {
    pub(super) fn new(sink: Arc<dyn Sink>, options: &Options, seed: u64) -> Self {
        let name = sink.name();
        Self {
            sink,
            spool: Mutex::new(Spool::new(options.directory.join(name), options.limit)),
            state: watch::Sender::new(SinkState { name, ..SinkState::default() }),
            news: Notify::new(),
            hurry: Notify::new(),
            clock: options.clock.clone(),
            seed,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        self.sink.name()
    }

    pub(super) fn state(&self) -> SinkState {
        self.state.borrow().clone()
    }

    pub(super) fn wake(&self) {
        self.hurry.notify_one();
    }

    /// Returns when nothing waits any more.
    pub(super) async fn emptied(self: &Arc<Self>) {
        // What lies there from before may not have been seen yet.
        self.with_spool(Spool::open).await;
        // The sender is ours: it is not gone.
        let _ =
            self.state.subscribe().wait_for(|state| state.waiting == 0 && state.spool_error.is_none()).await;
    }

    /// Puts what the sink wants of a report into the spool.
    pub(super) async fn take(
        self: Arc<Self>,
        report: Arc<Report>,
        now: OffsetDateTime,
    ) -> Result<(), String> {
        let name = self.name();
        let line = Arc::clone(&self);
        let pushed = spawn_blocking(move || {
            // Rendered under the lock: reports arrive in the order in which the sink made its notes of them.
            let mut spool = line.lock();
            let mut too_large = 0_u64;
            let mut pushed = spool.open();
            for payload in line.sink.render(&report, now) {
                if pushed.is_err() {
                    break;
                }
                pushed = match spool.push(&payload, now) {
                    // It would never fit: the rest of the report does not wait for it.
                    Err(error @ SpoolError::TooLarge { .. }) => {
                        tracing::error!(sink = name, scan = %report.scan, "{}", chain(&error));
                        too_large = too_large.saturating_add(1);
                        Ok(())
                    }
                    other => other,
                };
            }
            line.note_spool(&mut spool, &pushed);
            line.state.send_if_modified(|state| {
                state.refused = state.refused.saturating_add(too_large);
                too_large > 0
            });
            pushed.map_err(|error| chain(&error))
        });
        let result =
            pushed.await.unwrap_or_else(|error| Err(format!("the report could not be rendered: {error}")));
        match &result {
            Ok(()) => self.news.notify_one(),
            Err(reason) => tracing::error!(sink = name, reason, "a report was not taken"),
        }
        result
    }

    /// Sends for ever.
    pub(super) async fn run(self: Arc<Self>) {
        let mut backoff = Backoff::new(self.seed);
        loop {
            match self.attempt(&mut backoff).await {
                Attempt::Done => {}
                Attempt::Idle => {
                    tokio::select! {
                        () = self.news.notified() => {}
                        // Also a look at a spool that somebody changed.
                        () = self.hurry.notified() => {}
                    }
                }
                Attempt::Wait(wait) => {
                    tokio::select! {
                        () = sleep(wait) => {}
                        () = self.hurry.notified() => {}
                    }
                }
            }
        }
    }

    async fn attempt(self: &Arc<Self>, backoff: &mut Backoff) -> Attempt {
        let (ticket, payload) = match self.peek(0).await {
            Ok(Some(oldest)) => oldest,
            Ok(None) => return Attempt::Idle,
            Err(wait) => return Attempt::Wait(wait),
        };
        let Err(error) = self.send(&payload).await else {
            backoff.reset();
            self.with_spool(move |spool| spool.remove(ticket)).await;
            return Attempt::Done;
        };
        match error {
            SendError::Permanent { reason, is_about_payload: true } => {
                // The sink answers, and wants others perhaps.
                backoff.reset();
                self.refuse(ticket, &payload, reason).await;
                Attempt::Done
            }
            SendError::Permanent { reason, is_about_payload: false } => {
                let minutes = MISCONFIGURED_WAIT.as_secs() / 60;
                tracing::error!(
                    sink = self.name(),
                    reason,
                    "nothing is sent until this is changed; tried every {minutes} minutes"
                );
                self.state.send_modify(|state| state.misconfigured = Some(reason));
                Attempt::Wait(MISCONFIGURED_WAIT)
            }
            SendError::Passing { reason, retry_after } => {
                let wait = backoff.after_failure(retry_after);
                let seconds = wait.as_secs();
                tracing::warn!(
                    sink = self.name(),
                    key = payload.key,
                    reason,
                    seconds,
                    "not sent; tried again later"
                );
                let attempts = self.locked(move |spool| spool.attempted(ticket)).await.unwrap_or_default();
                if attempts.checked_rem(PATIENCE) == Some(0) && attempts > 0 {
                    self.try_another(ticket, &payload, backoff).await.unwrap_or(Attempt::Wait(wait))
                } else {
                    Attempt::Wait(wait)
                }
            }
        }
    }

    /// The oldest payload fails again and again: if the sink takes the next one, it is that payload's own fault, and it
    /// goes behind all others. `None` where nothing was learnt.
    async fn try_another(
        self: &Arc<Self>,
        failing: Ticket,
        payload: &Payload,
        backoff: &mut Backoff,
    ) -> Option<Attempt> {
        let (next, other) = self.peek(1).await.ok()??;
        match self.send(&other).await {
            Ok(()) => self.with_spool(move |spool| spool.remove(next)).await,
            Err(SendError::Permanent { reason, is_about_payload: true }) => {
                self.refuse(next, &other, reason).await;
            }
            Err(_) => return None,
        }
        tracing::warn!(sink = self.name(), key = payload.key, "only this payload fails: the others go first");
        self.locked(move |spool| spool.defer(failing)).await;
        backoff.reset();
        Some(Attempt::Done)
    }

    async fn send(&self, payload: &Payload) -> Result<(), SendError> {
        let sent = timeout(TIMEOUT, self.sink.send(payload)).await;
        let result = sent.unwrap_or_else(|_| {
            Err(SendError::passing(format!("no answer within {} seconds", TIMEOUT.as_secs())))
        });
        let now = self.clock.now();
        self.state.send_modify(|state| match &result {
            Ok(()) => {
                state.sent = state.sent.saturating_add(1);
                state.last_success = Some(now);
                state.misconfigured = None;
            }
            Err(error) => state.last_error = Some((now, error.to_string())),
        });
        if result.is_ok() {
            tracing::debug!(sink = self.name(), key = payload.key, bytes = payload.body.len(), "sent");
        }
        result
    }

    async fn refuse(self: &Arc<Self>, ticket: Ticket, payload: &Payload, reason: String) {
        tracing::error!(sink = self.name(), key = payload.key, reason, "refused; the payload is set aside");
        self.state.send_modify(|state| {
            state.refused = state.refused.saturating_add(1);
            state.misconfigured = None;
        });
        self.with_spool(move |spool| spool.refuse(ticket, &reason)).await;
    }

    /// The payload at this position, or how long to wait until the spool is looked at again.
    async fn peek(self: &Arc<Self>, position: usize) -> Result<Option<(Ticket, Payload)>, Duration> {
        let line = Arc::clone(self);
        let peeked = spawn_blocking(move || {
            let mut spool = line.lock();
            let peeked = spool.peek(position);
            line.note_spool(&mut spool, &peeked);
            peeked.map_err(|_| SPOOL_WAIT)
        });
        peeked.await.unwrap_or(Err(SPOOL_WAIT))
    }

    async fn with_spool(
        self: &Arc<Self>,
        operation: impl FnOnce(&mut Spool) -> Result<(), SpoolError> + Send + 'static,
    ) {
        let line = Arc::clone(self);
        let done = spawn_blocking(move || {
            let mut spool = line.lock();
            let result = operation(&mut spool);
            line.note_spool(&mut spool, &result);
        });
        if let Err(error) = done.await {
            tracing::error!(sink = self.name(), %error, "an operation of the spool was not finished");
        }
    }

    async fn locked<T: Send + 'static>(
        self: &Arc<Self>,
        operation: impl FnOnce(&mut Spool) -> T + Send + 'static,
    ) -> Option<T> {
        let line = Arc::clone(self);
        spawn_blocking(move || operation(&mut line.lock())).await.ok()
    }

    /// Brings the state up to date with the spool, and tells what was lost.
    fn note_spool<T>(&self, spool: &mut Spool, result: &Result<T, SpoolError>) {
        let (mut dropped, mut damaged) = (0_u64, 0_u64);
        for loss in spool.take_losses() {
            match loss.cause {
                Cause::Full => {
                    tracing::error!(
                        sink = self.name(),
                        key = loss.key,
                        "the spool is full: its oldest payload was dropped"
                    );
                    dropped = dropped.saturating_add(1);
                }
                Cause::Damaged(reason) => {
                    tracing::error!(
                        sink = self.name(),
                        key = loss.key,
                        reason,
                        "a damaged file of the spool is set aside"
                    );
                    damaged = damaged.saturating_add(1);
                }
            }
        }
        let waiting = spool.waiting();
        let problem = result.as_ref().err().map(|error| chain(error));
        self.state.send_modify(|state| {
            if let Some(problem) = &problem
                && state.spool_error.as_ref() != Some(problem)
            {
                tracing::error!(sink = state.name, "{problem}");
            }
            state.spool_error = problem;
            state.dropped = state.dropped.saturating_add(dropped);
            state.damaged = state.damaged.saturating_add(damaged);
            state.waiting = waiting.payloads;
            state.bytes = waiting.bytes;
            state.oldest = waiting.oldest;
        });
    }

    fn lock(&self) -> MutexGuard<'_, Spool> {
        // Every operation leaves the spool usable; a sink that panics while it renders has not touched it.
        self.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One attempt to send.
const TIMEOUT: Duration = Duration::from_mins(1);
/// Until a sink that is not configured rightly is tried again.
const MISCONFIGURED_WAIT: Duration = Duration::from_mins(10);
/// Until a spool that cannot be used is tried again.
const SPOOL_WAIT: Duration = Duration::from_secs(30);
/// After so many attempts with one payload another is tried.
const PATIENCE: u32 = 8;
