//! Packages of languages that a package of the operating system brought.

use std::collections::{BTreeMap, HashSet};

use crate::package::PackageKind;
use crate::report::TargetReport;

/// How many packages were left out, by format, for each tree of the report.
pub type LeftOut = Vec<BTreeMap<PackageKind, u64>>;

/// Takes those out of a report that a package in the same tree installed: whoever updates that one updates them, and what is
/// wrong with them stands in the distribution's advisories under its name.
pub(super) fn leave_out(report: &mut TargetReport) -> LeftOut {
    let leave_out = |tree: &mut crate::report::TreeReport| {
        let packages = &mut tree.findings.packages;
        let of_system = packages.iter().filter(|package| package.kind.is_of_the_system());
        let owners: HashSet<_> = of_system.map(|package| (package.kind, package.name.clone())).collect();
        let mut left_out = BTreeMap::new();
        packages.retain(|package| {
            let owner = package.details.owner.as_ref().filter(|_| !package.kind.is_of_the_system());
            let is_owned = owner.is_some_and(|owner| owners.contains(&(owner.kind, owner.name.clone())));
            if is_owned {
                let count: &mut u64 = left_out.entry(package.kind).or_default();
                *count = count.saturating_add(1);
            }
            !is_owned
        });
        left_out
    };
    report.storage.trees.iter_mut().map(leave_out).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::Owner;
    use crate::sbom::testing::{deb, debian, package, target};

    #[test]
    fn what_a_package_brought_is_counted_with_that_package() {
        let owned = |name: &str, owner: &str| {
            let mut package = package(PackageKind::Pypi, name, "1");
            package.details.owner = Some(Owner { kind: PackageKind::Deb, name: owner.to_owned() });
            package
        };
        let packages = vec![
            deb("python3-six", "1", "all"),
            owned("six", "python3-six"),
            // Of a package that is not installed any more: nobody else speaks for it.
            owned("orphan", "gone"),
            package(PackageKind::Pypi, "requests", "2"),
        ];
        let mut report =
            target(vec![debian(packages, vec![]), debian(vec![owned("six", "python3-six")], vec![])]);
        let left_out = leave_out(&mut report);
        assert_eq!(left_out, [BTreeMap::from([(PackageKind::Pypi, 1)]), BTreeMap::new()]);
        let names: Vec<_> = report.packages().map(|installed| &*installed.package.name).collect();
        assert_eq!(names, ["python3-six", "orphan", "requests", "six"]);
    }
}
