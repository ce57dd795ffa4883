//! What a volume or snapshot holds: a sparse image file, seen as blocks of 512 KiB.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::SeekFrom;

/// The block size of EBS direct in bytes.
pub const BLOCK_SIZE: u64 = 524_288;

/// The content of a snapshot. It does not change: where the filesystem can (XFS, Btrfs, ZFS), it is a copy-on-write copy of
/// the volume's image; elsewhere it is the image itself, which then must stay as it is, and reads fail if it did not.
#[derive(Debug)]
pub(crate) struct Content {
    file: File,
    path: PathBuf,
    /// Length, modification time and its nanoseconds, where the file is the image itself.
    unchanged: Option<(u64, i64, i64)>,
    allocated: Vec<u32>,
}

impl Content {
    /// The content that the image file has now.
    pub(crate) fn capture(path: &Path) -> io::Result<Self> {
        let image = File::open(path)?;
        let (file, unchanged) = if let Ok(copy) = copy_on_write(&image, path) {
            (copy, None)
        } else {
            let fingerprint = fingerprint(&image.metadata()?);
            (image, Some(fingerprint))
        };
        let allocated = allocated_blocks(&file)?;
        Ok(Self { file, path: path.to_path_buf(), unchanged, allocated })
    }

    /// The indexes of the blocks that hold data, ascending. A block counts as holding data where the image file has any of it
    /// allocated, even if that is zeros: EBS lists what was written, whatever was written.
    pub(crate) fn allocated(&self) -> &[u32] {
        &self.allocated
    }

    /// The bytes of a block. Beyond the image's end there are zeros.
    pub(crate) fn read(&self, index: u32) -> io::Result<Vec<u8>> {
        if self
            .unchanged
            .is_some_and(|before| self.file.metadata().map_or(true, |now| fingerprint(&now) != before))
        {
            return Err(io::Error::other(format!(
                "{} was changed after a snapshot of it was taken; on this filesystem, give the volume another file instead",
                self.path.display()
            )));
        }
        let mut block = vec![0; usize::try_from(BLOCK_SIZE).map_err(io::Error::other)?];
        let mut filled = 0;
        while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let offset = u64::from(index) * BLOCK_SIZE + u64::try_from(filled).map_err(io::Error::other)?;
            match self.file.read_at(rest, offset)? {
                0 => break,
                read => filled += read,
            }
        }
        Ok(block)
    }
}

/// A copy that shares the image's extents, in an unlinked file beside it.
fn copy_on_write(image: &File, path: &Path) -> io::Result<File> {
    let directory =
        path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let copy = tempfile::tempfile_in(directory)?;
    rustix::fs::ioctl_ficlone(&copy, image)?;
    Ok(copy)
}

fn fingerprint(metadata: &Metadata) -> (u64, i64, i64) {
    (metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

fn allocated_blocks(file: &File) -> io::Result<Vec<u32>> {
    let mut blocks: Vec<u32> = Vec::new();
    let mut offset = 0;
    loop {
        let start = match rustix::fs::seek(file, SeekFrom::Data(offset)) {
            Ok(start) => start,
            // No more data.
            Err(rustix::io::Errno::NXIO) => return Ok(blocks),
            Err(error) => return Err(error.into()),
        };
        let end = rustix::fs::seek(file, SeekFrom::Hole(start))?;
        let first = u32::try_from(start / BLOCK_SIZE).map_err(io::Error::other)?;
        let last = u32::try_from(end.saturating_sub(1) / BLOCK_SIZE).map_err(io::Error::other)?;
        let next = blocks.last().map_or(0, |last| last + 1);
        blocks.extend(first.max(next)..=last);
        offset = end;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use super::*;

    #[test]
    fn holes_are_not_listed_and_the_tail_is_padded() {
        let mut image = tempfile::NamedTempFile::new().unwrap();
        image.write_all(b"first").unwrap();
        image.seek(io::SeekFrom::Start(5 * BLOCK_SIZE - 3)).unwrap();
        image.write_all(b"border").unwrap();
        let content = Content::capture(image.path()).unwrap();
        assert_eq!(content.allocated(), [0, 4, 5]);
        assert_eq!(content.read(5).unwrap()[..5], *b"der\0\0");
        assert_eq!(content.read(9).unwrap(), vec![0; 524_288]);
    }

    #[test]
    fn a_snapshot_keeps_its_content_or_refuses() {
        let mut image = tempfile::NamedTempFile::new().unwrap();
        image.write_all(b"before").unwrap();
        let content = Content::capture(image.path()).unwrap();
        image.rewind().unwrap();
        image.write_all(b"after, longer").unwrap();
        match content.read(0) {
            Ok(block) => assert_eq!(block[..6], *b"before"),
            Err(error) => assert!(error.to_string().contains("was changed"), "{error}"),
        }
    }
}
