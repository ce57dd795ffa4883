//! Blocks fetched once and kept: the volume that stands between filesystems and a [`BlockSource`].

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::ops::{Range, RangeInclusive};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agentless_core::number::{to_u64, to_usize};
use agentless_core::volume::{Volume, VolumeError};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::spill::{Place, Spill};
use crate::{BlockError, BlockSource};

/// How a [`CachedVolume`] fetches and keeps blocks.
#[derive(Clone, Debug)]
pub struct CacheOptions {
    /// Blocks that are fetched at the same time.
    pub concurrency: NonZeroUsize,
    /// Bytes of blocks kept in memory. Those beyond it go to an unlinked temporary file.
    pub memory: u64,
    /// Hints are taken as long as fewer blocks than this are on their way.
    pub prefetched: usize,
    /// Blocks that are looked at for one hint.
    pub hinted: usize,
    /// Ends every fetch and every read when it is cancelled.
    pub cancel: CancellationToken,
    /// Where what was fetched is counted.
    pub traffic: Arc<Traffic>,
}

/// What was fetched so far. Can be read while a scan runs.
#[derive(Debug, Default)]
pub struct Traffic {
    blocks: AtomicU64,
    bytes: AtomicU64,
}

impl Traffic {
    /// Blocks fetched and verified.
    pub fn blocks(&self) -> u64 {
        self.blocks.load(Ordering::Relaxed)
    }

    /// Bytes of these blocks.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: u64) {
        self.blocks.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// A volume over a [`BlockSource`].
///
/// Each block is fetched at most once at a time, whoever asks for it, and kept for the life of the volume: an eviction
/// that drops blocks makes a walk over an XFS tree fetch more than the whole disk. A failed fetch is not kept, so the
/// next reader tries again. Blocks that the source does not have are zeros and cost nothing.
#[derive(Debug)]
pub struct CachedVolume<S> {
    inner: Arc<Inner<S>>,
    runtime: Handle,
}

#[derive(Debug)]
struct Inner<S> {
    source: S,
    options: CacheOptions,
    permits: Arc<Semaphore>,
    store: Mutex<Store>,
    /// Held by whoever writes to the file: writers of one file wait for each other anyway, in the kernel and on a processor.
    writing: tokio::sync::Mutex<()>,
    /// Whether a block could not be written to the file.
    cannot_spill: AtomicBool,
}

/// A fetch that any number of readers wait for.
type Flight = Shared<BoxFuture<'static, Result<Bytes, BlockError>>>;

/// Which blocks are where. Its lock is held for looking and noting only: bytes are copied, read and written outside.
#[derive(Debug, Default)]
struct Store {
    flights: HashMap<u64, Flight>,
    memory: HashMap<u64, Bytes>,
    /// The blocks in memory that are to stay there, oldest first. The others are being written to the file.
    order: VecDeque<u64>,
    spill: Spill,
}

/// Where a block is.
enum Kept {
    Memory(Bytes),
    File(Place),
}

impl<S: BlockSource> CachedVolume<S> {
    /// A volume that fetches on `runtime`. Its reads block: they belong on threads that are not the runtime's own.
    pub fn new(source: S, options: CacheOptions, runtime: Handle) -> Self {
        let permits = Arc::new(Semaphore::new(options.concurrency.get()));
        let (store, writing) = (Mutex::default(), tokio::sync::Mutex::default());
        let cannot_spill = AtomicBool::default();
        Self { inner: Arc::new(Inner { source, options, permits, store, writing, cannot_spill }), runtime }
    }

    /// What was fetched.
    pub fn traffic(&self) -> &Traffic {
        &self.inner.options.traffic
    }

    /// The blocks that hold `range`, which is not empty and lies inside the volume.
    fn blocks_of(&self, range: &Range<u64>) -> RangeInclusive<u64> {
        let block_size = u64::from(self.inner.source.block_size()).max(1);
        range.start / block_size..=range.end.saturating_sub(1) / block_size
    }

    /// Waits for a block on its way, unless the scan is cancelled.
    fn wait(&self, index: u64, flight: Flight) -> Result<Bytes, VolumeError> {
        let cancelled = self.inner.options.cancel.cancelled();
        let result = self.runtime.block_on(async {
            tokio::select! {
                result = flight => result,
                () = cancelled => Err(BlockError::new("the scan was cancelled")),
            }
        });
        result.map_err(|source| VolumeError::Block { index, source: Box::new(source) })
    }

    /// Copies a part of one block.
    fn read_block(&self, index: u64, start: u64, dst: &mut [u8]) -> Result<(), VolumeError> {
        let failed = |source: std::io::Error| VolumeError::Block { index, source: Box::new(source) };
        let flight = {
            let mut store = self.inner.lock();
            match store.find(index) {
                Some(Kept::Memory(block)) => {
                    drop(store);
                    return copy(&block, start, dst).map_err(failed);
                }
                Some(Kept::File(place)) => {
                    drop(store);
                    return place.read(start, dst).map_err(failed);
                }
                None if !self.inner.source.contains(index) => {
                    dst.fill(0);
                    return Ok(());
                }
                None => self.start(&mut store, index),
            }
        };
        copy(&self.wait(index, flight)?, start, dst).map_err(failed)
    }

    /// Joins the fetch of a block, or starts one.
    fn start(&self, store: &mut Store, index: u64) -> Flight {
        if let Some(flight) = store.flights.get(&index) {
            return flight.clone();
        }
        let inner = Arc::clone(&self.inner);
        let task = self.runtime.spawn(async move { inner.fetch(index).await });
        let inner = Arc::clone(&self.inner);
        let flight = async move {
            task.await.unwrap_or_else(|error| {
                // The task was ended from outside, and could not take its flight off the list.
                inner.lock().flights.remove(&index);
                Err(BlockError::new(error))
            })
        };
        let flight = flight.boxed().shared();
        store.flights.insert(index, flight.clone());
        flight
    }

    /// Starts fetching those of the blocks that are neither here nor on their way.
    fn start_missing(&self, blocks: impl Iterator<Item = u64>) {
        let mut store = self.inner.lock();
        for index in blocks {
            if store.flights.len() >= self.inner.options.prefetched {
                break;
            }
            if !store.holds(index) && self.inner.source.contains(index) {
                drop(self.start(&mut store, index));
            }
        }
    }
}

impl<S: BlockSource> Volume for CachedVolume<S> {
    fn size(&self) -> u64 {
        self.inner.source.size()
    }

    fn piece(&self) -> u32 {
        self.inner.source.block_size()
    }

    fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<(), VolumeError> {
        VolumeError::check_range(offset, dst.len(), self.size())?;
        if dst.is_empty() {
            return Ok(());
        }
        let blocks = self.blocks_of(&(offset..offset.saturating_add(to_u64(dst.len()))));
        let block_size = u64::from(self.inner.source.block_size()).max(1);
        let (mut rest, mut start) = (dst, offset % block_size);
        let window = to_u64(self.inner.options.concurrency.get());
        for index in blocks.clone() {
            // All blocks of a long read are fetched together, as many as may be at a time.
            if blocks.start() != blocks.end() && (index - blocks.start()).is_multiple_of(window) {
                let last = index.saturating_add(window - 1).min(*blocks.end());
                self.start_missing(index..=last);
            }
            let part = rest.len().min(to_usize(block_size - start));
            let Some((now, later)) = rest.split_at_mut_checked(part) else { break };
            self.read_block(index, start, now)?;
            (rest, start) = (later, 0);
        }
        Ok(())
    }

    fn prefetch(&self, ranges: &[Range<u64>]) {
        let size = self.size();
        let inside = ranges.iter().map(|range| range.start..range.end.min(size));
        let blocks = inside.filter(|range| !range.is_empty()).map(|range| self.blocks_of(&range));
        // Many short ranges of one block are the rule: one of them is enough.
        let mut last = None;
        let distinct = blocks.filter(|blocks| last.replace(blocks.clone()) != Some(blocks.clone()));
        self.start_missing(distinct.flatten().take(self.inner.options.hinted));
    }
}

impl<S: BlockSource> Inner<S> {
    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches one block and keeps it.
    async fn fetch(self: &Arc<Self>, index: u64) -> Result<Bytes, BlockError> {
        let fetched = tokio::select! {
            fetched = async {
                let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(BlockError::new)?;
                Ok((self.source.fetch(index).await?, permit))
            } => fetched,
            () = self.options.cancel.cancelled() => Err(BlockError::new("the scan was cancelled")),
        };
        let mut store = self.lock();
        store.flights.remove(&index);
        let (block, permit) = fetched?;
        self.options.traffic.add(to_u64(block.len()));
        let excess = store.keep(index, block.clone(), self.source.block_size(), self.options.memory);
        drop(store);
        if let Some(excess) = excess {
            self.spill(excess, permit);
        }
        Ok(block)
    }

    /// Writes a block to the file and lets it go from memory. Keeps the permit until then: while writing is slower than
    /// fetching, it is writing that sets the pace, and memory stays bounded.
    fn spill(self: &Arc<Self>, (index, block): (u64, Bytes), permit: OwnedSemaphorePermit) {
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            let _only_one = inner.writing.lock().await;
            let writer = Arc::clone(&inner);
            // Fails only where the runtime ends, and with it the volume.
            let _ = tokio::task::spawn_blocking(move || writer.write(index, &block)).await;
            drop(permit);
        });
    }

    fn write(&self, index: u64, block: &[u8]) {
        let place = self.lock().spill.reserve(self.source.block_size());
        let written = place.and_then(|place| place.write(block).map(|()| place));
        let mut store = self.lock();
        store.memory.remove(&index);
        match written {
            Ok(place) => store.spill.note(index, &place),
            // Memory stays bounded and the scan right: the block is fetched again if it is asked for again.
            // A full disk stays full: it is said once.
            Err(error) if !self.cannot_spill.swap(true, Ordering::Relaxed) => {
                tracing::warn!(%error, "a block could not be kept in the directory for temporary files");
            }
            Err(_) => {}
        }
    }
}

impl Store {
    fn holds(&self, index: u64) -> bool {
        self.flights.contains_key(&index) || self.memory.contains_key(&index) || self.spill.contains(index)
    }

    /// Where a block is. `None` if it is not here.
    fn find(&self, index: u64) -> Option<Kept> {
        let in_memory = self.memory.get(&index).map(|block| Kept::Memory(block.clone()));
        in_memory.or_else(|| self.spill.place(index).map(Kept::File))
    }

    /// Keeps a block in memory, and says which one has to leave it for that, if there are too many.
    fn keep(&mut self, index: u64, block: Bytes, block_size: u32, memory: u64) -> Option<(u64, Bytes)> {
        if self.memory.insert(index, block).is_none() {
            self.order.push_back(index);
        }
        let most = to_usize(memory / u64::from(block_size).max(1)).max(1);
        let oldest = if self.order.len() > most { self.order.pop_front()? } else { return None };
        self.memory.get(&oldest).map(|block| (oldest, block.clone()))
    }
}

/// Copies the part of `block` at `start` that fills `dst`.
fn copy(block: &[u8], start: u64, dst: &mut [u8]) -> std::io::Result<()> {
    let start = to_usize(start);
    let source = block.get(start..start.saturating_add(dst.len()));
    dst.copy_from_slice(source.ok_or(std::io::ErrorKind::UnexpectedEof)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const BLOCK: u32 = 512;

    /// A disk in memory whose holes are the blocks of zeros, and that counts what is asked of it.
    #[derive(Debug)]
    struct Fake {
        disk: Vec<u8>,
        fetched: Arc<Mutex<Vec<u64>>>,
        /// How many fetches fail before one succeeds.
        failures: Mutex<u32>,
        latency: Duration,
    }

    impl Fake {
        fn new(disk: Vec<u8>) -> Self {
            Self { disk, fetched: Arc::default(), failures: Mutex::new(0), latency: Duration::ZERO }
        }

        fn block(&self, index: u64) -> &[u8] {
            let start = usize::try_from(index).unwrap() * 512;
            &self.disk[start..start + 512]
        }
    }

    impl BlockSource for Fake {
        fn block_size(&self) -> u32 {
            BLOCK
        }

        fn size(&self) -> u64 {
            to_u64(self.disk.len())
        }

        fn contains(&self, index: u64) -> bool {
            self.block(index).iter().any(|&byte| byte != 0)
        }

        async fn fetch(&self, index: u64) -> Result<Bytes, BlockError> {
            self.fetched.lock().unwrap().push(index);
            tokio::time::sleep(self.latency).await;
            let mut failures = self.failures.lock().unwrap();
            if *failures > 0 {
                *failures -= 1;
                return Err(BlockError::new("no luck"));
            }
            Ok(Bytes::copy_from_slice(self.block(index)))
        }
    }

    fn options(memory: u64) -> CacheOptions {
        CacheOptions {
            concurrency: NonZeroUsize::new(4).unwrap(),
            memory,
            prefetched: usize::MAX,
            hinted: usize::MAX,
            cancel: CancellationToken::new(),
            traffic: Arc::default(),
        }
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap()
    }

    fn patterned(blocks: usize) -> Vec<u8> {
        (0..blocks * 512).map(|at| u8::try_from(at / 512 % 251).unwrap() + 1).collect()
    }

    #[test]
    fn readers_of_one_block_share_one_fetch() {
        let runtime = runtime();
        let mut source = Fake::new(patterned(8));
        source.latency = Duration::from_millis(20);
        let fetched = Arc::clone(&source.fetched);
        let volume = CachedVolume::new(source, options(1 << 20), runtime.handle().clone());
        std::thread::scope(|scope| {
            for reader in 0..16 {
                let volume = &volume;
                scope.spawn(move || {
                    let mut byte = [0];
                    volume.read_at(3 * 512 + reader, &mut byte).unwrap();
                    assert_eq!(byte, [4]);
                });
            }
        });
        assert_eq!(*fetched.lock().unwrap(), [3]);
        assert_eq!((volume.traffic().blocks(), volume.traffic().bytes()), (1, 512));
    }

    #[test]
    fn blocks_beyond_the_memory_bound_are_kept_and_not_fetched_again() {
        let runtime = runtime();
        let source = Fake::new(patterned(64));
        let (disk, fetched) = (source.disk.clone(), Arc::clone(&source.fetched));
        let volume = CachedVolume::new(source, options(4 * 512), runtime.handle().clone());
        for _ in 0..3 {
            let mut all = vec![0; disk.len()];
            volume.read_at(0, &mut all).unwrap();
            assert_eq!(all, disk);
        }
        assert_eq!(fetched.lock().unwrap().len(), 64);
        // A block on its way to the file has a permit.
        let _all = runtime.block_on(volume.inner.permits.acquire_many(4)).unwrap();
        let store = volume.inner.lock();
        assert_eq!(store.memory.len(), 4);
        assert_eq!(store.flights.len(), 0);
    }

    #[test]
    fn holes_are_zeros_and_are_never_fetched() {
        let runtime = runtime();
        let mut disk = patterned(4);
        disk[512..1536].fill(0);
        let source = Fake::new(disk.clone());
        let fetched = Arc::clone(&source.fetched);
        let volume = CachedVolume::new(source, options(1 << 20), runtime.handle().clone());
        let mut all = vec![7; disk.len()];
        volume.read_at(0, &mut all).unwrap();
        assert_eq!(all, disk);
        assert_eq!(BTreeSet::from_iter(fetched.lock().unwrap().clone()), BTreeSet::from([0, 3]));
    }

    #[test]
    fn a_failure_is_reported_and_not_remembered() {
        let runtime = runtime();
        let source = Fake::new(patterned(2));
        *source.failures.lock().unwrap() = 1;
        let volume = CachedVolume::new(source, options(1 << 20), runtime.handle().clone());
        let mut byte = [0];
        let error = volume.read_at(512, &mut byte).unwrap_err();
        assert_eq!(error.to_string(), "could not fetch block 1");
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "no luck");
        volume.read_at(512, &mut byte).unwrap();
        assert_eq!(byte, [2]);
    }

    #[test]
    fn prefetched_blocks_are_there_when_they_are_read() {
        let runtime = runtime();
        let source = Fake::new(patterned(16));
        let fetched = Arc::clone(&source.fetched);
        let volume = CachedVolume::new(source, options(1 << 20), runtime.handle().clone());
        volume.prefetch(&[0..1024, 4 * 512 + 7..4 * 512 + 8, u64::MAX - 1..u64::MAX, 9..9, 8000..u64::MAX]);
        let mut all = vec![0; 16 * 512];
        volume.read_at(0, &mut all).unwrap();
        let mut fetched = fetched.lock().unwrap().clone();
        fetched.sort_unstable();
        assert_eq!(fetched, (0..16).collect::<Vec<_>>());
    }

    #[test]
    fn a_hint_of_many_short_ranges_is_taken_whole() {
        let runtime = runtime();
        let mut source = Fake::new(patterned(64));
        source.latency = Duration::from_hours(1);
        let volume = CachedVolume::new(source, options(1), runtime.handle().clone());
        let ranges: Vec<_> = (0..64 * 16).map(|part| part * 32..part * 32 + 32).collect();
        volume.prefetch(&ranges);
        assert_eq!(volume.inner.lock().flights.len(), 64);
    }

    #[test]
    fn hints_without_end_are_not_taken() {
        let runtime = runtime();
        let mut source = Fake::new(patterned(200));
        source.latency = Duration::from_hours(1);
        let options = CacheOptions { prefetched: 100, ..options(1) };
        let volume = CachedVolume::new(source, options, runtime.handle().clone());
        volume.prefetch(std::slice::from_ref(&(0..u64::MAX)));
        assert_eq!(volume.inner.lock().flights.len(), 100);
    }

    #[test]
    fn a_cancelled_scan_ends_its_reads() {
        let runtime = runtime();
        let mut source = Fake::new(patterned(2));
        source.latency = Duration::from_hours(1);
        let options = options(1 << 20);
        let cancel = options.cancel.clone();
        let volume = CachedVolume::new(source, options, runtime.handle().clone());
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| volume.read_at(0, &mut [0]).unwrap_err());
            cancel.cancel();
            let error = reader.join().unwrap();
            assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "the scan was cancelled");
        });
    }

    #[test]
    fn reads_outside_the_volume_are_refused() {
        let runtime = runtime();
        let volume = CachedVolume::new(Fake::new(patterned(1)), options(1), runtime.handle().clone());
        assert!(matches!(volume.read_at(512, &mut [0]), Err(VolumeError::OutOfRange { .. })));
        assert!(matches!(volume.read_at(u64::MAX, &mut [0]), Err(VolumeError::OutOfRange { .. })));
        volume.read_at(512, &mut []).unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn any_reads_give_the_bytes_of_the_disk(
            filled in proptest::collection::vec(any::<bool>(), 1..24),
            reads in proptest::collection::vec((0_usize..24 * 512, 0_usize..4 * 512, any::<bool>()), 1..24),
            memory in 0_u64..16 * 512,
        ) {
            let mut disk = patterned(filled.len());
            for (block, &filled) in disk.chunks_mut(512).zip(&filled) {
                if !filled {
                    block.fill(0);
                }
            }
            let runtime = runtime();
            let source = Fake::new(disk.clone());
            let fetched = Arc::clone(&source.fetched);
            let volume = CachedVolume::new(source, options(memory), runtime.handle().clone());
            for (start, len, ahead) in reads {
                let start = start.min(disk.len());
                let end = (start + len).min(disk.len());
                if ahead {
                    volume.prefetch(std::slice::from_ref(&(to_u64(start)..to_u64(end))));
                }
                let mut part = vec![0; end - start];
                volume.read_at(to_u64(start), &mut part).unwrap();
                prop_assert_eq!(&part[..], &disk[start..end]);
            }
            drop(volume);
            let fetched = fetched.lock().unwrap().clone();
            let distinct: BTreeSet<_> = fetched.iter().copied().collect();
            prop_assert_eq!(fetched.len(), distinct.len());
            prop_assert!(distinct.iter().all(|&index| filled[usize::try_from(index).unwrap()]));
        }
    }
}
