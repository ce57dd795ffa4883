//! Lock files, against the tools that wrote them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use agentless_core::package::{PackageKind, Record};
use agentless_package_tests::{kept, ours, tool};
use serde_json::Value;

type Rows = BTreeSet<(String, String)>;

/// What we read in one lock file.
fn locked(lock: &Path, kind: PackageKind) -> Rows {
    let root = tempfile::tempdir().unwrap();
    let name = lock.file_name().unwrap();
    fs::copy(lock, root.path().join(name)).unwrap();
    let findings = ours::findings(root.path());
    assert_eq!(findings.gaps, [], "{}", lock.display());
    assert!(findings.packages.iter().all(|package| package.details.record == Record::Locked));
    ours::names_and_versions(&findings, kind)
}

#[test]
fn the_crates_of_this_repository() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let metadata = tool::run(Command::new(env!("CARGO")).current_dir(&repository).args([
        "metadata",
        "--locked",
        "--format-version",
        "1",
    ]));
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let crates = metadata["packages"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let expected: Rows = crates
        .filter(|package| !package["source"].is_null())
        .map(|package| (text(&package["name"]), text(&package["version"])))
        .collect();
    assert!(expected.len() > 100);
    assert_eq!(locked(&repository.join("Cargo.lock"), PackageKind::Cargo), expected);
}

/// A package that depends on others in every way there is, locked in each version of the file.
fn npm_tree() -> std::path::PathBuf {
    kept::tree("npm-locks-1", |folder| {
        const MANIFEST: &str = r#"{
            "name": "app", "version": "1.0.0", "workspaces": ["packages/*"],
            "dependencies": {"express": "4.18.2", "@babel/core": "7.23.0", "color-alias": "npm:ansi-styles@5.2.0"},
            "optionalDependencies": {"fsevents": "2.3.3"},
            "devDependencies": {"mocha": "10.2.0", "debug": "4.3.4"}
        }"#;
        for version in ["1", "2", "3"] {
            let folder = folder.join(version);
            fs::create_dir_all(folder.join("packages/w")).unwrap();
            fs::write(folder.join("package.json"), MANIFEST).unwrap();
            let workspace = r#"{"name": "w", "version": "0.1.0", "dependencies": {"semver": "5.7.2"}}"#;
            fs::write(folder.join("packages/w/package.json"), workspace).unwrap();
            tool::run(Command::new("npm").current_dir(&folder).args([
                "install",
                "--package-lock-only",
                "--no-audit",
                "--lockfile-version",
                version,
            ]));
        }
    })
}

#[test]
fn what_npm_locks() {
    for version in ["1", "2", "3"] {
        let folder = npm_tree().join(version);
        let listed = tool::run(Command::new("npm").current_dir(&folder).args([
            "ls",
            "--all",
            "--package-lock-only",
            "--omit=dev",
            "--parseable",
            "--long",
        ]));
        // `path:name@version`, of an alias `path:alias@npm:name@version`; links have another path at the end, the
        // application itself none in front.
        let mut expected = Rows::new();
        for line in listed.lines().filter_map(|line| line.strip_prefix(folder.to_str().unwrap())) {
            let (path, package) = line.split_once(':').unwrap();
            let package = package.split_once("@npm:").map_or(package, |(_, package)| package);
            if path.contains("node_modules/") && !package.contains(":/") {
                let (name, version) = package.rsplit_once('@').unwrap();
                expected.insert((name.to_owned(), version.to_owned()));
            }
        }
        assert!(expected.len() > 100, "{expected:?}");
        assert!(expected.contains(&("ansi-styles".to_owned(), "5.2.0".to_owned())));
        assert_eq!(locked(&folder.join("package-lock.json"), PackageKind::Npm), expected, "{version}");
    }
}

/// A project with an extra, conditions and a group for development, locked and exported by uv.
fn uv_tree() -> std::path::PathBuf {
    kept::tree("uv-locks-1", |folder| {
        const PROJECT: &str = r#"[project]
name = "app"
version = "0.1.0"
requires-python = ">=3.9"
dependencies = ["flask==2.3.3", "requests[socks]==2.31.0", "numpy; python_version < '3.10'", "colorama; sys_platform == 'win32'"]
[project.optional-dependencies]
fast = ["orjson==3.9.15"]
[dependency-groups]
dev = ["pytest==7.4.0"]
"#;
        fs::write(folder.join("pyproject.toml"), PROJECT).unwrap();
        tool::run(Command::new("python3").current_dir(folder).args(["-m", "venv", "venv"]));
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv==0.9.5"];
        tool::run(Command::new("venv/bin/python").current_dir(folder).args(pip));
        let uv = |arguments: &[&str]| {
            let mut command = Command::new("venv/bin/uv");
            tool::run(command.current_dir(folder).env("UV_CACHE_DIR", folder.join("cache")).args(arguments));
        };
        uv(&["lock", "--quiet"]);
        let export = ["export", "--quiet", "--no-dev", "--all-extras", "--no-emit-project", "-o"];
        for file in ["requirements.txt", "pylock.toml"] {
            uv(&[&export[..], &[file]].concat());
        }
        // Neither is needed any more.
        fs::remove_dir_all(folder.join("venv")).unwrap();
        fs::remove_dir_all(folder.join("cache")).unwrap();
    })
}

#[test]
fn what_uv_locks_and_exports() {
    let folder = uv_tree();
    let export = fs::read_to_string(folder.join("requirements.txt")).unwrap();
    let pins = export.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_alphabetic()));
    let expected: Rows = pins
        .map(|line| {
            let (name, version) = line.split_once("==").unwrap();
            (name.to_owned(), version.split([' ', ';', '\\']).next().unwrap().to_owned())
        })
        .collect();
    assert!(expected.len() > 12, "{expected:?}");
    for file in ["uv.lock", "requirements.txt", "pylock.toml"] {
        assert_eq!(locked(&folder.join(file), PackageKind::Pypi), expected, "{file}");
    }
}
