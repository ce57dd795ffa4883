//! When each target is due: in a slot of its own inside the interval, found from its ARN alone.
//!
//! Nothing is drawn and nothing is remembered: every instance of the scanner, now and later, finds the same slots, so that a
//! fresh one needs no state to know what is due, and load is spread over the interval as hashes are. The one thing on disk is
//! the [`Watermark`], the time up to which everything due was done; what was due while no instance ran is found from it.

mod watermark;

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use crate::target::Target;

pub use watermark::{LOOK_BACK, Part, Watermark, WatermarkError, look_back};

/// The slots of all targets, for one interval.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Schedule {
    /// In seconds, at least one.
    interval: u32,
}

impl Schedule {
    /// A schedule on which each target is due once in each interval: whole seconds, from one to a year of them.
    pub fn new(interval: Duration) -> Self {
        let seconds = u32::try_from(interval.as_secs()).unwrap_or(LONGEST);
        Self { interval: seconds.clamp(1, LONGEST) }
    }

    /// The interval.
    pub fn interval(self) -> Duration {
        Duration::from_secs(self.interval.into())
    }

    /// The last slot of this ARN at or before a time.
    pub fn slot(self, arn: &str, around: OffsetDateTime) -> OffsetDateTime {
        let around = around.unix_timestamp();
        let into = around.saturating_sub(self.offset(arn)).rem_euclid(self.interval.into());
        time_of(around.saturating_sub(into))
    }

    /// The first slot of this ARN after a time.
    pub fn next(self, arn: &str, after: OffsetDateTime) -> OffsetDateTime {
        let next = self.slot(arn, after).unix_timestamp().saturating_add(self.interval.into());
        time_of(next)
    }

    /// The targets with a slot after `from` and not after `to`, in the order of these slots: each once, however long that is.
    pub fn due<'t>(
        self,
        targets: impl IntoIterator<Item = &'t Target>,
        from: OffsetDateTime,
        to: OffsetDateTime,
    ) -> Vec<&'t Target> {
        let with_slot = targets.into_iter().map(|it| (self.slot(&it.arn, to), it));
        let mut due: Vec<_> = with_slot.filter(|(slot, _)| *slot > from).collect();
        due.sort_by(|(slot, target), (other, its)| slot.cmp(other).then_with(|| target.arn.cmp(&its.arn)));
        due.into_iter().map(|(_, target)| target).collect()
    }

    /// Where in the interval the slot of this ARN is, in seconds.
    fn offset(self, arn: &str) -> i64 {
        let hash = Sha256::digest(arn.as_bytes());
        let first = hash.as_slice().first_chunk().map_or(0, |it| u64::from_be_bytes(*it));
        i64::try_from(first % u64::from(self.interval)).unwrap_or_default()
    }
}

/// The time at so many seconds since 1970; that itself for times beyond the calendar.
fn time_of(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// The longest interval: 366 days. Settings end at a week.
const LONGEST: u32 = 366 * 24 * 60 * 60;

#[cfg(test)]
mod tests;
