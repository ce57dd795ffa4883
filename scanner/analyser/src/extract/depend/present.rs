//! What packages need of what is there.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::mem;

use crate::package::{Package, PackageKind};

/// Who provides what is needed under another name than a package's own, of databases that are several files.
pub(in crate::extract) type Providers = HashMap<(PackageKind, String), Vec<String>>;

/// Leaves out of what each package needs everything that no package of the same format is: what is optional and was not
/// chosen, what another system would need, and what is no package at all. What others provide becomes these: at most `most`
/// times, as a thousand packages may need what a thousand provide. Returns the first package of which that is missing.
pub(in crate::extract) fn keep_what_is_there<'p>(
    packages: &'p mut [Package],
    providers: &Providers,
    most: u64,
) -> Option<&'p Package> {
    let mut left = most;
    let mut incomplete = None;
    let mut needed: Vec<_> =
        packages.iter_mut().map(|package| mem::take(&mut package.details.depends_on)).collect();
    let there: HashSet<_> =
        packages.iter().map(|package| (package.kind, package.kind.compared_name(&package.name))).collect();
    for (number, (package, needed)) in packages.iter().zip(&mut needed).enumerate() {
        let kind = package.kind;
        let is_there = |name: &String| there.contains(&(kind, kind.compared_name(name)));
        let mut provided = BTreeSet::new();
        if !providers.is_empty() {
            for name in needed.iter().filter(|name| !is_there(name)) {
                for provider in providers.get(&(kind, name.clone())).into_iter().flatten() {
                    let Some(less) = left.checked_sub(1) else {
                        incomplete.get_or_insert(number);
                        break;
                    };
                    left = less;
                    if *provider != package.name {
                        provided.insert(provider.clone());
                    }
                }
            }
        }
        needed.retain(is_there);
        if !provided.is_empty() {
            provided.extend(needed.drain(..));
            needed.extend(provided);
        }
    }
    drop(there);
    for (package, needed) in packages.iter_mut().zip(needed) {
        package.details.depends_on = needed;
    }
    incomplete.and_then(|number| packages.get(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::{Details, Evidence, PackageKind};

    fn package(kind: PackageKind, name: &str, depends_on: &[&str]) -> Package {
        let depends_on = depends_on.iter().map(|&name| name.to_owned()).collect();
        Package {
            name: name.to_owned(),
            version: "1".to_owned(),
            architecture: None,
            kind,
            evidence: Evidence::default(),
            details: Details { depends_on, ..Details::default() },
        }
    }

    #[test]
    fn what_is_not_there_is_left_out() {
        let mut packages = [
            package(PackageKind::Pypi, "a", &["foo-bar", "absent"]),
            package(PackageKind::Pypi, "Foo_Bar", &["a"]),
            package(PackageKind::Npm, "b", &["a", "b"]),
        ];
        assert_eq!(keep_what_is_there(&mut packages, &Providers::new(), 0), None);
        let needed = packages.map(|package| package.details.depends_on);
        assert_eq!(needed, [vec!["foo-bar"], vec!["a"], vec!["b"]]);
    }

    #[test]
    fn what_others_provide_stands_for_a_name_that_no_package_has() {
        let mut packages = [
            package(PackageKind::Deb, "a", &["awk", "libc6"]),
            package(PackageKind::Deb, "libc6", &["awk"]),
            package(PackageKind::Deb, "mawk", &["awk"]),
            package(PackageKind::Npm, "b", &["awk"]),
        ];
        let mut providers = Providers::new();
        for (name, by) in [("awk", "mawk"), ("awk", "gawk"), ("libc6", "mawk")] {
            providers.entry((PackageKind::Deb, name.to_owned())).or_default().push(by.to_owned());
        }
        let mut few = packages.clone();
        assert_eq!(keep_what_is_there(&mut packages, &providers, 6), None);
        let needed = packages.map(|package| package.details.depends_on);
        assert_eq!(needed, [vec!["gawk", "libc6", "mawk"], vec!["gawk", "mawk"], vec!["gawk"], vec![]]);
        let incomplete = keep_what_is_there(&mut few, &providers, 3).unwrap();
        assert_eq!(
            (&incomplete.name[..], &incomplete.details.depends_on[..]),
            ("libc6", &["mawk".to_owned()][..])
        );
    }
}
