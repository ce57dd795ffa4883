//! The service, run for real against a local AWS: what it promises of a whole run, and of each way in which one can end.
#![expect(clippy::expect_used, reason = "helpers of tests, outside of #[test] functions")]
#![expect(clippy::print_stderr, reason = "what was left out, and what was counted")]

mod confined;
mod ends;
mod everything;
mod gone;
mod incremental;
mod killed;
mod load;
mod neighbours;
mod one_instance;
mod private;
mod proxies;
mod replaced;
mod scene;
mod troubles;
