//! Reads disks and lists packages.

pub mod analyse;
pub mod aws;
pub mod cli;
mod error;
pub mod extract;
pub mod fs;
pub mod limits;
pub mod output;
pub mod package;
pub mod progress;
pub mod report;
pub mod sbom;
pub mod scan;
pub mod target;
pub mod volume;

pub use error::chain;
