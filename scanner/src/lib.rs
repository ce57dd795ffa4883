//! Reads disks and lists packages.

pub mod analyse;
pub mod aws;
mod error;
pub mod extract;
pub mod fs;
pub mod limits;
pub mod package;
pub mod report;
pub mod sbom;
pub mod volume;

pub use error::chain;
