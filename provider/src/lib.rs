//! The Terraform provider: [`sdk`] knows Terraform and nothing of scanning, [`aws`] is the part of AWS that is needed,
//! and [`resource`] and [`data_source`] put the two together. [`provider::Agentless`] is the provider as a whole.

#![forbid(unsafe_code)]

pub mod aws;
pub mod config;
pub mod data_source;
pub mod provider;
pub mod resource;
pub mod sdk;
