//! The resources, one file or folder each, and what they have in common: region, tags and ids.
//!
//! A resource holds a slice of AWS (`A`; the tests pass a fake) and the settings of the provider block. It plans from
//! the schema, makes things in an order in which each can be destroyed again, saves as soon as a thing exists, and reads
//! back everything that it promises, so that drift shows in the plan and apply repairs it. What users cannot set but
//! somebody may change behind Terraform's back is a computed attribute that is always planned as it should be.

pub mod api_key;
pub mod delegate_role;
pub(crate) mod iam;
mod identity;
mod ids;
pub mod network;
pub(crate) mod place;
pub mod role;
pub mod scanner;
pub mod security_group;
pub(crate) mod tagging;

#[cfg(test)]
use crate::sdk::stage as testing;
