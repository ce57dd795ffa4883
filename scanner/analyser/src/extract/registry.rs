//! The list of extractors.

use super::Extractor;
use super::lang::{Conda, Dotnet, Java, Node, Php, Python, Ruby};
use super::lock::{
    Bun, Cargo, Composer, Gem, Go, Gradle, Npm, Nuget, Pdm, Pip, Pipenv, Pnpm, Poetry, Pom, Pylock, Uv, Yarn,
};
use super::os::{Apk, Dpkg, Release, Rpm};

/// Every extractor, in alphabetical order.
pub static EXTRACTORS: &[&dyn Extractor] = &[
    &Conda, &Dotnet, &Java, &Node, &Php, &Python, &Ruby, &Bun, &Cargo, &Composer, &Gem, &Go, &Gradle, &Npm,
    &Nuget, &Pdm, &Pip, &Pipenv, &Pnpm, &Poetry, &Pom, &Pylock, &Uv, &Yarn, &Apk, &Dpkg, &Release, &Rpm,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// The folders of extractors.
    const GROUPS: [&str; 3] = ["lang", "lock", "os"];

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
