//! One Debian system with software of every kind and a container: each reader is right where all of them look.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use agentless_analyser::analyse;
use agentless_analyser::storage::Source;
use agentless_core::fs::Directory;
use agentless_core::limits::Limits;
use agentless_core::package::{Package, PackageKind};
use agentless_core::report::{StorageReport, TreeReport};
use agentless_core::task::Scope;
use agentless_package_tests::engine::{self, Daemon};
use agentless_package_tests::{debian, kept, ours, tool};

/// Debian packages of a Python package, a module of Node.js, a gem, a jar and a program in Go.
const PACKAGES: [&str; 5] =
    ["python3-yaml", "node-semver", "ruby-power-assert", "libcommons-lang3-java", "gosu"];

/// The system, with what is installed beside its packages, and with a container of Docker.
fn system() -> PathBuf {
    kept::tree("everything-1", |folder| {
        let root = folder.join("root");
        tool::run(Command::new("cp").arg("-a").arg(debian::system()).arg(&root));
        let downloads = tempfile::tempdir().unwrap();
        tool::run(
            Command::new("apt-get").args(["download", "-q"]).args(PACKAGES).current_dir(downloads.path()),
        );
        let files = fs::read_dir(downloads.path()).unwrap().map(|file| file.unwrap().path());
        let mut dpkg = Command::new("dpkg");
        dpkg.arg(format!("--root={}", root.display())).args(["--force-depends,unsafe-io", "-i"]).args(files);
        tool::run(&mut dpkg);
        // Not where its package has it: nobody's, and read.
        let program = fs::read_dir(root.join("usr/sbin")).unwrap().map(|file| file.unwrap().path());
        let program = program.chain([root.join("usr/bin/gosu")]).find(|path| path.ends_with("gosu")).unwrap();
        fs::copy(program, root.join("usr/local/bin/gosu")).unwrap();
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "-q", "--no-compile", "--no-deps", "--target"]);
        tool::run(pip.arg(root.join("usr/local/lib/python3.11/dist-packages")).arg("six==1.16.0"));
        // With the lock file beside what it locks.
        let application = root.join("srv/application");
        fs::create_dir_all(&application).unwrap();
        let wanted = r#"{"name": "application", "version": "1.0.0", "dependencies": {"is-odd": "3.0.1"}}"#;
        fs::write(application.join("package.json"), wanted).unwrap();
        let mut npm = Command::new("npm");
        npm.args(["install", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&application);
        tool::run(&mut npm);
        container(&root);
    })
    .join("root")
}

/// A container that has a package of Debian and one of Python.
fn container(root: &Path) {
    let run = tempfile::tempdir().unwrap();
    let layer = run.path().join("layer");
    let write = |path: &str, content: &str| {
        let path = layer.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    write("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n");
    let stanza =
        "Package: inside\nStatus: install ok installed\nVersion: 1\nArchitecture: all\nMaintainer: a\n\n";
    write("var/lib/dpkg/status", stanza);
    let metadata = "usr/lib/python3/dist-packages/within-1.dist-info/METADATA";
    write(metadata, "Metadata-Version: 2.1\nName: within\nVersion: 1\n");
    write("var/lib/dpkg/info/inside.list", &format!("/{metadata}\n"));
    let archive = run.path().join("image.tar");
    engine::image(&[layer], "example.org/inside:1", &archive);
    let store = root.join("var/lib/docker");
    fs::create_dir_all(&store).unwrap();
    let daemon = Daemon::docker(&store, run.path());
    tool::run(daemon.docker_client().args(["load", "-i", archive.to_str().unwrap()]));
    let create = ["create", "--name", "one", "--network=none", "example.org/inside:1", "/bin/true"];
    tool::run(daemon.docker_client().args(create));
}

fn scan(root: &Path) -> StorageReport {
    let limits = Limits::default();
    let root = Directory::open(root, &limits).unwrap();
    analyse::target("host", Source::Directory(Box::new(root)), Scope::default(), &limits)
}

/// The packages for languages: what and whose they are.
fn languages(tree: &TreeReport) -> impl Iterator<Item = (&Package, Option<&str>)> {
    let packages = tree.findings.packages.iter().filter(|package| !package.kind.is_of_the_system());
    packages.map(|package| (package, package.details.owner.as_ref().map(|owner| &owner.name[..])))
}

#[test]
fn a_system_with_everything() {
    let root = system();
    let report = scan(&root);
    let unknowns = report.unknowns();
    assert!(unknowns.is_empty(), "{unknowns:?}");
    let [host, container] = &report.trees[..] else { panic!("{} trees", report.trees.len()) };

    // No package twice, and none of the container's.
    for tree in [host, container] {
        let mut seen = BTreeSet::new();
        for package in &tree.findings.packages {
            let Package { kind, name, version, architecture, evidence, .. } = package;
            assert!(seen.insert((kind, name, version, architecture)), "{package:?}");
            assert!(!evidence.path.starts_with("/var/lib/docker"), "{package:?}");
        }
    }

    let mut command = Command::new("dpkg-query");
    command.arg("--admindir").arg(root.join("var/lib/dpkg")).args(["-W", "-f=${Package}\t${Version}\n"]);
    let listed = tool::run(&mut command);
    let listed = listed.lines().map(|line| line.split_once('\t').unwrap());
    let listed: BTreeSet<_> = listed.map(|(name, version)| (name.to_owned(), version.to_owned())).collect();
    assert_eq!(ours::names_and_versions(&host.findings, PackageKind::Deb), listed);

    let found: BTreeSet<_> =
        languages(host).map(|(package, owner)| (package.kind, &package.name[..], owner)).collect();
    for expected in [
        (PackageKind::Pypi, "PyYAML", Some("python3-yaml")),
        (PackageKind::Npm, "semver", Some("node-semver")),
        (PackageKind::Gem, "power_assert", Some("ruby-power-assert")),
        (PackageKind::Maven, "org.apache.commons:commons-lang3", Some("libcommons-lang3-java")),
        (PackageKind::Pypi, "six", None),
        (PackageKind::Npm, "is-odd", None),
        (PackageKind::Npm, "is-number", None),
        (PackageKind::Golang, "stdlib", None),
    ] {
        assert!(found.contains(&expected), "{expected:?} {found:?}");
    }
    // What the distribution installed is a package's, and what others did is nobody's.
    for (package, owner) in languages(host) {
        let path = &package.evidence.path;
        let is_ours = ["/srv/", "/usr/local/"].iter().any(|folder| path.starts_with(folder));
        assert_eq!(owner.is_none(), is_ours, "{package:?}");
    }

    let inside: Vec<_> = languages(container).map(|(package, owner)| (&package.name[..], owner)).collect();
    assert_eq!(inside, [("within", Some("inside"))]);
    let debian = ours::names_and_versions(&container.findings, PackageKind::Deb);
    assert_eq!(debian, BTreeSet::from([("inside".to_owned(), "1".to_owned())]));

    assert_eq!(format!("{report:?}"), format!("{:?}", scan(&root)));
}
