//! What a volume is, and why one could not be read.

use std::fmt::Debug;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// A fixed-size, read-only run of bytes.
///
/// `&self` and `Sync`, so that one cached snapshot serves several partitions at once. Reads block: callers in
/// asynchronous code run them on a blocking thread.
pub trait Volume: Debug + Send + Sync {
    /// The size in bytes.
    fn size(&self) -> u64;

    /// The size in bytes of the pieces that it is best read in: a whole one costs about as much as a part of it.
    fn piece(&self) -> u32 {
        /// As much as a disk reads at about the cost of a sector.
        const PIECE: u32 = 128 << 10;
        PIECE
    }

    /// Fills `dst` with the bytes that start at `offset`. A read that does not fit is an error, never a short read.
    fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<(), VolumeError>;

    /// Says that these byte ranges will be read soon, so that they can be fetched together. A hint: it never fails, and
    /// doing nothing is right wherever reading is cheap.
    fn prefetch(&self, _ranges: &[Range<u64>]) {}
}

impl<V: Volume + ?Sized> Volume for Arc<V> {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn piece(&self) -> u32 {
        (**self).piece()
    }

    fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<(), VolumeError> {
        (**self).read_at(offset, dst)
    }

    fn prefetch(&self, ranges: &[Range<u64>]) {
        (**self).prefetch(ranges);
    }
}

/// Why bytes of a volume could not be read.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// The read begins or ends outside the volume. On a disk image this is what an image cut short looks like.
    #[error("read of {len} bytes at offset {offset} is outside the volume of {size} bytes")]
    OutOfRange {
        /// First byte asked for.
        offset: u64,
        /// How many bytes were asked for.
        len: u64,
        /// The size of the volume.
        size: u64,
    },
    /// An image file or a block device could not be opened.
    #[error("could not open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// What was given as an image holds no bytes to read: a directory, a socket, a terminal.
    #[error("{} is neither a file nor a block device", path.display())]
    NotADisk {
        /// The file.
        path: PathBuf,
    },
    /// The operating system could not read a local file or device.
    #[error("could not read {len} bytes at offset {offset}")]
    Io {
        /// First byte asked for.
        offset: u64,
        /// How many bytes were asked for.
        len: u64,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A block of a snapshot could not be fetched.
    #[error("could not fetch block {index}")]
    Block {
        /// Index of the block in the snapshot.
        index: u64,
        /// What the block source said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Who has the bytes could not read them, in its own words.
    #[error("{reason}")]
    Remote {
        /// Why not.
        reason: String,
    },
    /// What says where the bytes of a volume made of others are, such as the mapping tree of a thin pool, does not say it.
    #[error("could not find out where {len} bytes at offset {offset} are stored")]
    Unmapped {
        /// First byte asked for.
        offset: u64,
        /// How many bytes were asked for.
        len: u64,
        /// What is wrong with the mapping.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl VolumeError {
    /// Bytes whose place could not be found out.
    pub fn unmapped(
        offset: u64,
        len: usize,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Unmapped { offset, len: crate::number::to_u64(len), source: source.into() }
    }

    /// Checks that a read lies inside a volume of `size` bytes: the first line of every [`Volume::read_at`].
    pub fn check_range(offset: u64, len: usize, size: u64) -> Result<(), Self> {
        let len = crate::number::to_u64(len);
        match offset.checked_add(len) {
            Some(end) if end <= size => Ok(()),
            _ => Err(Self::OutOfRange { offset, len, size }),
        }
    }
}
