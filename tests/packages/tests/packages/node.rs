//! Packages of Node.js, against `npm`, `yarn` and `pnpm`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use agentless_core::package::PackageKind;
use agentless_package_tests::corpus::{APPLICATION, node_modules, npm};
use agentless_package_tests::{kept, ours, tool};
use serde_json::Value;

type NamesAndVersions = BTreeSet<(String, String)>;

#[test]
fn what_npm_installed() {
    let root = node_modules();
    // With `--long`, the name under which a package is published.
    let listed: Value =
        serde_json::from_str(&tool::run(npm(&root).args(["ls", "--all", "--json", "--long"]))).unwrap();
    let mut expected = BTreeSet::new();
    of_npm(&listed, &mut expected);
    assert_eq!(found(&root), expected);
    assert!(expected.contains(&("is-odd".to_owned(), "3.0.1".to_owned())), "{expected:?}");
}

#[test]
fn what_yarn_installed() {
    let root = kept::tree("node-yarn-1", |folder| {
        let modules = folder.join("application");
        fs::create_dir(&modules).unwrap();
        fs::write(modules.join("package.json"), APPLICATION).unwrap();
        let cache = tempfile::tempdir().unwrap();
        tool::run(yarn(&modules).args(["install", "--ignore-scripts", "--cache-folder"]).arg(cache.path()));
    });
    let listed = tool::run(yarn(&root.join("application")).args(["list", "--json"]));
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let mut expected = BTreeSet::from([name_and_version("application@1.0.0")]);
    of_yarn(&listed["data"]["trees"], &mut expected);
    // `yarn` lists it under the name that it has here.
    assert!(expected.remove(&name_and_version("is-old@3.0.1")), "{expected:?}");
    expected.insert(name_and_version("is-odd@3.0.1"));
    assert_eq!(found(&root), expected);
}

#[test]
fn what_pnpm_installed() {
    let root = kept::tree("node-pnpm-1", |folder| {
        fs::write(folder.join("package.json"), APPLICATION).unwrap();
        let store = tempfile::tempdir().unwrap();
        tool::run(pnpm(folder).args(["install", "--ignore-scripts", "--store-dir"]).arg(store.path()));
    });
    let listed = tool::run(pnpm(&root).args(["ls", "--json", "--depth", "Infinity"]));
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let mut expected = BTreeSet::from([name_and_version("application@1.0.0")]);
    of_pnpm(&listed[0], &mut expected);
    assert_eq!(found(&root), expected);
}

/// Ours. There is nothing that we cannot read.
fn found(root: &Path) -> NamesAndVersions {
    let findings = ours::findings(root);
    assert_eq!(findings.gaps, []);
    let express = findings.packages.iter().find(|package| package.name == "express").unwrap();
    assert_eq!(express.details.licenses, ["MIT"]);
    assert!(express.details.depends_on.contains(&"body-parser".to_owned()), "{:?}", express.details);
    ours::names_and_versions(&findings, PackageKind::Npm)
}

/// The packages of `npm ls --all --json --long`: the application, and what it needs.
fn of_npm(package: &Value, packages: &mut NamesAndVersions) {
    if let (Some(name), Some(version)) = (package["name"].as_str(), package["version"].as_str()) {
        packages.insert((name.to_owned(), version.to_owned()));
    }
    for package in package["dependencies"].as_object().into_iter().flat_map(|packages| packages.values()) {
        of_npm(package, packages);
    }
}

/// The packages of `yarn list --json`. A shadow stands for one that is installed further out.
fn of_yarn(trees: &Value, packages: &mut NamesAndVersions) {
    for tree in trees.as_array().into_iter().flatten() {
        if tree["shadow"] != true {
            packages.insert(name_and_version(tree["name"].as_str().unwrap()));
        }
        of_yarn(&tree["children"], packages);
    }
}

/// What a package of `pnpm ls --json` needs.
fn of_pnpm(package: &Value, packages: &mut NamesAndVersions) {
    for package in package["dependencies"].as_object().into_iter().flat_map(|packages| packages.values()) {
        let text = |name: &str| package[name].as_str().unwrap().to_owned();
        packages.insert((text("from"), text("version")));
        of_pnpm(package, packages);
    }
}

/// `name@version`, where the name may begin with an `@` too.
fn name_and_version(text: &str) -> (String, String) {
    let (name, version) = text.rsplit_once('@').unwrap();
    (name.to_owned(), version.to_owned())
}

fn yarn(folder: &Path) -> Command {
    let mut command = Command::new(tools().join("node_modules/.bin/yarn"));
    command.current_dir(folder).args(["--no-progress", "--non-interactive"]);
    command
}

fn pnpm(folder: &Path) -> Command {
    let mut command = Command::new(tools().join("node_modules/.bin/pnpm"));
    command.current_dir(folder);
    command
}

/// The package managers that Debian has not.
fn tools() -> PathBuf {
    kept::tree("node-tools-1", |folder| {
        let install = ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"];
        tool::run(npm(folder).args(install).arg(folder).args(["yarn@1.22.22", "pnpm@9.15.9"]));
    })
}
