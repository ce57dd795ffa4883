//! What scans keep for the next scan of the same volume, which then reads only what has changed ("incremental").
//!
//! Of each volume there is a file with the blocks that its last scan read, and in AWS the snapshot that they came from. The
//! next scan asks AWS which blocks differ between that snapshot and its own: of all others, those in the file are what they
//! were. When it is done, what it read takes the place of the old file, and its snapshot that of the old one, which is deleted.
//!
//! A snapshot is kept exactly as long as there is a file that names it. Whoever removes a file thereby leaves its snapshot
//! to the sweep; and since it carries a time at which it expires, so does a scanner whose disk is gone.
//!
//! Nothing here is needed: whatever is missing, damaged or refused costs a scan that reads everything.

mod changes;
mod file;
mod source;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agentless_service::target::Place;
use time::OffsetDateTime;

use file::{About, Reader, Writer};
pub use source::{Incremental, Recording};

/// What is kept of all volumes.
#[derive(Debug)]
pub struct Kept {
    directory: PathBuf,
    /// The most bytes that all files together may have.
    most: u64,
    files: Mutex<BTreeMap<String, Held>>,
}

/// What a scan has to do with it.
#[derive(Clone, Debug)]
pub struct Keeping {
    /// What is kept.
    pub kept: Arc<Kept>,
    /// Where the volumes of the scan are.
    pub place: Place,
    /// When the snapshots that it makes may be deleted.
    pub expires: OffsetDateTime,
    /// Now.
    pub now: OffsetDateTime,
}

/// The file of a volume.
#[derive(Debug)]
struct Held {
    about: About,
    bytes: u64,
}

/// The most bytes that the files of all volumes may have, unless somebody says otherwise.
pub const MAX_BYTES: u64 = 2 << 30;
/// How files begin that are not whole yet.
const UNFINISHED: &str = ".unfinished-";

impl Kept {
    /// Finds what is in `directory`, which is made if it is not there. What is damaged or unfinished is removed.
    pub fn open(directory: PathBuf, most: u64) -> io::Result<Self> {
        fs::create_dir_all(&directory)?;
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let found =
                name.to_str().filter(|name| is_volume(name)).map(|name| (name, Reader::open(&entry.path())));
            match found {
                Some((name, Ok(reader))) if reader.about().volume == name => {
                    let held = Held { about: reader.about().clone(), bytes: entry.metadata()?.len() };
                    files.insert(name.to_owned(), held);
                    continue;
                }
                Some((name, Err(error))) => discarded(name, &error),
                _ => tracing::debug!(?name, "no whole file of a volume"),
            }
            if let Err(error) = fs::remove_file(entry.path()) {
                tracing::warn!(?name, %error, "what is no use cannot be removed");
            }
        }
        let kept = Self { directory, most, files: Mutex::new(files) };
        kept.shrink(&mut kept.files(), None);
        Ok(kept)
    }

    /// Whether a snapshot is needed by the next scan of its volume.
    pub fn keeps(&self, snapshot: &str) -> bool {
        self.files().values().any(|held| held.about.snapshot == snapshot)
    }

    /// Forgets what has expired.
    pub fn expire(&self, now: OffsetDateTime) {
        let mut files = self.files();
        let is_expired = |(_, held): &(String, Held)| held.about.is_expired(now);
        let (expired, valid): (BTreeMap<_, _>, _) =
            std::mem::take(&mut *files).into_iter().partition(is_expired);
        *files = valid;
        for volume in expired.keys() {
            tracing::debug!(volume, "what was kept of a volume has expired");
            self.remove(&mut files, volume);
        }
    }

    /// Forgets everything, and says where the snapshots are that nobody needs any more.
    pub fn clear(&self) -> BTreeSet<Place> {
        let mut files = self.files();
        let all = std::mem::take(&mut *files);
        for volume in all.keys() {
            self.remove(&mut files, volume);
        }
        all.into_values().map(|held| held.about.place).collect()
    }

    /// What is kept of a volume. A damaged file is removed.
    fn find(&self, place: &Place, volume: &str, now: OffsetDateTime) -> Option<Reader> {
        {
            let files = self.files();
            let held = files.get(volume)?;
            if held.about.place != *place || held.about.is_expired(now) {
                return None;
            }
        }
        match Reader::open(&self.path(volume)) {
            Ok(reader) => {
                (reader.about().place == *place && reader.about().volume == volume).then_some(reader)
            }
            Err(error) => {
                discarded(volume, &error);
                self.remove(&mut self.files(), volume);
                None
            }
        }
    }

    /// Begins a file.
    fn record(&self) -> io::Result<Writer> {
        Writer::new(&self.directory)
    }

    /// Puts a file in place of the one that there is of its volume, and returns the snapshot of that.
    fn keep(&self, writer: Writer, about: About) -> io::Result<Option<String>> {
        if !is_volume(&about.volume) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no id of a volume"));
        }
        let volume = about.volume.clone();
        let (file, bytes) = writer.finish(about.clone())?;
        let mut files = self.files();
        file.persist(self.path(&volume))?;
        let replaced = files.insert(volume.clone(), Held { about, bytes });
        self.shrink(&mut files, Some(&volume));
        drop(files);
        // Without it, a crash may bring the old file back, whose snapshot is then missing.
        fs::File::open(&self.directory)?.sync_all()?;
        Ok(replaced.map(|held| held.about.snapshot))
    }

    /// Removes the oldest files while there are too many bytes.
    fn shrink(&self, files: &mut BTreeMap<String, Held>, fresh: Option<&str>) {
        let mut bytes = files.values().fold(0, |sum: u64, held| sum.saturating_add(held.bytes));
        let mut by_age: Vec<_> = files
            .iter()
            .filter(|(volume, _)| fresh != Some(volume.as_str()))
            .map(|(volume, held)| (held.about.expires, volume.clone(), held.bytes))
            .collect();
        by_age.sort();
        for (_, volume, size) in by_age {
            if bytes <= self.most {
                return;
            }
            tracing::info!(volume, "nothing is kept of a volume any more: there is no room for all of them");
            self.remove(files, &volume);
            bytes = bytes.saturating_sub(size);
        }
    }

    fn remove(&self, files: &mut BTreeMap<String, Held>, volume: &str) {
        files.remove(volume);
        match fs::remove_file(self.path(volume)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(volume, %error, "what was kept of a volume cannot be removed");
            }
            _ => {}
        }
    }

    fn path(&self, volume: &str) -> PathBuf {
        self.directory.join(volume)
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Held>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where what is kept is, in the directory for what outlives the scanner.
pub fn directory(state: &Path) -> PathBuf {
    state.join("kept")
}

/// Whether a text is the id of a volume, and so a name for a file.
fn is_volume(id: &str) -> bool {
    let is_plain = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
    id.len() <= 64 && id.strip_prefix("vol-").is_some_and(is_plain)
}

fn discarded(volume: &str, error: &file::FileError) {
    let error = crate::chain(error);
    tracing::warn!(
        volume,
        error,
        "what was kept of a volume is discarded, and its next scan reads everything"
    );
}
