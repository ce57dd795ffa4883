//! .NET packages: Python wheels that bring .NET applications and a whole framework, against Python's `json`.

use std::collections::BTreeSet;
use std::process::Command;

use agentless_core::package::PackageKind;
use agentless_package_tests::corpus::dotnet_wheels;
use agentless_package_tests::{ours, tool};

#[test]
fn what_the_sdk_recorded_is_found() {
    let wheels = dotnet_wheels();
    let root = tempfile::tempdir().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/packages/deps_json.py");
    let files = std::fs::read_dir(wheels).unwrap().map(|entry| entry.unwrap().path());
    let listed = tool::run(Command::new("python3").arg(script).arg(root.path()).args(files));
    let expected: BTreeSet<_> = listed
        .lines()
        .map(|line| <[String; 3]>::try_from(line.split('\t').map(str::to_owned).collect::<Vec<_>>()).unwrap())
        .collect();
    let findings = ours::findings(root.path());
    assert_eq!(findings.gaps, []);
    let packages = findings.packages.into_iter().filter(|package| package.kind == PackageKind::Nuget);
    let found: BTreeSet<_> =
        packages.map(|package| [package.evidence.path, package.name, package.version]).collect();
    assert_eq!(found, expected);
    assert!(found.len() > 400, "{}", found.len());
    let framework = found.iter().filter(|[path, ..]| path.ends_with("/Microsoft.NETCore.App.deps.json"));
    assert_eq!(framework.count(), 13);
}
