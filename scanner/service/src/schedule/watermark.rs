//! The time up to which everything due was queued, kept on disk as a heartbeat.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::small_file;

/// How far a scanner without a usable heartbeat looks back: longer than an instance has to finish its work when it is
/// replaced, so that what the one before it had queued and lost is found.
pub const LOOK_BACK: Duration = Duration::from_mins(30);

/// The time up to which everything due was queued. On disk a file with this time in RFC 3339.
#[derive(Debug)]
pub struct Watermark {
    path: PathBuf,
    at: OffsetDateTime,
    interval: Duration,
}

/// A stretch of time whose slots are due: after `from`, up to and with `to`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Window {
    /// Everything up to here was queued.
    pub from: OffsetDateTime,
    /// What is due up to here is to be queued.
    pub to: OffsetDateTime,
}

/// The heartbeat could not be written. The schedule goes on; a restart would look back to the last one written.
#[derive(Debug, thiserror::Error)]
#[error("could not write the heartbeat {path}; check the space and the owner of its directory")]
pub struct WatermarkError {
    path: PathBuf,
    source: io::Error,
}

impl Watermark {
    /// That of the last run, from the heartbeat in the state directory. Without a readable one, as on a fresh instance, the
    /// last [`LOOK_BACK`] is due.
    pub fn open(state_directory: &Path, interval: Duration, now: OffsetDateTime) -> Self {
        let path = state_directory.join(FILE);
        let at = match read(&path) {
            Ok(at) => at,
            Err(failed) => {
                let at = before(now, LOOK_BACK.min(interval));
                if failed.kind() == io::ErrorKind::NotFound {
                    tracing::info!(from = %at, "no heartbeat of an earlier run: what was due since then is queued");
                } else {
                    tracing::warn!(path = %path.display(), error = %failed, from = %at,
                        "the heartbeat is not readable: what was due since then is queued");
                }
                at
            }
        };
        Self { path, at, interval }
    }

    /// The time up to which everything due was queued.
    pub fn at(&self) -> OffsetDateTime {
        self.at
    }

    /// What is due now: everything since the watermark, though no more than one interval, in which each target is due once.
    ///
    /// A watermark in the future says that the clock was set back; then the last [`LOOK_BACK`] is due. Up to a minute of that
    /// is the clock being adjusted, and nothing is due until it is there again.
    pub fn window(&mut self, now: OffsetDateTime) -> Window {
        if self.at > after(now, ADJUSTMENT) {
            let at = before(now, LOOK_BACK.min(self.interval));
            tracing::warn!(heartbeat = %self.at, %now, from = %at,
                "the heartbeat is in the future: the clock was set back, what was due since then is queued");
            self.at = at;
        }
        Window { from: self.at.max(before(now, self.interval)).min(now), to: now }
    }

    /// Says that everything due up to `to` is queued. Holds for this run even when it cannot be written.
    ///
    /// # Errors
    ///
    /// The heartbeat could not be written.
    pub fn advance(&mut self, to: OffsetDateTime) -> Result<(), WatermarkError> {
        self.at = self.at.max(to);
        small_file::replace(&self.path, text(self.at).as_bytes())
            .map_err(|source| WatermarkError { path: self.path.clone(), source })
    }
}

/// The time as it is written. A year that RFC 3339 cannot name is written as seconds since 1970.
fn text(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_else(|_| at.unix_timestamp().to_string())
}

fn read(path: &Path) -> io::Result<OffsetDateTime> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "no time in RFC 3339");
    let text = String::from_utf8(small_file::read(path, MAX_LENGTH)?).map_err(|_| invalid())?;
    OffsetDateTime::parse(text.trim(), &Rfc3339).map_err(|_| invalid())
}

fn before(time: OffsetDateTime, duration: Duration) -> OffsetDateTime {
    time.saturating_sub(duration.try_into().unwrap_or(time::Duration::MAX))
}

fn after(time: OffsetDateTime, duration: Duration) -> OffsetDateTime {
    time.saturating_add(duration.try_into().unwrap_or(time::Duration::MAX))
}

/// The heartbeat's name in the state directory.
const FILE: &str = "schedule-heartbeat";

/// The longest heartbeat that is read.
const MAX_LENGTH: usize = 64;

/// By how much clocks are adjusted while they run.
const ADJUSTMENT: Duration = Duration::from_mins(1);
