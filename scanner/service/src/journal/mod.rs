//! What must survive a crash: which snapshots are about to be made, which are there, and which are gone.
//!
//! One file, to which lines are added and from which none is taken: an [`Entry`] in JSON behind its checksum. A line is on the
//! disk (`fdatasync`) before what it announces is done. So after a crash the file names everything that may be left: requests
//! whose outcome nobody wrote down, and snapshots that nobody saw gone. A line that was torn by the crash announced
//! nothing that was done, and is ignored; one that is damaged is skipped and reported; one of another version of the scanner
//! is a reason to stop, since what it says would be forgotten.
//!
//! The file is written anew, with what is still open, when it is opened and when it has grown. What cannot be written, for
//! example since the disk is full, is an error: whoever wants to make a snapshot then must not. Nothing is lost by it, as the
//! next line that is written begins with a new file of all that is known.

mod line;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::target::Place;
use line::Unread;
use store::Store;

/// Takes down what must survive a crash.
pub trait Chronicle: fmt::Debug + Send + Sync {
    /// Returns when it would survive one. It blocks until the disk has it.
    fn write(&self, entry: Entry) -> Result<(), JournalError>;
}

/// One thing that must survive a crash.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entry {
    /// A snapshot is about to be asked for.
    Intent(Intent),
    /// It was made.
    Made {
        /// What was meant to be made.
        #[serde(flatten)]
        intent: Intent,
        /// The snapshot.
        snapshot: String,
    },
    /// It was not made, and will not be: AWS said so, or a search found nothing.
    Abandoned {
        /// The scan.
        #[serde(with = "line::text")]
        scan: Uuid,
        /// Where.
        place: Place,
        /// What it would have shown.
        origin: String,
    },
    /// A snapshot is deleted.
    Gone {
        /// Where it was.
        place: Place,
        /// The snapshot.
        snapshot: String,
    },
}

/// A snapshot that is to be made.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Intent {
    /// The scan that it is for.
    #[serde(with = "line::text")]
    pub scan: Uuid,
    /// Where.
    pub place: Place,
    /// The volume or the snapshot that it shows.
    pub origin: String,
    /// What the scan was asked to look at.
    pub target: String,
    /// When any scanner of the account may delete it.
    #[serde(with = "line::seconds")]
    pub expires: OffsetDateTime,
}

/// What is not known to be over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OpenItem {
    /// What was meant to be made.
    pub intent: Intent,
    /// What is known of it.
    pub state: OpenState,
}

/// What is known of something open.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum OpenState {
    /// It was asked for so often without any outcome. There may be as many snapshots.
    Unanswered(u32),
    /// This snapshot exists.
    Made(String),
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// It cannot be read.
    #[error(
        "the journal {path:?} cannot be opened: the scanner must be able to read and write its directory"
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// It cannot be written, so that nothing may be made that it would have to know of.
    #[error(
        "the journal {path:?} cannot be written, and without it no snapshot is made: see whether the disk is full or \
         read-only"
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another process uses it.
    #[error("the journal {path:?} is in use: another scanner runs with the same state directory")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A line is of another version.
    #[error(
        "line {line} of the journal {path:?} was written by another version of the scanner: run that one's `cleanup`, \
         then remove the file"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// It is so large that it cannot be the scanner's.
    #[error("the journal {path:?} has {bytes} bytes, which no journal has: look at it, and remove it")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// What wrote it stopped in the middle. That is an error of the scanner.
    #[error("the journal was not written: its thread failed")]
    Crashed,
}

/// The journal of one scanner.
#[derive(Debug)]
pub struct Journal {
    inner: Mutex<Inner>,
    skipped: Vec<usize>,
}

/// A file of that size cannot be the scanner's: what is open is a few hundred snapshots.
const MAX_BYTES: u64 = 64 << 20;
/// The file is written anew when it has grown by its own size and this.
const GROWTH: u64 = 256 << 10;

impl Journal {
    /// Reads what is open, and writes the file anew. It is made if it is not there.
    ///
    /// Where the disk is full, what is open is known all the same; only nothing can be added.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let (store, bytes) = Store::open(path, MAX_BYTES)?;
        let mut book = Book::default();
        let mut skipped = Vec::new();
        let mut lines = bytes.split(|&byte| byte == b'\n');
        // What is behind the last end of a line is no line: it was torn.
        let torn = lines.next_back().is_some_and(|rest| !rest.is_empty());
        for (number, line) in (1..).zip(lines) {
            match line::decode(line) {
                Ok(entry) => book.apply(&entry),
                Err(Unread::Damaged) => skipped.push(number),
                Err(Unread::Foreign) => {
                    return Err(JournalError::Version { path: path.to_owned(), line: number });
                }
            }
        }
        if torn {
            tracing::info!(?path, "the last line of the journal was torn by a crash, and is ignored");
        }
        if !skipped.is_empty() {
            tracing::warn!(?path, lines = ?skipped, "damaged lines of the journal are skipped");
        }
        let mut inner = Inner { book, store, bound: 0, is_broken: true };
        if let Err(error) = inner.renew() {
            tracing::error!(error = %error, cause = ?error.source_text(), "nothing can be added to the journal yet");
        }
        Ok(Self { inner: Mutex::new(inner), skipped })
    }

    /// What is not known to be over, by place and scan.
    pub fn open_items(&self) -> Vec<OpenItem> {
        self.inner().book.items().collect()
    }

    /// The lines, counted from 1, that were damaged when it was opened. What they said is not known: whoever cleans up goes
    /// by the tags of snapshots as well.
    pub fn skipped(&self) -> &[usize] {
        &self.skipped
    }

    /// Whether the last line could be written.
    pub fn is_writable(&self) -> bool {
        !self.inner().is_broken
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Chronicle for Journal {
    fn write(&self, entry: Entry) -> Result<(), JournalError> {
        self.inner().write(&entry)
    }
}

impl JournalError {
    /// What the operating system said, for logs.
    fn source_text(&self) -> Option<String> {
        std::error::Error::source(self).map(ToString::to_string)
    }
}

#[derive(Debug)]
struct Inner {
    book: Book,
    store: Store,
    /// The length at which the file is written anew.
    bound: u64,
    /// The file may lack what the book knows, or end within a line.
    is_broken: bool,
}

impl Inner {
    fn write(&mut self, entry: &Entry) -> Result<(), JournalError> {
        let line = line::encode(entry).map_err(|source| self.store.failed(source))?;
        // What has happened is known whatever becomes of the line; what is meant to happen then does not.
        let is_meant = matches!(entry, Entry::Intent(_));
        if !is_meant {
            self.book.apply(entry);
        }
        if self.is_broken || self.store.length() > self.bound {
            self.renew()?;
            if !is_meant {
                // The new file has it, and a second outcome would answer another request.
                return Ok(());
            }
        }
        if let Err(error) = self.store.append(line.as_bytes()) {
            self.is_broken = true;
            return Err(error);
        }
        if is_meant {
            self.book.apply(entry);
        }
        Ok(())
    }

    /// Writes the file anew, with what is open.
    fn renew(&mut self) -> Result<(), JournalError> {
        self.is_broken = true;
        let mut text = String::new();
        for OpenItem { intent, state } in self.book.items() {
            let (entry, times) = match state {
                OpenState::Unanswered(times) => (Entry::Intent(intent), times),
                OpenState::Made(snapshot) => (Entry::Made { intent, snapshot }, 1),
            };
            let line = line::encode(&entry).map_err(|source| self.store.failed(source))?;
            for _ in 0..times {
                text.push_str(&line);
            }
        }
        self.store.replace(text.as_bytes())?;
        self.bound = self.store.length().saturating_mul(2).saturating_add(GROWTH);
        self.is_broken = false;
        Ok(())
    }
}

/// What is open.
#[derive(Debug, Default, Eq, PartialEq)]
struct Book {
    /// What was asked for without an outcome, and how often, by place, scan and origin.
    intents: BTreeMap<(Place, Uuid, String), (Intent, u32)>,
    /// What exists, by place and snapshot.
    made: BTreeMap<(Place, String), Intent>,
}

impl Book {
    fn apply(&mut self, entry: &Entry) {
        match entry {
            Entry::Intent(intent) => {
                let key = (intent.place.clone(), intent.scan, intent.origin.clone());
                let (_, times) = self.intents.entry(key).or_insert_with(|| (intent.clone(), 0));
                *times = times.saturating_add(1);
            }
            Entry::Made { intent, snapshot } => {
                self.made.insert((intent.place.clone(), snapshot.clone()), intent.clone());
                self.settle(intent.place.clone(), intent.scan, intent.origin.clone());
            }
            Entry::Abandoned { scan, place, origin } => self.settle(place.clone(), *scan, origin.clone()),
            Entry::Gone { place, snapshot } => {
                self.made.remove(&(place.clone(), snapshot.clone()));
            }
        }
    }

    /// One request has an outcome.
    fn settle(&mut self, place: Place, scan: Uuid, origin: String) {
        let key = (place, scan, origin);
        if let Some((_, times)) = self.intents.get_mut(&key) {
            *times = times.saturating_sub(1);
            if *times == 0 {
                self.intents.remove(&key);
            }
        }
    }

    fn items(&self) -> impl Iterator<Item = OpenItem> {
        let unanswered = self
            .intents
            .values()
            .map(|(intent, times)| OpenItem { intent: intent.clone(), state: OpenState::Unanswered(*times) });
        let made = self.made.iter().map(|((_, snapshot), intent)| OpenItem {
            intent: intent.clone(),
            state: OpenState::Made(snapshot.clone()),
        });
        // In this order they can be replayed: what was made answers no request that comes after it.
        made.chain(unanswered)
    }
}
