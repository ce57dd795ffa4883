//! A disk of which a few bits are wrong.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use agentless_analyser::volume::{Volume, VolumeError};
use rustix::fs::{SeekFrom, seek};

const BLOCK: usize = 4096;
const BLOCK_BYTES: u64 = 4096;

/// What a disk holds, without its zeros.
#[derive(Debug)]
pub(crate) struct Content {
    size: u64,
    /// The blocks that are not zero, by number.
    blocks: BTreeMap<u64, Box<[u8; BLOCK]>>,
}

impl Content {
    /// What the image holds.
    pub(crate) fn read(image: &Path) -> Self {
        let file = File::open(image).unwrap();
        let size = file.metadata().unwrap().len();
        let mut blocks = BTreeMap::new();
        let mut at = 0;
        while let Ok(data) = seek(&file, SeekFrom::Data(at)) {
            let end = seek(&file, SeekFrom::Hole(data)).unwrap();
            for number in data / BLOCK_BYTES..end.div_ceil(BLOCK_BYTES) {
                let mut block = Box::new([0; BLOCK]);
                let length = usize::try_from(size - number * BLOCK_BYTES).unwrap().min(BLOCK);
                file.read_exact_at(&mut block[..length], number * BLOCK_BYTES).unwrap();
                if *block != [0; BLOCK] {
                    blocks.insert(number, block);
                }
            }
            at = end;
        }
        Self { size, blocks }
    }
}

/// A disk with other bits than its content has, which counts what is read.
#[derive(Debug)]
pub(crate) struct Flipped {
    content: Arc<Content>,
    /// The numbers of the changed bytes, and what they are combined with.
    flips: Vec<(u64, u8)>,
    reads: AtomicU64,
    bytes: AtomicU64,
}

impl Flipped {
    /// The disk as it is.
    pub(crate) fn none(content: &Arc<Content>) -> Self {
        Self::with(content, Vec::new())
    }

    /// Flips one to eight bits, always the same for the same seed, in blocks that are not zero.
    pub(crate) fn new(content: &Arc<Content>, seed: usize) -> Self {
        let mut state = u64::try_from(seed).unwrap().wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        // Xorshift64*.
        let mut random = |below: u64| {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % below
        };
        let count = u64::try_from(content.blocks.len()).unwrap();
        let flips = (0..=random(8))
            .map(|_| {
                let block = content.blocks.keys().nth(usize::try_from(random(count)).unwrap()).unwrap();
                (block * BLOCK_BYTES + random(BLOCK_BYTES), 1 << random(8))
            })
            .collect();
        Self::with(content, flips)
    }

    fn with(content: &Arc<Content>, flips: Vec<(u64, u8)>) -> Self {
        Self { content: Arc::clone(content), flips, reads: AtomicU64::new(0), bytes: AtomicU64::new(0) }
    }

    /// Which bits are wrong: the positions of their bytes, and the bits.
    pub(crate) fn flips(&self) -> &[(u64, u8)] {
        &self.flips
    }

    /// How often it was read, and how many bytes.
    pub(crate) fn work(&self) -> (u64, u64) {
        (self.reads.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

impl Volume for Flipped {
    fn size(&self) -> u64 {
        self.content.size
    }

    fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<(), VolumeError> {
        let length = u64::try_from(dst.len()).unwrap();
        let end = offset.checked_add(length).filter(|&end| end <= self.content.size);
        let Some(end) = end else {
            return Err(VolumeError::OutOfRange { offset, len: length, size: self.content.size });
        };
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(length, Ordering::Relaxed);
        dst.fill(0);
        for (number, block) in self.content.blocks.range(offset / BLOCK_BYTES..end.div_ceil(BLOCK_BYTES)) {
            let start = number * BLOCK_BYTES;
            let (from, to) = (start.max(offset), (start + BLOCK_BYTES).min(end));
            let [into, of] = [offset, start].map(|base| {
                let [from, to] = [from, to].map(|at| usize::try_from(at - base).unwrap());
                from..to
            });
            dst[into].copy_from_slice(&block[of]);
        }
        for &(at, bit) in self.flips.iter().filter(|(at, _)| (offset..end).contains(at)) {
            dst[usize::try_from(at - offset).unwrap()] ^= bit;
        }
        Ok(())
    }
}
