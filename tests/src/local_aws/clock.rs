//! The time that tokens and credentials expire by, so that a test can let an hour pass at once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The machine's clock, plus what a test has advanced it by. Clones share the offset.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    offset: Arc<Mutex<Duration>>,
}

impl Clock {
    /// The present time of the local AWS.
    pub fn now(&self) -> SystemTime {
        let offset = *self.offset.lock().unwrap_or_else(PoisonError::into_inner);
        SystemTime::now().checked_add(offset).unwrap_or(UNIX_EPOCH)
    }

    /// Let time pass.
    pub fn advance(&self, by: Duration) {
        let mut offset = self.offset.lock().unwrap_or_else(PoisonError::into_inner);
        *offset = offset.saturating_add(by);
    }
}

/// Whole seconds since 1970, as AWS writes times in JSON.
pub(crate) fn epoch_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_the_time_that_passed() {
        let clock = Clock::default();
        let other = clock.clone();
        let before = clock.now();
        clock.advance(Duration::from_hours(1));
        assert!(other.now() >= before + Duration::from_hours(1));
    }
}
