//! What the scans of one place share.

use std::sync::Arc;

use agentless_service::journal::{Chronicle, Entry, JournalError};
use agentless_service::target::Place;
use tokio::task::spawn_blocking;

use crate::aws::Ec2;
use crate::target::permits::Permits;
use crate::target::watch::Watcher;

/// What the scans of one place share.
#[derive(Debug)]
pub struct Shared<C> {
    pub(super) ec2: Arc<C>,
    pub(super) permits: Permits,
    pub(super) watcher: Watcher<C>,
    journal: Option<(Place, Arc<dyn Chronicle>)>,
}

impl<C: Ec2> Shared<C> {
    /// Of the service's scans: nothing is made of which the journal does not know.
    pub fn new(ec2: Arc<C>, place: Place, permits: Permits, journal: Arc<dyn Chronicle>) -> Self {
        Self { journal: Some((place, journal)), permits, ..Self::alone(ec2) }
    }

    /// Of a scan that is alone, and ends with its process.
    pub(super) fn alone(ec2: Arc<C>) -> Self {
        let watcher = Watcher::new(Arc::clone(&ec2));
        Self { ec2, permits: Permits::default(), watcher, journal: None }
    }

    /// The requests.
    pub fn ec2(&self) -> &Arc<C> {
        &self.ec2
    }

    /// How many snapshots are in progress, or about to be.
    pub fn in_progress(&self) -> usize {
        self.permits.taken()
    }

    /// Writes to the journal, if there is one. Dropping the future does not stop that.
    pub(super) async fn write(&self, entry: impl FnOnce(Place) -> Entry) -> Result<(), JournalError> {
        let Some((place, journal)) = &self.journal else { return Ok(()) };
        let (journal, entry) = (Arc::clone(journal), entry(place.clone()));
        spawn_blocking(move || journal.write(entry)).await.unwrap_or(Err(JournalError::Crashed))
    }

    /// As [`write`](Self::write), of something that has happened: it is what it is.
    pub(super) async fn write_if_possible(&self, entry: impl FnOnce(Place) -> Entry) {
        if let Err(error) = self.write(entry).await {
            tracing::error!(error = crate::chain(&error), "the journal lacks an outcome");
        }
    }
}
