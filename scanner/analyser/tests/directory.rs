//! Directories of this machine, read through the tree that disks are read through.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "the helpers of tests fail as tests do, and make the directories"
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::rc::Rc;

use agentless_analyser::fs::{FileType, FsPath, Tree};
use agentless_analyser::limits::Limits;
use agentless_core::fs::Directory;
use rustix::fs::Mode;

fn tree(root: &Path) -> Tree {
    let limits = Limits::default();
    Tree::new(Rc::new(Directory::open(root, &limits).unwrap()), limits)
}

#[test]
fn links_stay_inside_the_directory() {
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("root");
    fs::create_dir_all(root.join("usr/lib")).unwrap();
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::write(outer.path().join("secret"), "outside").unwrap();
    fs::write(root.join("usr/lib/os-release"), "ID=test\n").unwrap();
    symlink("../usr/lib/os-release", root.join("etc/os-release")).unwrap();
    symlink("/usr/lib", root.join("lib")).unwrap();
    symlink("../../secret", root.join("etc/escape")).unwrap();
    symlink(outer.path().join("secret"), root.join("etc/absolute")).unwrap();
    symlink("circle", root.join("circle")).unwrap();

    let tree = tree(&root);
    for path in ["/etc/os-release", "/lib/os-release", "/etc/../lib/../lib/os-release"] {
        let file = tree.open(&FsPath::new(path)).unwrap().unwrap();
        assert_eq!(file.read_all().unwrap(), b"ID=test\n", "{path}");
    }
    for path in ["/etc/escape", "/etc/absolute", "/absent", "/etc/os-release/below"] {
        assert!(tree.open(&FsPath::new(path)).unwrap().is_none(), "{path}");
    }
    let error = tree.open(&FsPath::new("/circle")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the number of symbolic links in one path (`symlinks`) exceeds the limit of 40"
    );
    let names: Vec<_> =
        tree.read_dir(&FsPath::new("/etc")).unwrap().unwrap().into_iter().map(|e| e.name).collect();
    assert_eq!(names, [&b"absolute"[..], b"escape", b"os-release"]);
}

#[test]
fn dot_dot_behind_a_link_is_the_targets_parent() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("a/b")).unwrap();
    fs::write(root.path().join("a/file"), "right").unwrap();
    fs::write(root.path().join("file"), "wrong").unwrap();
    symlink("a/b", root.path().join("link")).unwrap();
    symlink("link/../file", root.path().join("through")).unwrap();
    let file = tree(root.path()).open(&FsPath::new("/through")).unwrap().map(|file| file.read_all().unwrap());
    assert_eq!(file.as_deref(), Some(&b"right"[..]));
}

#[test]
fn pipes_are_listed_and_never_opened() {
    let root = tempfile::tempdir().unwrap();
    let pipe = root.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        Mode::from_bits_truncate(0o600),
        0,
    )
    .unwrap();
    let tree = tree(root.path());
    assert_eq!(tree.read_dir(&FsPath::root()).unwrap().unwrap()[0].file_type, Some(FileType::Fifo));
    let error = tree.open(&FsPath::new("pipe")).unwrap_err();
    assert_eq!(error.to_string(), "not a regular file");
}

#[test]
fn a_larger_file_than_allowed_is_refused_whole() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("file"), vec![7; 11]).unwrap();
    let limits = Limits { file_bytes: 10, ..Limits::default() };
    let tree = Tree::new(Rc::new(Directory::open(root.path(), &limits).unwrap()), limits);
    let file = tree.open(&FsPath::new("file")).unwrap().unwrap();
    assert_eq!(
        file.read_all().unwrap_err().to_string(),
        "the size of a file (`file_bytes`) exceeds the limit of 10"
    );
    let mut buffer = [0; 20];
    assert_eq!(file.read_at(4, &mut buffer).unwrap(), 7);
}

#[test]
fn a_missing_directory_is_named() {
    let error = Directory::open("/nonexistent/directory", &Limits::default()).unwrap_err();
    assert_eq!(error.to_string(), "could not read /nonexistent/directory");
}
