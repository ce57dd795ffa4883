//! The end-to-end harness: a local AWS, a Terraform runner, and the programs under test.

pub mod local_aws;
pub mod programs;
pub mod terraform;
