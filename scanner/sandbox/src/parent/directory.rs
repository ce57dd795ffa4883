//! Answers about a directory of this machine: the kernel reads it here, and nobody looks at what it says.

use std::io::{Read, Write};
use std::ops::ControlFlow;

use agentless_core::chain;
use agentless_core::fs::{FileSystem, FsError};
use agentless_core::limits::Limits;
use agentless_core::number::to_usize;

use crate::protocol::frame::{Connection, MOST_BYTES, WireError};
use crate::protocol::message::{DirectoryAnswer, DirectoryRequest, ToChild};

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

fn attributes(
    directory: &dyn FileSystem,
    inode: agentless_core::fs::Inode,
) -> Result<DirectoryAnswer, FsError> {
    let (mut attributes, mut room) = (Vec::new(), MOST_BYTES / 2);
    directory.xattrs(inode, &mut |attribute| {
        let length = attribute.name.len().saturating_add(attribute.value.len());
        match room.checked_sub(length) {
            Some(left) => {
                room = left;
                attributes.push((attribute.name.to_vec(), attribute.value.to_vec()));
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(()),
        }
    })?;
    Ok(DirectoryAnswer::Attributes(attributes))
}

/// Sends the entries of a directory in as many messages as they need.
fn send_entries<S: Read + Write>(
    directory: &dyn FileSystem,
    dir: agentless_core::fs::Inode,
    limits: &Limits,
    connection: &mut Connection<S>,
) -> Result<(), WireError> {
    /// Entries of one message. A name has at most 255 bytes.
    const AT_ONCE: usize = 1000;

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
    let mut rest = entries.into_iter();
    loop {
        let part: Vec<_> = rest.by_ref().take(AT_ONCE).collect();
        let more = rest.len() > 0;
        connection.send(&ToChild::Directory(DirectoryAnswer::Entries { entries: part, more }))?;
        if !more {
            return Ok(());
        }
    }
}
