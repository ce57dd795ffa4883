//! A folder of files, each of which appears whole or not at all.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::file::{OutputError, OutputFile};

/// A folder in which files will be written. Opened before the work begins, so that a wrong path is found before hours are spent.
#[derive(Debug)]
pub struct OutputFolder {
    path: PathBuf,
    /// The files that were written to it.
    names: HashSet<String>,
}

/// A folder that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("could not use the folder {}", path.display())]
pub struct FolderError {
    path: PathBuf,
    source: io::Error,
}

impl OutputFolder {
    /// Makes the folder, if it is not there, and makes sure that files can be written to it. Files that are there stay until
    /// one of the same name is written.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let failed = |source| FolderError { path: path.to_owned(), source };
        std::fs::create_dir_all(path).map_err(failed)?;
        // Of a folder, its mode says little about whether this process can write to it: on a read-only mount, for example.
        tempfile::tempfile_in(path).map_err(failed)?;
        Ok(Self { path: path.canonicalize().map_err(failed)?, names: HashSet::new() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file of this name and ending. If there was one of this name already, the name gets a number.
    pub fn write(
        &mut self,
        name: &str,
        suffix: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), OutputError> {
        let mut file = format!("{name}{suffix}");
        // From their number on, so that a free one is found at once, however many have the same name.
        let mut number = self.names.len();
        while !self.names.insert(file.clone()) {
            number = number.saturating_add(1);
            file = format!("{name}-{number}{suffix}");
        }
        OutputFile::open(&self.path.join(file))?.write(write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_one_name_stand_beside_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/lists");
        let mut lists = OutputFolder::open(&path).unwrap();
        for content in ["1", "2", "3"] {
            lists.write("web", ".json", |writer| writer.write_all(content.as_bytes())).unwrap();
        }
        let mut files: Vec<_> = std::fs::read_dir(&path)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.file_name().unwrap().to_owned(), std::fs::read_to_string(path).unwrap()))
            .collect();
        files.sort();
        let expected = [("web-2.json", "2"), ("web-3.json", "3"), ("web.json", "1")];
        assert_eq!(files, expected.map(|(name, content)| (name.into(), content.to_owned())));
    }

    #[test]
    fn what_is_no_folder_is_found_at_once() {
        let error = OutputFolder::open(Path::new("/dev/null/lists")).unwrap_err();
        assert_eq!(error.to_string(), "could not use the folder /dev/null/lists");
    }
}
