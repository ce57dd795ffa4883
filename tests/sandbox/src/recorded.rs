//! A volume that remembers what was asked of it.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;

use agentless_core::volume::{Volume, VolumeError};

/// A volume of sevens.
#[derive(Debug)]
pub struct Recorded {
    size: u64,
    reads: AtomicU64,
    hints: Mutex<Vec<Range<u64>>>,
    told: Option<Sender<()>>,
}

impl Recorded {
    /// A volume of `size` bytes. Each read is told to `told`.
    pub fn new(size: u64, told: Option<Sender<()>>) -> Self {
        Self { size, reads: AtomicU64::new(0), hints: Mutex::default(), told }
    }

    /// How often it was read.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// The ranges that were said to be needed soon, the first few of them.
    pub fn hints(&self) -> Vec<Range<u64>> {
        self.hints.lock().unwrap().clone()
    }
}

impl Volume for Recorded {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<(), VolumeError> {
        VolumeError::check_range(offset, dst.len(), self.size)?;
        self.reads.fetch_add(1, Ordering::Relaxed);
        if let Some(told) = &self.told {
            // Nobody may want to know any more.
            let _ = told.send(());
        }
        dst.fill(7);
        Ok(())
    }

    fn prefetch(&self, ranges: &[Range<u64>]) {
        let mut hints = self.hints.lock().unwrap();
        let room = 10_usize.saturating_sub(hints.len());
        hints.extend(ranges.iter().take(room).cloned());
    }
}
