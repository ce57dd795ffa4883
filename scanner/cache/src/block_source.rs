//! Where the blocks of a volume come from.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

/// A disk that is fetched in blocks, such as an EBS snapshot.
///
/// A source only fetches and checks: keeping blocks, sharing one fetch between readers and counting are the work of
/// [`CachedVolume`](super::CachedVolume).
pub trait BlockSource: fmt::Debug + Send + Sync + 'static {
    /// The size of every block in bytes. Never zero, and never changes.
    fn block_size(&self) -> u32;

    /// The size of the disk in bytes. Never changes.
    fn size(&self) -> u64;

    /// Whether the disk has bytes for this block. One that it does not have is all zeros and is never fetched.
    fn contains(&self, index: u64) -> bool;

    /// Whether the bytes of this block are here already: then fetching it moves none, and it does not count as fetched.
    fn is_here(&self, _index: u64) -> bool {
        false
    }

    /// The bytes of one block, exactly [`block_size`](Self::block_size) of them, verified.
    fn fetch(&self, index: u64) -> impl Future<Output = Result<Bytes, BlockError>> + Send;
}

/// Why a block could not be fetched. Cheap to copy: every reader that waited for the block gets it.
#[derive(Clone, Debug)]
pub struct BlockError(Arc<dyn Error + Send + Sync>);

impl BlockError {
    /// Wraps what a source reports.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Arc::from(source.into()))
    }
}

impl fmt::Display for BlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for BlockError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}
