//! Which list the intake has of each entity: what it has is not sent again for a day.
//!
//! A heartbeat is right only if the last thing that the intake was told of the entity is that very list. So a list counts
//! when it was accepted, and no more once anything else of the entity is on its way. One small file an entity, so that a
//! restart changes nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::small_file;

/// What the intake has, by entity.
#[derive(Debug)]
pub(super) struct Heartbeats {
    directory: PathBuf,
    entities: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Entry {
    entity: String,
    /// Of the list that was sent last.
    hash: String,
    /// Names the payload that it went in.
    note: String,
    /// Seconds since 1970.
    generated: i64,
    accepted: bool,
}

impl Heartbeats {
    /// Reads what is remembered. What cannot be read is sent again.
    pub(super) fn open(directory: PathBuf) -> Self {
        let mut heartbeats = Self { directory, entities: BTreeMap::new() };
        match heartbeats.read() {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let directory = heartbeats.directory.display();
                tracing::warn!(%error, %directory, "what the intake has is not known: all lists are sent again");
            }
            _ => {}
        }
        heartbeats
    }

    /// Whether the last thing that the intake was told is the list of this hash, less than a day before this time.
    pub(super) fn has(&self, entity: &str, hash: &str, now: OffsetDateTime) -> bool {
        self.entities.get(entity).is_some_and(|entry| {
            let age = now.unix_timestamp().saturating_sub(entry.generated);
            entry.accepted && entry.hash == hash && (0..DAY).contains(&age)
        })
    }

    /// Notes that a list is on its way. Returns what to say when it is accepted.
    pub(super) fn sending(&mut self, entity: &str, hash: &str, generated: OffsetDateTime) -> String {
        let note = Uuid::new_v4().to_string();
        let entry = Entry {
            entity: entity.to_owned(),
            hash: hash.to_owned(),
            note: note.clone(),
            generated: generated.unix_timestamp(),
            accepted: false,
        };
        self.keep(entry);
        note
    }

    /// Notes that the list of this note was accepted, unless another was sent since.
    pub(super) fn accepted(&mut self, entity: &str, note: &str) {
        let Some(entry) = self.entities.get(entity).filter(|entry| entry.note == note) else { return };
        self.keep(Entry { accepted: true, ..entry.clone() });
    }

    /// Something else was said of the entity.
    pub(super) fn forget(&mut self, entity: &str) {
        if self.entities.remove(entity).is_some() {
            self.delete(entity);
        }
    }

    fn keep(&mut self, entry: Entry) {
        if !self.entities.contains_key(&entry.entity) && self.entities.len() >= MOST_ENTITIES {
            self.make_room(entry.generated);
        }
        match write(&self.directory, &entry) {
            Ok(()) => drop(self.entities.insert(entry.entity.clone(), entry)),
            Err(error) => {
                let directory = self.directory.display();
                tracing::warn!(%error, %directory, "what the intake has cannot be noted: the list is sent again");
                self.forget(&entry.entity);
            }
        }
    }

    /// A tenth of all goes: what is older than a day first, then the oldest.
    fn make_room(&mut self, now: i64) {
        let mut ages: Vec<_> =
            self.entities.values().map(|entry| (entry.generated, entry.entity.clone())).collect();
        ages.sort_unstable();
        let is_old = |generated: i64| now.saturating_sub(generated) >= DAY;
        for (place, (generated, entity)) in ages.into_iter().enumerate() {
            if place < MOST_ENTITIES / 10 || is_old(generated) {
                self.forget(&entity);
            }
        }
    }

    fn delete(&self, entity: &str) {
        match std::fs::remove_file(self.directory.join(file_name(entity))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, entity, "what the intake has of it could not be forgotten");
            }
            _ => {}
        }
    }

    fn read(&mut self) -> io::Result<()> {
        for file in std::fs::read_dir(&self.directory)? {
            let path = file?.path();
            let entry = read(&path).filter(|entry| path.ends_with(file_name(&entry.entity)));
            match entry {
                Some(entry) if self.entities.len() < MOST_ENTITIES => {
                    self.entities.insert(entry.entity.clone(), entry);
                }
                // Unfinished, damaged, or too many: it means nothing.
                _ => drop(std::fs::remove_file(&path)),
            }
        }
        Ok(())
    }
}

fn read(path: &Path) -> Option<Entry> {
    serde_json::from_slice(&small_file::read(path, LONGEST_FILE).ok()?).ok()
}

/// Whole, and for good: an older one that came back after a power failure could say what is no longer so.
fn write(directory: &Path, entry: &Entry) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    small_file::replace(&directory.join(file_name(&entry.entity)), &serde_json::to_vec(entry)?)
}

fn file_name(entity: &str) -> String {
    let digest = Sha256::digest(entity.as_bytes());
    let mut name = String::with_capacity(40);
    for byte in digest.iter().take(16) {
        let _ = write!(name, "{byte:02x}");
    }
    name.push_str(".json");
    name
}

/// Seconds.
const DAY: i64 = 24 * 60 * 60;
/// About 10 MB of memory.
const MOST_ENTITIES: usize = 20_000;
const LONGEST_FILE: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::test_reports::NOW;

    #[test]
    fn only_the_last_list_counts_and_only_when_it_was_accepted() {
        let directory = tempfile::tempdir().unwrap();
        let open = || Heartbeats::open(directory.path().join("heartbeats"));
        let mut heartbeats = open();
        let first = heartbeats.sending("host", "a", NOW);
        assert!(!heartbeats.has("host", "a", NOW));
        heartbeats.accepted("host", &first);
        for heartbeats in [&heartbeats, &open()] {
            assert!(heartbeats.has("host", "a", NOW));
            assert!(!heartbeats.has("host", "b", NOW));
            assert!(!heartbeats.has("other", "a", NOW));
        }
        let second = heartbeats.sending("host", "b", NOW);
        assert!(!heartbeats.has("host", "a", NOW), "another list is on its way");
        assert!(!open().has("host", "a", NOW));
        let third = heartbeats.sending("host", "a", NOW);
        heartbeats.accepted("host", &second);
        assert!(!heartbeats.has("host", "b", NOW), "a third one is on its way");
        heartbeats.accepted("host", &third);
        assert!(heartbeats.has("host", "a", NOW));
        heartbeats.forget("host");
        assert!(!heartbeats.has("host", "a", NOW) && !open().has("host", "a", NOW));
    }

    #[test]
    fn a_list_counts_for_a_day_and_not_before_its_time() {
        let directory = tempfile::tempdir().unwrap();
        let mut heartbeats = Heartbeats::open(directory.path().to_owned());
        let note = heartbeats.sending("host", "a", NOW);
        heartbeats.accepted("host", &note);
        assert!(heartbeats.has("host", "a", NOW + time::Duration::seconds(DAY - 1)));
        assert!(!heartbeats.has("host", "a", NOW + time::Duration::seconds(DAY)));
        assert!(!heartbeats.has("host", "a", NOW - time::Duration::seconds(1)), "the clock was set back");
    }

    #[test]
    fn damaged_memory_is_no_memory() {
        let directory = tempfile::tempdir().unwrap();
        let mut heartbeats = Heartbeats::open(directory.path().to_owned());
        let note = heartbeats.sending("host", "a", NOW);
        heartbeats.accepted("host", &note);
        std::fs::write(directory.path().join(file_name("host")), "{").unwrap();
        std::fs::write(directory.path().join("other"), "").unwrap();
        assert!(!Heartbeats::open(directory.path().to_owned()).has("host", "a", NOW));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn without_a_directory_every_list_is_sent() {
        let directory = tempfile::tempdir().unwrap();
        let obstacle = directory.path().join("heartbeats");
        std::fs::write(&obstacle, "").unwrap();
        let mut heartbeats = Heartbeats::open(obstacle);
        let note = heartbeats.sending("host", "a", NOW);
        heartbeats.accepted("host", &note);
        assert!(!heartbeats.has("host", "a", NOW));
    }
}
