//! Python distributions, against `pip`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use agentless_core::findings::Findings;
use agentless_core::package::{Package, PackageKind};
use agentless_package_tests::corpus::{DISTRIBUTIONS, environment, pip};
use agentless_package_tests::{kept, ours, tool};
use serde_json::Value;

#[test]
fn a_virtual_environment() {
    let root = environment();
    let findings = ours::findings(&root);
    assert_eq!(findings.gaps, []);
    assert_eq!(distributions(&findings), listed(&mut pip(&root), &[]));
    assert!(distributions(&findings).len() > DISTRIBUTIONS.len());
}

#[test]
fn what_they_need_of_each_other() {
    let root = environment();
    let findings = ours::findings(&root);
    let names: BTreeSet<_> = distributions(&findings).into_iter().map(|(name, _)| name).collect();
    let shown = tool::run(pip(&root).arg("show").args(&names));
    let mut expected = BTreeMap::new();
    for distribution in shown.split("\n---\n") {
        let field =
            |name: &str| distribution.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        let needed: BTreeSet<_> =
            field("Requires: ").split(", ").filter(|name| !name.is_empty()).map(compared).collect();
        expected.insert(field("Name: ").to_owned(), needed);
    }
    let mut found: BTreeMap<_, BTreeSet<_>> = findings
        .packages
        .iter()
        .filter(|package| !is_vendored(package))
        .map(|package| (package.name.clone(), package.details.depends_on.iter().cloned().collect()))
        .collect();
    // Needed by older versions of Python only, and here for another reason. Which version runs them is not recorded.
    for (name, conditional) in [
        ("Flask", "importlib-metadata"),
        ("attrs", "importlib-metadata"),
        ("importlib_metadata", "typing-extensions"),
    ] {
        if !expected[name].contains(conditional) {
            assert!(found.get_mut(name).unwrap().remove(conditional), "{found:?}");
        }
    }
    assert_eq!(found, expected);
}

#[test]
fn a_target_directory_and_metadata_of_setuptools() {
    let folder = tempfile::tempdir().unwrap();
    let environment = environment();
    let from = site_packages(&environment);
    let record = "flask-3.0.3.dist-info";
    fs::create_dir(folder.path().join(record)).unwrap();
    fs::copy(from.join(record).join("METADATA"), folder.path().join(record).join("METADATA")).unwrap();
    // Of before 2021: a directory, or a file alone.
    let metadata = "Metadata-Version: 1.2\r\nName: Old.Thing\r\nVersion: 1.0\r\nSummary: x\r\nLicense: UNKNOWN\r\n\
                    Description: x\r\n        y\r\n        \r\n        Version: 2\r\nPlatform: UNKNOWN\r\n";
    fs::create_dir(folder.path().join("Old.Thing.egg-info")).unwrap();
    fs::write(folder.path().join("Old.Thing.egg-info/PKG-INFO"), metadata).unwrap();
    fs::write(folder.path().join("Old.Thing.egg-info/requires.txt"), "older\n\n[extra]\nflask\n").unwrap();
    let metadata = "Metadata-Version: 1.0\nName: older\nVersion: 0.1\nodd line\nAuthor: A\n";
    fs::write(folder.path().join("older-0.1-py3.9.egg-info"), metadata).unwrap();

    let findings = ours::findings(folder.path());
    assert_eq!(findings.gaps, []);
    let expected = listed(&mut pip(&environment), &[OsStr::new("--path"), folder.path().as_os_str()]);
    assert_eq!(distributions(&findings), expected);
    assert_eq!(expected.len(), 3);
    let old = findings.packages.iter().find(|package| package.name == "Old.Thing").unwrap();
    assert_eq!(old.details.depends_on, ["older"]);
}

#[test]
fn wheels() {
    let environment = environment();
    let root = kept::tree("python-wheels-1", |folder| {
        let wheels = ["PyYAML==6.0.2", "python-dateutil==2.9.0.post0", "zope.interface==7.2"];
        let download = ["download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest"];
        tool::run(pip(&environment).args(download).arg(folder).args(wheels));
    });
    let report =
        ["install", "--quiet", "--no-deps", "--no-index", "--ignore-installed", "--dry-run", "--report", "-"];
    let wheels = fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path());
    let report: Value =
        serde_json::from_str(&tool::run(pip(&environment).args(report).args(wheels))).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let distributions = report["install"].as_array().unwrap().iter().map(|entry| &entry["metadata"]);
    let expected: BTreeSet<_> =
        distributions.map(|metadata| (text(&metadata["name"]), text(&metadata["version"]))).collect();
    let findings = ours::findings(&root);
    assert_eq!(findings.gaps, []);
    assert_eq!(ours::names_and_versions(&findings, PackageKind::Pypi), expected);
    assert_eq!(expected.len(), 3);
}

/// What `pip list` says.
fn listed(pip: &mut Command, options: &[&OsStr]) -> BTreeSet<(String, String)> {
    let listed: Value =
        serde_json::from_str(&tool::run(pip.args(["list", "--format", "json"]).args(options))).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    listed.as_array().unwrap().iter().map(|entry| (text(&entry["name"]), text(&entry["version"]))).collect()
}

/// The directory of its distributions: `lib/python3.11/site-packages`.
fn site_packages(environment: &Path) -> PathBuf {
    let versions = fs::read_dir(environment.join("lib")).unwrap();
    versions.map(|entry| entry.unwrap().path().join("site-packages")).find(|path| path.exists()).unwrap()
}

/// A name as PEP 503 compares them.
fn compared(name: &str) -> String {
    name.to_lowercase().replace(['_', '.'], "-")
}

/// What setuptools carries inside is there, and no concern of `pip`.
fn is_vendored(package: &Package) -> bool {
    package.evidence.path.contains("/_vendor/")
}

/// Ours that `pip` has to know.
fn distributions(findings: &Findings) -> BTreeSet<(String, String)> {
    let packages = findings.packages.iter().filter(|package| !is_vendored(package)).cloned().collect();
    ours::names_and_versions(&Findings { packages, ..Findings::default() }, PackageKind::Pypi)
}
