//! The journal's file: lines are added to it, or all of it is replaced, and both are on the disk when that is said.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::JournalError;

/// The file, which this process alone writes.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    /// To add to; none before the first [`replace`](Self::replace).
    file: Option<File>,
    length: u64,
    /// Held for as long as the journal is open. It is another file, since the journal itself is replaced.
    _lock: File,
    /// How many more bytes the disk takes.
    #[cfg(test)]
    pub(super) room: Option<usize>,
}

impl Store {
    /// Takes possession of the file and reads it. Before anything is added it must be replaced.
    pub(super) fn open(path: &Path, max_bytes: u64) -> Result<(Self, Vec<u8>), JournalError> {
        let failed = |source| JournalError::Open { path: path.to_owned(), source };
        let lock = private().open(beside(path, "lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let bytes = match fs::metadata(path) {
            Ok(metadata) if metadata.len() > max_bytes => {
                return Err(JournalError::TooLarge { path: path.to_owned(), bytes: metadata.len() });
            }
            Ok(_) => fs::read(path).map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed(error)),
        };
        let store = Self {
            path: path.to_owned(),
            file: None,
            length: 0,
            _lock: lock,
            #[cfg(test)]
            room: None,
        };
        Ok((store, bytes))
    }

    /// How long the file is.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Adds a line.
    pub(super) fn append(&mut self, line: &[u8]) -> Result<(), JournalError> {
        let Some(mut file) = self.file.take() else {
            return Err(self.failed(io::Error::other("it is not open")));
        };
        let written = self.write(&mut file, line).and_then(|()| file.sync_data());
        self.file = Some(file);
        written.map_err(|source| self.failed(source))
    }

    /// Replaces the contents, all or nothing.
    pub(super) fn replace(&mut self, contents: &[u8]) -> Result<(), JournalError> {
        self.try_replace(contents).map_err(|source| self.failed(source))
    }

    pub(super) fn failed(&self, source: io::Error) -> JournalError {
        JournalError::Write { path: self.path.clone(), source }
    }

    fn try_replace(&mut self, contents: &[u8]) -> io::Result<()> {
        let temporary = beside(&self.path, "new");
        let mut file = private().truncate(true).open(&temporary)?;
        let length = self.length;
        self.length = 0;
        let written = self.write(&mut file, contents).and_then(|()| file.sync_all());
        if let Err(error) = written.and_then(|()| fs::rename(&temporary, &self.path)) {
            self.length = length;
            // It would be overwritten the next time, and takes room until then.
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        // From here on it is the file, whether or not a crash would undo that.
        self.file = Some(file);
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or_else(|| Path::new(".")))?.sync_all()
    }

    fn write(&mut self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        if let Some(room) = &mut self.room {
            let fits = bytes.len().min(*room);
            *room -= fits;
            if fits < bytes.len() {
                file.write_all(&bytes[..fits])?;
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        file.write_all(bytes)?;
        self.length = self.length.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(())
    }
}

/// Opens files that nobody else may read: they name what is scanned.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}
