//! What is asked of a volume.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use agentless_core::volume::{Volume, VolumeError};

/// Counts what an analyser asks for. Each request is a message, and so is each hint.
#[derive(Debug)]
pub(crate) struct Counted {
    inner: Arc<dyn Volume>,
    counts: Arc<Counts>,
}

/// How often, and how much.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    reads: AtomicU64,
    hints: AtomicU64,
    bytes: AtomicU64,
}

impl Counts {
    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    pub(crate) fn hints(&self) -> u64 {
        self.hints.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Counted {
    pub(crate) fn new(inner: Arc<dyn Volume>, counts: Arc<Counts>) -> Self {
        Self { inner, counts }
    }
}

impl Volume for Counted {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    fn piece(&self) -> u32 {
        self.inner.piece()
    }

    fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<(), VolumeError> {
        self.counts.reads.fetch_add(1, Ordering::Relaxed);
        self.counts.bytes.fetch_add(u64::try_from(dst.len()).unwrap(), Ordering::Relaxed);
        self.inner.read_at(offset, dst)
    }

    fn prefetch(&self, ranges: &[Range<u64>]) {
        self.counts.hints.fetch_add(1, Ordering::Relaxed);
        self.inner.prefetch(ranges);
    }
}
