//! The Terraform provider.

pub mod sdk;
