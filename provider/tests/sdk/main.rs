//! The SDK under the real Terraform.
//!
//! Most tests write a configuration, run the `terraform` on the PATH (or the one that `TERRAFORM` names) with the
//! example provider `fixture`, and look at what Terraform says, at the state it stores, and at the files that the
//! provider keeps. What newer versions of Terraform ask is asked by a client of our own.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what fails in a helper of a test fails the test"
)]

mod action;
mod client;
mod deferral;
mod ephemeral;
mod fault;
mod harness;
mod identity;
mod lifecycle;
mod moved;
mod process;
mod random;
mod values;
