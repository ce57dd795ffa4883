//! Every resource with the real Terraform against the local AWS: create, empty plans, update in place, replace, import,
//! drift, disappearance, destroy, and a look at what is left.
//!
//! One local AWS is shared; each test works on resources of its own. What Terraform is not asked about here (partial
//! failure, the order of steps, waiting) is in the unit tests of the resources.
#![expect(clippy::expect_used, reason = "helpers of tests, outside of #[test] functions")]

mod api_key;
mod delegate_role;
mod example;
mod faults;
mod image;
mod interrupt;
mod network;
mod policy;
mod provider;
mod role;
mod rotate;
mod scanner;
mod security_group;
mod session;
mod shared;
