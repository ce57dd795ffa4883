//! Read-only runs of bytes: an EBS snapshot, a file, a partition of either.
//!
//! Everything above this module reads through [`Volume`] and nothing else, so a filesystem driver cannot tell a snapshot
//! from an image file. A volume is never written to: no trait here offers it.

use std::fmt::Debug;
use std::ops::Range;

/// A fixed-size, read-only run of bytes.
///
/// `&self` and `Sync`, so that one cached snapshot serves several partitions at once. Reads block: callers in
/// asynchronous code run them on a blocking thread.
pub trait Volume: Debug + Send + Sync {
    /// The size in bytes.
    fn size(&self) -> u64;

    /// Fills `dst` with the bytes that start at `offset`. A read that does not fit is an error, never a short read.
    fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<(), VolumeError>;

    /// Says that these byte ranges will be read soon, so that they can be fetched together. A hint: it never fails, and
    /// doing nothing is right wherever reading is cheap.
    fn prefetch(&self, _ranges: &[Range<u64>]) {}
}

/// Why bytes of a volume could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
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
}
