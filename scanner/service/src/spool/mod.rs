//! Payloads on the disk until their sink has them.
//!
//! One directory a sink, one file a payload, sent oldest first. A payload is there whole and for good when [`Spool::push`]
//! returns. The bound is in bytes; when it is reached the oldest payloads are dropped, and told of. What cannot be used is
//! set aside, with the reason next to it.
//!
//! Nothing but the list of the files is kept in memory. A directory that cannot be used is an error of each operation, not
//! of the spool: it is tried again every time.

mod aside;
mod disk;
pub mod entry;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use rustix::io::Errno;
use time::OffsetDateTime;

use crate::sink::Payload;
use aside::Aside;
use disk::Disk;

/// The payloads that wait for one sink.
#[derive(Debug)]
pub struct Spool {
    directory: PathBuf,
    limit: u64,
    disk: Disk,
    refused: Aside,
    damaged: Aside,
    /// What waits. Absent as long as the directory could not be read.
    index: Option<Index>,
    losses: Vec<Loss>,
}

/// One payload in the spool. It stays valid until the payload is removed; then it means nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ticket(u64);

/// A payload that will not be sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Loss {
    /// What it was, as far as known.
    pub key: String,
    /// Why.
    pub cause: Cause,
}

/// Why a payload will not be sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Cause {
    /// The spool was full, and this the oldest.
    Full,
    /// The file is not what was written. It is in the directory `damaged`.
    Damaged(String),
}

/// How much waits.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Waiting {
    /// Payloads.
    pub payloads: usize,
    /// Bytes on the disk.
    pub bytes: u64,
    /// Since when the oldest waits.
    pub oldest: Option<OffsetDateTime>,
}

/// Why the spool could not do what it was asked. The payloads in it are untouched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// The directory cannot be used, or its disk is full.
    #[error(
        "the spool {directory} cannot be used ({doing}): check its permissions, and the space on its disk"
    )]
    Disk {
        /// The spool's directory.
        directory: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The payload is longer than the whole spool may be, or than any payload may.
    #[error(
        "{key} has {bytes} bytes, more than the {limit} that the spool may have: raise `spool.megabytes`"
    )]
    TooLarge {
        /// The payload.
        key: String,
        /// Its length.
        bytes: u64,
        /// The bound.
        limit: u64,
    },
}

#[derive(Debug, Default)]
struct Index {
    waiting: BTreeMap<u64, Item>,
    bytes: u64,
    /// Files whose payloads are sent or dropped, and which could not be deleted yet. Not sent again by this process.
    lingering: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    size: u64,
    created: i64,
    attempts: u32,
}

impl Spool {
    /// The spool in this directory, of at most `limit` bytes. Reads and makes nothing yet.
    pub fn new(directory: PathBuf, limit: u64) -> Self {
        let aside = |name| Aside::new(directory.join(name), limit / 4);
        Self {
            refused: aside("refused"),
            damaged: aside("damaged"),
            directory,
            limit,
            disk: Disk::default(),
            index: None,
            losses: Vec::new(),
        }
    }

    /// Adds a payload as the newest, dropping the oldest where there is no room. It is on the disk for good afterwards.
    pub fn push(&mut self, payload: &Payload, now: OffsetDateTime) -> Result<(), SpoolError> {
        let created = now.unix_timestamp();
        let head = entry::head(payload, created);
        let length = lossless(head.len()).saturating_add(lossless(payload.body.len()));
        let size = on_disk(length);
        let limit = self.limit.min(entry::LONGEST);
        if size > limit {
            return Err(SpoolError::TooLarge { key: payload.key.clone(), bytes: length, limit });
        }
        self.open()?;
        self.make_room(size);
        let last = self.index().waiting.last_key_value().map(|(number, _)| *number);
        // Numbers grow over restarts, as time does; the clock may go back, the order does not.
        let from_clock = u64::try_from(now.unix_timestamp_nanos() / 1000).unwrap_or(0);
        let number = last.map_or(from_clock, |last| from_clock.max(last.saturating_add(1)));
        let item = Item { size, created, attempts: 0 };
        self.disk
            .write(&self.directory, &item.name(number), &[&head, &payload.body])
            .map_err(|source| self.failed("writing a payload", source))?;
        let index = self.index();
        index.waiting.insert(number, item);
        index.bytes = index.bytes.saturating_add(size);
        Ok(())
    }

    /// The payload at this position, 0 for the oldest. Damaged ones before it are set aside.
    pub fn peek(&mut self, position: usize) -> Result<Option<(Ticket, Payload)>, SpoolError> {
        self.open()?;
        loop {
            let Some((&number, &item)) = self.index().waiting.iter().nth(position) else { return Ok(None) };
            let path = self.directory.join(item.name(number));
            let damage = match self.disk.read(&path, entry::LONGEST) {
                Ok(file) => match entry::payload(&Bytes::from(file)) {
                    Ok(payload) => return Ok(Some((Ticket(number), payload))),
                    Err(damage) => damage.to_string(),
                },
                Err(error) if is_of_the_file(&error) => error.to_string(),
                Err(error) => return Err(self.failed("reading a payload", error)),
            };
            let name = item.name(number);
            self.forget(number);
            if self.damaged.keep(&self.disk, &path, &name, &damage).is_err() {
                self.index().lingering.push(path);
            }
            self.losses.push(Loss { key: name, cause: Cause::Damaged(damage) });
        }
    }

    /// Removes a payload that was sent.
    pub fn remove(&mut self, ticket: Ticket) -> Result<(), SpoolError> {
        self.open()?;
        let Some(item) = self.forget(ticket.0) else { return Ok(()) };
        let path = self.directory.join(item.name(ticket.0));
        self.delete(path).map_err(|source| self.failed("deleting a payload that was sent", source))
    }

    /// Sets a payload aside that the sink does not want.
    pub fn refuse(&mut self, ticket: Ticket, reason: &str) -> Result<(), SpoolError> {
        self.open()?;
        let Some(item) = self.forget(ticket.0) else { return Ok(()) };
        let name = item.name(ticket.0);
        let path = self.directory.join(&name);
        self.refused.keep(&self.disk, &path, &name, reason).map_err(|source| {
            self.index().lingering.push(path);
            self.failed("setting a refused payload aside", source)
        })
    }

    /// Counts an attempt to send a payload, and returns how many there were. The count outlives restarts where it can.
    pub fn attempted(&mut self, ticket: Ticket) -> u32 {
        let directory = self.directory.clone();
        let Some(item) = self.index.as_mut().and_then(|index| index.waiting.get_mut(&ticket.0)) else {
            return 0;
        };
        let counted = Item { attempts: item.attempts.saturating_add(1), ..*item };
        let (from, to) = (item.name(ticket.0), counted.name(ticket.0));
        match self.disk.rename(&directory.join(from), &directory.join(to)) {
            Ok(()) => *item = counted,
            Err(error) => tracing::debug!(%error, "an attempt could not be noted in the spool"),
        }
        counted.attempts
    }

    /// Puts a payload behind all others.
    pub fn defer(&mut self, ticket: Ticket) {
        let directory = self.directory.clone();
        let Some(index) = self.index.as_mut() else { return };
        let Some((&last, _)) = index.waiting.last_key_value() else { return };
        let Some(&item) = index.waiting.get(&ticket.0) else { return };
        let number = last.saturating_add(1);
        match self.disk.rename(&directory.join(item.name(ticket.0)), &directory.join(item.name(number))) {
            Ok(()) => {
                index.waiting.remove(&ticket.0);
                index.waiting.insert(number, item);
            }
            Err(error) => tracing::debug!(%error, "a payload could not be put behind the others"),
        }
    }

    /// How much waits, as far as known.
    pub fn waiting(&self) -> Waiting {
        let Some(index) = &self.index else { return Waiting::default() };
        let oldest = index.waiting.first_key_value().map(|(_, item)| item.created);
        Waiting {
            payloads: index.waiting.len(),
            bytes: index.bytes,
            oldest: oldest.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok()),
        }
    }

    /// What was lost since the last call.
    pub fn take_losses(&mut self) -> Vec<Loss> {
        std::mem::take(&mut self.losses)
    }

    /// Reads the directory, once.
    pub fn open(&mut self) -> Result<(), SpoolError> {
        if self.index.is_some() {
            self.delete_lingering();
            return Ok(());
        }
        self.disk.make_directory(&self.directory).map_err(|source| self.failed("making it", source))?;
        let files = self.disk.list(&self.directory).map_err(|source| self.failed("reading it", source))?;
        let mut index = Index::default();
        for (name, length) in files {
            if disk::is_unfinished(&name) {
                index.lingering.push(self.directory.join(name));
            } else if let Some((number, item)) = Item::parse(&name, length) {
                index.bytes = index.bytes.saturating_add(item.size);
                index.waiting.insert(number, item);
            }
        }
        self.index = Some(index);
        self.delete_lingering();
        // The bound may be lower than it was.
        self.make_room(0);
        Ok(())
    }

    fn make_room(&mut self, size: u64) {
        while self.index().bytes.saturating_add(size) > self.limit {
            let Some((&number, &item)) = self.index().waiting.first_key_value() else { return };
            let path = self.directory.join(item.name(number));
            let read = self.disk.read(&path, entry::LONGEST);
            let known = read.ok().and_then(|file| entry::payload(&Bytes::from(file)).ok());
            let key = known.map_or_else(|| item.name(number), |payload| payload.key);
            self.forget(number);
            // If it cannot be deleted, nothing can be written either, and that is an error.
            let _ = self.delete(path);
            self.losses.push(Loss { key, cause: Cause::Full });
        }
    }

    fn delete(&mut self, path: PathBuf) -> io::Result<()> {
        match self.disk.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                self.index().lingering.push(path);
                Err(error)
            }
            _ => Ok(()),
        }
    }

    fn delete_lingering(&mut self) {
        let disk = self.disk.clone();
        self.index()
            .lingering
            .retain(|path| disk.remove(path).is_err_and(|error| error.kind() != io::ErrorKind::NotFound));
    }

    fn forget(&mut self, number: u64) -> Option<Item> {
        let index = self.index();
        let item = index.waiting.remove(&number)?;
        index.bytes = index.bytes.saturating_sub(item.size);
        Some(item)
    }

    fn index(&mut self) -> &mut Index {
        self.index.get_or_insert_default()
    }

    fn failed(&self, doing: &'static str, source: io::Error) -> SpoolError {
        SpoolError::Disk { directory: self.directory.clone(), doing, source }
    }
}

impl Item {
    /// The file's name: number, seconds since 1970, attempts.
    fn name(self, number: u64) -> String {
        format!("{number:016x}.{}.{}{SUFFIX}", self.created, self.attempts)
    }

    fn parse(name: &str, length: u64) -> Option<(u64, Self)> {
        let mut parts = name.strip_suffix(SUFFIX)?.split('.');
        let number = parts.next().filter(|text| text.len() == 16)?;
        let number = u64::from_str_radix(number, 16).ok()?;
        let created = parts.next()?.parse().ok()?;
        let attempts = parts.next()?.parse().ok()?;
        let item = Self { size: on_disk(length), created, attempts };
        // Under any other spelling it could not be found again.
        (item.name(number) == name).then_some((number, item))
    }
}

/// Whether an error is of one file, so that the others may still be read.
fn is_of_the_file(error: &io::Error) -> bool {
    let is_broken = Errno::from_io_error(error) == Some(Errno::IO);
    is_broken || matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::FileTooLarge)
}

/// What a file takes: whole blocks, so that very many small payloads are bounded too, on the disk and in memory.
const fn on_disk(length: u64) -> u64 {
    length.div_ceil(BLOCK).saturating_mul(BLOCK)
}

fn lossless(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

const BLOCK: u64 = 4096;
const SUFFIX: &str = ".payload";
