//! Reads disks and lists packages.
//!
//! The parts, from the target to the list: [`target`] finds out what to read, [`volume`] gives its bytes, [`storage`] the
//! systems on its disks, [`fs`] their files, [`extract`] what is installed, [`sbom`] and [`output`] write it down. [`scan`]
//! runs them one after the other; [`analyse`] is the part that touches what a disk says, and nothing else.

#![forbid(unsafe_code)]

pub mod analyse;
pub mod aws;
pub mod cli;
mod contain;
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
pub mod storage;
pub mod target;
pub mod volume;

pub use error::chain;
