//! What we show of a filesystem.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::rc::Rc;

use agentless_analyser::fs::{self, FileSystem, FileType, FsError, Node, Stat, Tree};
use agentless_analyser::limits::Limits;

use super::digest::digest;
use super::{Content, Entry, Manifest, Problem, Xattrs};

/// Of a larger directory, so many names are looked up.
const LOOKED_UP: usize = 5000;

/// What we show, listing each directory, and looking up what was listed. What cannot be read is part of the manifest, and
/// so differs from everything that the kernel shows.
pub fn of_ours(file_system: Box<dyn FileSystem>) -> Manifest {
    of_tree(&Tree::new(Rc::from(file_system), Limits::default()))
}

/// What we show of filesystems that are mounted into each other, or of a part of one, as [`of_ours`].
pub fn of_tree(tree: &Tree) -> Manifest {
    visit(tree, look_up)
}

/// What we show of a filesystem that may be damaged, so that listing and looking up need not agree.
pub fn of_damaged(file_system: Box<dyn FileSystem>) -> Manifest {
    visit(&Tree::new(Rc::from(file_system), Limits::default()), |_, _, _| Ok(()))
}

/// Listing reads a directory as a list, looking up as a tree: they must agree.
fn look_up(tree: &Tree, dir: Node, listed: &[fs::Entry]) -> Result<(), String> {
    for child in listed.iter().step_by(listed.len() / LOOKED_UP + 1) {
        let name = child.name.escape_ascii();
        let found = tree.child(dir, &child.name).map_err(|error| format!("{name}: {error}"))?;
        if found != Some(child.node) {
            return Err(format!("{name} is listed as {:?}, and looked up as {found:?}", child.node));
        }
        let stat = tree.stat(child.node).map_err(|error| format!("{name}: {error}"))?;
        if child.file_type.is_some_and(|file_type| file_type != stat.file_type) {
            return Err(format!("{name} is listed as {:?}, and is {:?}", child.file_type, stat.file_type));
        }
    }
    match tree.child(dir, b"no file has this name") {
        Ok(None) => Ok(()),
        other => Err(format!("a name that does not exist is looked up as {other:?}")),
    }
}

fn visit(tree: &Tree, check_directory: impl Fn(&Tree, Node, &[fs::Entry]) -> Result<(), String>) -> Manifest {
    let mut manifest = Manifest::new();
    let mut directories = HashSet::new();
    let mut waiting = vec![(Vec::new(), tree.root())];
    while let Some((path, node)) = waiting.pop() {
        let stat = match tree.stat(node) {
            Ok(stat) => stat,
            Err(error) => {
                manifest.insert(path, Entry::without_inode(error.to_string()));
                continue;
            }
        };
        let mut entry = entry(&stat);
        let read = xattrs(tree, node).map_err(|error| error.to_string()).and_then(|xattrs| {
            entry.xattrs = xattrs;
            if stat.file_type == FileType::Directory {
                // Directories that contain each other would never end.
                if !directories.insert(node) {
                    return Err(format!("the directory {node:?} has several paths"));
                }
                let listed = tree.read_dir_node(node).map_err(|error| error.to_string())?;
                let checked = check_directory(tree, node, &listed);
                let separator: &[u8] = if path.is_empty() { b"" } else { b"/" };
                let children = listed.iter();
                waiting.extend(children.map(|child| ([&path, separator, &child.name].concat(), child.node)));
                checked?;
            }
            content(tree, node, &stat).map_err(|error| error.to_string())
        });
        entry.content = read.unwrap_or_else(|problem| Content::Unreadable(Problem(problem)));
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
        xattrs: Xattrs::default(),
        content: Content::None,
    }
}

fn content(tree: &Tree, node: Node, stat: &Stat) -> Result<Content, FsError> {
    Ok(match stat.file_type {
        FileType::Regular => {
            let file = tree.open_node(node, stat)?;
            let read = |at, buffer: &mut [u8]| file.read_at(at, buffer);
            Content::Data(digest(stat.size, |at| Ok(Some(at)), read)?)
        }
        FileType::Symlink => Content::Target(tree.read_link(node)?),
        _ => Content::None,
    })
}

fn xattrs(tree: &Tree, node: Node) -> Result<Xattrs, FsError> {
    let mut xattrs = Xattrs::default();
    tree.xattrs(node, &mut |xattr| {
        xattrs.0.push((xattr.name.to_vec(), xattr.value.to_vec()));
        ControlFlow::Continue(())
    })?;
    xattrs.0.sort();
    Ok(xattrs)
}
