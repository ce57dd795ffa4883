//! Payloads that are kept for people to look at: nobody sends them.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::Disk;

/// A directory of such payloads, each with its reason beside it, the oldest of which go when there are too many.
#[derive(Debug)]
pub(super) struct Aside {
    directory: PathBuf,
    limit: u64,
}

impl Aside {
    /// At most `limit` bytes in this directory.
    pub(super) fn new(directory: PathBuf, limit: u64) -> Self {
        Self { directory, limit }
    }

    /// Moves a file here.
    pub(super) fn keep(&self, disk: &Disk, from: &Path, name: &str, reason: &str) -> io::Result<()> {
        disk.make_directory(&self.directory)?;
        match disk.rename(from, &self.directory.join(name)) {
            // Somebody deleted it: there is nothing to keep.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        }
        // Without a reason it is kept all the same; the log has it too.
        let reason = format!("{reason}\n");
        let _ = disk.write(&self.directory, &format!("{name}.reason"), &[reason.as_bytes()]);
        self.make_room(disk)
    }

    fn make_room(&self, disk: &Disk) -> io::Result<()> {
        let mut files = disk.list(&self.directory)?;
        // Names begin with the payload's number, so that a reason follows its payload.
        files.sort_unstable();
        let mut bytes =
            files.iter().fold(0_u64, |sum, (_, length)| sum.saturating_add(super::on_disk(*length)));
        let mut count = files.len();
        for (name, length) in files {
            if bytes <= self.limit && count <= MOST_FILES {
                break;
            }
            disk.remove(&self.directory.join(&name))?;
            tracing::info!(file = name, directory = %self.directory.display(), "deleted, to make room");
            bytes = bytes.saturating_sub(super::on_disk(length));
            count = count.saturating_sub(1);
        }
        Ok(())
    }
}

const MOST_FILES: usize = 2000;
