//! What is damaged or made to do harm, beside what is good: it costs one unknown, and nothing else.
//!
//! Each kind of damage has its own test beside its reader too. Here all of them are in one tree, which is read once.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use agentless_core::findings::{Findings, Gap};
use agentless_core::package::{Package, PackageKind};
use agentless_package_tests::debian::Made;
use agentless_package_tests::{ours, program, rpm, tool};

/// Where the Python packages are.
const PYTHON: &str = "usr/lib/python3/dist-packages";
/// Where those of Node.js are.
const NODE: &str = "srv/application/node_modules";

fn write(root: &Path, path: &str, content: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn append(root: &Path, path: &str, content: &[u8]) {
    let file = File::options().append(true).open(root.join(path));
    file.unwrap().write_all(content).unwrap();
}

/// A system with packages of each kind, of which nothing is damaged.
pub(crate) fn write_good(root: &Path) {
    write(root, "etc/os-release", "ID=debian\nVERSION_ID=12\nPRETTY_NAME=\"Debian 12\"\n");
    let dpkg = Made::new(root);
    let control =
        "Package: good\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: a\n";
    dpkg.install(control, &["usr/lib/good"]);
    write(root, "usr/lib/apk/db/installed", "P:good\nV:1-r0\nA:x86_64\nL:MIT\n\n");
    write(
        root,
        &format!("{PYTHON}/good-1.dist-info/METADATA"),
        "Metadata-Version: 2.1\nName: good\nVersion: 1\n",
    );
    write(root, &format!("{NODE}/good/package.json"), r#"{"name": "good", "version": "1.0.0"}"#);
    let gem = "Gem::Specification.new do |s|\n  s.name = \"good\".freeze\n  s.version = \"1.0\"\nend\n";
    write(root, "var/lib/gems/3.1.0/specifications/good-1.0.gemspec", gem);
    let php = r#"{"packages": [{"name": "good/good", "version": "1.0.0"}]}"#;
    write(root, "srv/php/vendor/composer/installed.json", php);
    let lock = "version = 3\n\n[[package]]\nname = \"locked\"\nversion = \"1.0.0\"\nsource = \"registry+https://example.org\"\n";
    write(root, "srv/rust/Cargo.lock", lock);
    let crates = r#"{"packages":[{"name":"good","version":"1.0.0","source":"crates.io","root":true}]}"#;
    program::audited(&root.join("usr/local/bin/good"), crates);
}

/// Damages the system. Returns, for each damage, the file, and a part of what is to be said of it.
fn write_bad(root: &Path) -> Vec<(String, &'static str)> {
    let mut bad = Vec::new();
    let mut expect = |path: &str, reason| bad.push((format!("/{path}"), reason));

    // Invalid UTF-8 in each database that is text.
    append(root, "etc/os-release", b"PRETTY_NAME=\"caf\xe9\"\n");
    expect("etc/os-release", "its name is not UTF-8");
    let stanza = b"Package: caf\xe9\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n";
    append(root, "var/lib/dpkg/status", stanza);
    expect("var/lib/dpkg/status", "has a Package that is not UTF-8");
    append(root, "usr/lib/apk/db/installed", b"P:latin\nV:1-r0\nL:caf\xe9\n\n");
    expect("usr/lib/apk/db/installed", "has a license that is not UTF-8");
    let metadata = format!("{PYTHON}/latin-1.dist-info/METADATA");
    write(root, &metadata, b"Metadata-Version: 2.1\nName: caf\xe9\nVersion: 1\n");
    expect(&metadata, "has a Name that is not UTF-8");
    let package = format!("{NODE}/latin/package.json");
    write(root, &package, b"{\"name\": \"caf\xe9\", \"version\": \"1.0.0\"}");
    expect(&package, "has a name that is not UTF-8");

    let package = format!("{NODE}/itself/package.json");
    fs::create_dir_all(root.join(&package).parent().unwrap()).unwrap();
    symlink("package.json", root.join(&package)).unwrap();
    expect(&package, "(`symlinks`)");

    let line = "lib/apk/db/installed";
    write(root, line, "P:");
    File::options().write(true).open(root.join(line)).unwrap().set_len(2 << 30).unwrap();
    expect(line, "(`file_bytes`)");

    let database = "var/lib/rpm/rpmdb.sqlite";
    let mut content = fs::read(rpm::sqlite().folder.join("rpmdb.sqlite")).unwrap();
    content.truncate(content.len() / 2);
    write(root, database, content);
    expect(database, "it was cut off");

    let jars = root.join("srv/java");
    fs::create_dir_all(&jars).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/packages/bad_archives.py");
    tool::run(Command::new("python3").arg(script).arg(&jars));
    expect("srv/java/deep.jar", "(`archive_depth`)");
    expect("srv/java/absolute.jar", "lead out of it");
    bad.sort();
    bad
}

/// What a package is, and where.
fn row(package: &Package) -> (PackageKind, &str, &str, &str) {
    (package.kind, &package.name, &package.version, &package.evidence.path)
}

fn assert_gaps(gaps: &[Gap], expected: &[(String, &str)]) {
    let found: Vec<_> = gaps.iter().map(|gap| gap.path.as_deref().unwrap_or_default()).collect();
    let paths: Vec<_> = expected.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(found, paths, "{gaps:#?}");
    for (gap, (path, reason)) in gaps.iter().zip(expected) {
        assert!(gap.reason.contains(reason), "{path}: {}", gap.reason);
    }
}

#[test]
fn each_bad_input_costs_one_unknown_and_everything_else_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_good(root);
    let good = ours::findings(root);
    assert_eq!(good.gaps, []);
    let kinds: BTreeSet<_> = good.packages.iter().map(|package| package.kind).collect();
    assert_eq!((good.packages.len(), kinds.len()), (8, 7), "{:?}", good.packages);

    let bad = write_bad(root);
    let findings = ours::findings(root);
    assert_gaps(&findings.gaps, &bad);
    let found: BTreeSet<_> = findings.packages.iter().map(row).collect();
    assert_eq!(found.len(), findings.packages.len());
    for package in &good.packages {
        assert!(found.contains(&row(package)), "{package:?}");
    }
    let system = findings.operating_system.as_ref().unwrap();
    assert_eq!(
        (&system.id[..], system.version.as_deref(), system.name.as_deref()),
        ("debian", Some("12"), None)
    );
    assert_rest(&findings, &good);
    assert_bounded(root, &findings);
}

/// What is found beside the good packages: what of the bad files can be read.
fn assert_rest(findings: &Findings, good: &Findings) {
    let good: BTreeSet<_> = good.packages.iter().map(row).collect();
    let (mut rpms, mut many, mut rest) = (0, BTreeSet::new(), Vec::new());
    let listed: BTreeSet<_> = rpm::sqlite().list.into_iter().collect();
    for package in findings.packages.iter().filter(|package| !good.contains(&row(package))) {
        if package.kind == PackageKind::Rpm {
            assert!(listed.contains(&rpm::line(package)), "{package:?}");
            rpms += 1;
        } else if package.evidence.path == "/srv/java/many.jar" {
            many.insert(package.name.clone());
        } else {
            rest.push((&package.name[..], &package.evidence.path[..]));
        }
    }
    assert!(rpms > 0 && rpms < listed.len(), "{rpms}");
    assert_eq!(many.len(), 10_000);
    rest.sort_unstable();
    let expected = [
        ("caf\u{fffd}", "/var/lib/dpkg/status"),
        ("latin", "/usr/lib/apk/db/installed"),
        ("org.example:absolute", "/srv/java/absolute.jar"),
        ("org.example:beside", "/srv/java/absolute.jar"),
        ("org.example:deep", "/srv/java/deep.jar"),
    ];
    assert_eq!(rest, expected);
}

/// Reads the tree in a process of its own, with what the kernel says that it took.
fn assert_bounded(root: &Path, findings: &Findings) {
    const METER: &str = "import resource, subprocess, sys; \
        listed = subprocess.run(sys.argv[1:], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout; \
        used = resource.getrusage(resource.RUSAGE_CHILDREN); \
        print(listed.count(b'\\n'), used.ru_maxrss, round((used.ru_utime + used.ru_stime) * 1000))";
    let list = env!("CARGO_BIN_EXE_list-packages");
    let printed = tool::run(Command::new("python3").args(["-c", METER, list]).arg(root));
    let [packages, kib, ms] =
        printed.split_whitespace().map(|number| number.parse().unwrap()).collect::<Vec<usize>>()[..]
    else {
        panic!("{printed:?} is not what was used")
    };
    assert_eq!(packages, findings.packages.len());
    // The file of 2 GiB is not read, and of archives what is open at the same time is kept. The program is not optimised.
    assert!(kib < 64 << 10, "{kib} KiB");
    assert!(ms < 30_000, "{ms} ms");
}
