//! How many snapshots of one place may be in progress at a time.
//!
//! AWS allows an account a number of pending snapshots in each region, 100 unless it was raised, and counts those of
//! everybody. All scans of a place share these permits: one is taken before a snapshot is asked for, and is free again when that
//! is complete, has failed or is deleted.

use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// AWS's limit for accounts for which it was not raised.
pub const DEFAULT_IN_PROGRESS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(99);

/// The permits of a place.
#[derive(Clone, Debug)]
pub struct Permits {
    semaphore: Arc<Semaphore>,
    total: usize,
}

/// A permit for one snapshot, free again when this is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Permits {
    /// So many.
    pub fn new(total: NonZeroUsize) -> Self {
        let total = total.get().min(Semaphore::MAX_PERMITS);
        Self { semaphore: Arc::new(Semaphore::new(total)), total }
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.total.saturating_sub(self.semaphore.available_permits())
    }

    /// Waits for one, in the order of asking.
    pub(super) async fn take(&self) -> Permit {
        // None only if the semaphore were closed, which nobody does.
        Permit { _permit: Arc::clone(&self.semaphore).acquire_owned().await.ok() }
    }
}

impl Default for Permits {
    fn default() -> Self {
        Self::new(DEFAULT_IN_PROGRESS)
    }
}
