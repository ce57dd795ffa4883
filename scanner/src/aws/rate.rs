//! How fast requests may leave, by the bucket in which AWS counts them.
//!
//! All that is sent to one region of one account shares one [`RateLimiter`]. It starts from what was configured, slows
//! down when AWS says that it is too fast, and finds back over minutes: the quotas belong to the account, and others in
//! it use them too.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use scanner_policy::RateClass;
use tokio::time::Instant;

/// Requests a second, by rate class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// EC2 requests that change nothing.
    pub read: u32,
    /// EC2 requests that create, change or delete.
    pub mutating: u32,
    /// `GetSnapshotBlock`.
    pub block_get: u32,
    /// `ListSnapshotBlocks` and `ListChangedBlocks`.
    pub block_list: u32,
    /// `GetFunction`.
    pub function_get: u32,
    /// What else is asked of Lambda.
    pub lambda: u32,
    /// What is asked of ECR.
    pub registry: u32,
}

/// Rates that leave room below the account's quotas, which others in the account share.
///
/// Sources: "Request throttling for the Amazon EC2 API" (non-mutating: bucket of 100 refilled at 20 per second; mutating:
/// 50, refilled at 5) and "Quotas for Amazon EBS" (`GetSnapshotBlock` 1,000 per second per account and per snapshot,
/// `ListSnapshotBlocks` 50); "Lambda quotas" (`GetFunction` 100 per second, the other requests that manage functions 15
/// together); "Amazon ECR service quotas" (`BatchGetImage` 2,000, `GetDownloadUrlForLayer` 3,000).
impl Default for Rates {
    fn default() -> Self {
        Self {
            read: 10,
            mutating: 4,
            block_get: 800,
            block_list: 25,
            function_get: 50,
            lambda: 7,
            registry: 500,
        }
    }
}

/// How fast requests of one class leave at the moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// The class, as in the configuration.
    pub class: &'static str,
    /// Requests a second that were configured.
    pub configured: u32,
    /// Requests a second that are sent at most.
    pub current: f64,
    /// How often AWS said that it was too fast.
    pub throttled: u64,
}

/// The slowest that AWS can make a class, as a part of what was configured.
const FLOOR: f64 = 1.0 / 20.0;
/// Answers to requests that were under way together are one reason to slow down, and not many.
const SLOWS_EVERY: Duration = Duration::from_secs(1);
/// The time from nothing to the configured rate, when AWS no longer complains.
const RECOVERY: Duration = Duration::from_mins(5);
/// The part of a token that sums of fractions may lack.
const ROUNDING: f64 = 1e-6;

/// One allowance for each rate class. Its clock is Tokio's, which tests stop and turn by hand.
#[derive(Debug)]
pub(super) struct RateLimiter {
    read: Lane,
    mutating: Lane,
    block_get: Lane,
    block_list: Lane,
    function_get: Lane,
    lambda: Lane,
    registry: Lane,
}

impl RateLimiter {
    /// Each class may save up some requests while it is idle: parts of a second for what comes in masses, and some seconds
    /// for what comes seldom, as AWS's own buckets do.
    pub(super) fn new(rates: &Rates) -> Self {
        let now = Instant::now();
        let lane = |class, rate: u32, burst| Lane::new(class, rate.max(1), burst, now);
        Self {
            read: lane("read", rates.read, rates.read.saturating_mul(5)),
            mutating: lane("mutating", rates.mutating, rates.mutating.saturating_mul(25) / 4),
            block_get: lane("block_get", rates.block_get, rates.block_get / 4),
            block_list: lane("block_list", rates.block_list, rates.block_list),
            function_get: lane("function_get", rates.function_get, rates.function_get),
            lambda: lane("lambda", rates.lambda, rates.lambda),
            registry: lane("registry", rates.registry, rates.registry / 5),
        }
    }

    /// Waits until one more request of this class may leave. Those that wait leave in the order in which they came.
    pub(super) async fn wait(&self, class: RateClass) {
        let Some(lane) = self.lane(class) else { return };
        let _turn = lane.turn.lock().await;
        loop {
            let taken = lane.bucket().take(Instant::now());
            match taken {
                Ok(()) => return,
                Err(at) => tokio::time::sleep_until(at).await,
            }
        }
    }

    /// Takes note that AWS found a request of this class too many.
    pub(super) fn slow_down(&self, class: RateClass) {
        let Some(lane) = self.lane(class) else { return };
        let slower = lane.bucket().slow_down(Instant::now());
        if let Some(per_second) = slower {
            tracing::info!(class = lane.class, per_second, "AWS throttles: slowing down");
        }
    }

    /// How fast each class is.
    pub(super) fn paces(&self) -> Vec<Pace> {
        let now = Instant::now();
        self.lanes()
            .map(|lane| {
                let mut bucket = lane.bucket();
                bucket.advance(now);
                Pace {
                    class: lane.class,
                    configured: bucket.configured,
                    current: bucket.rate,
                    throttled: bucket.throttled,
                }
            })
            .to_vec()
    }

    fn lanes(&self) -> [&Lane; 7] {
        [
            &self.read,
            &self.mutating,
            &self.block_get,
            &self.block_list,
            &self.function_get,
            &self.lambda,
            &self.registry,
        ]
    }

    fn lane(&self, class: RateClass) -> Option<&Lane> {
        match class {
            RateClass::Read => Some(&self.read),
            RateClass::Mutating => Some(&self.mutating),
            RateClass::BlockGet => Some(&self.block_get),
            RateClass::BlockList => Some(&self.block_list),
            RateClass::FunctionGet => Some(&self.function_get),
            RateClass::Lambda => Some(&self.lambda),
            RateClass::Registry => Some(&self.registry),
            RateClass::Unmetered => None,
        }
    }
}

/// What the requests of one class wait for.
#[derive(Debug)]
struct Lane {
    class: &'static str,
    /// Held by the one that waits for the bucket: so a rate that changes holds for all those behind it, and one that no
    /// longer wants to wait leaves nothing behind.
    turn: tokio::sync::Mutex<()>,
    bucket: Mutex<Bucket>,
}

impl Lane {
    fn new(class: &'static str, per_second: u32, burst: u32, now: Instant) -> Self {
        let bucket = Mutex::new(Bucket::new(per_second, burst, now));
        Self { class, turn: tokio::sync::Mutex::default(), bucket }
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A token bucket whose rate is halved when AWS throttles, and grows again by and by: additive increase, multiplicative
/// decrease, by which those who share a quota come to equal parts of it.
#[derive(Debug)]
struct Bucket {
    configured: u32,
    burst: u32,
    /// Requests a second.
    rate: f64,
    /// Requests that may leave at once.
    tokens: f64,
    /// The time that tokens and rate are of.
    at: Instant,
    slowed_at: Option<Instant>,
    throttled: u64,
}

impl Bucket {
    fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        let (configured, burst) = (per_second.max(1), burst.max(1));
        Self {
            configured,
            burst,
            rate: f64::from(configured),
            tokens: f64::from(burst),
            at: now,
            slowed_at: None,
            throttled: 0,
        }
    }

    /// Takes one token, or tells when there may be one.
    fn take(&mut self, now: Instant) -> Result<(), Instant> {
        self.advance(now);
        let missing = 1.0 - self.tokens;
        if missing > ROUNDING {
            return Err(now + Duration::from_secs_f64(missing / self.rate));
        }
        self.tokens -= 1.0;
        Ok(())
    }

    /// Halves the rate, unless that was just done, and returns the new one.
    fn slow_down(&mut self, now: Instant) -> Option<f64> {
        self.throttled = self.throttled.saturating_add(1);
        if self.slowed_at.is_some_and(|at| now.saturating_duration_since(at) < SLOWS_EVERY) {
            return None;
        }
        self.advance(now);
        self.slowed_at = Some(now);
        self.rate = (self.rate / 2.0).max(f64::from(self.configured) * FLOOR);
        // AWS's bucket is empty, whatever was saved up here.
        self.tokens = self.tokens.min(0.0);
        Some(self.rate)
    }

    /// Fills the bucket up and lets the rate grow, for the time that has passed.
    fn advance(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        let configured = f64::from(self.configured);
        let most = (f64::from(self.burst) * self.rate / configured).max(1.0);
        // A bucket that holds more, from faster times, keeps it.
        self.tokens = (self.tokens + passed * self.rate).min(most.max(self.tokens));
        self.rate = (self.rate + configured * passed / RECOVERY.as_secs_f64()).min(configured);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When each of some requests leaves, in milliseconds after `start`, if the first comes then.
    fn departures(bucket: &mut Bucket, start: Instant, requests: u32) -> Vec<u128> {
        let mut now = start;
        let mut leave = || {
            while let Err(at) = bucket.take(now) {
                now = at;
            }
            (now - start).as_millis()
        };
        (0..requests).map(|_| leave()).collect()
    }

    #[test]
    fn a_burst_leaves_at_once_and_the_rest_at_the_rate() {
        let now = Instant::now();
        let mut bucket = Bucket::new(10, 3, now);
        assert_eq!(departures(&mut bucket, now, 5), [0, 0, 0, 100, 200]);
    }

    #[test]
    fn an_idle_bucket_fills_up_to_its_burst_and_no_further() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, 2, start);
        let later = start + Duration::from_hours(1);
        assert_eq!(departures(&mut bucket, later, 3), [0, 0, 100]);
    }

    #[test]
    fn throttling_halves_the_rate_once_a_second_down_to_the_floor() {
        let start = Instant::now();
        let mut bucket = Bucket::new(100, 1, start);
        assert_eq!(bucket.slow_down(start), Some(50.0));
        assert_eq!(bucket.slow_down(start + Duration::from_millis(999)), None);
        for second in 1..20 {
            bucket.slow_down(start + Duration::from_secs(second));
        }
        assert!((5.0..=5.5).contains(&bucket.rate), "{}", bucket.rate);
        assert_eq!(bucket.throttled, 21);
    }

    #[test]
    fn the_rate_grows_by_equal_steps_until_it_is_the_configured_one() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, 10, start);
        bucket.slow_down(start);
        let rates = [1, 2, 3, 60].map(|minute| {
            bucket.advance(start + Duration::from_mins(minute));
            bucket.rate
        });
        for (rate, expected) in rates.into_iter().zip([7.0, 9.0, 10.0, 10.0]) {
            assert!((rate - expected).abs() < 1e-6, "{rates:?}");
        }
    }

    #[test]
    fn what_was_saved_up_is_lost_when_aws_throttles() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, 50, start);
        bucket.slow_down(start);
        let [first, second] = departures(&mut bucket, start, 2)[..] else { panic!() };
        assert!((198..=200).contains(&first) && (390..=400).contains(&second), "{first} {second}");
    }

    #[test]
    fn a_clock_that_stands_still_or_goes_back_harms_nothing() {
        let start = Instant::now() + Duration::from_secs(100);
        let mut bucket = Bucket::new(10, 1, start);
        bucket.advance(start - Duration::from_secs(50));
        assert_eq!(bucket.take(start), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn classes_do_not_wait_for_each_other() {
        let rates = RateLimiter::new(&Rates::default());
        let start = Instant::now();
        for _ in 0..26 {
            rates.wait(RateClass::Mutating).await;
        }
        let after_burst = start.elapsed();
        assert!(after_burst >= Duration::from_millis(250), "{after_burst:?}");
        rates.wait(RateClass::Read).await;
        rates.wait(RateClass::Unmetered).await;
        assert_eq!(start.elapsed(), after_burst);
    }

    #[tokio::test(start_paused = true)]
    async fn a_configured_rate_is_kept_over_a_minute() {
        let rates = RateLimiter::new(&Rates { block_list: 5, ..Rates::default() });
        let start = Instant::now();
        let mut sent = 0;
        while start.elapsed() < Duration::from_mins(1) {
            rates.wait(RateClass::BlockList).await;
            sent += 1;
        }
        assert!((300..=306).contains(&sent), "{sent}");
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_wait_are_slowed_down_and_who_gives_up_takes_nothing() {
        let rates = std::sync::Arc::new(RateLimiter::new(&Rates { lambda: 1, ..Rates::default() }));
        let start = Instant::now();
        rates.wait(RateClass::Lambda).await;
        rates.slow_down(RateClass::Lambda);
        let given_up = tokio::spawn({
            let rates = std::sync::Arc::clone(&rates);
            async move {
                rates.wait(RateClass::Lambda).await;
                rates.wait(RateClass::Lambda).await;
            }
        });
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        given_up.abort();
        let _ = given_up.await;
        // At half a request a second: one left after two seconds, and that for the fourth was not taken.
        rates.wait(RateClass::Lambda).await;
        let waited = start.elapsed();
        assert!((Duration::from_millis(3_500)..=Duration::from_secs(4)).contains(&waited), "{waited:?}");
        let pace = rates.paces().into_iter().find(|pace| pace.class == "lambda").unwrap();
        assert_eq!((pace.configured, pace.throttled), (1, 1));
        assert!(pace.current < 0.6, "{pace:?}");
    }
}
