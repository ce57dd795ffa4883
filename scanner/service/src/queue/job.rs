//! One scan that was taken from the queue.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::state::Started;
use super::{Cause, Order, Scope, Shared};
use crate::target::Target;

/// One scan that was taken from the queue. Its target counts as running until this is dropped.
pub struct Job {
    /// What to scan.
    pub target: Target,
    /// The scan.
    pub scan: Uuid,
    /// Why it is scanned.
    pub cause: Cause,
    /// What of it.
    pub scope: Scope,
    /// The delegate role that a task named.
    pub role: Option<String>,
    /// The host's name that a task gave.
    pub hostname: Option<String>,
    /// Cancelled when the scan is to stop and clean up.
    pub cancel: CancellationToken,
    /// How long the scan may take.
    pub deadline: Duration,
    shared: Arc<Shared>,
}

impl Job {
    pub(super) fn new(started: Started, shared: Arc<Shared>) -> Self {
        let Started { scan, order, cancel, deadline } = started;
        let Order { target, cause, scope, role, hostname } = order;
        Self { target, scan, cause, scope, role, hostname, cancel, deadline, shared }
    }

    /// The scan is over, well or not. The same as dropping it.
    pub fn finish(self) {}

    /// The order that this was, to be handed over.
    pub fn order(&self) -> Order {
        Order {
            target: self.target.clone(),
            cause: self.cause,
            scope: self.scope,
            role: self.role.clone(),
            hostname: self.hostname.clone(),
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.shared.lock().finish(self.scan);
        self.shared.changed.notify_waiters();
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, scan, cause, .. } = self;
        f.debug_struct("Job")
            .field("scan", scan)
            .field("target", &target.arn)
            .field("cause", cause)
            .finish_non_exhaustive()
    }
}
