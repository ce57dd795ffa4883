//! The service, run for real against a local AWS: what it promises of a whole run, and of each way in which one can end.
#![expect(clippy::expect_used, reason = "helpers of tests, outside of #[test] functions")]

mod ends;
mod everything;
mod load;
mod neighbours;
mod one_instance;
mod replaced;
mod scene;
mod troubles;
