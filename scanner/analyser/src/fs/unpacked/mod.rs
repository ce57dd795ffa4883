//! Archives as the tree of files that unpacking them one after another would leave: the code and layers of a function, the
//! layers of an image, a zip that somebody has.
//!
//! Nothing is unpacked. The names are listed once and kept in memory; what a file holds is read where it is in its archive.
//! A later archive's files replace those of an earlier one, its directories are merged with them, and its whiteouts remove
//! them.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod inflated;
mod names;
mod tar;
#[cfg(test)]
mod tests;
mod zip;

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;

use agentless_core::source::{ArchiveFormat, Place};

use self::names::{Content, Names, Node, ROOT};
use self::tar::Tar;
use self::zip::{Data, Zip};
use super::recognise::only;
use super::{DirEntry, Driver, FileSystem, FileType, FsError, FsPath, Identity, Inode, Journal, Stat, Xattr};
use crate::chain;
use crate::limits::{Budget, Limits};
use crate::volume::bytes::{to_u64, to_usize};
use crate::volume::{MemoryVolume, Volume};

/// The tree that archives leave.
#[derive(Debug)]
pub struct Unpacked {
    archives: Vec<Archive>,
    names: Names,
    budget: Budget,
    limits: Limits,
    /// Of the first archive, for people.
    kind: &'static str,
    /// What could not be unpacked, where there is one archive.
    problems: Vec<String>,
    kept: RefCell<Kept>,
}

#[derive(Debug)]
enum Archive {
    Zip(Box<Zip>),
    Tar(Tar),
    /// Nothing of it can be read.
    Unread,
}

/// What was read last.
#[derive(Debug, Default)]
struct Kept {
    /// Whole files, the last one last.
    files: Vec<(Inode, Rc<Vec<u8>>)>,
    /// A file of a zip that is too large for that.
    large: Option<(Inode, Rc<Data>)>,
}

impl Unpacked {
    /// The tree that no archive leaves.
    pub fn new(limits: &Limits) -> Self {
        Self {
            archives: Vec::new(),
            names: Names::new(limits),
            budget: Budget::new(limits),
            limits: limits.clone(),
            kind: "zip",
            problems: Vec::new(),
            kept: RefCell::default(),
        }
    }

    /// Unpacks one more archive over those before, and returns what of it could not be.
    ///
    /// # Errors
    ///
    /// If nothing of it can be read.
    pub fn add(
        &mut self,
        place: Place,
        format: ArchiveFormat,
        volume: Arc<dyn Volume>,
    ) -> Result<Vec<String>, FsError> {
        let number = u32::try_from(self.archives.len()).unwrap_or(u32::MAX);
        let at = match place {
            Place::Task => FsPath::new("/var/task"),
            Place::Opt => FsPath::new("/opt"),
            Place::Root => FsPath::root(),
        };
        let mut refused = Refused::new(self.limits.gaps_per_file);
        let refuse = &mut |path: &[u8], error: &FsError| refused.add(path, error);
        // Those that cannot be read have a number too.
        self.archives.push(Archive::Unread);
        let (archive, listed) = match format {
            ArchiveFormat::Zip => {
                let zip = Zip::open(volume, &self.limits)?;
                let listed = zip.list((number, &at), &mut self.names, refuse);
                (Archive::Zip(Box::new(zip)), listed)
            }
            ArchiveFormat::Tar => {
                let tar = Tar::open(volume)?;
                let listed = tar.list(number, &mut self.names, (&self.limits, &self.budget), refuse);
                (Archive::Tar(tar), listed)
            }
        };
        if number == 0 {
            self.kind = kind(format);
        }
        if let Some(last) = self.archives.last_mut() {
            *last = archive;
        }
        if let Err(error) = listed {
            refused.texts.push(format!("the rest of it was not read: {}", chain(&error)));
        }
        Ok(refused.finish())
    }

    /// The number of the archive that a file is from.
    pub fn archive_of(&self, inode: Inode) -> Option<usize> {
        self.node(inode).ok().map(|node| to_usize(node.archive))
    }

    fn node(&self, inode: Inode) -> Result<&Node, FsError> {
        let node = u32::try_from(inode.0).ok().and_then(|number| self.names.get(number));
        node.ok_or(FsError::Invalid { problem: "an inode that these archives did not give" })
    }

    fn directory(&self, inode: Inode) -> Result<u32, FsError> {
        let node = self.node(inode)?;
        let number = u32::try_from(inode.0).ok().filter(|_| node.stat.file_type == FileType::Directory);
        number.ok_or(FsError::NOT_A_DIRECTORY)
    }

    /// The most bytes of a file that is kept as a whole.
    fn most_kept(&self) -> u64 {
        self.limits.cache_bytes
    }

    /// A whole file, from memory or from its archive.
    fn whole(&self, inode: Inode, archive: &Archive, (at, size): (u64, u64)) -> Result<Rc<Vec<u8>>, FsError> {
        /// Files that are kept, however small they are.
        const MOST: usize = 64;

        let known = {
            let files = &mut self.kept.borrow_mut().files;
            let known = files.iter().position(|(known, _)| *known == inode);
            known.map(|known| {
                let known = files.remove(known);
                let content = Rc::clone(&known.1);
                files.push(known);
                content
            })
        };
        if let Some(known) = known {
            return Ok(known);
        }
        let content = match archive {
            Archive::Zip(zip) => zip.read_all(at, size)?,
            Archive::Tar(tar) => {
                let mut content = Vec::new();
                let mut piece = vec![0; 64 << 10];
                while to_u64(content.len()) < size {
                    let done = to_u64(content.len());
                    let most = to_usize(size.saturating_sub(done)).min(piece.len());
                    let dst = piece.get_mut(..most).unwrap_or_default();
                    let count = tar.read_at(at.saturating_add(done), dst, &self.budget)?;
                    if count == 0 {
                        return Err(FsError::corrupt("the tar", "it ends within the file"));
                    }
                    content.extend_from_slice(piece.get(..count).unwrap_or_default());
                }
                content
            }
            Archive::Unread => return Err(FsError::NOT_A_FILE),
        };
        let content = Rc::new(content);
        let files = &mut self.kept.borrow_mut().files;
        files.push((inode, Rc::clone(&content)));
        let sum =
            |files: &[(Inode, Rc<Vec<u8>>)]| files.iter().map(|(_, file)| to_u64(file.len())).sum::<u64>();
        while files.len() > 1 && (files.len() > MOST || sum(files) > self.most_kept()) {
            files.remove(0);
        }
        Ok(content)
    }

    /// A part of a large file of a zip.
    fn part(&self, inode: Inode, zip: &Zip, at: u64, offset: u64, dst: &mut [u8]) -> Result<usize, FsError> {
        let known = match &self.kept.borrow().large {
            Some((known, data)) if *known == inode => Some(Rc::clone(data)),
            _ => None,
        };
        let data = if let Some(data) = known {
            data
        } else {
            let data = Rc::new(zip.data(at)?);
            self.kept.borrow_mut().large = Some((inode, Rc::clone(&data)));
            data
        };
        match &*data {
            Data::Stored(start) => {
                self.budget.bytes(to_u64(dst.len()))?;
                zip.volume().read_at(start.saturating_add(offset), dst)?;
                Ok(dst.len())
            }
            Data::Deflated(inflated) => inflated.read_at(offset, dst, &self.budget),
        }
    }
}

impl FileSystem for Unpacked {
    fn kind(&self) -> &'static str {
        self.kind
    }

    /// An archive has none.
    fn journal(&self) -> Journal {
        Journal::Clean
    }

    fn identity(&self) -> Identity {
        Identity::default()
    }

    fn problems(&self) -> Vec<String> {
        self.problems.clone()
    }

    fn root(&self) -> Inode {
        Inode(ROOT.into())
    }

    fn stat(&self, inode: Inode) -> Result<Stat, FsError> {
        Ok(self.node(inode)?.stat)
    }

    fn read_dir(
        &self,
        dir: Inode,
        visit: &mut dyn FnMut(DirEntry<'_>) -> ControlFlow<()>,
    ) -> Result<(), FsError> {
        for (name, child) in self.names.children(self.directory(dir)?) {
            self.budget.step()?;
            let file_type = self.names.get(child).map(|node| node.stat.file_type);
            if visit(DirEntry { name, inode: Inode(child.into()), file_type }).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn lookup(&self, dir: Inode, name: &[u8]) -> Result<Option<Inode>, FsError> {
        let child = self.names.child(self.directory(dir)?, name);
        Ok(child.map(|child| Inode(child.into())))
    }

    fn read(&self, inode: Inode, offset: u64, dst: &mut [u8]) -> Result<usize, FsError> {
        let node = self.node(inode)?;
        let (FileType::Regular, Content::At(at)) = (node.stat.file_type, &node.content) else {
            return Err(FsError::NOT_A_FILE);
        };
        let size = node.stat.size;
        let most = to_usize(size.saturating_sub(offset)).min(dst.len());
        let dst = dst.get_mut(..most).unwrap_or_default();
        let archive = self.archives.get(to_usize(node.archive)).unwrap_or(&Archive::Unread);
        let count = match archive {
            _ if dst.is_empty() => 0,
            Archive::Tar(tar @ Tar::Plain(_)) => tar.read_at(at.saturating_add(offset), dst, &self.budget)?,
            _ if size <= self.most_kept() => {
                let content = self.whole(inode, archive, (*at, size))?;
                let start = to_usize(offset);
                let part = content.get(start..start.saturating_add(dst.len())).unwrap_or_default();
                dst.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
                part.len()
            }
            Archive::Tar(tar) => tar.read_at(at.saturating_add(offset), dst, &self.budget)?,
            Archive::Zip(zip) => self.part(inode, zip, *at, offset, dst)?,
            Archive::Unread => return Err(FsError::NOT_A_FILE),
        };
        if count < dst.len() {
            return Err(FsError::corrupt("the archive", "it ends within the file"));
        }
        Ok(count)
    }

    fn read_link(&self, inode: Inode) -> Result<Vec<u8>, FsError> {
        match &self.node(inode)?.content {
            Content::Target(target) => Ok(target.clone()),
            _ => Err(FsError::NOT_A_LINK),
        }
    }

    /// Zips have none, and nothing here needs those of a tar.
    fn xattrs(&self, _: Inode, _: &mut dyn FnMut(Xattr<'_>) -> ControlFlow<()>) -> Result<(), FsError> {
        Ok(())
    }
}

/// A format by its name in reports.
pub fn kind(format: ArchiveFormat) -> &'static str {
    match format {
        ArchiveFormat::Zip => "zip",
        ArchiveFormat::Tar => "tar",
    }
}

/// Reads zips.
#[derive(Debug)]
pub struct ZipDriver;

impl Driver for ZipDriver {
    fn name(&self) -> &'static str {
        "zip"
    }

    /// A local file header at the start, or the end of an archive without files (4.3.7, 4.3.16).
    fn probe(&self, head: &[u8]) -> bool {
        head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06")
    }

    fn open(&self, volumes: &[Arc<dyn Volume>], limits: &Limits) -> Result<Box<dyn FileSystem>, FsError> {
        let mut unpacked = Unpacked::new(limits);
        unpacked.problems = unpacked.add(Place::Root, ArchiveFormat::Zip, only(volumes)?)?;
        Ok(Box::new(unpacked))
    }
}

/// What could not be unpacked: the first ones, and how many more there are.
struct Refused {
    texts: Vec<String>,
    most: u64,
    more: u64,
}

impl Refused {
    fn new(most: u64) -> Self {
        Self { texts: Vec::new(), most, more: 0 }
    }

    fn add(&mut self, path: &[u8], error: &FsError) {
        if to_u64(self.texts.len()) >= self.most {
            self.more = self.more.saturating_add(1);
            return;
        }
        let reason = chain(error);
        // As it is in the archive, where `..` matters.
        let text = if path.is_empty() { reason } else { format!("{}: {reason}", path.escape_ascii()) };
        self.texts.push(text);
    }

    fn finish(mut self) -> Vec<String> {
        if self.more > 0 {
            self.texts.push(format!("{} more entries could not be unpacked", self.more));
        }
        self.texts
    }
}

/// Reads any bytes as a zip and all of its files, for fuzzing: it must come back without a panic.
pub fn fuzz_zip(content: &[u8]) {
    fuzz(content, ArchiveFormat::Zip);
}

/// As [`fuzz_zip`], as a layer of an image over itself.
pub fn fuzz_tar(content: &[u8]) {
    fuzz(content, ArchiveFormat::Tar);
}

fn fuzz(content: &[u8], format: ArchiveFormat) {
    let limits = Limits {
        read_bytes: 8 << 20,
        archive_bytes: 8 << 20,
        cache_bytes: 1 << 16,
        file_bytes: 4 << 20,
        ..Limits::default()
    };
    let volume: Arc<dyn Volume> = Arc::new(MemoryVolume::new(content.to_vec()));
    let mut unpacked = Unpacked::new(&limits);
    for _ in 0..2 {
        let _ = unpacked.add(Place::Root, format, Arc::clone(&volume));
    }
    let mut number = 0_u64;
    let mut piece = [0; 1000];
    while let Ok(stat) = unpacked.stat(Inode(number)) {
        let inode = Inode(number);
        for offset in [0, stat.size / 2, stat.size.saturating_sub(1)] {
            let _ = unpacked.read(inode, offset, &mut piece);
        }
        let _ = unpacked.read_link(inode);
        let _ = unpacked.read_dir(inode, &mut |_| ControlFlow::Continue(()));
        number = number.saturating_add(1);
    }
}
