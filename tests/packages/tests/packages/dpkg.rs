//! Debian packages, against `dpkg-query` and apt.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use agentless_analyser::extract::os::{Dpkg, Release};
use agentless_analyser::extract::{
    Around, ExtractError, Extractor, Found, Input, Interest, Report, Room, run_these,
};
use agentless_analyser::fs::Tree;
use agentless_core::findings::Findings;
use agentless_core::fs::Directory;
use agentless_core::limits::Limits;
use agentless_core::package::PackageKind;
use agentless_core::task::Scope;
use agentless_package_tests::debian::{self, Made};
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
    fs::create_dir_all(&folder).unwrap();
    fs::copy(Path::new("/var/lib/dpkg/status"), folder.join("status")).unwrap();
    let findings = ours::findings(root.path());
    assert_eq!(ours::names_and_versions(&findings, PackageKind::Deb), installed);
    assert!(!installed.is_empty());
}

#[test]
fn a_whole_system_with_sources_and_dependencies() {
    let root = debian::system();
    let findings = ours::findings(&root);
    assert_eq!(findings.gaps, []);
    let listed = listed(&root);
    assert!(listed.len() > 50);
    assert_eq!(rows(&findings), listed);

    let ours: BTreeMap<_, _> = findings
        .packages
        .iter()
        .map(|package| (package.name.clone(), BTreeSet::from_iter(package.details.depends_on.clone())))
        .collect();
    for (package, needed) in dependencies(&root) {
        assert_eq!(ours[&package], needed, "{package}");
    }
}

#[test]
fn the_files_of_a_whole_system_belong_to_the_packages_that_list_them() {
    let root = debian::system();
    // Some packages list what is below /lib, which is a link to /usr/lib.
    let owners = owners(&root);
    assert!(owners.len() > 300, "{}", owners.len());
    let listed = files(&root);
    for (path, owner) in owners {
        assert_eq!(listed.get(&path), owner.as_ref(), "{path}");
    }
}

#[test]
fn architectures_side_by_side_removed_packages_diversions_and_long_stanzas() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let made = Made::new(root);
    let control = |name: &str, version: &str, architecture: &str, more: &str| {
        format!(
            "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: A <a@example.org>\n\
             Description: a\n{more}"
        )
    };
    made.install(
        &control("libboth", "1:2.0-1+b1", "amd64", "Multi-Arch: same\nSource: both (1:2.0-1)\n"),
        &["usr/lib/amd64.so"],
    );
    made.install(
        &control("libboth", "1:2.0-1+b1", "i386", "Multi-Arch: same\nSource: both (1:2.0-1)\n"),
        &["usr/lib/i386.so"],
    );
    made.install(&control("removed", "1", "all", ""), &["etc/removed", "usr/lib/removed.so"]);
    made.dpkg(&["--remove", "removed"]);
    let many: Vec<_> = (0..500).map(|number| format!("etc/{}{number}", "long".repeat(55))).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    made.install(&control("long", "1-1", "all", "Depends: libboth (>= 1) | none\n"), &many);
    made.install(&control("diverted", "1", "all", ""), &["usr/lib/both.so"]);
    let divert = Command::new("dpkg-divert")
        .arg(format!("--root={}", root.display()))
        .args(["--package", "diverting", "--rename", "--divert", "/usr/lib/original.so", "/usr/lib/both.so"])
        .output()
        .unwrap();
    assert!(divert.status.success(), "{}", String::from_utf8_lossy(&divert.stderr));
    made.install(&control("diverting", "1", "all", "Depends: long, removed\n"), &["usr/lib/both.so"]);
    let status = fs::read_to_string(root.join("var/lib/dpkg/status")).unwrap();
    assert!(status.split("\n\n").any(|stanza| stanza.len() > 128 << 10), "no stanza is long");
    assert!(
        status.contains("Package: removed\nStatus: deinstall ok config-files\n"),
        "nothing is left of it"
    );

    let findings = ours::findings(root);
    assert_eq!(findings.gaps, []);
    assert_eq!(rows(&findings), listed(root));
    assert_eq!(findings.packages.len(), 5);
    let needed = |name: &str| {
        let package = findings.packages.iter().find(|package| package.name == name).unwrap();
        package.details.depends_on.clone()
    };
    assert_eq!((needed("long"), needed("diverting")), (vec!["libboth".to_owned()], vec!["long".to_owned()]));
    let expected = [
        ("/usr/lib/amd64.so".to_owned(), Some("libboth".to_owned())),
        ("/usr/lib/both.so".to_owned(), Some("diverting".to_owned())),
        ("/usr/lib/i386.so".to_owned(), Some("libboth".to_owned())),
        ("/usr/lib/original.so".to_owned(), Some("diverted".to_owned())),
    ];
    assert_eq!(owners(root), BTreeMap::from(expected));
}

#[test]
fn changes_that_dpkg_had_not_written_yet() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let made = Made::new(root);
    let control = |version: &str| {
        format!(
            "Package: a\nVersion: {version}\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: a\n"
        )
    };
    made.install(&control("1"), &["usr/lib/a"]);
    let before = fs::read(root.join("var/lib/dpkg/status")).unwrap();
    made.install(&control("2"), &["usr/lib/a"]);
    let after = fs::read(root.join("var/lib/dpkg/status")).unwrap();
    // As it is found when dpkg was stopped before the end.
    fs::write(root.join("var/lib/dpkg/status"), before).unwrap();
    fs::write(root.join("var/lib/dpkg/updates/0001"), after).unwrap();
    let findings = ours::findings(root);
    assert_eq!(findings.gaps, []);
    let rows = rows(&findings);
    // dpkg-query does not read changes; dpkg writes them into the database when it starts.
    made.dpkg(&["--configure", "--pending"]);
    assert!(
        fs::read_dir(root.join("var/lib/dpkg/updates")).unwrap().next().is_none(),
        "dpkg left the change"
    );
    assert_eq!(rows, listed(root));
    assert_eq!(findings.packages[0].version, "2");
}

/// A package: name, version, architecture, and name and version of its source.
type Row = [String; 5];

fn rows(findings: &Findings) -> BTreeSet<Row> {
    let row = |package: &agentless_core::package::Package| {
        let source = package.details.source.clone().unwrap();
        let architecture = package.architecture.clone().unwrap();
        [package.name.clone(), package.version.clone(), architecture, source.name, source.version]
    };
    findings.packages.iter().map(row).collect()
}

fn dpkg_query(root: &Path) -> Command {
    let mut command = Command::new("dpkg-query");
    command.arg(format!("--admindir={}", root.join("var/lib/dpkg").display()));
    command
}

/// What dpkg-query says is installed.
fn listed(root: &Path) -> BTreeSet<Row> {
    let format =
        "-f=${db:Status-Status} ${Package} ${Version} ${Architecture} ${source:Package} ${source:Version}\n";
    let listed = tool::run(dpkg_query(root).args(["-W", format]));
    let installed = listed.lines().filter_map(|line| line.strip_prefix("installed "));
    installed.map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap()).collect()
}

/// The installed packages that each package needs, as apt sees it.
fn dependencies(root: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let installed: BTreeSet<_> = listed(root).into_iter().map(|[name, ..]| name).collect();
    let cache = tempfile::tempdir().unwrap();
    let status = root.join("var/lib/dpkg/status");
    let printed = tool::run(
        Command::new("apt-cache")
            .arg(format!("-oDir::State::status={}", status.display()))
            .arg(format!("-oDir::State::lists={}", cache.path().display()))
            .arg(format!("-oDir::Cache={}", cache.path().display()))
            .args(["depends", "--no-recommends", "--no-suggests", "--no-conflicts"])
            .args(["--no-breaks", "--no-replaces", "--no-enhances"])
            .args(&installed),
    );
    // `  Depends: name`, or `<name>` of what is only provided; then in lines of their own the packages that provide it.
    let mut dependencies = BTreeMap::<String, BTreeSet<String>>::new();
    let (mut package, mut is_there) = (String::new(), false);
    for line in printed.lines() {
        if !line.starts_with([' ', '|']) {
            line.clone_into(&mut package);
            dependencies.entry(package.clone()).or_default();
            continue;
        }
        let needed = match line.trim_start_matches([' ', '|']).split_once(": ") {
            Some((_, name)) => {
                is_there = installed.contains(name);
                name
            }
            None if is_there => continue,
            None => line.trim(),
        };
        if needed != package && installed.contains(needed) {
            dependencies.get_mut(&package).unwrap().insert(needed.to_owned());
        }
    }
    dependencies
}

/// Reports every file under the file's path.
#[derive(Debug)]
struct Libraries;

impl Extractor for Libraries {
    fn name(&self) -> &'static str {
        "lang/libraries"
    }

    fn description(&self) -> &'static str {
        "libraries and copyright files"
    }

    fn interest(&self) -> &'static [Interest] {
        &[
            Interest::Name("copyright"),
            Interest::Suffix(".so"),
            Interest::Suffix(".0"),
            Interest::Suffix(".1"),
        ]
    }

    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
        report.package(Found::new(PackageKind::Golang, input.path().to_string(), ""));
        Ok(())
    }
}

/// The files that are found, with the packages that they are attributed to.
fn owners(root: &Path) -> BTreeMap<String, Option<String>> {
    let limits = Limits::default();
    let tree = Tree::new(Rc::new(Directory::open(root, &limits).unwrap()), limits);
    let extractors: [&dyn Extractor; 3] = [&Dpkg, &Release, &Libraries];
    let findings =
        run_these(&tree, &extractors, Scope::default(), &mut Room::new(tree.limits()), Around::default());
    let files = findings.packages.into_iter().filter(|package| package.kind == PackageKind::Golang);
    files.map(|package| (package.name, package.details.owner.map(|owner| owner.name))).collect()
}

/// The files that dpkg-query says each package installed, by the places where they are.
fn files(root: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let root = root.canonicalize().unwrap();
    for [name, _, architecture, ..] in listed(&root) {
        let all = architecture == "all";
        let package = if all { name.clone() } else { format!("{name}:{architecture}") };
        for path in tool::run(dpkg_query(&root).args(["-L", &package])).lines() {
            let listed = PathBuf::from(format!("{}{path}", root.display()));
            let Ok(folder) = listed.parent().unwrap().canonicalize() else { continue };
            let (Ok(folder), Some(file)) = (folder.strip_prefix(&root), listed.file_name()) else { continue };
            let place = Path::new("/").join(folder).join(file);
            files.insert(place.to_str().unwrap().to_owned(), name.clone());
        }
    }
    files
}
