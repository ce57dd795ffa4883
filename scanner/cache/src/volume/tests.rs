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
    let options = options(1 << 20);
    let traffic = Arc::clone(&options.traffic);
    let volume = CachedVolume::new(source, options, runtime.handle().clone());
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
    assert_eq!((traffic.blocks(), traffic.bytes()), (1, 512));
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
