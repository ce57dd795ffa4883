//! The list of extractors.

use super::Extractor;
use super::lang::{Go, Rust};
use super::os::{Dpkg, Release};

/// Every extractor, in alphabetical order.
pub static EXTRACTORS: &[&dyn Extractor] = &[&Go, &Rust, &Dpkg, &Release];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// The names that the source files give: `os/dpkg.rs` is `os/dpkg`.
    fn modules() -> BTreeSet<String> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/extract");
        let mut names = BTreeSet::new();
        for group in std::fs::read_dir(here).unwrap().map(Result::unwrap) {
            if !group.file_type().unwrap().is_dir() {
                continue;
            }
            for module in std::fs::read_dir(group.path()).unwrap().map(Result::unwrap) {
                let stem = module.path().file_stem().unwrap().to_str().unwrap().to_owned();
                if stem != "mod" {
                    names.insert(format!("{}/{stem}", group.file_name().to_str().unwrap()));
                }
            }
        }
        names
    }

    #[test]
    fn every_module_is_registered_under_its_path_and_the_list_is_sorted() {
        let names: Vec<_> = EXTRACTORS.iter().map(|extractor| extractor.name().to_owned()).collect();
        assert!(names.is_sorted(), "{names:?}");
        assert_eq!(names.len(), modules().len());
        assert_eq!(BTreeSet::from_iter(names), modules());
    }

    #[test]
    fn every_extractor_says_what_it_reads() {
        for extractor in EXTRACTORS {
            assert!(!extractor.interest().is_empty(), "{}", extractor.name());
            assert!(!extractor.description().is_empty(), "{}", extractor.name());
            assert!(extractor.version() > 0, "{}", extractor.name());
            for interest in extractor.interest() {
                let pattern = interest.pattern();
                assert_eq!(pattern.starts_with('/'), !interest.needs_a_walk(), "{interest:?}");
            }
        }
    }
}
