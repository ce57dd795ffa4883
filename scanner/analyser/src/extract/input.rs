//! One file, for an extractor.

use std::io::{self, Read, Seek, SeekFrom};

use agentless_core::task::Scope;

use crate::fs::{File, FileType, FsError, FsPath, Inode, Node, Stat, Tree};
use crate::limits::Limits;

/// One file, for an extractor.
#[derive(Debug)]
pub struct Input<'a> {
    tree: &'a Tree,
    path: &'a FsPath,
    file: File<'a>,
    scope: Scope,
}

impl<'a> Input<'a> {
    pub(super) fn new(tree: &'a Tree, path: &'a FsPath, file: File<'a>) -> Self {
        Self { tree, path, file, scope: Scope::default() }
    }

    /// The same file where this much is asked for.
    pub(super) fn in_scope(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    /// What is asked for.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// The file's path. One that an interest names is as it is named: links on the way are not resolved in it.
    pub fn path(&self) -> &FsPath {
        self.path
    }

    /// The file itself, by its inode in the filesystem that it is in.
    pub(super) fn inode(&self) -> Inode {
        self.tree.place(self.file.node()).1
    }

    /// What reading may cost.
    pub fn limits(&self) -> &Limits {
        self.tree.limits()
    }

    /// The file's size in bytes.
    pub fn size(&self) -> u64 {
        self.file.size()
    }

    /// The file's bytes. Bounded by the limit on a file's size.
    pub fn read_all(&self) -> Result<Vec<u8>, FsError> {
        self.file.read_all()
    }

    /// The file's bytes, for a document that is parsed as a whole.
    pub fn read_document(&self) -> Result<Vec<u8>, FsError> {
        self.file.read_document()
    }

    /// The file's bytes, for a file of a few lines.
    pub fn read_small(&self) -> Result<Vec<u8>, FsError> {
        self.file.read_small()
    }

    /// Reads from `offset`, and returns how many bytes it gave: fewer than asked only at the end.
    pub fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<usize, FsError> {
        self.file.read_at(offset, dst)
    }

    /// The file for who reads here and there, such as a reader of archives. What fails below is in the error.
    pub fn reader(&self) -> Reader<'_> {
        Reader { file: &self.file, position: 0 }
    }

    /// The bytes of a small file beside it, such as the one that holds a system's point release.
    pub fn read_side(&self, path: &FsPath) -> Result<Option<Vec<u8>>, FsError> {
        self.tree.open(path)?.map(|file| file.read_small()).transpose()
    }

    /// The bytes of a file beside it that may be large, such as a database's log.
    pub fn read_all_of_side(&self, path: &FsPath) -> Result<Option<Vec<u8>>, FsError> {
        self.tree.open(path)?.map(|file| file.read_all()).transpose()
    }

    /// The bytes of a document beside it.
    pub fn read_document_of_side(&self, path: &FsPath) -> Result<Option<Vec<u8>>, FsError> {
        self.tree.open(path)?.map(|file| file.read_document()).transpose()
    }

    /// Whether there is such a directory beside it.
    pub fn has_directory(&self, path: &FsPath) -> Result<bool, FsError> {
        Ok(self.tree.lookup(path)?.is_some_and(|(_, stat)| stat.file_type == FileType::Directory))
    }

    /// A file beside it, if there is one, without reading it. Links are followed.
    pub fn find_side(&self, path: &FsPath) -> Result<Option<(Node, Stat)>, FsError> {
        self.tree.lookup(path)
    }

    /// The files of a directory beside it, sorted; none if there is no such directory.
    pub fn list_side(&self, directory: &FsPath) -> Result<Vec<FsPath>, FsError> {
        let entries = self.tree.read_dir(directory)?.unwrap_or_default();
        Ok(entries.iter().map(|entry| directory.join(&entry.name)).collect())
    }
}

/// A file with a position.
#[derive(Debug)]
pub struct Reader<'a> {
    file: &'a File<'a>,
    position: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(self.position, buffer).map_err(io::Error::other)?;
        self.position = self.position.saturating_add(crate::volume::bytes::to_u64(count));
        Ok(count)
    }
}

impl Seek for Reader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.file.size().checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        let before_the_start = || io::Error::new(io::ErrorKind::InvalidInput, "a position before the start");
        self.position = position.ok_or_else(before_the_start)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use agentless_core::fs::Directory;

    use super::*;

    #[test]
    fn a_reader_reads_what_is_at_its_position() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("file"), "0123456789").unwrap();
        let limits = Limits::default();
        let tree = Tree::new(Rc::new(Directory::open(root.path(), &limits).unwrap()), limits);
        let path = FsPath::new("/file");
        let input = Input::new(&tree, &path, tree.open(&path).unwrap().unwrap());
        let mut reader = input.reader();
        let mut two = [0; 2];
        for (to, expected) in
            [(SeekFrom::Start(1), b"12"), (SeekFrom::Current(3), b"67"), (SeekFrom::End(-2), b"89")]
        {
            reader.seek(to).unwrap();
            reader.read_exact(&mut two).unwrap();
            assert_eq!(&two, expected);
        }
        assert_eq!(reader.read(&mut two).unwrap(), 0);
        assert!(reader.seek(SeekFrom::End(-11)).is_err());
    }
}
