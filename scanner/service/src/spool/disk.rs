//! What the spool does with files: few operations, each of which happens or does not, and which tests make fail.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Operations on files.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    #[cfg(test)]
    pub(super) faults: faults::Faults,
}

impl Disk {
    /// Makes a directory that only the scanner's user can read, with those above it.
    pub(super) fn make_directory(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    /// Names and lengths of the files in a directory.
    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<(String, u64)>> {
        self.step()?;
        let mut files = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let Ok(metadata) = entry.metadata() else { continue };
            if let Some(name) = entry.file_name().to_str().filter(|_| metadata.is_file()) {
                files.push((name.to_owned(), metadata.len()));
            }
        }
        Ok(files)
    }

    /// Reads a whole file of at most `limit` bytes.
    pub(super) fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        self.step()?;
        if fs::metadata(path)?.len() > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        fs::read(path)
    }

    /// Writes a file that is there whole, under its name and for good, or is not there under its name.
    pub(super) fn write(&self, directory: &Path, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        let unfinished = directory.join(format!("{name}{UNFINISHED}"));
        let written = self.write_synced(&unfinished, parts).and_then(|()| {
            self.rename(&unfinished, &directory.join(name))?;
            self.step()?;
            File::open(directory)?.sync_all()
        });
        if written.is_err() {
            // On a full disk the space is wanted back now. What stays is deleted when the spool is opened.
            let _ = self.remove(&unfinished);
            // Renamed but perhaps not for good: the caller is told that it is not there, so it must not be.
            let _ = self.remove(&directory.join(name));
        }
        written
    }

    fn write_synced(&self, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
        self.step()?;
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        for part in parts {
            if let Err(fault) = self.step() {
                let half = part.len() / 2;
                let _ = file.write_all(part.get(..half).unwrap_or_default());
                return Err(fault);
            }
            file.write_all(part)?;
        }
        self.step()?;
        file.sync_all()
    }

    /// Renames a file, over any other of the new name.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        fs::rename(from, to)
    }

    /// Deletes a file.
    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        fs::remove_file(path)
    }

    /// Where tests let the disk fail.
    #[cfg(not(test))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as in tests")]
    const fn step(&self) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn step(&self) -> io::Result<()> {
        self.faults.step()
    }
}

/// Whether a file was not written to its end.
pub(super) fn is_unfinished(name: &str) -> bool {
    name.ends_with(UNFINISHED)
}

const UNFINISHED: &str = ".unfinished";

#[cfg(test)]
pub(super) mod faults {
    //! Disks that fail on command.

    use std::io;
    use std::sync::{Arc, Mutex};

    /// Shared between the disk and the test that lets it fail.
    #[derive(Clone, Debug, Default)]
    pub(in super::super) struct Faults(Arc<Mutex<Option<u32>>>);

    impl Faults {
        /// Every operation fails, after so many that do not.
        pub(in super::super) fn fail_after(&self, operations: u32) {
            *self.0.lock().unwrap() = Some(operations);
        }

        pub(in super::super) fn heal(&self) {
            *self.0.lock().unwrap() = None;
        }

        pub(super) fn step(&self) -> io::Result<()> {
            match &mut *self.0.lock().unwrap() {
                None => Ok(()),
                Some(0) => Err(io::ErrorKind::StorageFull.into()),
                Some(left) => {
                    *left -= 1;
                    Ok(())
                }
            }
        }
    }
}
