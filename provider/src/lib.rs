//! The Terraform provider: [`sdk`] knows Terraform and nothing of scanning, [`aws`] is the part of AWS that is needed,
//! and [`resource`], [`data_source`], [`ephemeral_resource`] and [`action`] put the two together. [`provider::Agentless`] is
//! the provider as a whole.

#![forbid(unsafe_code)]

pub mod action;
pub mod aws;
pub mod config;
pub mod data_source;
pub mod ephemeral_resource;
pub mod provider;
pub mod resource;
pub mod sdk;
#[cfg(test)]
mod stored_states;
