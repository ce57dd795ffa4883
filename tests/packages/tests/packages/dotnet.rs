//! .NET packages: Python wheels that bring .NET applications and a whole framework, against Python's `json`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use agentless_core::findings::Findings;
use agentless_core::package::PackageKind;
use agentless_package_tests::corpus::{dotnet_packages, dotnet_wheels};
use agentless_package_tests::{ours, tool};

/// File, name and version of a package.
type Row = [String; 3];

#[test]
fn what_the_sdk_recorded_is_found() {
    let root = tempfile::tempdir().unwrap();
    let expected = unpack_records(root.path());
    let findings = ours::findings(root.path());
    assert_eq!(findings.gaps, []);
    let found = rows(&findings);
    assert_eq!(found, expected);
    assert!(found.len() > 400, "{}", found.len());
    let framework = found.iter().filter(|[path, ..]| path.ends_with("/Microsoft.NETCore.App.deps.json"));
    assert_eq!(framework.count(), 13);
}

/// Libraries say in their resources what they are called, for people: in the translated ones it is a test of the translation.
/// With all of them beside the records, there is nothing more than what is recorded.
#[test]
fn resources_of_libraries_name_no_package() {
    let root = dotnet_packages();
    let resource = "azureml/dataprep/api/engineapi/bin/de/System.Spatial.resources.dll";
    let junk: Vec<_> = "!Ck5es!".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let library = fs::read(root.join(resource)).unwrap();
    assert!(library.windows(junk.len()).any(|bytes| bytes == junk), "{resource} has another name");

    let records = tempfile::tempdir().unwrap();
    assert_eq!(rows(&ours::findings(&root)), unpack_records(records.path()));
}

/// Unpacks the records of the wheels, and nothing else. Returns what Python finds in them.
fn unpack_records(root: &Path) -> BTreeSet<Row> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/packages/deps_json.py");
    let wheels = fs::read_dir(dotnet_wheels()).unwrap().map(|entry| entry.unwrap().path());
    let listed = tool::run(Command::new("python3").arg(script).arg(root).args(wheels));
    let row = |line: &str| Row::try_from(line.split('\t').map(str::to_owned).collect::<Vec<_>>()).unwrap();
    listed.lines().map(row).collect()
}

fn rows(findings: &Findings) -> BTreeSet<Row> {
    let packages = findings.packages.iter().filter(|package| package.kind == PackageKind::Nuget);
    let row = |package: &agentless_core::package::Package| {
        [package.evidence.path.clone(), package.name.clone(), package.version.clone()]
    };
    packages.map(row).collect()
}
