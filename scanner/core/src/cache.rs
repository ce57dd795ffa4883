//! A bounded memory of blocks.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::HashMap;

use crate::number::to_usize;

/// Recently used blocks by their numbers, in two generations: when the young one is full, the old one is dropped and the
/// young one becomes the old. What is used stays, the number of blocks is bounded, and no order of use has to be kept.
#[derive(Debug)]
pub struct Cache<T> {
    young: HashMap<u64, T>,
    old: HashMap<u64, T>,
    generation: usize,
}

impl<T: Clone> Cache<T> {
    /// Room for what `bytes` hold of blocks of `size` bytes each.
    pub fn of_bytes(bytes: u64, size: u64) -> Self {
        let blocks = bytes.checked_div(size).unwrap_or(0);
        Self { young: HashMap::new(), old: HashMap::new(), generation: to_usize(blocks / 2).max(1) }
    }

    /// A block, which is then among those that were used last.
    pub fn get(&mut self, block: u64) -> Option<T> {
        if let Some(found) = self.young.get(&block) {
            return Some(found.clone());
        }
        let found = self.old.remove(&block)?;
        self.insert(block, found.clone());
        Some(found)
    }

    /// Keeps a block, and lets those go that were not used for long.
    pub fn insert(&mut self, block: u64, content: T) {
        if self.young.len() >= self.generation {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(block, content);
    }

    /// Whether a block is kept.
    pub fn contains(&self, block: u64) -> bool {
        self.young.contains_key(&block) || self.old.contains_key(&block)
    }

    /// Lets all blocks go.
    pub fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_keeps_what_is_used_and_no_more_than_its_size() {
        let mut cache = Cache::of_bytes(400, 100);
        for block in 0..100 {
            cache.insert(block, ());
            assert!(cache.get(block).is_some());
            if block > 0 {
                assert!(cache.get(0).is_some(), "used with each step, so never dropped");
            }
            assert!(cache.young.len() + cache.old.len() <= 4);
        }
        assert!(cache.get(50).is_none());
    }
}
