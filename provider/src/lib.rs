//! The Terraform provider: [`sdk`] knows Terraform and nothing of scanning, [`aws`] is the part of AWS that is needed,
//! and [`resource`] puts the two together. [`provider::Agentless`] is the provider as a whole.

#![forbid(unsafe_code)]

pub mod aws;
pub mod config;
pub mod provider;
pub mod resource;
pub mod sdk;
