//! Where batches of tasks come from: a file, a directory, or an HTTPS address, each looked at again and again.
//!
//! Each source is looked at by its own: one that fails or hangs never stops another one, and recovers by itself. A document is
//! taken once, and remembered as such by its hash in the state directory after all of its tasks are queued.

mod error;
mod files;
mod record;
mod url;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agentless_core::chain;
use minisign_verify::PublicKey;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Batch, Part, Rejected, Task};
use crate::queue::{Order, Queue, Refused};
use files::Files;
use record::Record;
use url::Address;

pub use error::SourceError;

/// One place that batches of tasks come from.
#[derive(Debug)]
pub struct Source {
    origin: Origin,
    key: Option<PublicKey>,
    record: Shared<Record>,
    state: SourceState,
}

/// What became of a source so far, for the status.
#[derive(Clone, Debug)]
pub struct SourceState {
    /// `file`, `directory` or `url`.
    pub name: &'static str,
    /// Its path, or its address without what could be secret in it.
    pub place: String,
    /// When it was last read, or found unchanged, without an error.
    pub last_ok: Option<OffsetDateTime>,
    /// The last error, also when all is well again since.
    pub last_error: Option<Failed>,
    /// How many tasks were queued.
    pub accepted: u64,
    /// How many tasks and roles were rejected.
    pub rejected: u64,
    /// The first that were rejected of the last document with any.
    pub last_rejected: Vec<Rejected>,
}

/// An error of a source.
#[derive(Clone, Debug)]
pub struct Failed {
    /// When.
    pub at: OffsetDateTime,
    /// What.
    pub message: String,
}

/// One document that was read, and not taken before.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its path, or its address without what could be secret in it.
    pub name: String,
    /// What it asks for.
    pub batch: Batch,
    /// SHA-256 of its contents.
    digest: String,
    seen: Seen,
}

#[derive(Debug)]
enum Origin {
    /// Shared with the thread that reads them.
    Files(Shared<Files>),
    Address(Box<Address>),
}

/// What tells, without reading a document, that it is still the same.
#[derive(Clone, Debug)]
enum Seen {
    File(files::Seen),
    Address(Option<http::HeaderValue>),
}

/// What one look at a source found.
#[derive(Debug, Default)]
struct Found {
    documents: Vec<Document>,
    errors: Vec<SourceError>,
}

type Shared<T> = Arc<Mutex<T>>;

impl Source {
    /// One file, read again when it changed.
    pub fn file(path: &Path, key: Option<PublicKey>, state_directory: &Path) -> Self {
        Self::of_files("file", Files::one(path.to_owned()), path, key, state_directory)
    }

    /// All files of a directory whose names end in `.json` and begin with no dot, each once for each of its contents. They
    /// stay where they are.
    pub fn directory(path: &Path, key: Option<PublicKey>, state_directory: &Path) -> Self {
        Self::of_files("directory", Files::within(path.to_owned()), path, key, state_directory)
    }

    /// An HTTPS address, read again when its entity tag or its contents changed. The client is one of [`http`](crate::http) that follows
    /// redirections to the same host alone.
    ///
    /// # Errors
    ///
    /// The address is none, or not of HTTPS.
    pub fn url(
        address: &str,
        client: reqwest::Client,
        key: Option<PublicKey>,
        state_directory: &Path,
    ) -> Result<Self, SourceError> {
        let address = Address::new(address, client)?;
        let place = address.shown().to_owned();
        Ok(Self::new("url", place, Origin::Address(Box::new(address)), key, state_directory))
    }

    fn of_files(
        name: &'static str,
        files: Files,
        path: &Path,
        key: Option<PublicKey>,
        state_directory: &Path,
    ) -> Self {
        let origin = Origin::Files(Arc::new(Mutex::new(files)));
        Self::new(name, path.display().to_string(), origin, key, state_directory)
    }

    fn new(
        name: &'static str,
        place: String,
        origin: Origin,
        key: Option<PublicKey>,
        state_directory: &Path,
    ) -> Self {
        let record = Arc::new(Mutex::new(Record::open(state_directory, name)));
        let state = SourceState {
            name,
            place,
            last_ok: None,
            last_error: None,
            accepted: 0,
            rejected: 0,
            last_rejected: Vec::new(),
        };
        Self { origin, key, record, state }
    }

    /// What became of it so far.
    pub fn state(&self) -> &SourceState {
        &self.state
    }

    /// Looks at it until `stop`, and queues what its documents ask for. Where the queue is full it waits: nothing is dropped.
    ///
    /// `admit` has the last word on each task: it makes the order, or says why not. Each change of the state goes to `states`.
    pub async fn run(
        mut self,
        every: Duration,
        queue: Queue,
        mut admit: impl FnMut(Task) -> Result<Order, String>,
        now: impl Fn() -> OffsetDateTime,
        states: watch::Sender<SourceState>,
        stop: CancellationToken,
    ) {
        let _ = stop
            .run_until_cancelled(async {
                loop {
                    for document in self.poll(now()).await {
                        if self.queue(&document, &queue, &mut admit).await.is_err() {
                            return;
                        }
                        self.confirm(&document, now()).await;
                        states.send_replace(self.state.clone());
                    }
                    states.send_replace(self.state.clone());
                    tokio::time::sleep(every).await;
                }
            })
            .await;
    }

    /// Looks at it once: the documents that were not confirmed yet, a few at a time. What fails is in the state.
    pub async fn poll(&mut self, now: OffsetDateTime) -> Vec<Document> {
        let found = match &mut self.origin {
            Origin::Address(address) => address.poll(self.key.as_ref(), &self.record).await,
            Origin::Files(files) => {
                let (files, record, key) = (Arc::clone(files), Arc::clone(&self.record), self.key.clone());
                let poll = move || lock(&files).poll(key.as_ref(), &mut lock(&record));
                tokio::task::spawn_blocking(poll).await.unwrap_or_default()
            }
        };
        if found.errors.is_empty() {
            self.state.last_ok = Some(now);
        }
        if !found.errors.is_empty() {
            self.fail(&found.errors, now);
        }
        found.documents
    }

    /// Says that all tasks of a document are queued: it is not taken again.
    pub async fn confirm(&mut self, document: &Document, now: OffsetDateTime) {
        match (&mut self.origin, &document.seen) {
            (Origin::Address(address), Seen::Address(tag)) => address.confirm(tag.clone()),
            (Origin::Files(files), Seen::File(seen)) => lock(files).confirm(&document.name, *seen),
            _ => {}
        }
        let (record, name, digest) =
            (Arc::clone(&self.record), document.name.clone(), document.digest.clone());
        let write = move || lock(&record).insert(name, digest);
        if let Ok(Err(error)) = tokio::task::spawn_blocking(write).await {
            self.fail(&[error], now);
        }
    }

    /// Queues all tasks of a document, and counts them.
    async fn queue(
        &mut self,
        document: &Document,
        queue: &Queue,
        admit: &mut impl FnMut(Task) -> Result<Order, String>,
    ) -> Result<(), Refused> {
        let mut rejected = document.batch.rejected.clone();
        let mut accepted = 0_u64;
        for (index, task) in document.batch.tasks.iter().enumerate() {
            match admit(task.clone()) {
                Ok(order) => {
                    push(queue, order).await?;
                    accepted = accepted.saturating_add(1);
                }
                Err(reason) => {
                    let reason = format!("{}: {reason}", task.target.arn);
                    rejected.push(Rejected { part: Part::Task, index, reason });
                }
            }
        }
        tracing::info!(document = %document.name, accepted, rejected = rejected.len(), "a batch of tasks was queued");
        for Rejected { part, index, reason } in rejected.iter().take(MAX_SHOWN) {
            tracing::warn!(document = %document.name, ?part, index, reason, "rejected");
        }
        self.state.accepted = self.state.accepted.saturating_add(accepted);
        if !rejected.is_empty() {
            let count = u64::try_from(rejected.len()).unwrap_or(u64::MAX);
            self.state.rejected = self.state.rejected.saturating_add(count);
            rejected.truncate(MAX_SHOWN);
            self.state.last_rejected = rejected;
        }
        Ok(())
    }

    fn fail(&mut self, errors: &[SourceError], at: OffsetDateTime) {
        let mut messages: Vec<_> = errors.iter().take(MAX_ERRORS).map(|it| chain(it)).collect();
        if errors.len() > MAX_ERRORS {
            messages.push(format!("and so on: {} errors", errors.len()));
        }
        let message = messages.join("; ");
        // The same again is no news.
        if self.state.last_error.as_ref().is_none_or(|it| it.message != message) {
            tracing::warn!(source = self.state.name, error = message, "could not take tasks");
        }
        self.state.last_error = Some(Failed { at, message });
    }
}

/// Queues an order as soon as there is room for it.
async fn push(queue: &Queue, order: Order) -> Result<(), Refused> {
    loop {
        match queue.push(order.clone()) {
            Ok(_) => return Ok(()),
            Err(Refused::Full { .. }) => tokio::time::sleep(RETRY).await,
            Err(closed @ Refused::Closed) => return Err(closed),
        }
    }
}

/// A panic elsewhere leaves these as consistent as they were.
fn lock<T>(shared: &Shared<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long to wait for room in the queue.
const RETRY: Duration = Duration::from_secs(5);

/// How many rejected tasks of one document are shown.
const MAX_SHOWN: usize = 20;

/// How many errors of one look are shown.
const MAX_ERRORS: usize = 3;

/// How many documents one look takes at most: they are in memory together.
const AT_ONCE: usize = 4;

#[cfg(test)]
mod tests;
