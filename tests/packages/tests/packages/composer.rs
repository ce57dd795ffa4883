//! PHP packages, against Composer.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use agentless_core::package::PackageKind;
use agentless_package_tests::{ours, tool};
use serde_json::Value;

#[test]
fn what_composer_installed() {
    let root = tempfile::tempdir().unwrap();
    let write = |path: &str, content: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    write(
        "source/first/composer.json",
        r#"{"name": "example/first", "version": "v1.2.0", "license": ["MIT", "GPL-2.0-only"],
            "require": {"php": ">=7", "example/second": "^2"}}"#,
    );
    write(
        "source/second/composer.json",
        r#"{"name": "example/second", "version": "2.0.1", "license": "proprietary"}"#,
    );
    write("source/third/composer.json", r#"{"name": "example/third", "version": "dev-main"}"#);
    write(
        "application/composer.json",
        r#"{"name": "example/application", "minimum-stability": "dev", "repositories": [{"packagist.org": false},
            {"type": "path", "url": "../source/*", "options": {"symlink": false}}],
            "require": {"example/first": "*"}, "require-dev": {"example/third": "*"}}"#,
    );
    let composer = || {
        let mut command = Command::new("composer");
        command.current_dir(root.path().join("application")).env("COMPOSER_ALLOW_SUPERUSER", "1");
        command.env("COMPOSER_HOME", root.path().join("home")).arg("--no-interaction");
        command
    };
    tool::run(composer().arg("install"));
    let listed: Value = serde_json::from_str(&tool::run(composer().args(["show", "--format=json"]))).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let expected: BTreeSet<_> = listed["installed"]
        .as_array()
        .unwrap()
        .iter()
        // A tag's `v` is no part of the version.
        .map(|package| (text(&package["name"]), text(&package["version"]).trim_start_matches('v').to_owned()))
        .collect();
    assert_eq!(expected.len(), 3);

    let findings = ours::findings(root.path());
    assert_eq!(findings.gaps, []);
    assert_eq!(ours::names_and_versions(&findings, PackageKind::Composer), expected);
    let first = findings.packages.iter().find(|package| package.name == "example/first").unwrap();
    assert_eq!(first.details.depends_on, ["example/second"]);
    assert_eq!(first.details.licenses, ["MIT", "GPL-2.0-only"]);
}
