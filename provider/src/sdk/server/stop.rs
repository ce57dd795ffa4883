//! The user's interruption, passed on to whatever is under way.

use std::sync::{Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

/// The token that operations watch. Each stop cancels the present one and starts another: what comes after a stop has
/// not been stopped, which matters to a provider that outlives one run of Terraform.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    present: Mutex<CancellationToken>,
}

impl Stop {
    /// The token for an operation that starts now.
    pub(crate) fn token(&self) -> CancellationToken {
        self.present.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops everything that is under way.
    pub(crate) fn stop(&self) {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *present).cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_reaches_what_is_under_way_and_nothing_later() {
        let stop = Stop::default();
        let before = stop.token();
        stop.stop();
        assert!(before.is_cancelled());
        assert!(!stop.token().is_cancelled());
    }
}
