//! Our side: a driver over the cache over the blocks of an image, as in a scan of a snapshot.

use std::num::NonZeroUsize;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use agentless_disk_tests::image_blocks::{Fetches, ImageBlocks};
use agentless_scanner::fs::{self, FileSystem};
use agentless_scanner::limits::Limits;
use agentless_scanner::volume::{CacheOptions, CachedVolume};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// Blocks that are fetched at the same time, as in a scan.
const CONCURRENCY: NonZeroUsize = NonZeroUsize::new(64).expect("64 is not zero");
/// Bytes of blocks kept in memory, as in a scan.
const MEMORY: u64 = 16 << 20;

/// What fetches for filesystems.
#[derive(Debug)]
pub(crate) struct Scanner(Runtime);

impl Scanner {
    pub(crate) fn new() -> Self {
        Self(Runtime::new().unwrap())
    }

    /// The filesystem of an image, of which nothing was read yet, and what is fetched of it.
    pub(crate) fn open(&self, image: &Path, latency: Duration) -> (Rc<dyn FileSystem>, Arc<Fetches>) {
        let blocks = ImageBlocks::open(image, latency);
        let fetches = blocks.fetches();
        let options = CacheOptions {
            concurrency: CONCURRENCY,
            memory: MEMORY,
            cancel: CancellationToken::new(),
            traffic: Arc::default(),
        };
        let volume = CachedVolume::new(blocks, options, self.0.handle().clone());
        (Rc::from(fs::open(Arc::new(volume), &Limits::default()).unwrap()), fetches)
    }
}
