//! What was found in one tree of files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::package::{Evidence, OperatingSystem, Package, PackageKind};
use crate::text;

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

impl Gap {
    /// A gap whose reason may quote what is on the disk: it is made fit for people here, for all that report one. Of bounded
    /// length, without the password of an address that it names, and without what a terminal would act on.
    pub fn new(path: Option<String>, extractor: Option<String>, reason: impl Into<String>) -> Self {
        /// Bytes of a reason. Against a damaged name of megabytes, of which each message quotes a part.
        const MOST: usize = 4 << 10;

        let mut reason = reason.into();
        text::leave_out_passwords(&mut reason);
        text::cut(&mut reason, MOST);
        let mut reason = text::printable(&reason);
        // What is escaped is longer.
        text::cut(&mut reason, MOST);
        Self { path, extractor, reason }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_made_fit_for_people_once() {
        let long = "\u{1b}".repeat(1 << 20);
        for (reason, expected) in [
            ("a\u{1b}[2J\nb", "a\\u{1b}[2J\\nb"),
            ("no https://user:secret@example.com/a", "no https://example.com/a"),
            (&long, "bytes)"),
        ] {
            let gap = Gap::new(None, None, reason);
            assert!(gap.reason.ends_with(expected) && gap.reason.len() <= 4096, "{}", gap.reason);
            assert_eq!(Gap::new(None, None, &gap.reason[..]), gap);
        }
    }
}
