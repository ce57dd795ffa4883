//! Our package lists against those of the package managers: what the tests and the benchmark share.
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "the helpers of tests fail as tests do"
)]

pub mod corpus;
pub mod debian;
pub mod engine;
pub mod kept;
pub mod ours;
pub mod program;
pub mod rpm;
pub mod support_table;
pub mod tool;
pub mod unpacked;
