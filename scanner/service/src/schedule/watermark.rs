//! The time up to which everything due was done, kept on disk as a heartbeat.
//!
//! One time says it for all places; those that are behind have one of their own, kind by kind. So a place that can never be
//! surveyed, as its role is denied or its region is switched off, holds back nobody else.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::small_file;
use crate::target::{Kind, Place};

/// How far a scanner without a usable heartbeat looks back: twice the time in which an instance that is replaced finds a
/// successor. What had its slot in the later half of that it hands back.
pub const LOOK_BACK: Duration = Duration::from_mins(30);

/// Targets of one kind in one place.
pub type Part = (Place, Kind);

/// The time up to which everything due was done.
///
/// On disk a small text file: its form in the first line, then the time in RFC 3339, then a line for each part that is
/// behind: `2026-03-01T08:10:00Z 111122223333 eu-west-1 function`.
#[derive(Debug)]
pub struct Watermark {
    path: PathBuf,
    interval: Duration,
    marks: Marks,
}

/// What is in the file.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Marks {
    at: OffsetDateTime,
    behind: BTreeMap<Part, OffsetDateTime>,
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
        let marks = match read(&path) {
            Ok(marks) => marks,
            Err(failed) => {
                let at = look_back(now, interval);
                if failed.kind() == io::ErrorKind::NotFound {
                    tracing::info!(from = %at, "no heartbeat of an earlier run: what was due since then is queued");
                } else {
                    tracing::warn!(path = %path.display(), error = %failed, from = %at,
                        "the heartbeat is not readable: what was due since then is queued");
                }
                Marks { at, behind: BTreeMap::new() }
            }
        };
        Self { path, interval, marks }
    }

    /// The time up to which everything due in a part was done. One that nobody heard of is as all others are.
    pub fn up_to(&self, part: &Part) -> OffsetDateTime {
        self.marks.behind.get(part).copied().unwrap_or(self.marks.at)
    }

    /// From when on targets in a part are due now: from the heartbeat on, though no more than one interval, in which each is
    /// due once.
    ///
    /// A heartbeat in the future says that the clock was set back; then the last [`LOOK_BACK`] is due. Up to a minute of that
    /// is the clock being adjusted, and nothing is due until it is there again.
    pub fn since(&self, part: &Part, now: OffsetDateTime) -> OffsetDateTime {
        let at = self.up_to(part);
        if is_future(at, now) {
            return look_back(now, self.interval);
        }
        at.max(before(now, self.interval)).min(now)
    }

    /// Writes the heartbeat as it is: a crash before anything is known must not move the time from which on everything is
    /// looked for.
    ///
    /// # Errors
    ///
    /// The heartbeat could not be written.
    pub fn keep(&mut self, now: OffsetDateTime) -> Result<(), WatermarkError> {
        let from = look_back(now, self.interval);
        if let Some(heartbeat) = self.set_back(now) {
            tracing::warn!(%heartbeat, %now, %from,
                "the heartbeat is in the future: the clock was set back, what was due since then is queued");
        }
        let Marks { at, behind } = &mut self.marks;
        for time in behind.values_mut().chain([at]).filter(|time| is_future(**time, now)) {
            *time = from;
        }
        self.write()
    }

    /// The heartbeat, where it says that the clock was set back since.
    pub fn set_back(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        Some(self.marks.at).filter(|at| is_future(*at, now))
    }

    /// Says that everything due up to `at` is done, except in the parts that are `behind`. Holds for this run even when it
    /// cannot be written.
    ///
    /// # Errors
    ///
    /// The heartbeat could not be written.
    pub fn advance(
        &mut self,
        at: OffsetDateTime,
        behind: impl IntoIterator<Item = (Part, OffsetDateTime)>,
    ) -> Result<(), WatermarkError> {
        let behind: BTreeMap<_, _> = behind.into_iter().filter(|(_, time)| *time < at).collect();
        self.marks = if behind.len() <= MOST {
            Marks { at, behind }
        } else {
            // Too many to be told apart: all are as far as the last of them.
            Marks { at: behind.into_values().min().unwrap_or(at), behind: BTreeMap::new() }
        };
        self.write()
    }

    fn write(&self) -> Result<(), WatermarkError> {
        small_file::replace(&self.path, self.marks.text().as_bytes())
            .map_err(|source| WatermarkError { path: self.path.clone(), source })
    }
}

/// How far back is looked where nothing is known.
pub fn look_back(now: OffsetDateTime, interval: Duration) -> OffsetDateTime {
    before(now, LOOK_BACK.min(interval))
}

impl Marks {
    fn text(&self) -> String {
        let behind = self.behind.iter().map(|((Place { account, region }, kind), at)| {
            format!("{} {account} {region} {}\n", text(*at), kind.name())
        });
        [format!("{HEADER}\n{}\n", text(self.at))].into_iter().chain(behind).collect()
    }

    /// None where it is of another form. A line that is not understood costs what it says, and not the others.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != HEADER {
            return None;
        }
        let at = time(lines.next()?)?;
        let mut behind = BTreeMap::new();
        for line in lines.take(MOST) {
            if let Some((part, time)) = part(line) {
                behind.insert(part, time);
            } else {
                tracing::warn!(line, "a line of the heartbeat is not understood");
            }
        }
        Some(Self { at, behind })
    }
}

/// What a line says of one part. Words that follow may be of a later version.
fn part(line: &str) -> Option<(Part, OffsetDateTime)> {
    let mut words = line.split(' ');
    let time = time(words.next()?)?;
    let place = Place { account: words.next()?.to_owned(), region: words.next()?.to_owned() };
    let name = words.next()?;
    let kind = KINDS.into_iter().find(|kind| kind.name() == name)?;
    Some(((place, kind), time))
}

/// A time as it is written. A year that RFC 3339 cannot name is written as seconds since 1970.
fn text(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_else(|_| at.unix_timestamp().to_string())
}

fn time(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

fn read(path: &Path) -> io::Result<Marks> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "no heartbeat of this version");
    let text = String::from_utf8(small_file::read(path, MAX_LENGTH)?).map_err(|_| invalid())?;
    Marks::parse(&text).ok_or_else(invalid)
}

fn before(time: OffsetDateTime, duration: Duration) -> OffsetDateTime {
    time.saturating_sub(duration.try_into().unwrap_or(time::Duration::MAX))
}

/// Whether a time is later than a clock that is being adjusted explains.
fn is_future(time: OffsetDateTime, now: OffsetDateTime) -> bool {
    time > now.saturating_add(ADJUSTMENT)
}

/// The heartbeat's name in the state directory.
const FILE: &str = "schedule-heartbeat";

/// Its first line: what it is, and in which form.
const HEADER: &str = "agentless-scanner heartbeat 1";

/// How many parts are told apart.
const MOST: usize = 1000;

/// The longest heartbeat that is read: more than so many lines have.
const MAX_LENGTH: usize = 1 << 18;

/// By how much clocks are adjusted while they run.
const ADJUSTMENT: time::Duration = time::Duration::minutes(1);

/// What has slots.
const KINDS: [Kind; 3] = [Kind::Instance, Kind::Image, Kind::Function];
