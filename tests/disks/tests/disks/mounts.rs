//! Filesystems mounted into each other: our tree against the kernel's mounts.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use agentless_analyser::fs::fstab::{Fstab, Role, Spec};
use agentless_analyser::fs::walk::{Found, Next, Visitor, walk};
use agentless_analyser::fs::{FileSystem, FsError, FsPath, Tree};
use agentless_analyser::limits::Limits;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use agentless_disk_tests::image::{Mount, Workspace, can_mount, open, run, unmount};

/// Names that links lead through: directories on every filesystem, mount points, a file, and other links.
const NAMES: [&str; 12] =
    ["..", "..", ".", "", "var", "log", "srv", "data", "mnt", "file", "to-var", "links"];
const LINKS: usize = 600;

/// Ends a mount and those in it.
struct Nested(PathBuf);

impl Drop for Nested {
    fn drop(&mut self) {
        let _ = unmount(&self.0, &["--recursive"]);
    }
}

/// Deterministic, and different for each filesystem.
fn fill(root: &Path, seed: usize) {
    for dir in ["var/log", "log", "srv/data/log", "mnt", "data/var", "links"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    for dir in ["", "var", "var/log", "srv/data", "mnt", "data"] {
        File::create(root.join(dir).join("file")).unwrap().set_len(u64::try_from(seed).unwrap()).unwrap();
    }
    symlink("var", root.join("to-var")).unwrap();
    symlink("/srv/../var", root.join("srv/to-var")).unwrap();
    let mut state = seed;
    for index in 0..LINKS {
        let mut target = if index % 2 == 0 { "/".to_owned() } else { String::new() };
        for _ in 0..=index % 7 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            target += NAMES[(state >> 33) % NAMES.len()];
            target.push('/');
        }
        // An empty target cannot be.
        symlink(format!("{target}."), root.join("links").join(index.to_string())).unwrap();
    }
}

/// The filesystem by the number of its device, and the inode there.
type Identity = (u64, u64);

/// Notes what a walk finds.
struct Notes<'a> {
    tree: &'a Tree,
    devices: &'a [(Rc<dyn FileSystem>, u64)],
    found: BTreeMap<Vec<u8>, Identity>,
}

fn identity(
    tree: &Tree,
    node: agentless_analyser::fs::Node,
    devices: &[(Rc<dyn FileSystem>, u64)],
) -> Identity {
    let (file_system, inode) = tree.place(node);
    (devices.iter().find(|(other, _)| Rc::ptr_eq(other, file_system)).unwrap().1, inode.0)
}

impl Visitor for Notes<'_> {
    fn found(&mut self, found: &Found<'_>) -> Next {
        let path = found.path();
        let seen = identity(self.tree, found.node(), self.devices);
        assert!(self.found.insert(path.as_relative_bytes().to_vec(), seen).is_none());
        // A bind mount is entered under the path that comes first, which the kernel does not know.
        if path == FsPath::new("/mnt") { Next::Skip } else { Next::Enter }
    }

    fn unread(&mut self, path: FsPath, error: FsError) {
        panic!("{path}: {error}");
    }
}

fn walk_kernel(root: &Path) -> BTreeMap<Vec<u8>, Identity> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let relative = path.strip_prefix(root).unwrap().to_owned();
            if metadata.is_dir() && relative != Path::new("mnt") {
                waiting.push(path);
            }
            found.insert(relative.as_os_str().as_bytes().to_vec(), (metadata.dev(), metadata.ino()));
        }
    }
    found
}

/// A file as a process opens it whose root is `directory`.
///
/// While anything is mounted or renamed anywhere on the machine, the kernel cannot say that `..` stayed within: it asks to
/// try again (`EAGAIN` in openat2(2)).
fn opened_within(directory: &OwnedFd, path: &[u8]) -> Option<OwnedFd> {
    loop {
        match rustix::fs::openat2(directory, path, OFlags::PATH, Mode::empty(), ResolveFlags::IN_ROOT) {
            Err(Errno::AGAIN) => {}
            opened => return opened.ok(),
        }
    }
}

#[test]
fn nested_mounts_look_as_the_kernels() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let images: Vec<_> = (1..=3)
        .map(|seed| {
            let image = workspace.format(&format!("image-{seed}"), 16 << 20, &["mkfs.ext4", "-N", "1024"]);
            fill(Mount::writable(&image).path(), seed);
            image
        })
        .collect();
    let table = "C /var/log ext4 ro\nA / ext4 ro\n/srv/data /mnt none bind\nB /var ext4 ro\n";

    // The kernel's, by the table's lines in an order that works.
    let root = workspace.path("root");
    fs::create_dir(&root).unwrap();
    let _nested = Nested(root.clone());
    let mount = |arguments: &[&str], what: &Path, whither: &str| {
        run(Command::new("mount").args(arguments).arg(what).arg(root.join(whither)));
    };
    for (image, whither) in images.iter().zip(["", "var", "var/log"]) {
        mount(&["-o", "loop,ro"], image, whither);
    }
    mount(&["--bind"], &root.join("srv/data"), "mnt");

    // Ours, by the table.
    let opened: Vec<Rc<dyn FileSystem>> = images.iter().map(|image| Rc::from(open(image))).collect();
    let mut tree: Option<Tree> = None;
    for entry in Fstab::parse(table.as_bytes(), &Limits::default()).entries {
        let (file_system, inode) = match (&entry.spec, entry.role(), &tree) {
            (Spec::Path(path), Role::Bind, Some(tree)) => {
                let (file_system, inode) = tree.place(tree.lookup(path).unwrap().unwrap().0);
                (Rc::clone(file_system), inode)
            }
            (Spec::Other(name), Role::Disk, _) => {
                let file_system = &opened[usize::from(name.as_bytes()[0] - b'A')];
                (Rc::clone(file_system), file_system.root())
            }
            other => panic!("{other:?}"),
        };
        match &mut tree {
            None => tree = Some(Tree::new(file_system, Limits::default())),
            Some(tree) => tree.mount(&entry.mount_point, file_system, inode).unwrap(),
        }
    }
    let tree = tree.unwrap();
    let places = ["", "var", "var/log"].map(|path| root.join(path).metadata().unwrap().dev());
    let devices: Vec<_> = opened.into_iter().zip(places).collect();

    let mut notes = Notes { tree: &tree, devices: &devices, found: BTreeMap::new() };
    walk(&tree, &mut notes).unwrap();
    let kernel = walk_kernel(&root);
    assert_eq!(notes.found, kernel);

    // Every link, on every filesystem, as a process sees it whose root this is.
    let directory = rustix::fs::open(&root, OFlags::PATH, Mode::empty()).unwrap();
    let mut led_somewhere = 0;
    for path in kernel.keys() {
        let theirs = opened_within(&directory, path).map(|file| {
            let stat = rustix::fs::fstat(file).unwrap();
            (stat.st_dev, stat.st_ino)
        });
        let found = tree.lookup(&FsPath::new(path)).unwrap();
        let ours = found.map(|(node, _)| identity(&tree, node, &devices));
        assert_eq!(ours, theirs, "{}", FsPath::new(path));
        led_somewhere += usize::from(theirs.is_some());
    }
    println!("{} paths on 4 mounts equal, {led_somewhere} of them lead somewhere", kernel.len());
    assert!((400..kernel.len()).contains(&led_somewhere));
}
