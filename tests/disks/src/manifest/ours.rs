//! What we show of a filesystem.

use std::collections::HashSet;
use std::ops::ControlFlow;

use agentless_scanner::fs::{self, FileSystem, FileType, FsError, Inode, Stat, Tree};
use agentless_scanner::limits::Limits;

use super::digest::digest;
use super::{Content, Entry, Manifest, Xattrs};

/// Of a larger directory, so many names are looked up.
const LOOKED_UP: usize = 5000;

/// What we show, listing each directory, and looking up what was listed. What cannot be read is part of the manifest, and
/// so differs from everything that the kernel shows.
pub fn of_ours(file_system: Box<dyn FileSystem>) -> Manifest {
    let root = file_system.root();
    of_ours_below(file_system, root)
}

/// What we show below a directory other than the root, such as that of a subvolume.
pub fn of_ours_below(file_system: Box<dyn FileSystem>, root: Inode) -> Manifest {
    visit(file_system, root, look_up)
}

/// What we show of a filesystem that may be damaged, so that listing and looking up need not agree.
pub fn of_damaged(file_system: Box<dyn FileSystem>) -> Manifest {
    let root = file_system.root();
    visit(file_system, root, |_, _, _| Ok(()))
}

/// Listing reads a directory as a list, looking up as a tree: they must agree.
fn look_up(tree: &Tree, dir: Inode, listed: &[fs::Entry]) -> Result<(), String> {
    for child in listed.iter().step_by(listed.len() / LOOKED_UP + 1) {
        let name = child.name.escape_ascii();
        let found =
            tree.file_system().lookup(dir, &child.name).map_err(|error| format!("{name}: {error}"))?;
        if found != Some(child.inode) {
            return Err(format!("{name} is listed as {:?}, and looked up as {found:?}", child.inode));
        }
        let stat = tree.file_system().stat(child.inode).map_err(|error| format!("{name}: {error}"))?;
        if child.file_type.is_some_and(|file_type| file_type != stat.file_type) {
            return Err(format!("{name} is listed as {:?}, and is {:?}", child.file_type, stat.file_type));
        }
    }
    match tree.file_system().lookup(dir, b"no file has this name") {
        Ok(None) => Ok(()),
        other => Err(format!("a name that does not exist is looked up as {other:?}")),
    }
}

fn visit(
    file_system: Box<dyn FileSystem>,
    root: Inode,
    check_directory: impl Fn(&Tree, Inode, &[fs::Entry]) -> Result<(), String>,
) -> Manifest {
    let tree = Tree::new(file_system, Limits::default());
    let mut manifest = Manifest::new();
    let mut directories = HashSet::new();
    let mut waiting = vec![(Vec::new(), root)];
    while let Some((path, inode)) = waiting.pop() {
        let stat = match tree.file_system().stat(inode) {
            Ok(stat) => stat,
            Err(error) => {
                manifest.insert(path, without_inode(&error));
                continue;
            }
        };
        let mut entry = entry(&stat);
        let read = xattrs(&tree, inode).map_err(|error| error.to_string()).and_then(|xattrs| {
            entry.xattrs = xattrs;
            if stat.file_type == FileType::Directory {
                // Directories that contain each other would never end.
                if !directories.insert(inode) {
                    return Err(format!("the directory {inode:?} has several paths"));
                }
                let listed = tree.read_dir_inode(inode).map_err(|error| error.to_string())?;
                let checked = check_directory(&tree, inode, &listed);
                let separator: &[u8] = if path.is_empty() { b"" } else { b"/" };
                let children = listed.iter();
                waiting.extend(children.map(|child| ([&path, separator, &child.name].concat(), child.inode)));
                checked?;
            }
            content(&tree, inode, &stat).map_err(|error| error.to_string())
        });
        entry.content = read.unwrap_or_else(Content::Unreadable);
        manifest.insert(path, entry);
    }
    manifest
}

fn entry(stat: &Stat) -> Entry {
    Entry {
        file_type: stat.file_type,
        mode: stat.mode,
        size: stat.size,
        uid: stat.uid,
        gid: stat.gid,
        links: stat.links,
        mtime: stat.mtime,
        device: stat.device,
        xattrs: None,
        content: Content::None,
    }
}

/// Stands for a name whose inode cannot be read.
fn without_inode(error: &FsError) -> Entry {
    Entry {
        file_type: FileType::Regular,
        mode: 0,
        size: 0,
        uid: 0,
        gid: 0,
        links: 0,
        mtime: 0,
        device: None,
        xattrs: None,
        content: Content::Unreadable(error.to_string()),
    }
}

fn content(tree: &Tree, inode: Inode, stat: &Stat) -> Result<Content, FsError> {
    Ok(match stat.file_type {
        FileType::Regular => {
            let read = |at, buffer: &mut [u8]| tree.file_system().read(inode, at, buffer);
            Content::Data(digest(stat.size, |at| Ok(Some(at)), read)?)
        }
        FileType::Symlink => Content::Target(tree.file_system().read_link(inode)?),
        _ => Content::None,
    })
}

fn xattrs(tree: &Tree, inode: Inode) -> Result<Xattrs, FsError> {
    let mut xattrs = Vec::new();
    let read = tree.file_system().xattrs(inode, &mut |xattr| {
        xattrs.push((xattr.name.to_vec(), xattr.value.to_vec()));
        ControlFlow::Continue(())
    });
    match read {
        Ok(()) => {
            xattrs.sort();
            Ok(Some(xattrs))
        }
        // A driver without extended attributes is compared without them.
        Err(FsError::Unsupported { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
