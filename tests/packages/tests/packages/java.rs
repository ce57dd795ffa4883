//! Java archives: jars of Debian, against Python's `zipfile` and Debian's own Maven repository.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use agentless_core::package::{Certainty, Package, PackageKind};
use agentless_package_tests::corpus::java_libraries;
use agentless_package_tests::{kept, ours, tool, unpacked};

#[test]
fn what_maven_recorded_is_found() {
    let tree = java_libraries();
    let compared = compare(&tree);
    assert!(compared > 30, "{compared}");
}

#[test]
fn what_maven_recorded_is_found_in_archives_in_archives() {
    let libraries = java_libraries();
    let target = tempfile::tempdir().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/packages/fat_jars.py");
    tool::run(Command::new("python3").arg(script).arg(libraries).arg(target.path()));
    let compared = compare(target.path());
    assert!(compared > 60, "{compared}");
    // Those without a pom.properties are known in there as they are outside.
    let spring = ours::findings(target.path());
    let spring: Vec<_> =
        spring.packages.iter().filter(|package| package.name.ends_with("spring-core")).collect();
    assert_eq!(spring.len(), 2);
    assert!(
        spring.iter().all(|package| package
            .evidence
            .within
            .as_deref()
            .unwrap()
            .ends_with("spring3-core-3.x.jar"))
    );
}

/// Compares the packages that Maven recorded below a folder with the `pom.properties` that Python finds, and returns how many
/// they are.
fn compare(root: &Path) -> usize {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/packages/pom_properties.py");
    let listed = tool::run(Command::new("python3").arg(script).arg(root));
    let mut expected = BTreeMap::new();
    for line in listed.lines() {
        let [path, archive, place, name, version] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let places = [archive.to_owned(), place.to_owned()];
        let key = (path.to_owned(), name.to_owned(), version.to_owned());
        expected.entry(key).or_insert_with(Vec::new).push(places);
    }
    let findings = ours::findings(root);
    assert_eq!(findings.gaps, []);
    let count = expected.values().map(Vec::len).sum();
    for package in recorded(&findings.packages) {
        let key = (package.evidence.path.clone(), package.name.clone(), package.version.clone());
        let places = expected.get_mut(&key).unwrap_or_else(|| panic!("{package:?} is not there"));
        // Of what an archive is itself the archive, of what was merged into it the file that says so.
        let within = package.evidence.within.clone().unwrap_or_default();
        let place = places.iter().position(|places| places.contains(&within));
        places.remove(place.unwrap_or_else(|| panic!("{package:?} is not there")));
    }
    let missing: Vec<_> = expected.iter().filter(|(_, places)| !places.is_empty()).collect();
    assert!(missing.is_empty(), "{missing:?}");
    count
}

#[test]
fn what_maven_did_not_record_is_guessed_well() {
    let (right, without_group) = guessed(&java_libraries());
    assert!(right > 5 && without_group == 0, "{right} {without_group}");
}

/// Those of which a group could be taken from a manifest that is none.
#[test]
fn what_is_ambiguous_has_no_group() {
    const LIBRARIES: [&str; 11] = [
        "ant",
        "libcommons-collections3-java",
        "libcommons-logging-java",
        "libeclipse-jdt-core-java",
        "libgeronimo-interceptor-3.0-spec-java",
        "libguice-java",
        "liblog4j1.2-java",
        "liblucene4.10-java",
        "libmongodb-java",
        "libtomcat9-java",
        "libxalan2-java",
    ];
    let tree = kept::tree("java-libraries-without-pom-1", |tree| unpacked::unpack(&LIBRARIES, tree));
    let (right, without_group) = guessed(&tree);
    assert!(right > 50 && without_group > 3, "{right} {without_group}");
}

/// Compares the packages that Maven did not record with Debian's Maven repository, in which every library is a link below
/// group, artifact and version. Returns how many are right, and of how many others no group is said.
fn guessed(tree: &Path) -> (usize, usize) {
    let repository = tree.join("usr/share/maven-repo");
    let mut real: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    let listed = tool::run(Command::new("find").arg(&repository).args(["-name", "*.jar"]));
    for link in listed.lines().filter(|line| !line.contains("/debian/")) {
        let folders = Path::new(link).strip_prefix(&repository).unwrap();
        let mut folders: Vec<_> =
            folders.parent().unwrap().iter().map(|name| name.to_str().unwrap()).collect();
        let (version, artifact) = (folders.pop().unwrap(), folders.pop().unwrap());
        let name = format!("{}:{artifact}", folders.join("."));
        let jar = Path::new(link).canonicalize().unwrap();
        let jar = format!("/{}", jar.strip_prefix(tree).unwrap().display());
        real.entry(jar).or_default().insert((name, version.to_owned()));
    }
    let findings = ours::findings(tree);
    let (mut right, mut without_group, mut wrong) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for package in &findings.packages {
        if package.kind != PackageKind::Maven || package.details.certainty == Certainty::Recorded {
            continue;
        }
        let Some(real) = real.get(&package.evidence.path) else { continue };
        let found = (package.name.clone(), package.version.clone());
        if real.contains(&found) {
            right.insert(found);
        } else if !found.0.contains(':') {
            without_group.insert(found);
        } else {
            wrong.insert((found, real.clone()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    (right.len(), without_group.len())
}

fn recorded(packages: &[Package]) -> impl Iterator<Item = &Package> {
    packages.iter().filter(|package| {
        package.kind == PackageKind::Maven && package.details.certainty == Certainty::Recorded
    })
}
