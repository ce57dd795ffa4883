//! An image file as a source of blocks that counts what is fetched of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agentless_cache::{BlockError, BlockSource};
use bytes::Bytes;
use rustix::fs::{SeekFrom, seek};
use sha2::{Digest, Sha256};

/// The size of a block of an EBS snapshot.
pub const BLOCK: u32 = 512 << 10;

/// The blocks of an image. None of them is a hole: each counts as on a disk of which everything was written once.
#[derive(Debug)]
pub struct ImageBlocks {
    image: File,
    size: u64,
    latency: Duration,
    is_hashed: bool,
    fetches: Arc<Fetches>,
}

/// How often each block was fetched.
#[derive(Debug, Default)]
pub struct Fetches(Mutex<BTreeMap<u64, u64>>);

impl ImageBlocks {
    /// The blocks of `image`, each of which arrives `latency` after it was asked for.
    pub fn open(image: &Path, latency: Duration) -> Self {
        let file = File::open(image).unwrap();
        let size = file.metadata().unwrap().len();
        Self { image: file, size, latency, is_hashed: false, fetches: Arc::default() }
    }

    /// The same, with the cost of verifying each block.
    #[must_use]
    pub fn hashed(self) -> Self {
        Self { is_hashed: true, ..self }
    }

    /// What is fetched from now on.
    pub fn fetches(&self) -> Arc<Fetches> {
        Arc::clone(&self.fetches)
    }
}

impl BlockSource for ImageBlocks {
    fn block_size(&self) -> u32 {
        BLOCK
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn contains(&self, index: u64) -> bool {
        index < self.size.div_ceil(u64::from(BLOCK))
    }

    async fn fetch(&self, index: u64) -> Result<Bytes, BlockError> {
        *self.fetches.0.lock().unwrap().entry(index).or_default() += 1;
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
        // The last block of an image whose size is no multiple of a block's.
        let start = index * u64::from(BLOCK);
        let length = u64::from(BLOCK).min(self.size - start);
        let mut block = vec![0; usize::try_from(BLOCK).unwrap()];
        self.image
            .read_exact_at(&mut block[..usize::try_from(length).unwrap()], start)
            .map_err(BlockError::new)?;
        if self.is_hashed {
            std::hint::black_box(Sha256::digest(&block));
        }
        Ok(block.into())
    }
}

/// The blocks of an image of which anything was written, as `ListSnapshotBlocks` lists those of a snapshot: all others are
/// holes of the file.
pub fn written(image: &Path) -> BTreeSet<u64> {
    let file = File::open(image).unwrap();
    file.sync_all().unwrap();
    let size = file.metadata().unwrap().len();
    let seek = |to: SeekFrom| seek(&file, to).ok().filter(|&offset| offset < size);
    let mut blocks = BTreeSet::new();
    let mut next = seek(SeekFrom::Data(0));
    while let Some(start) = next {
        let end = seek(SeekFrom::Hole(start)).unwrap_or(size);
        blocks.extend(start / u64::from(BLOCK)..end.div_ceil(u64::from(BLOCK)));
        next = seek(SeekFrom::Data(end));
    }
    blocks
}

impl Fetches {
    /// The blocks that were fetched.
    pub fn blocks(&self) -> BTreeSet<u64> {
        self.0.lock().unwrap().keys().copied().collect()
    }

    /// How many fetches were not the first of their block.
    pub fn repeated(&self) -> u64 {
        self.0.lock().unwrap().values().map(|count| count - 1).sum()
    }
}
