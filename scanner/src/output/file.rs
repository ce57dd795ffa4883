//! Files that appear whole or not at all.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A file that will be written. Opened before the work begins, so that a wrong path is found before hours are spent.
#[derive(Debug)]
pub struct OutputFile {
    path: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// A temporary file beside the one that it will replace. Removed when dropped.
    Replaced(NamedTempFile),
    /// A pipe, a terminal or a device: there is nothing to replace.
    Special(File),
}

/// A file that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("could not write {}", path.display())]
pub struct OutputError {
    path: PathBuf,
    source: io::Error,
}

impl OutputFile {
    /// Prepares to write `path`. What is there stays until [`write`](Self::write) has succeeded.
    pub fn open(path: &Path) -> Result<Self, OutputError> {
        // Through symbolic links, so that the link stays and its target is replaced.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let failed = |source| OutputError { path: path.clone(), source };
        let is_special = std::fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file());
        let kind = if is_special {
            Kind::Special(OpenOptions::new().write(true).open(&path).map_err(failed)?)
        } else {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let temporary = tempfile::Builder::new()
                .prefix(".agentless-scanner.")
                // Narrowed by the umask, like any file that a program makes.
                .permissions(Permissions::from_mode(0o666))
                .tempfile_in(folder.unwrap_or_else(|| Path::new(".")))
                .map_err(failed)?;
            Kind::Replaced(temporary)
        };
        Ok(Self { path, kind })
    }

    /// The folder in which it is put in place; none for what is no file.
    pub fn folder(&self) -> Option<&Path> {
        match &self.kind {
            Kind::Replaced(temporary) => temporary.path().parent(),
            Kind::Special(_) => None,
        }
    }

    /// Writes the file, and gives it its name.
    pub fn write(self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), OutputError> {
        let Self { path, kind } = self;
        let written = match kind {
            Kind::Special(file) => {
                let mut buffered = io::BufWriter::new(file);
                write(&mut buffered).and_then(|()| buffered.flush())
            }
            Kind::Replaced(temporary) => {
                let mut buffered = io::BufWriter::new(temporary);
                write(&mut buffered)
                    .and_then(|()| buffered.into_inner().map_err(io::IntoInnerError::into_error))
                    .and_then(|temporary| {
                        temporary.as_file().sync_all()?;
                        temporary.persist(&path)?;
                        Ok(())
                    })
            }
        };
        written.map_err(|source| OutputError { path, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_only_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.json");
        std::fs::write(&path, "old").unwrap();
        let failed = OutputFile::open(&path).unwrap().write(|writer| {
            writer.write_all(b"half")?;
            Err(io::Error::other("disk full"))
        });
        assert_eq!(
            crate::chain(&failed.unwrap_err()),
            format!("could not write {}: disk full", path.display())
        );
        assert_eq!(std::fs::read(&path).unwrap(), b"old");

        OutputFile::open(&path).unwrap().write(|writer| writer.write_all(b"new")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_stays_and_a_device_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        std::fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        OutputFile::open(&link).unwrap().write(|writer| writer.write_all(b"new")).unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read(&target).unwrap(), b"new");

        OutputFile::open(Path::new("/dev/null")).unwrap().write(|writer| writer.write_all(b"new")).unwrap();
        assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn a_missing_folder_is_found_at_once() {
        let error = OutputFile::open(Path::new("/no/such/folder/list.json")).unwrap_err();
        assert_eq!(error.to_string(), "could not write /no/such/folder/list.json");
    }
}
