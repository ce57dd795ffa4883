//! Scans targets, and lists what is installed on them.
//!
//! The parts, from the target to the list: [`target`] finds out what to read and gives its blocks, [`scan`] has the analyser
//! read them, [`sbom`] and [`output`] write down what it found. The analyser is another crate and runs as another process:
//! nothing in this one reads what a disk says.

#![forbid(unsafe_code)]

pub mod aws;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod image;
pub mod kept;
pub mod output;
pub mod progress;
pub mod sbom;
pub mod scan;
pub mod target;

pub use agentless_core::chain;
pub(crate) use agentless_core::{limits, package, report};

/// The name of this machine; empty where the system does not tell.
pub(crate) fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}
