//! A filesystem of an image as a scan reads it of a snapshot: a driver over the cache over blocks.

use std::num::NonZeroUsize;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use agentless_analyser::fs::{self, FileSystem};
use agentless_analyser::limits::Limits;
use agentless_analyser::volume::Volume;
use agentless_cache::{CacheOptions, CachedVolume};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::image_blocks::{Fetches, ImageBlocks};

/// Fetches the blocks of images; what it opened reads as long as it lives.
#[derive(Debug)]
pub struct Scanner {
    runtime: Runtime,
    memory: u64,
    latency: Duration,
}

/// Blocks that are fetched at the same time, as in a scan.
const CONCURRENCY: NonZeroUsize = NonZeroUsize::new(64).expect("64 is not zero");

impl Scanner {
    /// One with as much memory as a scan has for a volume, and without latency.
    #[expect(clippy::new_without_default, reason = "it starts threads")]
    pub fn new() -> Self {
        Self { runtime: Runtime::new().unwrap(), memory: 16 << 20, latency: Duration::ZERO }
    }

    /// With room for so many bytes of blocks in memory.
    #[must_use]
    pub fn with_memory(self, memory: u64) -> Self {
        Self { memory, ..self }
    }

    /// With a latency for each block.
    #[must_use]
    pub fn with_latency(self, latency: Duration) -> Self {
        Self { latency, ..self }
    }

    /// The filesystem of an image, of which nothing was read yet, and what is fetched of it.
    pub fn open(&self, image: &Path) -> (Rc<dyn FileSystem>, Arc<Fetches>) {
        let blocks = ImageBlocks::open(image, self.latency);
        let fetches = blocks.fetches();
        (Rc::from(fs::open(self.cached(blocks), &Limits::default()).unwrap()), fetches)
    }

    /// An image as a volume of which nothing was read yet. Each block is hashed when it arrives, as those of a snapshot
    /// are, and costs as much as one of them.
    pub fn verified(&self, image: &Path) -> Arc<dyn Volume> {
        self.cached(ImageBlocks::open(image, self.latency).hashed())
    }

    fn cached(&self, blocks: ImageBlocks) -> Arc<dyn Volume> {
        let limits = Limits::default();
        let options = CacheOptions {
            concurrency: CONCURRENCY,
            memory: self.memory,
            prefetched: limits.prefetched_blocks,
            hinted: limits.hinted_blocks,
            cancel: CancellationToken::new(),
            traffic: Arc::default(),
        };
        Arc::new(CachedVolume::new(blocks, options, self.runtime.handle().clone()))
    }
}
