//! The list of extractors.

use super::{Extractor, lang, lock, os};

/// Every extractor, in alphabetical order.
pub static EXTRACTORS: &[&dyn Extractor] = &[
    &lang::Conda,
    &lang::Dotnet,
    &lang::Go,
    &lang::Java,
    &lang::Node,
    &lang::Php,
    &lang::Python,
    &lang::Ruby,
    &lang::Rust,
    &lock::Bun,
    &lock::Cargo,
    &lock::Composer,
    &lock::Gem,
    &lock::Go,
    &lock::Gradle,
    &lock::Npm,
    &lock::Nuget,
    &lock::Pdm,
    &lock::Pip,
    &lock::Pipenv,
    &lock::Pnpm,
    &lock::Poetry,
    &lock::Pom,
    &lock::Pylock,
    &lock::Uv,
    &lock::Yarn,
    &os::Apk,
    &os::Dpkg,
    &os::Release,
    &os::Rpm,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// The folders of extractors.
    const GROUPS: [&str; 3] = ["lang", "lock", "os"];
    /// What the extractors of a group share.
    const SHARED: [&str; 1] = ["lock/lockfile"];

    /// The names that the source files give: `os/dpkg.rs` is `os/dpkg`.
    fn modules() -> BTreeSet<String> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/extract");
        let mut names = BTreeSet::new();
        for group in GROUPS {
            for module in std::fs::read_dir(here.join(group)).unwrap().map(Result::unwrap) {
                let stem = module.path().file_stem().unwrap().to_str().unwrap().to_owned();
                if stem != "mod" {
                    names.insert(format!("{group}/{stem}"));
                }
            }
        }
        for shared in SHARED {
            assert!(names.remove(shared), "{shared}");
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
