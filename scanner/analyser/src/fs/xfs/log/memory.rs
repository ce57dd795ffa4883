//! What recovery may keep in memory.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::cell::Cell;

use super::Halt;
use crate::limits::Limits;

/// What is left of [`Limits::log_bytes`], for transactions that are not yet committed and for what was changed.
#[derive(Debug)]
pub(super) struct Memory(Cell<u64>);

impl Memory {
    pub(super) fn new(limits: &Limits) -> Self {
        Self(Cell::new(limits.log_bytes))
    }

    /// Takes bytes; `excess` says what is too large if there are not so many.
    pub(super) fn take(&self, bytes: u64, excess: &'static str) -> Result<(), Halt> {
        self.0.set(self.0.get().checked_sub(bytes).ok_or(Halt::Log(excess))?);
        Ok(())
    }

    /// Gives back what was taken.
    pub(super) fn give(&self, bytes: u64) {
        self.0.set(self.0.get().saturating_add(bytes));
    }
}
