//! A volume that counts what is read of it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use agentless_scanner::volume::{FileVolume, Volume, VolumeError};

/// Counts the 512 KiB blocks of a volume that are read: each of them is one request to the EBS direct APIs.
#[derive(Debug)]
pub struct CountingVolume {
    inner: FileVolume,
    touched: Mutex<BTreeSet<u64>>,
    prefetched: Mutex<BTreeSet<u64>>,
    reads: AtomicUsize,
}

const SNAPSHOT_BLOCK: u64 = 512 << 10;

impl CountingVolume {
    /// Counts what is read of `image`.
    pub fn new(image: &Path) -> Self {
        let inner = FileVolume::open(image).unwrap();
        Self { inner, touched: Mutex::default(), prefetched: Mutex::default(), reads: AtomicUsize::new(0) }
    }

    /// How many blocks were read.
    pub fn touched(&self) -> usize {
        self.touched.lock().unwrap().len()
    }

    /// How many times anything was read.
    pub fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }

    /// How many blocks were prefetched that nobody read.
    pub fn prefetched_in_vain(&self) -> usize {
        self.prefetched.lock().unwrap().difference(&self.touched.lock().unwrap()).count()
    }
}

fn snapshot_blocks(range: Range<u64>) -> Range<u64> {
    range.start / SNAPSHOT_BLOCK..range.end.div_ceil(SNAPSHOT_BLOCK)
}

impl Volume for CountingVolume {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<(), VolumeError> {
        let end = offset + u64::try_from(dst.len()).unwrap();
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.touched.lock().unwrap().extend(snapshot_blocks(offset..end));
        self.inner.read_at(offset, dst)
    }

    fn prefetch(&self, ranges: &[Range<u64>]) {
        for range in ranges {
            self.prefetched.lock().unwrap().extend(snapshot_blocks(range.clone()));
        }
    }
}
