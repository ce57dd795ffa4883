//! What an archive may cost.

use std::cell::Cell;

use crate::fs::FsError;
use crate::limits::Limits;

/// What is left for one archive and all those in it.
#[derive(Debug)]
pub struct Allowance {
    limits: Limits,
    left: Cell<u64>,
}

impl Allowance {
    /// What opening an entry or an archive costs beside its bytes, so that millions of them, all of nothing, end as well.
    const OPENING: u64 = 4096;

    /// As much as the limits allow for one archive.
    pub fn new(limits: &Limits) -> Self {
        Self { limits: limits.clone(), left: Cell::new(limits.archive_bytes) }
    }

    /// What else bounds reading it.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether nothing is left: what is asked for from now on ends with the same error.
    pub fn is_spent(&self) -> bool {
        self.left.get() == 0
    }

    pub(super) fn opening(&self) -> Result<(), FsError> {
        self.bytes(Self::OPENING)
    }

    /// Pays for bytes of a directory, or of content: those that are read or those that they become, whichever are more.
    pub(super) fn bytes(&self, count: u64) -> Result<(), FsError> {
        let left = self.left.get().checked_sub(count);
        // What is spent stays spent: who goes on after the error gets the error again.
        self.left.set(left.unwrap_or(0));
        let limit = self.limits.archive_bytes;
        let what = "what an archive and those in it decompress to (`archive_bytes`)";
        left.map(drop).ok_or(FsError::Limit { what, limit })
    }
}
