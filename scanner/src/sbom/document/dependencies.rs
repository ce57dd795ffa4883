//! Which package needs which, from the names that they record.

use std::collections::{BTreeMap, BTreeSet};

use crate::package::{Package, PackageKind};

/// Where a package of a language is: the file, and the path in it.
type Place<'a> = (&'a str, Option<&'a str>);

/// The packages of one tree, by name.
pub(super) struct Names<'a> {
    /// Those of the operating system: each name has one package for each architecture, or few more.
    system: BTreeMap<(PackageKind, &'a str), BTreeMap<Option<&'a str>, usize>>,
    /// Those of languages, which may be there many times, by place.
    language: BTreeMap<(PackageKind, &'a str), BTreeMap<Place<'a>, usize>>,
    packages: &'a [Package],
}

impl<'a> Names<'a> {
    /// Of the packages of a tree.
    pub(super) fn new(packages: &'a [Package]) -> Self {
        let mut names = Self { system: BTreeMap::new(), language: BTreeMap::new(), packages };
        for (index, package) in packages.iter().enumerate() {
            let name = (package.kind, &*package.name);
            if package.kind.is_of_the_system() {
                names.system.entry(name).or_default().entry(package.architecture.as_deref()).or_insert(index);
            } else {
                names.language.entry(name).or_default().entry(place(package)).or_insert(index);
            }
        }
        names
    }

    /// The packages that one needs, by index. What is not there is left out.
    pub(super) fn needed_by(&self, index: usize) -> BTreeSet<usize> {
        let Some(package) = self.packages.get(index) else { return BTreeSet::new() };
        let needed = package.details.depends_on.iter().filter_map(|name| self.find(package, name));
        needed.filter(|&needed| needed != index).collect()
    }

    fn find(&self, package: &Package, name: &str) -> Option<usize> {
        let name = (package.kind, name);
        if package.kind.is_of_the_system() {
            let found = self.system.get(&name)?;
            let same = found.get(&package.architecture.as_deref());
            return same.or_else(|| found.values().next()).copied();
        }
        let (found, here) = (self.language.get(&name)?, place(package));
        let resolved = (package.kind == PackageKind::Npm).then(|| resolved(found, here, name.1)).flatten();
        resolved.or_else(|| nearest(found, here))
    }
}

fn place(package: &Package) -> Place<'_> {
    (&package.evidence.path, package.evidence.within.as_deref())
}

/// Of several packages of one name, the one that Node.js finds from a place: that of the nearest directory above it with a
/// `node_modules` that has the name (nodejs.org, "Loading from `node_modules` folders"). What another package has for itself
/// alone may stand nearer in the order of the paths, and is another version.
fn resolved(found: &BTreeMap<Place<'_>, usize>, (path, within): Place<'_>, name: &str) -> Option<usize> {
    let directories = path.rmatch_indices('/').filter_map(|(end, _)| path.get(..end));
    directories.into_iter().find_map(|directory| {
        let path = format!("{directory}/node_modules/{name}/package.json");
        found.get(&(&*path, within)).copied()
    })
}

/// Of several packages of one name, the one whose path has most in common with a place: the one in the same lock file, in the
/// same virtual environment, in the nearest `node_modules`.
///
/// In sorted order it stands beside the place, so that a name that is there a hundred thousand times costs no more than one.
fn nearest(found: &BTreeMap<Place<'_>, usize>, here: Place<'_>) -> Option<usize> {
    let before = found.range(..=here).next_back();
    let after = found.range(here..).next();
    let common = |entry: &(&Place<'_>, &usize)| {
        let (path, _) = *entry.0;
        path.split('/').zip(here.0.split('/')).take_while(|(theirs, ours)| theirs == ours).count()
    };
    // Of two as near, the first.
    let best = match (before, after) {
        (Some(before), Some(after)) if common(&after) > common(&before) => after,
        (Some(before), _) => before,
        (None, after) => after?,
    };
    Some(*best.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sbom::testing;

    fn package(
        kind: PackageKind,
        name: &str,
        architecture: Option<&str>,
        path: &str,
        needs: &[&str],
    ) -> Package {
        let mut package = testing::package(kind, name, "1");
        package.architecture = architecture.map(str::to_owned);
        package.evidence.path = path.to_owned();
        package.details.depends_on = needs.iter().map(|&name| name.to_owned()).collect();
        package
    }

    #[test]
    fn the_same_architecture_comes_first() {
        let deb =
            |name, architecture, needs| package(PackageKind::Deb, name, Some(architecture), "/s", needs);
        let packages = [
            deb("a", "i386", &["libc6", "data", "gone", "a"]),
            deb("data", "all", &["libc6"]),
            deb("libc6", "amd64", &[]),
            deb("libc6", "i386", &[]),
            package(PackageKind::Npm, "gone", None, "/p", &[]),
        ];
        let names = Names::new(&packages);
        assert_eq!(names.needed_by(0), BTreeSet::from([1, 3]));
        assert_eq!(names.needed_by(1), BTreeSet::from([2]));
        assert_eq!(names.needed_by(9), BTreeSet::new());
    }

    #[test]
    fn of_several_copies_the_nearest_is_meant() {
        let npm = |name, path, needs| package(PackageKind::Npm, name, None, path, needs);
        let packages = [
            npm("a", "/x/node_modules/a/package.json", &["b"]),
            npm("a", "/y/node_modules/a/package.json", &["b"]),
            npm("b", "/x/node_modules/b/package.json", &[]),
            npm("b", "/x/node_modules/a/node_modules/b/package.json", &[]),
            npm("b", "/y/node_modules/b/package.json", &[]),
            npm("c", "/z/package-lock.json", &["b"]),
            npm("b", "/z/package-lock.json", &[]),
        ];
        let names = Names::new(&packages);
        assert_eq!(names.needed_by(0), BTreeSet::from([3]));
        assert_eq!(names.needed_by(1), BTreeSet::from([4]));
        assert_eq!(names.needed_by(5), BTreeSet::from([6]));
    }

    #[test]
    fn what_another_package_has_for_itself_is_not_meant() {
        let npm = |name, path, needs| package(PackageKind::Npm, name, None, path, needs);
        let packages = [
            npm("d", "/x/node_modules/d/package.json", &["z", "@s/y"]),
            npm("z", "/x/node_modules/c/node_modules/z/package.json", &[]),
            npm("z", "/x/node_modules/e/node_modules/z/package.json", &[]),
            npm("z", "/x/node_modules/z/package.json", &[]),
            npm("@s/y", "/x/node_modules/c/node_modules/@s/y/package.json", &[]),
            npm("@s/y", "/node_modules/@s/y/package.json", &[]),
            npm("inner", "/x/node_modules/c/node_modules/inner/package.json", &["z"]),
        ];
        let names = Names::new(&packages);
        assert_eq!(names.needed_by(0), BTreeSet::from([3, 5]));
        assert_eq!(names.needed_by(6), BTreeSet::from([1]));
    }
}
