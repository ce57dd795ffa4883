//! Btrfs, on one device and on several.

mod attributes;
mod blocks;
mod devices;
mod formats;
mod subvolumes;
mod tree_log;

use agentless_analyser::fs::{FileSystem, FsError, Inode};

/// The inode at a path without links.
fn find(file_system: &dyn FileSystem, path: impl AsRef<[u8]>) -> Inode {
    let names = path.as_ref().split(|&byte| byte == b'/').filter(|name| !name.is_empty());
    names.fold(file_system.root(), |dir, name| file_system.lookup(dir, name).unwrap().unwrap())
}

/// The content of the file at a path without links.
fn read(file_system: &dyn FileSystem, path: &str) -> Result<Vec<u8>, FsError> {
    let inode = find(file_system, path);
    let mut content = vec![0; usize::try_from(file_system.stat(inode)?.size).unwrap()];
    let count = file_system.read(inode, 0, &mut content)?;
    content.truncate(count);
    Ok(content)
}
