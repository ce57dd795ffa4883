//! What was found in one tree of files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::package::{Evidence, OperatingSystem, Package, PackageKind};

/// Everything found in one filesystem.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// What the system calls itself.
    pub operating_system: Option<OperatingSystem>,
    /// The packages, sorted, none twice.
    pub packages: Vec<Package>,
    /// What could not be read, sorted by path.
    pub gaps: Vec<Gap>,
    /// The package databases that were read.
    pub sources: Vec<Source>,
}

/// Something that could not be read and may have held packages.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Gap {
    /// The file or directory, from the root of its filesystem.
    pub path: Option<String>,
    /// The extractor that wanted it.
    pub extractor: Option<String>,
    /// Why it could not be read.
    pub reason: String,
}

/// One package database.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Source {
    /// Where it is.
    pub evidence: Evidence,
    /// How many packages it records as installed.
    pub packages: u64,
}

impl Findings {
    /// Packages by format.
    pub fn packages_by_kind(&self) -> BTreeMap<PackageKind, u64> {
        let mut counts = BTreeMap::new();
        for package in &self.packages {
            let count: &mut u64 = counts.entry(package.kind).or_default();
            *count = count.saturating_add(1);
        }
        counts
    }
}
