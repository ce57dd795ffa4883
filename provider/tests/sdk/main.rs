//! The SDK under the real Terraform.
//!
//! Every test writes a configuration, runs the `terraform` on the PATH (or the one that `TERRAFORM` names) with the
//! example provider `fixture`, and looks at what Terraform says, at the state it stores, and at the files that the
//! provider keeps.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what fails in a helper of a test fails the test"
)]

mod fault;
mod harness;
mod lifecycle;
mod process;
mod values;
