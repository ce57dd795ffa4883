//! A volume that counts what is read of it.

use std::collections::BTreeSet;
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use agentless_analyser::fs::{self, FsPath, Tree};
use agentless_analyser::limits::Limits;
use agentless_analyser::volume::{Volume, VolumeError};
use agentless_core::volume::FileVolume;

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

/// Makes so many files in a directory, with names of more than 40 bytes: see [`lookups_in_names`].
pub fn make_names(dir: &Path, count: usize) {
    for index in 0..count {
        File::create(dir.join(name(index))).unwrap();
    }
}

/// How many reads it takes to look up three of the names that [`make_names`] made in the root directory, at least 9,000 of
/// them, and three that are not there.
pub fn lookups_in_names(image: &Path) -> usize {
    let volume = Arc::new(CountingVolume::new(image));
    let limits = Limits::default();
    let tree = Tree::new(Rc::from(fs::open(volume.clone(), &limits).unwrap()), limits);
    let before = volume.reads();
    for index in [0, 4321, 8999] {
        let path = FsPath::new(format!("/{}", name(index)));
        assert!(tree.lookup(&path).unwrap().is_some());
        assert!(tree.lookup(&path.join("../absent")).unwrap().is_none());
    }
    volume.reads() - before
}

fn name(index: usize) -> String {
    format!("{index}-ä-{}", "n".repeat(40))
}
