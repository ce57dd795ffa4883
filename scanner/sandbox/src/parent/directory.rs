//! Answers about a directory of this machine: the kernel reads it here, and nobody looks at what it says.

use std::io::{Read, Write};
use std::ops::ControlFlow;

use agentless_core::chain;
use agentless_core::fs::{FileSystem, FsError, Inode};
use agentless_core::limits::Limits;
use agentless_core::number::to_usize;

use crate::protocol::frame::{Connection, MOST_BYTES, WireError};
use crate::protocol::message::{DirectoryAnswer, DirectoryRequest, ToChild};
use crate::protocol::part::{MOST_ITEM_BYTES, batches, encoded_length};

/// Answers one request.
pub(super) fn answer<S: Read + Write>(
    directory: &dyn FileSystem,
    request: DirectoryRequest,
    limits: &Limits,
    connection: &mut Connection<S>,
) -> Result<(), WireError> {
    let answered = match request {
        DirectoryRequest::Stat(inode) => directory.stat(inode).map(DirectoryAnswer::Stat),
        DirectoryRequest::Lookup(dir, name) => directory.lookup(dir, &name).map(DirectoryAnswer::Found),
        DirectoryRequest::Link(inode) => directory.read_link(inode).map(DirectoryAnswer::Link),
        DirectoryRequest::Attributes(inode) => attributes(directory, inode),
        DirectoryRequest::Entries(dir) => return send_entries(directory, dir, limits, connection),
        DirectoryRequest::Read { inode, offset, length } => {
            let length = to_usize(length);
            if length > MOST_BYTES {
                return Err(WireError::protocol(format!("a request for {length} bytes of a file at once")));
            }
            let mut bytes = vec![0; length];
            match directory.read(inode, offset, &mut bytes) {
                Ok(count) => return connection.send_bytes(bytes.get(..count).unwrap_or_default()),
                Err(error) => Err(error),
            }
        }
    };
    match answered {
        Ok(answer) => connection.send(&ToChild::Directory(answer)),
        Err(error) => send_error(&error, connection),
    }
}

fn send_error<S: Read + Write>(error: &FsError, connection: &mut Connection<S>) -> Result<(), WireError> {
    connection.send(&ToChild::Failed { reason: chain(error) })
}

/// The extended attributes, which are one message.
fn attributes(directory: &dyn FileSystem, inode: Inode) -> Result<DirectoryAnswer, FsError> {
    let (mut attributes, mut room) = (Vec::new(), Some(MOST_ITEM_BYTES));
    directory.xattrs(inode, &mut |attribute| {
        let attribute = (attribute.name.to_vec(), attribute.value.to_vec());
        room = room.and_then(|room| room.checked_sub(encoded_length(&attribute)));
        attributes.push(attribute);
        if room.is_some() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    match room {
        Some(_) => Ok(DirectoryAnswer::Attributes(attributes)),
        None => Err(FsError::Limit {
            what: "the size of the extended attributes of one file",
            limit: MOST_ITEM_BYTES,
        }),
    }
}

/// Sends the entries of a directory in as many messages as they need.
fn send_entries<S: Read + Write>(
    directory: &dyn FileSystem,
    dir: Inode,
    limits: &Limits,
    connection: &mut Connection<S>,
) -> Result<(), WireError> {
    // One more than are wanted, so that the analyser sees that there are too many.
    let most = to_usize(limits.dir_entries).saturating_add(1);
    let mut entries = Vec::new();
    let listed = directory.read_dir(dir, &mut |entry| {
        entries.push((entry.name.to_vec(), entry.inode, entry.file_type));
        if entries.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    if let Err(error) = listed {
        return send_error(&error, connection);
    }
    let mut parts = batches(entries).peekable();
    loop {
        let entries = parts.next().unwrap_or_default();
        let more = parts.peek().is_some();
        connection.send(&ToChild::Directory(DirectoryAnswer::Entries { entries, more }))?;
        if !more {
            return Ok(());
        }
    }
}
