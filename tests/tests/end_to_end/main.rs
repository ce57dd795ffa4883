//! End to end: the programs as a user runs them, against a local AWS.
#![expect(clippy::expect_used, reason = "helpers of tests, outside of #[test] functions")]

mod bad_input;
mod bytes;
mod demo;
mod faults;
mod functions;
mod images;
mod inspect;
mod interrupted_apply;
mod protection;
mod scene;
