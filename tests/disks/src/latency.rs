//! A volume whose blocks take time to arrive, on a clock of its own.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use agentless_analyser::volume::{Volume, VolumeError};
use agentless_core::volume::FileVolume;

const SNAPSHOT_BLOCK: u64 = 512 << 10;

/// Works out how long the blocks of a snapshot would be waited for: each takes one request, a few are under way at a time,
/// and a block stays when it has arrived. Nobody waits: time is a number, and only requests make it pass.
#[derive(Debug)]
pub struct LatencyVolume {
    inner: FileVolume,
    latency: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    now: Duration,
    /// When each block arrives or did.
    arrivals: HashMap<u64, Duration>,
    /// When each of the connections is free.
    connections: BinaryHeap<Reverse<Duration>>,
    /// Reads that had to wait for a block that nobody had asked for.
    surprises: usize,
}

impl LatencyVolume {
    /// Over `image`, with `latency` for each request and as many at a time as there are `connections`.
    pub fn new(image: &Path, latency: Duration, connections: usize) -> Self {
        let state = State {
            now: Duration::ZERO,
            arrivals: HashMap::new(),
            connections: vec![Reverse(Duration::ZERO); connections].into(),
            surprises: 0,
        };
        Self { inner: FileVolume::open(image).unwrap(), latency, state: Mutex::new(state) }
    }

    /// The time that has passed.
    pub fn elapsed(&self) -> Duration {
        self.state().now
    }

    /// How many blocks were fetched.
    pub fn fetched(&self) -> usize {
        self.state().arrivals.len()
    }

    /// How many reads had to wait for a block that had not been asked for before.
    pub fn surprises(&self) -> usize {
        self.state().surprises
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    /// Asks for a block, if nobody did, and says when it arrives.
    fn request(&mut self, block: u64, latency: Duration) -> Duration {
        if let Some(&arrival) = self.arrivals.get(&block) {
            return arrival;
        }
        let Reverse(free) = self.connections.pop().unwrap();
        let arrival = free.max(self.now) + latency;
        self.connections.push(Reverse(arrival));
        self.arrivals.insert(block, arrival);
        arrival
    }
}

fn snapshot_blocks(range: &Range<u64>) -> Range<u64> {
    range.start / SNAPSHOT_BLOCK..range.end.div_ceil(SNAPSHOT_BLOCK)
}

impl Volume for LatencyVolume {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<(), VolumeError> {
        let blocks = snapshot_blocks(&(offset..offset + u64::try_from(dst.len()).unwrap()));
        let mut state = self.state();
        state.surprises += usize::from(blocks.clone().any(|block| !state.arrivals.contains_key(&block)));
        // As a snapshot's volume does, all blocks of one read are asked for together.
        let last = blocks.map(|block| state.request(block, self.latency)).max();
        state.now = state.now.max(last.unwrap_or_default());
        self.inner.read_at(offset, dst)
    }

    fn prefetch(&self, ranges: &[Range<u64>]) {
        let mut state = self.state();
        for block in ranges.iter().flat_map(snapshot_blocks) {
            state.request(block, self.latency);
        }
    }
}
