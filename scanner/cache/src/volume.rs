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
        if !self.source.is_here(index) {
            self.options.traffic.add(to_u64(block.len()));
        }
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
mod tests;
