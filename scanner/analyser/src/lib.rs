//! Reads what disks say.
//!
//! The parts, from the disks to the list: [`volume`] divides disks and puts them together, [`fs`] reads filesystems,
//! [`storage`] finds and joins the systems, [`extract`] lists what is installed, and [`analyse`] runs them one after the
//! other. Nothing in this crate can reach a network, a credential or AWS: its dependencies have none.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    expect(
        clippy::disallowed_methods,
        clippy::disallowed_types,
        reason = "tests make the files that they read"
    )
)]

pub mod analyse;
pub mod archive;
mod boot;
pub mod child;
mod contain;
pub mod container;
pub mod database;
mod elf;
pub mod extract;
pub mod files;
pub mod fs;
pub mod fuzz;
pub mod read_at;
pub mod storage;
pub mod volume;

use agentless_core::catalogue::{Catalogue, ExtractorInfo};
pub use agentless_core::{chain, limits, package, report};

/// What this version reads.
pub fn catalogue() -> Catalogue {
    let extractors = extract::EXTRACTORS.iter().map(|extractor| ExtractorInfo {
        name: extractor.name(),
        version: extractor.version(),
        description: extractor.description(),
        reads: extractor.interest().iter().map(|interest| interest.pattern()).collect(),
    });
    let filesystems = fs::DRIVERS.iter().map(|driver| driver.name());
    Catalogue { filesystems: filesystems.collect(), extractors: extractors.collect() }
}
