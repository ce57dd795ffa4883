//! Debian packages, against `dpkg-query`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use agentless_core::package::PackageKind;
use agentless_package_tests::{ours, tool};

#[test]
fn the_packages_of_this_machine() {
    let format = "-f=${db:Status-Status}\t${Package}\t${Version}\n";
    let listed = tool::run(Command::new("dpkg-query").args(["-W", format]));
    let installed: BTreeSet<_> = listed
        .lines()
        .filter_map(|line| line.strip_prefix("installed\t")?.split_once('\t'))
        .map(|(name, version)| (name.to_owned(), version.to_owned()))
        .collect();
    // Its database alone: what else this machine has is nobody's business.
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("var/lib/dpkg");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(Path::new("/var/lib/dpkg/status"), folder.join("status")).unwrap();
    let findings = ours::findings(root.path());
    assert_eq!(ours::names_and_versions(&findings, PackageKind::Deb), installed);
    assert!(!installed.is_empty());
}
