//! What packages need of what is there.

use std::collections::HashSet;
use std::mem;

use crate::package::Package;

/// Leaves out of what each package needs everything that no package of the same format is: what is optional and was not
/// chosen, what another system would need, and what is no package at all.
pub(in crate::extract) fn keep_what_is_there(packages: &mut [Package]) {
    let mut needed: Vec<_> =
        packages.iter_mut().map(|package| mem::take(&mut package.details.depends_on)).collect();
    let there: HashSet<_> =
        packages.iter().map(|package| (package.kind, package.kind.compared_name(&package.name))).collect();
    for (package, needed) in packages.iter().zip(&mut needed) {
        let kind = package.kind;
        needed.retain(|name| there.contains(&(kind, kind.compared_name(name))));
    }
    drop(there);
    for (package, needed) in packages.iter_mut().zip(needed) {
        package.details.depends_on = needed;
    }
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
        keep_what_is_there(&mut packages);
        let needed = packages.map(|package| package.details.depends_on);
        assert_eq!(needed, [vec!["foo-bar"], vec!["a"], vec!["b"]]);
    }
}
