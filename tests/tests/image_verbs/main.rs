//! `agentless-scanner image …` against the local AWS: publish, promote, roll back, show, prune.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests; a panic is the failure report"
)]

mod life;
mod prune;
mod refusals;
mod scene;
mod status;
