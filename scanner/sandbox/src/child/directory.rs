//! A directory of the machine, which the scanner reads.

use std::ops::ControlFlow;
use std::sync::Arc;

use agentless_core::fs::{DirEntry, FileSystem, FsError, Identity, Inode, Journal, Stat, Xattr};

use super::link::Link;
use crate::protocol::frame::{Frame, MOST_BYTES, WireError};
use crate::protocol::message::{DirectoryAnswer, DirectoryRequest, FromChild, ToChild};

/// A directory that is asked about, question by question.
#[derive(Debug)]
pub(super) struct RemoteDirectory {
    link: Arc<Link>,
    root: Inode,
}

impl RemoteDirectory {
    pub(super) fn new(link: Arc<Link>, root: Inode) -> Self {
        Self { link, root }
    }

    fn ask(&self, request: DirectoryRequest) -> Result<DirectoryAnswer, FsError> {
        answer_of(self.link.ask(&FromChild::Directory(request)))
    }
}

fn answer_of(frame: Result<Frame<ToChild>, WireError>) -> Result<DirectoryAnswer, FsError> {
    match frame.map_err(|error| failed(&error))? {
        Frame::Message(ToChild::Directory(answer)) => Ok(answer),
        Frame::Message(ToChild::Failed { reason }) => Err(FsError::Remote { reason }),
        _ => Err(wrong_answer()),
    }
}

fn failed(error: &WireError) -> FsError {
    FsError::Remote { reason: agentless_core::chain(error) }
}

fn wrong_answer() -> FsError {
    failed(&WireError::protocol("an answer to another question"))
}

impl FileSystem for RemoteDirectory {
    fn kind(&self) -> &'static str {
        "directory"
    }

    /// The kernel has replayed what there was to replay.
    fn journal(&self) -> Journal {
        Journal::Clean
    }

    fn identity(&self) -> Identity {
        Identity::default()
    }

    fn root(&self) -> Inode {
        self.root
    }

    fn stat(&self, inode: Inode) -> Result<Stat, FsError> {
        match self.ask(DirectoryRequest::Stat(inode))? {
            DirectoryAnswer::Stat(stat) => Ok(stat),
            _ => Err(wrong_answer()),
        }
    }

    fn read_dir(
        &self,
        dir: Inode,
        visit: &mut dyn FnMut(DirEntry<'_>) -> ControlFlow<()>,
    ) -> Result<(), FsError> {
        // All of it before the first entry is shown: whoever looks at it may ask for something else, and the answer to that
        // would stand behind the rest.
        let mut parts = Vec::new();
        let mut answer = self.ask(DirectoryRequest::Entries(dir))?;
        loop {
            let DirectoryAnswer::Entries { entries, more } = answer else { return Err(wrong_answer()) };
            parts.push(entries);
            if !more {
                break;
            }
            answer = answer_of(self.link.more())?;
        }
        for (name, inode, file_type) in parts.iter().flatten() {
            if visit(DirEntry { name, inode: *inode, file_type: *file_type }).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn lookup(&self, dir: Inode, name: &[u8]) -> Result<Option<Inode>, FsError> {
        match self.ask(DirectoryRequest::Lookup(dir, name.to_vec()))? {
            DirectoryAnswer::Found(found) => Ok(found),
            _ => Err(wrong_answer()),
        }
    }

    fn read(&self, inode: Inode, offset: u64, dst: &mut [u8]) -> Result<usize, FsError> {
        let mut done = 0_usize;
        for part in dst.chunks_mut(MOST_BYTES) {
            let offset = offset.saturating_add(agentless_core::number::to_u64(done));
            let length = u32::try_from(part.len()).map_err(|_| wrong_answer())?;
            let request = FromChild::Directory(DirectoryRequest::Read { inode, offset, length });
            let bytes = match self.link.ask(&request).map_err(|error| failed(&error))? {
                Frame::Bytes(bytes) => bytes,
                Frame::Message(ToChild::Failed { reason }) => return Err(FsError::Remote { reason }),
                Frame::Message(_) => return Err(wrong_answer()),
            };
            part.get_mut(..bytes.len()).ok_or_else(wrong_answer)?.copy_from_slice(&bytes);
            done = done.saturating_add(bytes.len());
            if bytes.len() < part.len() {
                break;
            }
        }
        Ok(done)
    }

    fn read_link(&self, inode: Inode) -> Result<Vec<u8>, FsError> {
        match self.ask(DirectoryRequest::Link(inode))? {
            DirectoryAnswer::Link(target) => Ok(target),
            _ => Err(wrong_answer()),
        }
    }

    fn xattrs(
        &self,
        inode: Inode,
        visit: &mut dyn FnMut(Xattr<'_>) -> ControlFlow<()>,
    ) -> Result<(), FsError> {
        let DirectoryAnswer::Attributes(attributes) = self.ask(DirectoryRequest::Attributes(inode))? else {
            return Err(wrong_answer());
        };
        for (name, value) in &attributes {
            if visit(Xattr { name, value }).is_break() {
                break;
            }
        }
        Ok(())
    }
}
