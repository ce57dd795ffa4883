//! What is left of the work that one filesystem may cause.

use std::cell::Cell;

use super::Limits;
use crate::fs::FsError;

/// What is left of a volume's allowance. One budget goes through every loop of a reader.
#[derive(Debug)]
pub struct Budget {
    steps: Allowance,
    bytes: Allowance,
}

impl Budget {
    /// A full budget.
    pub fn new(limits: &Limits) -> Self {
        Self {
            steps: Allowance::new("the work for one filesystem (`steps`)", limits.steps),
            bytes: Allowance::new(
                "the number of bytes read from one filesystem (`read_bytes`)",
                limits.read_bytes,
            ),
        }
    }

    /// Pays for one elementary step.
    pub fn step(&self) -> Result<(), FsError> {
        self.steps.spend(1)
    }

    /// Pays for what costs as much as `count` elementary steps.
    pub fn steps(&self, count: u64) -> Result<(), FsError> {
        self.steps.spend(count)
    }

    /// Pays for handling `count` bytes of metadata in a way that looks at each: copying them, computing their checksum. A
    /// structure of 64 KiB takes a thousand times as long as one number, so that it counts as many steps.
    pub fn work(&self, count: u64) -> Result<(), FsError> {
        /// Bytes that are handled in about the time of another step.
        const EACH: u64 = 256;

        self.steps(count.div_ceil(EACH))
    }

    /// Pays for reading `count` bytes.
    pub fn bytes(&self, count: u64) -> Result<(), FsError> {
        self.bytes.spend(count)
    }
}

/// One counter that runs down.
#[derive(Debug)]
struct Allowance {
    what: &'static str,
    limit: u64,
    left: Cell<u64>,
}

impl Allowance {
    fn new(what: &'static str, limit: u64) -> Self {
        Self { what, limit, left: Cell::new(limit) }
    }

    fn spend(&self, amount: u64) -> Result<(), FsError> {
        let left = self.left.get().checked_sub(amount);
        // An exhausted budget stays exhausted: a caller that goes on after the error gets the error again.
        self.left.set(left.unwrap_or(0));
        left.map(drop).ok_or(FsError::Limit { what: self.what, limit: self.limit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spent_budget_says_what_ran_out_and_stays_spent() {
        let budget = Budget::new(&Limits { steps: 2, ..Limits::default() });
        budget.step().unwrap();
        budget.step().unwrap();
        for _ in 0..2 {
            let error = budget.step().unwrap_err();
            assert_eq!(error.to_string(), "the work for one filesystem (`steps`) exceeds the limit of 2");
        }
        budget.bytes(1).unwrap();
    }
}
