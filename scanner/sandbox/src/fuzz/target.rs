//! A small target: two disks, a directory, or a function.

use std::ops::ControlFlow;
use std::sync::Arc;

use agentless_core::fs::{DirEntry, FileSystem, FileType, FsError, Identity, Inode, Journal, Stat, Xattr};
use agentless_core::number::{to_u64, to_usize};
use agentless_core::source::{Archive, ArchiveFormat, Disk, DiskState, Place, Source};
use agentless_core::volume::{Volume, VolumeError};

/// Two disks that can be read, an empty one and one that cannot be read.
pub(crate) fn disks() -> Vec<Disk> {
    let disk = |id: &str, state| Disk { id: id.to_owned(), device: Some(format!("/dev/{id}")), state };
    vec![
        disk("first", DiskState::Open(Arc::new(Pieces(1800)))),
        disk("second", DiskState::Open(Arc::new(Pieces(512)))),
        disk("empty", DiskState::Empty { size: 512 }),
        disk("unread", DiskState::Unread { reason: "it is not there".to_owned() }),
    ]
}

/// As many archives, in the same states: code and layers, and a layer of an image.
pub(crate) fn archives() -> Vec<Archive> {
    let places = [Place::Task, Place::Opt, Place::Opt, Place::Root];
    let archives = disks().into_iter().zip(places).map(|(disk, place)| {
        let format = if place == Place::Root { ArchiveFormat::Tar } else { ArchiveFormat::Zip };
        Archive { id: disk.id, place, format, state: disk.state }
    });
    archives.collect()
}

/// A directory with a file and a link.
pub(crate) fn directory() -> Source<'static> {
    Source::Directory(Box::new(Folder))
}

/// A volume of so many bytes: the second of its pieces is all zeros, the third cannot be read.
#[derive(Debug)]
struct Pieces(u64);

const PIECE: u32 = 512;

impl Volume for Pieces {
    fn size(&self) -> u64 {
        self.0
    }

    fn piece(&self) -> u32 {
        PIECE
    }

    fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<(), VolumeError> {
        VolumeError::check_range(offset, dst.len(), self.0)?;
        match offset / u64::from(PIECE) {
            1 => dst.fill(0),
            2 => return Err(VolumeError::Remote { reason: "the piece is damaged".to_owned() }),
            _ => dst.fill(1),
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Folder;

const ROOT: Inode = Inode(1);
const FILE: Inode = Inode(2);
const LINK: Inode = Inode(3);
const ENTRIES: [(&[u8], Inode, FileType); 2] =
    [(b"file", FILE, FileType::Regular), (b"link", LINK, FileType::Symlink)];
const CONTENT: &[u8] = b"content";

/// What the kernel says of what is not there.
fn missing() -> FsError {
    FsError::Remote { reason: "there is no such file".to_owned() }
}

impl FileSystem for Folder {
    fn kind(&self) -> &'static str {
        "directory"
    }

    fn journal(&self) -> Journal {
        Journal::Clean
    }

    fn identity(&self) -> Identity {
        Identity::default()
    }

    fn root(&self) -> Inode {
        ROOT
    }

    fn stat(&self, inode: Inode) -> Result<Stat, FsError> {
        let file_type = match inode {
            ROOT => FileType::Directory,
            FILE => FileType::Regular,
            LINK => FileType::Symlink,
            _ => return Err(missing()),
        };
        let size = to_u64(CONTENT.len());
        Ok(Stat { file_type, mode: 0o644, size, uid: 0, gid: 0, links: 1, mtime: 0, device: None })
    }

    fn read_dir(
        &self,
        dir: Inode,
        visit: &mut dyn FnMut(DirEntry<'_>) -> ControlFlow<()>,
    ) -> Result<(), FsError> {
        if dir != ROOT {
            return Err(missing());
        }
        for (name, inode, file_type) in ENTRIES {
            if visit(DirEntry { name, inode, file_type: Some(file_type) }).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn lookup(&self, _dir: Inode, name: &[u8]) -> Result<Option<Inode>, FsError> {
        Ok(ENTRIES.iter().find(|entry| entry.0 == name).map(|entry| entry.1))
    }

    fn read(&self, inode: Inode, offset: u64, dst: &mut [u8]) -> Result<usize, FsError> {
        if inode != FILE {
            return Err(missing());
        }
        let rest = CONTENT.get(to_usize(offset)..).unwrap_or_default();
        let read = rest.iter().zip(dst).map(|(&from, to)| *to = from);
        Ok(read.count())
    }

    fn read_link(&self, inode: Inode) -> Result<Vec<u8>, FsError> {
        if inode == LINK { Ok(b"file".to_vec()) } else { Err(missing()) }
    }

    fn xattrs(
        &self,
        inode: Inode,
        visit: &mut dyn FnMut(Xattr<'_>) -> ControlFlow<()>,
    ) -> Result<(), FsError> {
        if inode == FILE {
            let _ = visit(Xattr { name: b"user.name", value: b"value" });
        }
        Ok(())
    }
}
