//! How much an analyser may say, and how fast.

use std::time::Duration;

use agentless_core::limits::Limits;

use crate::protocol::frame::WireError;

/// Counts the messages of one analyser.
#[derive(Debug)]
pub(super) struct Quota {
    messages: Allowance,
    bytes: Allowance,
    /// Messages that may come at once, and in a second.
    rate: u32,
    /// Messages that may come now, in billionths; below zero if some came before their time.
    tokens: i128,
    /// When they were counted, since the analyser was started.
    counted: Duration,
}

/// One counter that runs down.
#[derive(Debug)]
struct Allowance {
    /// What is counted, and the limit's name.
    what: &'static str,
    name: &'static str,
    limit: u64,
    left: u64,
}

/// What one message has of [`Quota::tokens`].
const NANO: i128 = 1_000_000_000;

impl Quota {
    pub(super) fn new(limits: &Limits) -> Self {
        let allowance = |what, name, limit| Allowance { what, name, limit, left: limit };
        let rate = limits.messages_per_second.max(1);
        Self {
            messages: allowance("messages", "messages", limits.messages),
            bytes: allowance("bytes of messages", "message_bytes", limits.message_bytes),
            rate,
            tokens: i128::from(rate).saturating_mul(NANO),
            counted: Duration::ZERO,
        }
    }

    /// Counts a message of `bytes` that came `now` after the start, and says how long to wait before it is answered.
    pub(super) fn spend(&mut self, bytes: u64, now: Duration) -> Result<Duration, WireError> {
        self.messages.spend(1)?;
        self.bytes.spend(bytes)?;

        let rate = i128::from(self.rate);
        let passed = i128::try_from(now.saturating_sub(self.counted).as_nanos()).unwrap_or(i128::MAX);
        self.counted = self.counted.max(now);
        let earned = self.tokens.saturating_add(passed.saturating_mul(rate));
        self.tokens = earned.min(rate.saturating_mul(NANO)).saturating_sub(NANO);
        let wait = self.tokens.min(0).saturating_neg().checked_div(rate).unwrap_or(0);
        Ok(Duration::from_nanos(u64::try_from(wait).unwrap_or(0)))
    }
}

impl Allowance {
    /// An exhausted one stays exhausted.
    fn spend(&mut self, amount: u64) -> Result<(), WireError> {
        let Self { what, name, limit, left } = self;
        let rest = left.checked_sub(amount);
        *left = rest.unwrap_or(0);
        rest.map(drop).ok_or_else(|| {
            WireError::protocol(format!(
                "more than {limit} {what}, which is the limit (`{name}`; a configuration can raise it)"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_end_at_the_limit_and_bytes_too() {
        let mut quota = Quota::new(&Limits { messages: 2, message_bytes: 100, ..Limits::default() });
        quota.spend(99, Duration::ZERO).unwrap();
        let error = quota.spend(2, Duration::ZERO).unwrap_err();
        assert!(error.to_string().contains("more than 100 bytes of messages"), "{error}");
        let error = quota.spend(0, Duration::ZERO).unwrap_err();
        assert!(error.to_string().contains("more than 2 messages"), "{error}");
    }

    #[test]
    fn a_burst_of_a_second_is_free_and_what_is_beyond_it_waits() {
        let mut quota = Quota::new(&Limits { messages_per_second: 10, ..Limits::default() });
        let mut now = Duration::ZERO;
        for _ in 0..10 {
            assert_eq!(quota.spend(0, now).unwrap(), Duration::ZERO);
        }
        // From here on, one each tenth of a second.
        for _ in 0..20 {
            let wait = quota.spend(0, now).unwrap();
            assert_eq!(wait, Duration::from_millis(100));
            now += wait;
        }
        now += Duration::from_secs(5);
        assert_eq!(quota.spend(0, now).unwrap(), Duration::ZERO);
    }
}
