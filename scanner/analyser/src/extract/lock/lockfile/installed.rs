//! Packages of lock files that are installed: what is installed counts.
//!
//! An installed package says what is on the disk, a lock file what somebody wanted there. Where both are found, the lock
//! file's row would count one package twice, or list a version that is not there. Applications of one disk are
//! independent of each other, so both are compared by directory: a row goes if a package of the same format and name is
//! installed
//!
//! - below the directory of the lock file, in whatever version: `/srv/a/yarn.lock` and `/srv/a/node_modules`;
//! - anywhere in the same tree in the same version: `/app/requirements.txt` and `/usr/lib/python3/site-packages`. Nothing
//!   is lost with the row, as that version is listed.
//!
//! All others stay: `/srv/a/yarn.lock` says nothing about `/srv/b/node_modules`.
//!
//! What a row took of the target's [`Room`](crate::extract::Room) is not given back when it goes. In a tree, lock files are
//! read last, so that their rows take room from nothing that is installed there; what comes after them, such as the
//! containers of a host, finds some thousands of packages less of half a million. Where that is not enough, the report says
//! that packages are missing (`packages`, `package_bytes`).

use std::collections::HashSet;

use crate::package::{Package, Record};

/// Leaves out the rows of lock files whose packages are installed.
pub(in crate::extract) fn leave_out_installed(packages: &mut Vec<Package>) {
    let is_locked = |package: &Package| package.details.record == Record::Locked;
    if !packages.iter().any(is_locked) {
        return;
    }
    let installed =
        || packages.iter().filter(|package| !is_locked(package) && !package.kind.is_of_the_system());
    let mut by_place: Vec<_> = installed()
        .map(|package| (package.kind, package.kind.compared_name(&package.name), &package.evidence.path[..]))
        .collect();
    by_place.sort_unstable();
    let mut by_version: Vec<_> = installed()
        .map(|package| (package.kind, package.kind.compared_name(&package.name), &package.version[..]))
        .collect();
    by_version.sort_unstable();

    let is_installed = |package: &Package| {
        let name = package.kind.compared_name(&package.name);
        let version = (package.kind, name.clone(), &package.version[..]);
        if by_version.binary_search(&version).is_ok() {
            return true;
        }
        // All paths below the directory begin with it, slash included, and stand together.
        let file = &package.evidence.path;
        let directory = file.rfind('/').and_then(|slash| file.get(..=slash)).unwrap_or_default();
        let from = by_place.partition_point(|place| *place < (package.kind, name.clone(), directory));
        by_place.get(from).is_some_and(|(kind, other, path)| {
            *kind == package.kind && *other == name && path.starts_with(directory)
        })
    };
    let is_double = |(_, package): &(usize, &Package)| is_locked(package) && is_installed(package);
    let doubles: HashSet<usize> =
        packages.iter().enumerate().filter(is_double).map(|(index, _)| index).collect();
    let mut indices = 0..;
    packages.retain(|_| indices.next().is_none_or(|index| !doubles.contains(&index)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::{Details, Evidence, PackageKind};

    fn package(kind: PackageKind, row: &str, path: &str, record: Record) -> Package {
        let (name, version) = row.split_once(' ').unwrap();
        Package {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: None,
            kind,
            evidence: Evidence { path: path.to_owned(), ..Evidence::default() },
            details: Details { record, ..Details::default() },
        }
    }

    #[test]
    fn what_is_installed_below_or_in_the_same_version_counts() {
        let npm = |row, path, record| package(PackageKind::Npm, row, path, record);
        let mut packages = vec![
            npm("a 1", "/srv/a/node_modules/a/package.json", Record::Installed),
            npm("b 2", "/srv/ab/node_modules/b/package.json", Record::Installed),
            // Installed below, in another version.
            npm("a 2", "/srv/a/package-lock.json", Record::Locked),
            // In another application, in the same version and in another one.
            npm("b 2", "/srv/a/package-lock.json", Record::Locked),
            npm("b 3", "/srv/a/package-lock.json", Record::Locked),
            npm("c 1", "/srv/a/package-lock.json", Record::Locked),
            // A file of the root is above everything.
            npm("b 4", "/package-lock.json", Record::Locked),
            package(PackageKind::Pypi, "a 2", "/srv/a/requirements.txt", Record::Locked),
        ];
        leave_out_installed(&mut packages);
        let left: Vec<_> =
            packages.iter().map(|package| format!("{} {}", package.name, package.version)).collect();
        assert_eq!(left, ["a 1", "b 2", "b 3", "c 1", "a 2"]);
    }
}
