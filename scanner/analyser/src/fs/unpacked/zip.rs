//! Zip archives, unpacked.

use std::sync::Arc;

use super::inflated::Inflated;
use super::names::{Content, Names, Node, ROOT};
use crate::archive::Allowance;
use crate::archive::zip::{Archive, Entry, Place};
use crate::fs::{FileType, FsError, FsPath};
use crate::limits::Limits;
use crate::read_at::ReadAt;
use crate::volume::Volume;
use crate::volume::bytes::{to_u64, to_usize};

/// A zip with what reading it may still cost.
#[derive(Debug)]
pub(super) struct Zip {
    archive: Archive<Whole>,
    volume: Arc<dyn Volume>,
    allowance: Allowance,
}

/// All bytes of a volume.
#[derive(Debug)]
struct Whole(Arc<dyn Volume>);

impl ReadAt for Whole {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<usize, FsError> {
        let most = to_usize(self.0.size().saturating_sub(offset)).min(dst.len());
        let dst = dst.get_mut(..most).unwrap_or_default();
        if !dst.is_empty() {
            self.0.read_at(offset, dst)?;
        }
        Ok(most)
    }
}

/// What the content of an entry is read from.
#[derive(Debug)]
pub(super) enum Data {
    /// It is stored at this place of the volume.
    Stored(u64),
    Deflated(Inflated),
}

impl Zip {
    pub(super) fn open(volume: Arc<dyn Volume>, limits: &Limits) -> Result<Self, FsError> {
        let allowance = Allowance::new(limits);
        let archive = Archive::read(Whole(Arc::clone(&volume)), &allowance)?;
        Ok(Self { archive, volume, allowance })
    }

    pub(super) fn volume(&self) -> &dyn Volume {
        &*self.volume
    }

    /// Unpacks the names of what is in it into the directory `at`. What cannot be unpacked is told to `refuse`; an error
    /// means that the rest cannot be.
    pub(super) fn list(
        &self,
        (archive, at): (u32, &FsPath),
        names: &mut Names,
        refuse: &mut dyn FnMut(&[u8], &FsError),
    ) -> Result<(), FsError> {
        for problem in self.archive.problems() {
            refuse(b"", problem);
        }
        // The directory that it is unpacked in is there, whatever the archive has.
        names.put(ROOT, at, Node::directory(archive))?;
        let place = at.components().try_fold(ROOT, |here, name| names.child(here, name));
        let place = place.ok_or(FsError::NOT_A_DIRECTORY)?;
        for (entry, index) in self.archive.entries().iter().zip(0..) {
            if entry.is_superseded() {
                continue;
            }
            let unpacked =
                self.node(entry, archive, index).and_then(|node| names.put(place, entry.path(), node));
            if let Err(error) = unpacked {
                if matches!(error, FsError::Limit { .. }) {
                    return Err(error);
                }
                refuse(entry.path().as_relative_bytes(), &error);
            }
        }
        Ok(())
    }

    fn node(&self, entry: &Entry, archive: u32, index: u64) -> Result<Node, FsError> {
        /// Where a zip was made on a system without modes, nothing says which files are programs. All may be, so that those
        /// that look for programs look at them.
        const DEFAULT: u16 = 0o755;

        let mode = entry.mode().map_or(DEFAULT, |mode| mode & 0o7777);
        if entry.is_dir() {
            return Ok(Node::new(archive, FileType::Directory, mode, Content::Nothing));
        }
        if entry.is_symlink() {
            let most = to_u64(self.allowance.limits().path_bytes);
            let target = self.archive.read_all(entry, most, &self.allowance)?;
            return Ok(Node::new(archive, FileType::Symlink, 0o777, Content::Target(target)));
        }
        Ok(Node::new(archive, FileType::Regular, mode, Content::At(index)).with_size(entry.size()))
    }

    /// The whole content of an entry, compared with its checksum.
    pub(super) fn read_all(&self, index: u64, most: u64) -> Result<Vec<u8>, FsError> {
        self.archive.read_all(self.entry(index)?, most, &self.allowance)
    }

    /// The content of an entry that is too large to be kept. Its checksum is not looked at: nobody reads all of it.
    pub(super) fn data(&self, index: u64) -> Result<Data, FsError> {
        Ok(match self.archive.place_of(self.entry(index)?, &self.allowance)? {
            Place::Stored(range) => Data::Stored(range.start),
            Place::Deflated(range) => Data::Deflated(Inflated::raw(Arc::clone(&self.volume), range)),
        })
    }

    fn entry(&self, index: u64) -> Result<&Entry, FsError> {
        let entry = self.archive.entries().get(to_usize(index));
        entry.ok_or(FsError::Invalid { problem: "an entry that the archive does not have" })
    }
}
