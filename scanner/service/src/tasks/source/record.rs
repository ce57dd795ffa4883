//! Which documents were taken, by their hashes, so that a restart takes none of them again.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::SourceError;
use crate::small_file;

/// The hash of the contents of each document that was taken, by its name. On disk in JSON.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    taken: BTreeMap<String, String>,
}

impl Record {
    /// That of a source, from the state directory; empty where there is none that can be read.
    pub(super) fn open(state_directory: &Path, source: &str) -> Self {
        let path = state_directory.join(format!("tasks-{source}.json"));
        let read = small_file::read(&path, MAX_LENGTH)
            .and_then(|it| serde_json::from_slice(&it).map_err(io::Error::from));
        let taken = read.unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(path = %path.display(), %error,
                    "the list of tasks that were taken is not readable: they are taken again");
            }
            BTreeMap::new()
        });
        Self { path, taken }
    }

    /// Whether this document was taken with these contents.
    pub(super) fn has(&self, name: &str, digest: &str) -> bool {
        self.taken.get(name).is_some_and(|it| it == digest)
    }

    /// Remembers that a document was taken. Holds for this run even when it cannot be written.
    pub(super) fn insert(&mut self, name: String, digest: String) -> Result<(), SourceError> {
        self.taken.insert(name, digest);
        let write = serde_json::to_vec(&self.taken)
            .map_err(io::Error::from)
            .and_then(|it| small_file::replace(&self.path, &it));
        write.map_err(|source| SourceError::Record { path: self.path.clone(), source })
    }

    /// Forgets documents that are gone.
    pub(super) fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        self.taken.retain(|name, _| is_there(name));
    }
}

/// The hash of a document's contents.
pub(super) fn digest(document: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(document).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The longest record: for as many documents as are looked at, with long paths.
const MAX_LENGTH: usize = 64 << 20;
