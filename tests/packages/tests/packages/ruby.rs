//! Ruby gems, against `gem`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use agentless_core::package::{Certainty, PackageKind};
use agentless_package_tests::{ours, tool};

#[test]
fn the_gems_of_this_machine() {
    let root = tempfile::tempdir().unwrap();
    // Their specifications alone: what else this machine has is nobody's business.
    for path in tool::run(Command::new("gem").args(["env", "gempath"])).trim().split(':') {
        let to = root.path().join(path.trim_start_matches('/')).join("specifications");
        copy_specifications(&Path::new(path).join("specifications"), &to);
    }
    let findings = ours::findings(root.path());
    assert_eq!(findings.gaps, []);
    let expected = listed(&mut Command::new("gem"));
    assert_eq!(ours::names_and_versions(&findings, PackageKind::Gem), expected);
    assert!(expected.len() > 20, "{expected:?}");
    let guessed =
        findings.packages.iter().filter(|package| package.details.certainty != Certainty::Recorded).count();
    assert_eq!(guessed, 0);
}

#[test]
fn gems_that_were_built_and_installed() {
    let root = tempfile::tempdir().unwrap();
    let sources = tempfile::tempdir().unwrap();
    for (file, specification) in [
        ("first", "Gem::Specification.new do |s|\n s.name = %q{first-gem}\n s.version = '1.2.3.pre1'\n"),
        (
            "second",
            "VERSION = '0.10'\nGem::Specification.new do |s|\n s.name = 'second_2'\n s.version = VERSION\n\
             s.platform = 'x86_64-linux'\n s.add_dependency 'first-gem', '>= 1.a'\n\
             s.add_development_dependency 'rake'\n",
        ),
    ] {
        let common =
            "s.summary = 'x'\n s.authors = ['A']\n s.files = []\n s.licenses = ['MIT', 'Ruby']\nend\n";
        fs::write(sources.path().join(format!("{file}.gemspec")), format!("{specification} {common}"))
            .unwrap();
        tool::run(Command::new("gem").current_dir(sources.path()).args(["build", file]));
    }
    let install = ["install", "--local", "--no-document", "--force", "--install-dir"];
    let mut gem = Command::new("gem");
    gem.current_dir(sources.path()).args(install).arg(root.path());
    tool::run(gem.args(["first-gem-1.2.3.pre1.gem", "second_2-0.10-x86_64-linux.gem"]));

    let findings = ours::findings(root.path());
    assert_eq!(findings.gaps, []);
    let mut gem = Command::new("gem");
    gem.env("GEM_HOME", root.path()).env("GEM_PATH", root.path());
    let found = ours::names_and_versions(&findings, PackageKind::Gem);
    // What came with Ruby is listed too, wherever it is.
    let expected = &listed(&mut gem) - &listed(Command::new("gem").env("GEM_PATH", "/nonexistent"));
    assert_eq!(found, expected);
    assert_eq!(found.len(), 2);
    let second = findings.packages.iter().find(|package| package.name == "second_2").unwrap();
    assert_eq!(second.details.depends_on, ["first-gem"]);
    assert_eq!(second.details.licenses, ["MIT", "Ruby"]);
}

/// What `gem list` says: `rake (13.0.6, default: 13.0.3)`, and the platforms after a version.
fn listed(gem: &mut Command) -> BTreeSet<(String, String)> {
    let listed = tool::run(gem.args(["list", "--local", "--all", "--prerelease"]));
    let gems = listed.lines().filter_map(|line| line.strip_suffix(')')?.split_once(" ("));
    let versions = gems.flat_map(|(name, versions)| versions.split(", ").map(move |version| (name, version)));
    versions
        .map(|(name, version)| {
            let version = version.strip_prefix("default: ").unwrap_or(version);
            (name.to_owned(), version.split(' ').next().unwrap().to_owned())
        })
        .collect()
}

/// Copies a directory of specifications, if there is one, with `default` in it.
fn copy_specifications(from: &Path, to: &Path) {
    if !from.exists() {
        return;
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_specifications(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}
