//! Panics that cost only what they happened in.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// A panic. What it was is in the log: the process that the analyser runs in sees to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an error of this program ended the reading of it")]
pub(crate) struct Panicked;

/// Does something that may meet an error of this program in code that reads what a disk says, so that one filesystem that
/// brings it about does not hide the others.
///
/// What `work` changes may be left half done: only its own result may depend on it.
pub(crate) fn contained<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| Panicked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_of_its_own_work() {
        assert_eq!(contained(|| 1), Ok(1));
        let none: [u8; 0] = [];
        assert_eq!(contained(|| none[std::hint::black_box(0)]), Err(Panicked));
    }
}
