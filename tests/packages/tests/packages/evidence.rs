//! Evidence stays as it is: a scan changes no byte, no time and no name of what it reads.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use agentless_analyser::analyse;
use agentless_analyser::storage::{Disk, DiskState, Source};
use agentless_core::fs::Directory;
use agentless_core::limits::Limits;
use agentless_core::package::PackageKind;
use agentless_core::report::{Journal, StorageReport};
use agentless_core::task::Scope;
use agentless_core::volume::FileVolume;
use agentless_package_tests::{ours, rpm, tool};

use crate::bad_input::write_good;
use crate::rpm::{by_rpm, with_log};

/// All that there is of a file but the time of its last reading.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    /// Inode, mode, owner, group, links, size, blocks.
    numbers: [u64; 7],
    /// When its content and when anything of it was changed, in seconds and nanoseconds. No program can set the second one.
    times: [i64; 4],
    /// What is in it, or where it leads.
    content: Vec<u8>,
}

/// Everything in a folder, and the folder.
fn state(folder: &Path) -> BTreeMap<PathBuf, State> {
    let mut states = BTreeMap::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(path) = waiting.pop() {
        let found = fs::symlink_metadata(&path).unwrap();
        let content = if found.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            Vec::new()
        } else if found.is_symlink() {
            fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
        } else {
            fs::read(&path).unwrap()
        };
        let numbers = [
            found.ino(),
            found.mode().into(),
            found.uid().into(),
            found.gid().into(),
            found.nlink(),
            found.size(),
            found.blocks(),
        ];
        let times = [found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()];
        states.insert(path, State { numbers, times, content });
    }
    states
}

/// Where two states differ.
fn differences<'a>(a: &'a BTreeMap<PathBuf, State>, b: &'a BTreeMap<PathBuf, State>) -> Vec<&'a Path> {
    let paths = a.keys().chain(b.keys().filter(|path| !a.contains_key(*path)));
    paths.filter(|path| a.get(*path) != b.get(*path)).map(PathBuf::as_path).collect()
}

fn scan(source: Source<'_>) -> StorageReport {
    analyse::target("evidence", source, Scope::default(), &Limits::default())
}

#[test]
fn a_scan_of_a_directory_leaves_it_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_good(root);
    let rpms: Vec<_> = rpm::rpms().into_iter().step_by(3).collect();
    // A database with a log, into which most programs write when they only read it.
    let database = root.join("var/lib/rpm");
    fs::rename(with_log(&rpms).keep(), &database).unwrap();
    let whole = by_rpm(&database);

    let before = state(root);
    let limits = Limits::default();
    let report = scan(Source::Directory(Box::new(Directory::open(root, &limits).unwrap())));
    let after = state(root);
    assert_eq!(differences(&before, &after), Vec::<&Path>::new());

    let findings = &report.trees[0].findings;
    let mut found: Vec<_> =
        findings.packages.iter().filter(|package| package.kind == PackageKind::Rpm).collect();
    found.sort();
    let mut lines: Vec<_> = found.into_iter().map(rpm::line).collect();
    lines.sort();
    assert_eq!(lines, whole);
    assert_eq!(ours::names_and_versions(findings, PackageKind::Npm).len(), 1);

    // It would be seen: rpm's own listing is a change.
    rpm::list(&database);
    assert_ne!(differences(&before, &state(root)), Vec::<&Path>::new());
}

#[test]
fn a_scan_of_a_disk_leaves_it_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    write_good(&root);
    let disks = folder.path().join("disks");
    fs::create_dir(&disks).unwrap();
    let image = disks.join("disk.img");
    tool::run(Command::new("mkfs.ext4").args(["-q", "-b", "4096", "-d"]).arg(&root).arg(&image).arg("32M"));
    // What dpkg wrote last is only in the journal, as on a disk of a machine that runs.
    let status = fs::read_to_string(root.join("var/lib/dpkg/status")).unwrap();
    write_into_journal(&image, "/var/lib/dpkg/status", &status.replace("Version: 1", "Version: 2"));

    let before = state(&disks);
    let volume = Arc::new(FileVolume::open(&image).unwrap());
    let disk = Disk { id: "disk".to_owned(), device: None, state: DiskState::Open(volume) };
    let report = scan(Source::Disks(&[disk]));
    let after = state(&disks);
    assert_eq!(differences(&before, &after), Vec::<&Path>::new());

    assert!(matches!(report.filesystems[0].journal, Journal::Replayed { transactions: 1 }), "{report:?}");
    let debian = ours::names_and_versions(&report.trees[0].findings, PackageKind::Deb);
    assert_eq!(debian.into_iter().collect::<Vec<_>>(), [("good".to_owned(), "2".to_owned())]);

    // It would be seen: to replay the journal is a change.
    tool::run(Command::new("e2fsck").args(["-E", "journal_only", "-y"]).arg(&image));
    assert_ne!(differences(&before, &state(&disks)), Vec::<&Path>::new());
}

/// Writes the first block of a file into the journal of an ext4 image, and not to its place.
fn write_into_journal(image: &Path, path: &str, content: &str) {
    let debugfs =
        |request: &str| tool::run(Command::new("debugfs").args(["-R", request]).arg(image)).trim().to_owned();
    let block = debugfs(&format!("blocks {path}"));
    let mut bytes = content.as_bytes().to_vec();
    assert!(bytes.len() <= 4096 && !block.contains(' '), "{path} is not in one block");
    bytes.resize(4096, 0);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&bytes).unwrap();
    let mut debugfs = Command::new("debugfs");
    debugfs
        .args(["-w", "-f", "-"])
        .arg(image)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut debugfs = debugfs.spawn().unwrap();
    let requests = format!("jo\njw -b {block} {}\njc\n", file.path().display());
    debugfs.stdin.take().unwrap().write_all(requests.as_bytes()).unwrap();
    assert!(debugfs.wait().unwrap().success());
}
