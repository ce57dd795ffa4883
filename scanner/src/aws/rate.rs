//! How fast requests may leave, by the bucket in which AWS counts them.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use scanner_policy::RateClass;
use tokio::time::Instant;

/// One allowance for each rate class. Its clock is Tokio's, which tests stop and turn by hand.
#[derive(Debug)]
pub(super) struct RateLimiter {
    read: Mutex<Bucket>,
    mutating: Mutex<Bucket>,
    block_get: Mutex<Bucket>,
    block_list: Mutex<Bucket>,
    function_get: Mutex<Bucket>,
    lambda: Mutex<Bucket>,
    registry: Mutex<Bucket>,
}

impl RateLimiter {
    /// Allowances that leave room below the account's quotas, which others in the account share.
    ///
    /// Sources: "Request throttling for the Amazon EC2 API" (non-mutating: bucket of 100 refilled at 20 per second;
    /// mutating: 50, refilled at 5) and "Quotas for Amazon EBS" (`GetSnapshotBlock` 1,000 per second per account and per
    /// snapshot, `ListSnapshotBlocks` 50); "Lambda quotas" (`GetFunction` 100 per second, the other requests that manage
    /// functions 15 together); "Amazon ECR service quotas" (`BatchGetImage` 2,000, `GetDownloadUrlForLayer` 3,000).
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let bucket = |per_second, burst| Mutex::new(Bucket::new(per_second, burst, now));
        Self {
            read: bucket(10, 50),
            mutating: bucket(4, 25),
            block_get: bucket(800, 200),
            block_list: bucket(25, 25),
            function_get: bucket(50, 50),
            lambda: bucket(7, 7),
            registry: bucket(500, 100),
        }
    }

    /// Waits until one more request of this class may leave.
    pub(super) async fn wait(&self, class: RateClass) {
        let bucket = match class {
            RateClass::Read => &self.read,
            RateClass::Mutating => &self.mutating,
            RateClass::BlockGet => &self.block_get,
            RateClass::BlockList => &self.block_list,
            RateClass::FunctionGet => &self.function_get,
            RateClass::Lambda => &self.lambda,
            RateClass::Registry => &self.registry,
            RateClass::Unmetered => return,
        };
        let at = bucket.lock().unwrap_or_else(PoisonError::into_inner).reserve(Instant::now());
        tokio::time::sleep_until(at).await;
    }
}

/// A token bucket in the form of the generic cell rate algorithm (ITU-T I.371): instead of a count of tokens it keeps
/// the time at which the bucket will be full again.
#[derive(Debug)]
struct Bucket {
    /// Time that one request takes.
    interval: Duration,
    /// How far ahead of its time a request may leave: all of the burst but the request itself.
    tolerance: Duration,
    full_at: Instant,
}

impl Bucket {
    fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Self { interval, tolerance: interval * burst.saturating_sub(1), full_at: now }
    }

    /// Takes one token, and returns when its request may leave.
    fn reserve(&mut self, now: Instant) -> Instant {
        let due = self.full_at.max(now);
        self.full_at = due + self.interval;
        due.checked_sub(self.tolerance).map_or(now, |at| at.max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_leaves_at_once_and_the_rest_at_the_rate() {
        let now = Instant::now();
        let mut bucket = Bucket::new(10, 3, now);
        let waits: Vec<_> = (0..5).map(|_| (bucket.reserve(now) - now).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 100, 200]);
    }

    #[test]
    fn an_idle_bucket_fills_up_to_its_burst_and_no_further() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, 2, start);
        let later = start + Duration::from_hours(1);
        let waits: Vec<_> = (0..3).map(|_| (bucket.reserve(later) - later).as_millis()).collect();
        assert_eq!(waits, [0, 0, 100]);
    }

    #[tokio::test(start_paused = true)]
    async fn classes_do_not_wait_for_each_other() {
        let rates = RateLimiter::new();
        let start = Instant::now();
        for _ in 0..26 {
            rates.wait(RateClass::Mutating).await;
        }
        let after_burst = start.elapsed();
        assert!(after_burst >= Duration::from_millis(250), "{after_burst:?}");
        rates.wait(RateClass::Read).await;
        assert_eq!(start.elapsed(), after_burst);
    }
}
