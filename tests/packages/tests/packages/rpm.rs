//! RPM packages, against `rpm -qa`, of databases in each format.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use agentless_core::findings::Findings;
use agentless_core::package::PackageKind;
use agentless_package_tests::rpm::{Made, bdb, build, line, list, ndb, rpm, rpms, sqlite};
use agentless_package_tests::{ours, program, tool};
use tempfile::TempDir;

/// Files of a database: what else is in the folder is indices and locks.
const FILES: [&str; 4] = ["rpmdb.sqlite", "rpmdb.sqlite-wal", "Packages.db", "Packages"];

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in FILES {
        if from.join(file).exists() {
            fs::copy(from.join(file), to.join(file)).unwrap();
        }
    }
}

/// A root with a database in one of its folders.
fn root_with(database: &Path, place: &str) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    copy(database, &root.path().join(place));
    root
}

fn lines(findings: &Findings) -> Vec<String> {
    let mut lines: Vec<_> = findings.packages.iter().map(line).collect();
    lines.sort();
    lines
}

fn assert_found(root: &Path, expected: &[String]) {
    let findings = ours::findings(root);
    assert_eq!(findings.gaps, []);
    assert_eq!(lines(&findings), expected);
    assert_eq!(findings.sources.len(), 1, "{:?}", findings.sources);
}

fn assert_is(made: &Made, place: &str) {
    let root = root_with(&made.folder, place);
    assert_found(root.path(), &made.list);
    assert_eq!(made.list.len(), rpms().len());
    let findings = ours::findings(root.path());
    assert!(!made.needs.is_empty());
    for (name, needed) in &made.needs {
        let package = findings.packages.iter().find(|package| package.name == *name).unwrap();
        assert_eq!(&package.details.depends_on, needed, "{name}");
    }
}

#[test]
fn sqlite_databases() {
    let made = sqlite();
    assert_is(&made, "var/lib/rpm");
    let listed = made.list.iter().filter(|line| line.starts_with("gpg-pubkey\t")).count();
    assert_eq!(listed, 1, "a key is a package, as for rpm");
}

#[test]
fn ndb_databases() {
    assert_is(&ndb(), "usr/lib/sysimage/rpm");
}

#[test]
fn bdb_databases() {
    assert_is(&bdb(), "var/lib/rpm");
}

#[test]
fn bdb_databases_of_big_endian_machines() {
    let made = bdb();
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("var/lib/rpm");
    fs::create_dir_all(&folder).unwrap();
    let dump = tool::run(Command::new("db5.3_dump").arg(made.folder.join("Packages")));
    let dump = dump.replacen("type=hash\n", "type=hash\ndb_lorder=4321\n", 1);
    let mut load =
        Command::new("db5.3_load").arg(folder.join("Packages")).stdin(Stdio::piped()).spawn().unwrap();
    load.stdin.take().unwrap().write_all(dump.as_bytes()).unwrap();
    assert!(load.wait().unwrap().success());
    let content = fs::read(folder.join("Packages")).unwrap();
    assert_eq!(content[12..16], [0, 6, 0x15, 0x61]);
    assert_found(root.path(), &made.list);
}

/// `sqlite3`, with a database open.
struct Session {
    program: Child,
}

impl Session {
    fn new(database: &Path) -> Self {
        let mut command = Command::new("sqlite3");
        command.arg("-batch").arg(database).stdin(Stdio::piped()).stdout(Stdio::piped());
        Self { program: command.spawn().unwrap() }
    }

    /// Runs statements, and waits until they are done.
    fn run(&mut self, statements: &str) {
        let input = self.program.stdin.as_mut().unwrap();
        writeln!(input, "{statements}\n.print done").unwrap();
        let output = BufReader::new(self.program.stdout.as_mut().unwrap());
        assert!(output.lines().any(|line| line.unwrap() == "done"));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// A database of which only the first half of the packages is in the file, and the others are in the log.
pub(crate) fn with_log(rpms: &[PathBuf]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let install = |rpms: &[PathBuf]| {
        let files: Vec<_> = rpms.iter().map(|file| file.to_str().unwrap()).collect();
        rpm(
            folder.path(),
            &[&["-i", "--justdb", "--nodeps", "--noscripts", "--ignorearch"], &files[..]].concat(),
        );
    };
    let (first, second) = rpms.split_at(rpms.len() / 2);
    install(first);
    // As long as somebody reads the older state, the log is not copied into the database.
    let mut session = Session::new(&folder.path().join("rpmdb.sqlite"));
    session.run("BEGIN; SELECT count(*) FROM Packages;");
    install(second);
    let caught = tempfile::tempdir().unwrap();
    copy(folder.path(), caught.path());
    caught
}

/// What rpm itself makes of a database and its log, in a copy: opening it changes both.
pub(crate) fn by_rpm(folder: &Path) -> Vec<String> {
    let copied = tempfile::tempdir().unwrap();
    copy(folder, copied.path());
    list(copied.path())
}

#[test]
fn a_log_that_is_not_yet_in_the_database_is_read() {
    let rpms: Vec<_> = rpms().into_iter().step_by(3).collect();
    let caught = with_log(&rpms);
    let whole = by_rpm(caught.path());
    assert_eq!(whole.len(), rpms.len());
    let root = root_with(caught.path(), "var/lib/rpm");
    assert_found(root.path(), &whole);

    // Cut off anywhere, as by a crash: what was committed counts.
    let folder = root.path().join("var/lib/rpm");
    let log = fs::read(caught.path().join("rpmdb.sqlite-wal")).unwrap();
    for part in 1..6 {
        copy(caught.path(), &folder);
        let mut cut = log[..log.len() * part / 6].to_vec();
        fs::write(folder.join("rpmdb.sqlite-wal"), &cut).unwrap();
        let cut_off = by_rpm(&folder);
        assert!(cut_off.len() < whole.len());
        assert_found(root.path(), &cut_off);
        // Nor does what comes behind a damaged page.
        let place = cut.len() / 2;
        cut[place] ^= 1;
        fs::write(folder.join("rpmdb.sqlite-wal"), &cut).unwrap();
        assert_found(root.path(), &by_rpm(&folder));
    }
    fs::remove_file(folder.join("rpmdb.sqlite-wal")).unwrap();
    let half = by_rpm(&folder);
    assert_eq!(half.len(), whole.len() / 2);
    assert_found(root.path(), &half);
}

#[test]
fn a_change_that_was_not_finished_is_undone() {
    let made = sqlite();
    let folder = tempfile::tempdir().unwrap();
    copy(&made.folder, folder.path());
    let mut session = Session::new(&folder.path().join("rpmdb.sqlite"));
    // With no room in memory, the change goes into the file before it is finished.
    session.run("PRAGMA journal_mode=DELETE; PRAGMA cache_size=2; BEGIN; DELETE FROM Packages WHERE hnum > 20; UPDATE Packages SET blob = zeroblob(9);");
    let root = root_with(folder.path(), "var/lib/rpm");
    let caught = root.path().join("var/lib/rpm");
    assert_ne!(ours::findings(root.path()).packages.len(), made.list.len());
    fs::copy(folder.path().join("rpmdb.sqlite-journal"), caught.join("rpmdb.sqlite-journal")).unwrap();
    assert_found(root.path(), &made.list);
}

#[test]
fn only_the_database_that_rpm_uses_is_read() {
    let (live, stale) = (sqlite(), bdb());
    // What the machine had before, in the same folder, and changed later, as by a copy.
    let root = root_with(&live.folder, "var/lib/rpm");
    copy(&stale.folder, &root.path().join("var/lib/rpm"));
    // And an empty one, which the rpm of another format left.
    fs::write(root.path().join("var/lib/rpm/Packages.db"), "").unwrap();
    assert_found(root.path(), &live.list);

    // Moved, with a link where it was.
    let root = root_with(&live.folder, "usr/lib/sysimage/rpm");
    fs::create_dir_all(root.path().join("var/lib")).unwrap();
    symlink("../../usr/lib/sysimage/rpm", root.path().join("var/lib/rpm")).unwrap();
    assert_found(root.path(), &live.list);

    // Two folders without a link: the one that was changed last.
    let folder = tempfile::tempdir().unwrap();
    let odd = rpms().into_iter().find(|rpm| rpm.ends_with("odd-0-0.noarch.rpm")).unwrap();
    rpm(folder.path(), &["-i", "--justdb", odd.to_str().unwrap()]);
    for (older, newer, expected) in
        [(&folder.path(), &&*live.folder, &live.list), (&&*live.folder, &folder.path(), &list(folder.path()))]
    {
        let root = root_with(older, "usr/lib/sysimage/rpm");
        let file =
            fs::File::options().write(true).open(root.path().join("usr/lib/sysimage/rpm/rpmdb.sqlite"));
        file.unwrap().set_modified(SystemTime::now() - Duration::from_secs(100)).unwrap();
        let log = root.path().join("usr/lib/sysimage/rpm/rpmdb.sqlite-wal");
        if log.exists() {
            fs::remove_file(log).unwrap();
        }
        copy(newer, &root.path().join("var/lib/rpm"));
        assert_found(root.path(), expected);
    }
}

/// Installs a package of this vendor, with a Python package and a program of one crate, which are named after it.
fn install(root: &Path, name: &str, vendor: &str) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    let list = format!(
        r#"{{"packages":[{{"name":"{name}-crate","version":"1.0.0","source":"crates.io","root":true}}]}}"#
    );
    program::audited(&program, &list);
    let metadata = format!("%{{buildroot}}/usr/lib/python3.9/site-packages/{name}-1.dist-info/METADATA");
    let spec = format!(
        "%define __os_install_post %{{nil}}\n%define _binaries_in_noarch_packages_terminate_build 0\nName: {name}\nVersion: 1\n\
         Release: 1\nSummary: s\nLicense: MIT\nVendor: {vendor}\nBuildArch: noarch\n%description\nd\n%install\n\
         mkdir -p $(dirname {metadata}) %{{buildroot}}/usr/bin %{{buildroot}}/opt/{name}\n\
         printf 'Metadata-Version: 2.1\\nName: {name}-python\\nVersion: 1\\n' >{metadata}\n\
         cp {0} %{{buildroot}}/usr/bin/{name}\ncp {0} %{{buildroot}}/opt/{name}/{name}\n%files\n/usr\n/opt\n",
        program.display(),
    );
    build(folder.path(), name, &spec, &["noarch"]);
    let mut command = Command::new("rpm");
    command.arg("--root").arg(root).args(["--dbpath", "/var/lib/rpm", "--nodeps", "-i"]);
    tool::run(command.arg(folder.path().join(format!("RPMS/noarch/{name}-1-1.noarch.rpm"))));
}

#[test]
fn what_packages_installed_is_attributed_to_them() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir(root.join("etc")).unwrap();
    fs::write(root.join("etc/os-release"), "ID=rhel\nVERSION_ID=9\n").unwrap();
    install(root, "own", "Red Hat, Inc.");
    install(root, "other", "Somebody");
    // Beside them, what no package installed.
    let alone = root.join("usr/lib/python3.9/site-packages/alone-1.dist-info");
    fs::create_dir(&alone).unwrap();
    fs::write(alone.join("METADATA"), "Metadata-Version: 2.1\nName: alone\nVersion: 1\n").unwrap();

    let findings = ours::findings(root);
    assert_eq!(findings.gaps, []);
    let found: Vec<_> = findings
        .packages
        .iter()
        .filter(|package| package.kind != PackageKind::Rpm)
        .map(|package| {
            let owner = package.details.owner.as_ref();
            assert!(owner.is_none_or(|owner| owner.kind == PackageKind::Rpm));
            (&package.name[..], &package.evidence.path[..], owner.map(|owner| &owner.name[..]))
        })
        .collect();
    // What is built into the distribution's own programs is covered by its packages, except below `/opt`.
    let site_packages = "/usr/lib/python3.9/site-packages";
    let metadata = |name| format!("{site_packages}/{name}-1.dist-info/METADATA");
    let expected = [
        ("alone", &metadata("alone")[..], None),
        ("other-crate", "/opt/other/other", Some("other")),
        ("other-crate", "/usr/bin/other", Some("other")),
        ("other-python", &metadata("other"), Some("other")),
        ("own-crate", "/opt/own/own", Some("own")),
        ("own-python", &metadata("own"), Some("own")),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_list_without_a_database_is_read() {
    let made = sqlite();
    let format = "%{NAME}\t%{VERSION}-%{RELEASE}\t%{INSTALLTIME}\t%{BUILDTIME}\t%{VENDOR}\t%{EPOCH}\t%{SIZE}\t%{ARCH}\t%{EPOCHNUM}\t%{SOURCERPM}\n";
    let copied = tempfile::tempdir().unwrap();
    copy(&made.folder, copied.path());
    let manifest = rpm(copied.path(), &["-qa", "--qf", format]);
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("var/lib/rpmmanifest");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("container-manifest-2"), manifest).unwrap();
    let findings = ours::findings(root.path());
    assert_eq!(findings.gaps, []);
    // It has neither licences nor modules.
    let without = |line: &String| {
        let fields: Vec<_> = line.split('\t').collect();
        fields[..5].join("\t")
    };
    let expected: Vec<_> = made.list.iter().map(without).collect();
    assert_eq!(lines(&findings).iter().map(without).collect::<Vec<_>>(), expected);
}

#[test]
fn a_damaged_database_keeps_what_can_be_read() {
    for (made, file) in [(sqlite(), "rpmdb.sqlite"), (ndb(), "Packages.db"), (bdb(), "Packages")] {
        let root = root_with(&made.folder, "var/lib/rpm");
        let path = root.path().join("var/lib/rpm").join(file);
        let whole = fs::read(&path).unwrap();
        for part in 1..8 {
            fs::write(&path, &whole[..whole.len() * part / 8]).unwrap();
            let findings = ours::findings(root.path());
            let [gap] = &findings.gaps[..] else { panic!("{file}, {part}: {:?}", findings.gaps) };
            assert!(gap.reason.starts_with("it was cut off: "), "{file}, {part}: {}", gap.reason);
            let found = lines(&findings);
            if part == 4 {
                assert!(found.len() > made.list.len() / 8, "{file}: {} packages", found.len());
            }
            assert!(found.iter().all(|line| made.list.contains(line)), "{file}");
        }
        // A header in the middle.
        let mut damaged = whole.clone();
        let middle = whole.len() / 2..whole.len() / 2 + 5000;
        damaged[middle].fill(0);
        fs::write(&path, &damaged).unwrap();
        let findings = ours::findings(root.path());
        assert!(!findings.gaps.is_empty() || lines(&findings) == made.list, "{file}");
        assert!(
            findings.packages.len() + 20 > made.list.len(),
            "{file}: {} packages",
            findings.packages.len()
        );
    }
}
