//! How long to wait between attempts.

use std::time::Duration;

/// 1 s, twice as long each time, at most 120 s; shortened by up to half, so that scanners do not all come at once.
#[derive(Debug)]
pub(super) struct Backoff {
    failures: u32,
    random: fastrand::Rng,
}

impl Backoff {
    pub(super) fn new(seed: u64) -> Self {
        Self { failures: 0, random: fastrand::Rng::with_seed(seed) }
    }

    /// The wait after another failure, which is no shorter than what the other side asked for.
    pub(super) fn after_failure(&mut self, asked: Option<Duration>) -> Duration {
        let whole = FIRST.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let wait = whole.mul_f64(1.0 - self.random.f64() / 2.0);
        asked.map_or(wait, |asked| wait.max(asked))
    }

    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(2);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn waits_double_up_to_two_minutes(seed: u64) {
            let mut backoff = Backoff::new(seed);
            for failure in 0..100_u32 {
                let whole = if failure < 7 { f64::from(2_u32.pow(failure)) } else { 120.0 };
                let wait = backoff.after_failure(None).as_secs_f64();
                prop_assert!((whole / 2.0..=whole).contains(&wait), "{failure}: {wait}");
            }
            prop_assert_eq!(backoff.after_failure(Some(Duration::from_mins(15))), Duration::from_mins(15));
            backoff.reset();
            prop_assert!(backoff.after_failure(None) <= FIRST);
        }
    }
}
