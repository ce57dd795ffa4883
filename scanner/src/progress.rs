//! What a scan is doing, for whoever watches it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::output::text::bytes;
use agentless_cache::Traffic;

/// The current step, and what was fetched so far. Shared between the scan and who shows it.
#[derive(Debug, Default)]
pub struct Progress {
    step: Mutex<String>,
    traffic: Mutex<Vec<Arc<Traffic>>>,
}

impl Progress {
    /// Says what is being done now.
    pub fn step(&self, step: &str) {
        tracing::info!("{step}");
        step.clone_into(&mut self.step.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The current step with what was fetched so far, in one line for people.
    pub fn line(&self) -> String {
        let step = self.step.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match self.fetched() {
            (0, _) => step,
            (blocks, size) => format!("{step}: {blocks} blocks, {}", bytes(size)),
        }
    }

    /// Adds the traffic of one more volume to the sum.
    pub fn watch(&self, traffic: Arc<Traffic>) {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner).push(traffic);
    }

    /// Blocks and bytes fetched so far.
    pub fn fetched(&self) -> (u64, u64) {
        let traffic = self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
        traffic.iter().fold((0, 0), |(blocks, bytes), volume| {
            (blocks.saturating_add(volume.blocks()), bytes.saturating_add(volume.bytes()))
        })
    }
}
