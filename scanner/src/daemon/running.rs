//! Which scans run, for the sweep: what they made is theirs.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::sweep::InUse;

/// The scans that run. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Running(Arc<Mutex<HashSet<Uuid>>>);

/// A scan that runs, until this is dropped.
#[derive(Debug)]
pub struct Entry {
    running: Running,
    scan: Uuid,
}

impl Running {
    /// From before a scan makes its first snapshot until it has tried to delete its last.
    pub fn enter(&self, scan: Uuid) -> Entry {
        self.lock().insert(scan);
        Entry { running: self.clone(), scan }
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<Uuid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.running.lock().remove(&self.scan);
    }
}

impl InUse for Running {
    fn runs(&self, scan: Uuid) -> bool {
        self.lock().contains(&scan)
    }
}
