//! Single files of a target, as text.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::rc::Rc;

use agentless_core::number::to_u64;
use agentless_core::task::{FileAction, FileTask, TreeChoice};
use agentless_core::text::{printable, printable_bytes};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::chain;
use crate::fs::{FileType, FsError, FsPath, Node, Stat, Tree};
use crate::limits::Limits;
use crate::report::Content;
use crate::storage::Storage;

/// Why a file could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// There are not so many trees.
    #[error("there is no system {number}, only {count} in all: `inspect` without a path shows them")]
    System {
        /// The number that was asked for.
        number: usize,
        /// How many there are.
        count: usize,
    },
    /// No filesystem goes by this name.
    #[error("no filesystem that can be read goes by {name:?}: `inspect` without a path shows their devices")]
    Device {
        /// What was asked for.
        name: String,
    },
    /// There is nothing at this path.
    #[error("{path} does not exist")]
    Missing {
        /// The path.
        path: String,
    },
    /// The filesystem cannot be read there.
    #[error("{path} could not be read")]
    Fs {
        /// The path.
        path: String,
        /// Why.
        source: FsError,
    },
    /// Nobody takes what is printed.
    #[error("the file could not be printed")]
    Print(#[source] io::Error),
}

/// Prints what `task` asks for.
///
/// # Errors
///
/// [`FileError`] if there is no such file, or it cannot be read to its end.
pub fn show(
    task: &FileTask,
    storage: &Storage,
    limits: &Limits,
    out: &mut dyn Write,
) -> Result<(), FileError> {
    let alone;
    let tree: &Tree = match &task.tree {
        TreeChoice::System(number) => number
            .checked_sub(1)
            .and_then(|index| storage.trees().nth(index))
            .map(|(_, tree)| tree)
            .ok_or_else(|| FileError::System { number: *number, count: storage.trees().count() })?,
        TreeChoice::Device(name) => {
            alone = filesystem_on(storage, name, limits)?;
            &alone
        }
    };
    let path = FsPath::new(&task.path);
    let text = match task.action {
        FileAction::List => list(tree, &path)?,
        FileAction::Stat => stat(storage, tree, &path)?,
        FileAction::Content => return print(tree, &path, out),
    };
    out.write_all(text.as_bytes()).map_err(FileError::Print)
}

/// The filesystem of a device, by the device's name, or the filesystem's UUID or label.
fn filesystem_on(storage: &Storage, name: &str, limits: &Limits) -> Result<Tree, FileError> {
    let devices = &storage.report.devices;
    let found = devices.iter().enumerate().find(|(index, device)| {
        matches!(device.content, Content::Filesystem { .. })
            && (device.name == name
                || storage.report.place(*index) == name
                || device.uuid.as_ref().is_some_and(|uuid| uuid.eq_ignore_ascii_case(name))
                || device.label.as_deref() == Some(name))
    });
    let filesystem = match found.map(|(_, device)| &device.content) {
        Some(Content::Filesystem { filesystem }) => *filesystem,
        _ => return Err(FileError::Device { name: name.to_owned() }),
    };
    storage.filesystem(filesystem, limits).ok_or_else(|| FileError::Device { name: name.to_owned() })
}

/// A directory's entries, or a file's own, one a line.
fn list(tree: &Tree, path: &FsPath) -> Result<String, FileError> {
    let at = |source| FileError::Fs { path: path.to_string(), source };
    let missing = || FileError::Missing { path: path.to_string() };
    let (node, stat) = match tree.lookup(path).map_err(at)? {
        Some(found) => found,
        // A link that leads nowhere is still there.
        None => find(tree, path).map_err(at)?.ok_or_else(missing)?,
    };
    let mut text = String::new();
    if stat.file_type != FileType::Directory {
        let name = path.file_name().unwrap_or_default();
        write_entry(&mut text, tree, name, node, Ok(stat));
        return Ok(text);
    }
    let entries = tree.read_dir_node(node).map_err(at)?;
    // All of a directory are mostly in one filesystem: a mount point is the exception.
    let (file_system, _) = tree.place(node);
    let inodes: Vec<_> = entries
        .iter()
        .map(|entry| tree.place(entry.node))
        .filter(|(other, _)| Rc::ptr_eq(other, file_system))
        .map(|(_, inode)| inode)
        .collect();
    file_system.prefetch_inodes(&inodes);
    for entry in entries {
        write_entry(&mut text, tree, &entry.name, entry.node, tree.stat(entry.node));
    }
    Ok(text)
}

fn write_entry(out: &mut String, tree: &Tree, name: &[u8], node: Node, stat: Result<Stat, FsError>) {
    let name = printable_bytes(name);
    // Writing to a string cannot fail.
    let _ = match stat {
        Ok(stat) => {
            let size = match stat.device {
                Some(device) => format!("{}, {}", device.major, device.minor),
                None => stat.size.to_string(),
            };
            let target = target(tree, node, stat).map(|target| format!(" -> {target}")).unwrap_or_default();
            let (mode, time) = (mode(stat), time(stat.mtime));
            writeln!(
                out,
                "{mode} {:>3} {:>5} {:>5} {size:>12} {time} {name}{target}",
                stat.links, stat.uid, stat.gid
            )
        }
        Err(error) => writeln!(out, "?????????? {name}: {}", printable(&chain(&error))),
    };
}

/// What is recorded about a file.
fn stat(storage: &Storage, tree: &Tree, path: &FsPath) -> Result<String, FileError> {
    let at = |source| FileError::Fs { path: path.to_string(), source };
    let (node, stat) =
        find(tree, path).map_err(at)?.ok_or_else(|| FileError::Missing { path: path.to_string() })?;
    let (file_system, inode) = tree.place(node);
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<9} {value}");
    };
    line("Path", &path.to_string());
    line("Type", type_name(stat.file_type));
    if let Some(target) = target(tree, node, stat) {
        line("Target", &target);
    }
    line("Mode", &format!("{:04o} {}", stat.mode, mode(stat)));
    line("Owner", &format!("{}:{}", stat.uid, stat.gid));
    line("Size", &format!("{} bytes", stat.size));
    line("Modified", &time(stat.mtime));
    line("Links", &stat.links.to_string());
    let place = storage
        .filesystem_of(file_system)
        .map(|filesystem| {
            format!(" of {} on {}", file_system.kind(), printable(&storage.report.place_of(filesystem)))
        })
        .unwrap_or_default();
    line("Inode", &format!("{}{place}", inode.0));
    if let Some(device) = stat.device {
        line("Device", &format!("{}, {}", device.major, device.minor));
    }
    tree.xattrs(node, &mut |attribute| {
        line(
            "Attribute",
            &format!("{} = {}", printable_bytes(attribute.name), printable_bytes(attribute.value)),
        );
        ControlFlow::Continue(())
    })
    .map_err(at)?;
    Ok(text)
}

/// Prints a file's bytes.
fn print(tree: &Tree, path: &FsPath, out: &mut dyn Write) -> Result<(), FileError> {
    /// What is read at a time.
    const STEP: usize = 1 << 20;

    let at = |source| FileError::Fs { path: path.to_string(), source };
    let file = tree.open(path).map_err(at)?.ok_or_else(|| FileError::Missing { path: path.to_string() })?;
    let (file_system, inode) = tree.place(file.node());
    file_system.prefetch_content(&[inode]);
    let mut buffer = vec![0; STEP];
    let mut offset = 0_u64;
    loop {
        let count = file.read_at(offset, &mut buffer).map_err(at)?;
        let Some(part) = buffer.get(..count).filter(|part| !part.is_empty()) else { return Ok(()) };
        out.write_all(part).map_err(FileError::Print)?;
        offset = offset.saturating_add(to_u64(count));
    }
}

/// Finds a file without following a link in its last component.
fn find(tree: &Tree, path: &FsPath) -> Result<Option<(Node, Stat)>, FsError> {
    let (Some(name), Some(parent)) = (path.file_name(), path.parent()) else { return tree.lookup(path) };
    let Some((parent, stat)) = tree.lookup(&parent)? else { return Ok(None) };
    if stat.file_type != FileType::Directory {
        return Ok(None);
    }
    let Some(node) = tree.child(parent, name)? else { return Ok(None) };
    Ok(Some((node, tree.stat(node)?)))
}

/// The target of a symbolic link, printable.
fn target(tree: &Tree, node: Node, stat: Stat) -> Option<String> {
    if stat.file_type != FileType::Symlink {
        return None;
    }
    let target = tree.read_link(node);
    Some(target.map_or_else(|error| printable(&chain(&error)), |target| printable_bytes(&target)))
}

/// Type and permissions as `ls` writes them.
fn mode(stat: Stat) -> String {
    let kind = match stat.file_type {
        FileType::Regular => '-',
        FileType::Directory => 'd',
        FileType::Symlink => 'l',
        FileType::CharacterDevice => 'c',
        FileType::BlockDevice => 'b',
        FileType::Fifo => 'p',
        FileType::Socket => 's',
    };
    let mut text = String::from(kind);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = stat.mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (stat.mode & special != 0, bits & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

fn type_name(file_type: FileType) -> &'static str {
    match file_type {
        FileType::Regular => "regular file",
        FileType::Directory => "directory",
        FileType::Symlink => "symbolic link",
        FileType::CharacterDevice => "character device",
        FileType::BlockDevice => "block device",
        FileType::Fifo => "named pipe",
        FileType::Socket => "socket",
    }
}

/// A time in UTC, or its seconds where a calendar has no such year.
fn time(seconds: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok().and_then(|time| time.format(&Rfc3339).ok());
    time.unwrap_or_else(|| seconds.to_string())
}
