//! Reports on their way to the sinks: each sink has its own spool and its own loop that sends, so that one that hangs
//! hurts no other.
//!
//! A report counts as reported when [`Delivery::submit`] returns: all spools have it on the disk. From there it goes to its
//! sink at least once, unless the spool is full or the sink does not want it; both are counted, logged and shown.

mod backoff;
mod clock;
mod line;
mod state;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::JoinHandle;

pub use clock::Clock;
pub use state::SinkState;

use crate::report::Report;
use crate::sink::Sink;
use line::Line;

/// How reports are kept and sent.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory of the spools. Each sink has one of its name in it.
    pub directory: PathBuf,
    /// The bound of each sink's spool, in bytes.
    pub limit: u64,
    /// Where the jitter between attempts begins.
    pub seed: u64,
    /// The time of day.
    pub clock: Clock,
}

impl Options {
    /// Spools in this directory, of so many bytes each; the system's clock, and jitter of its own.
    pub fn new(directory: PathBuf, limit: u64) -> Self {
        Self { directory, limit, seed: fastrand::u64(..), clock: Clock::system() }
    }
}

/// The sinks, and the tasks that send to them. Dropped, it stops sending; what waits stays on the disk.
#[derive(Debug)]
pub struct Delivery {
    lines: Vec<Arc<Line>>,
    tasks: Vec<JoinHandle<()>>,
    clock: Clock,
}

/// These sinks have not taken a report. The others have.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the report is not kept for {}", .sinks.iter().map(|(name, why)| format!("{name}: {why}")).collect::<Vec<_>>().join("; "))]
pub struct NotTaken {
    /// Their names, each with the reason.
    pub sinks: Vec<(&'static str, String)>,
}

impl Delivery {
    /// Begins to send what waits. Must be called within a Tokio runtime.
    pub fn start(sinks: Vec<Arc<dyn Sink>>, options: &Options) -> Self {
        let mut seeds = fastrand::Rng::with_seed(options.seed);
        let lines: Vec<_> =
            sinks.into_iter().map(|sink| Arc::new(Line::new(sink, options, seeds.u64(..)))).collect();
        let tasks = lines.iter().map(|line| tokio::spawn(Arc::clone(line).run())).collect();
        Self { lines, tasks, clock: options.clock.clone() }
    }

    /// Gives a report to every sink's spool. It is kept for good when this returns `Ok`.
    pub async fn submit(&self, report: Arc<Report>) -> Result<(), NotTaken> {
        self.submit_where(&report, |_| true).await
    }

    /// Gives a report to those sinks that had not taken it.
    pub async fn submit_again(&self, report: Arc<Report>, before: &NotTaken) -> Result<(), NotTaken> {
        self.submit_where(&report, |name| before.sinks.iter().any(|(sink, _)| *sink == name)).await
    }

    async fn submit_where(
        &self,
        report: &Arc<Report>,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<(), NotTaken> {
        let now = self.clock.now();
        let wanted = self.lines.iter().filter(|line| is_wanted(line.name()));
        let takings = wanted.map(|line| async move {
            let taken = Arc::clone(line).take(Arc::clone(report), now).await;
            taken.err().map(|reason| (line.name(), reason))
        });
        let sinks: Vec<_> = join_all(takings).await.into_iter().flatten().collect();
        if sinks.is_empty() { Ok(()) } else { Err(NotTaken { sinks }) }
    }

    /// Tries now whatever waits for another attempt: the configuration, or a secret, has changed.
    pub fn wake(&self) {
        for line in &self.lines {
            line.wake();
        }
    }

    /// Waits until everything is sent, at most so long, and returns what still waits, by sink. It stays on the disk.
    pub async fn flush(&self, limit: Duration) -> Vec<(&'static str, usize)> {
        self.wake();
        let all = join_all(self.lines.iter().map(Line::emptied));
        // What is left is told below.
        let _ = tokio::time::timeout(limit, all).await;
        let left = self.lines.iter().map(|line| (line.name(), line.state().waiting));
        left.filter(|(_, waiting)| *waiting > 0).collect()
    }

    /// How each sink fares.
    pub fn state(&self) -> Vec<SinkState> {
        self.lines.iter().map(|line| line.state()).collect()
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
