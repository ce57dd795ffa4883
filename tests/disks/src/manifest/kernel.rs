//! What the kernel shows of a mounted tree.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::Path;

use agentless_analyser::fs::{DeviceNumbers, FileType};
use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::{Content, Entry, Manifest, Problem, Xattrs};
use crate::manifest::digest::digest;

/// What the kernel shows below `root`.
pub fn of_kernel(root: &Path) -> Manifest {
    let manifest = of_kernel_without_recovery(root);
    for (path, entry) in &manifest {
        let path = path.escape_ascii();
        assert!(!matches!(entry.content, Content::Unreadable(_)), "the kernel cannot read {path}: {entry:?}");
    }
    manifest
}

/// What the kernel shows below `root` where the filesystem is in the middle of a change: what it cannot read is part of
/// the manifest.
pub fn of_kernel_without_recovery(root: &Path) -> Manifest {
    let mut manifest = Manifest::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(path) = waiting.pop() {
        let relative = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
        let metadata = match path.symlink_metadata() {
            Ok(metadata) => metadata,
            Err(error) => {
                manifest.insert(relative, Entry::without_inode(error.to_string()));
                continue;
            }
        };
        let mut entry = entry(&metadata);
        let read = xattrs(&path).and_then(|xattrs| {
            entry.xattrs = xattrs;
            entry.content = match entry.file_type {
                FileType::Regular => Content::Data(hash(&path, metadata.len())?),
                FileType::Symlink => Content::Target(path.read_link()?.as_os_str().as_bytes().to_vec()),
                FileType::Directory => {
                    for child in std::fs::read_dir(&path)? {
                        waiting.push(child?.path());
                    }
                    Content::None
                }
                _ => Content::None,
            };
            Ok(())
        });
        if let Err(error) = read {
            entry.content = Content::Unreadable(Problem(error.to_string()));
        }
        manifest.insert(relative, entry);
    }
    manifest
}

fn entry(metadata: &Metadata) -> Entry {
    let file_type = match metadata.file_type() {
        kind if kind.is_file() => FileType::Regular,
        kind if kind.is_dir() => FileType::Directory,
        kind if kind.is_symlink() => FileType::Symlink,
        kind if kind.is_char_device() => FileType::CharacterDevice,
        kind if kind.is_block_device() => FileType::BlockDevice,
        kind if kind.is_fifo() => FileType::Fifo,
        _ => FileType::Socket,
    };
    let is_device = matches!(file_type, FileType::CharacterDevice | FileType::BlockDevice);
    let device = DeviceNumbers {
        major: rustix::fs::major(metadata.rdev()),
        minor: rustix::fs::minor(metadata.rdev()),
    };
    Entry {
        file_type,
        mode: u16::try_from(metadata.mode() & 0o7777).unwrap(),
        size: metadata.len(),
        uid: metadata.uid(),
        gid: metadata.gid(),
        links: u32::try_from(metadata.nlink()).unwrap(),
        mtime: metadata.mtime(),
        device: is_device.then_some(device),
        xattrs: Xattrs::default(),
        content: Content::None,
    }
}

fn hash(path: &Path, size: u64) -> io::Result<[u8; 32]> {
    let file = File::open(path)?;
    let next_data = |at| match rustix::fs::seek(&file, SeekFrom::Data(at)) {
        Ok(data) => Ok(Some(data)),
        Err(Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    };
    let read = |at: u64, buffer: &mut [u8]| {
        let mut done = 0;
        while done < buffer.len() {
            let count = file.read_at(&mut buffer[done..], at + u64::try_from(done).unwrap())?;
            if count == 0 {
                break;
            }
            done += count;
        }
        Ok(done)
    };
    digest(size, next_data, read)
}

fn xattrs(path: &Path) -> io::Result<Xattrs> {
    /// `XATTR_LIST_MAX` and `XATTR_SIZE_MAX`.
    const MOST: usize = 64 << 10;
    /// Those of XFS a second time, in the form in which they are stored.
    const ACCESS_CONTROL_LISTS: [&[u8]; 2] = [b"system.posix_acl_", b"trusted.SGI_ACL_"];

    let mut names = Vec::with_capacity(MOST);
    rustix::fs::llistxattr(path, rustix::buffer::spare_capacity(&mut names))?;
    let mut xattrs = Xattrs::default();
    for name in names.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        if ACCESS_CONTROL_LISTS.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        let mut value = Vec::with_capacity(MOST);
        rustix::fs::lgetxattr(path, name, rustix::buffer::spare_capacity(&mut value))?;
        value.shrink_to_fit();
        xattrs.0.push((name.to_vec(), value));
    }
    xattrs.0.sort();
    Ok(xattrs)
}
