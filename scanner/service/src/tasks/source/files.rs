//! Documents in files: one, or all of a directory.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use minisign_verify::PublicKey;

use super::record::{Record, digest};
use super::{AT_ONCE, Document, Found, SourceError};
use crate::small_file;
use crate::tasks::document::{MAX_DOCUMENT, parse};
use crate::tasks::signature::{ENDING, MAX_SIGNATURE, verify};

/// The files that are looked at.
#[derive(Debug)]
pub(super) struct Files {
    path: PathBuf,
    is_directory: bool,
    /// Those that were done with, taken or refused, and how they looked then.
    done: HashMap<String, Seen>,
}

/// How a document and its signature looked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Seen {
    document: Look,
    signature: Option<Look>,
}

/// What changes with a file's contents.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Look {
    inode: u64,
    length: u64,
    modified: Option<SystemTime>,
}

impl Files {
    pub(super) fn one(path: PathBuf) -> Self {
        Self { path, is_directory: false, done: HashMap::new() }
    }

    pub(super) fn within(path: PathBuf) -> Self {
        Self { path, is_directory: true, done: HashMap::new() }
    }

    /// Reads what changed.
    pub(super) fn poll(&mut self, key: Option<&PublicKey>, record: &mut Record) -> Found {
        let mut found = Found::default();
        let paths = if self.is_directory {
            match list(&self.path, &mut found) {
                Ok(paths) => paths,
                Err(source) => {
                    found.errors.push(SourceError::Read { path: self.path.clone(), source });
                    return found;
                }
            }
        } else {
            BTreeSet::from([self.path.clone()])
        };
        let names: BTreeSet<_> = paths.iter().map(|it| name_of(it)).collect();
        // What is gone is forgotten; of more files than are looked at, it isn't known what is gone.
        if found.errors.is_empty() {
            self.done.retain(|name, _| names.contains(name));
            record.retain(|name| names.contains(name));
        }

        for path in paths {
            if found.documents.len() >= AT_ONCE {
                break;
            }
            match self.read(&path, key, record) {
                Ok(document) => found.documents.extend(document),
                Err(SourceError::Read { source, .. })
                    if self.is_directory && source.kind() == io::ErrorKind::NotFound =>
                {
                    tracing::debug!(path = %path.display(), "a document vanished before it was read");
                }
                Err(error) => found.errors.push(error),
            }
        }
        found
    }

    /// This document is not read again until it changes.
    pub(super) fn confirm(&mut self, name: &str, seen: Seen) {
        self.done_with(name.to_owned(), seen);
    }

    fn done_with(&mut self, name: String, seen: Seen) {
        if !seen.document.is_fresh() && !seen.signature.is_some_and(|it| it.is_fresh()) {
            self.done.insert(name, seen);
        }
    }

    #[cfg(test)]
    pub(super) fn done_count(&self) -> usize {
        self.done.len()
    }

    /// The document in a file, unless it was done with as it looks now.
    fn read(
        &mut self,
        path: &Path,
        key: Option<&PublicKey>,
        record: &Record,
    ) -> Result<Option<Document>, SourceError> {
        let name = name_of(path);
        let failed = |path: &Path, source| SourceError::Read { path: path.to_owned(), source };
        let (file, metadata) = small_file::open(path).map_err(|source| failed(path, source))?;
        let signature_path = with_ending(path);
        let signature = key.map(|_| small_file::open(&signature_path));
        let seen = Seen {
            document: Look::of(&metadata),
            signature: signature.as_ref().and_then(|it| it.as_ref().ok()).map(|(_, it)| Look::of(it)),
        };
        if self.done.get(&name) == Some(&seen) {
            return Ok(None);
        }

        let read = || {
            let contents =
                small_file::contents(&file, MAX_DOCUMENT).map_err(|source| failed(path, source))?;
            let digest = digest(&contents);
            if record.has(&name, &digest) {
                return Ok(None);
            }
            if let (Some(key), Some(signature)) = (key, &signature) {
                let (file, _) = signature.as_ref().map_err(|error| match error.kind() {
                    io::ErrorKind::NotFound => SourceError::NoSignature { name: name.clone() },
                    kind => failed(&signature_path, kind.into()),
                })?;
                let signature = small_file::contents(file, MAX_SIGNATURE);
                let signature = signature.map_err(|source| failed(&signature_path, source))?;
                verify(key, &contents, &signature)
                    .map_err(|source| SourceError::Signature { name: name.clone(), source })?;
            }
            let batch =
                parse(&contents).map_err(|source| SourceError::Document { name: name.clone(), source })?;
            Ok(Some((batch, digest)))
        };
        match read() {
            Ok(Some((batch, digest))) => {
                Ok(Some(Document { name, batch, digest, seen: super::Seen::File(seen) }))
            }
            Ok(None) => {
                self.done_with(name, seen);
                Ok(None)
            }
            Err(error) => {
                // A disk that fails is tried again; what is in the file stays what it is.
                if !matches!(&error, SourceError::Read { source, .. } if source.kind() != io::ErrorKind::FileTooLarge)
                {
                    self.done_with(name, seen);
                }
                Err(error)
            }
        }
    }
}

impl Look {
    fn of(metadata: &Metadata) -> Self {
        Self { inode: metadata.ino(), length: metadata.len(), modified: metadata.modified().ok() }
    }

    /// Whether it was changed so lately that another change could have the same time.
    fn is_fresh(&self) -> bool {
        self.modified.is_some_and(|modified| {
            let age = modified.elapsed().unwrap_or_else(|future| future.duration());
            age < FRESH
        })
    }
}

/// The documents of a directory, in the order of their names.
fn list(directory: &Path, found: &mut Found) -> io::Result<BTreeSet<PathBuf>> {
    let mut paths = BTreeSet::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        // Others are signatures, or not complete yet.
        let path = entry.path();
        let is_hidden = entry.file_name().as_bytes().starts_with(b".");
        if is_hidden || path.extension() != Some(OsStr::new("json")) {
            continue;
        }
        if paths.len() >= MAX_FILES {
            found.errors.push(SourceError::TooMany { path: directory.to_owned(), max: MAX_FILES });
            break;
        }
        paths.insert(path);
    }
    Ok(paths)
}

/// Where the signature of a document is.
fn with_ending(path: &Path) -> PathBuf {
    let mut signature = path.as_os_str().to_owned();
    signature.push(ENDING);
    signature.into()
}

fn name_of(path: &Path) -> String {
    path.display().to_string()
}

/// How long the time of a file may stay the same while it changes, on any filesystem.
const FRESH: Duration = Duration::from_secs(3);

/// How many files of a directory are looked at.
const MAX_FILES: usize = 10_000;
