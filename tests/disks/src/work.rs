//! The same work done through a mount of the kernel and by us.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use agentless_analyser::extract::{self, Around, Room};
use agentless_analyser::fs::walk::{self, Found, Next, Visitor};
use agentless_analyser::fs::{FileSystem, FileType, FsError, FsPath, Node, Tree};
use agentless_analyser::limits::Limits;
use agentless_core::fs::Directory;
use agentless_core::task::Scope;
use sha2::{Digest, Sha256};

/// Something to do with a filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Read the databases of the operating system's packages.
    OsPackages,
    /// List every directory.
    Walk,
    /// Find and read everything that records a package, of the system or of a language.
    AllPackages,
    /// List every directory, read every file, and hash what is in it.
    ReadAll,
}

/// What was seen: the same by whichever way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Packages.
    pub packages: usize,
    /// Entries of directories.
    pub entries: u64,
    /// Bytes of files.
    pub bytes: u64,
    /// The sum of the files' SHA-256 hashes, of each its first eight bytes.
    pub hashes: u64,
}

/// Bytes that are read at a time.
const PIECE: usize = 256 << 10;
/// Files that are prefetched together.
const TOGETHER: usize = 1024;

impl Work {
    /// All of it, the least first.
    pub const ALL: [Self; 4] = [Self::OsPackages, Self::Walk, Self::AllPackages, Self::ReadAll];

    /// What it is called in a table.
    pub fn title(self) -> &'static str {
        match self {
            Self::OsPackages => "OS packages",
            Self::Walk => "full walk",
            Self::AllPackages => "all packages",
            Self::ReadAll => "every file",
        }
    }

    /// Does it below the mount `root`.
    pub fn by_kernel(self, root: &Path) -> Tally {
        match self {
            Self::OsPackages => packages(&directory(root), false),
            Self::Walk => walk_mount(root, |_| {}),
            Self::AllPackages => packages(&directory(root), true),
            Self::ReadAll => {
                let mut files = Vec::new();
                let mut tally = walk_mount(root, |path| files.push(path));
                let mut buffer = vec![0; PIECE];
                for path in files {
                    let mut file = File::open(path).unwrap();
                    tally.hash(&mut buffer, |_, buffer| std::io::Read::read(&mut file, buffer).unwrap());
                }
                tally
            }
        }
    }

    /// Does it with one of our drivers.
    pub fn by_us(self, file_system: Rc<dyn FileSystem>) -> Tally {
        let tree = tree(file_system);
        match self {
            Self::OsPackages => packages(&tree, false),
            Self::Walk => walk(&tree, |_| {}),
            Self::AllPackages => packages(&tree, true),
            Self::ReadAll => {
                let mut files = Vec::new();
                let mut tally = walk(&tree, |file| files.push(file));
                let mut buffer = vec![0; PIECE];
                for together in files.chunks(TOGETHER) {
                    tree.prefetch_inodes(together);
                    tree.prefetch_content(together);
                    for &file in together {
                        let (file_system, inode) = tree.place(file);
                        tally.hash(&mut buffer, |offset, buffer| {
                            file_system.read(inode, offset, buffer).unwrap()
                        });
                    }
                }
                tally
            }
        }
    }
}

impl Tally {
    fn hash(&mut self, buffer: &mut [u8], mut read: impl FnMut(u64, &mut [u8]) -> usize) {
        let mut hasher = Sha256::new();
        let mut offset = 0;
        loop {
            let count = read(offset, buffer);
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
            offset += u64::try_from(count).unwrap();
        }
        self.bytes += offset;
        let start = hasher.finalize().first_chunk().copied().unwrap_or_default();
        self.hashes = self.hashes.wrapping_add(u64::from_le_bytes(start));
    }
}

fn tree(file_system: Rc<dyn FileSystem>) -> Tree {
    Tree::new(file_system, Limits::default())
}

/// A mount of the kernel.
fn directory(root: &Path) -> Tree {
    tree(Rc::new(Directory::open(root, &Limits::default()).unwrap()))
}

/// Lists the packages of the system, and of languages if they are asked for.
fn packages(tree: &Tree, languages: bool) -> Tally {
    let scope = Scope { languages, ..Scope::default() };
    let findings = extract::run_within(tree, scope, &mut Room::new(tree.limits()), Around::default());
    assert_eq!(findings.gaps, []);
    Tally { packages: findings.packages.len(), ..Tally::default() }
}

/// Lists what is below `root`; `visit` gets the regular files.
fn walk_mount(root: &Path, mut visit: impl FnMut(PathBuf)) -> Tally {
    let mut tally = Tally::default();
    let mut waiting = vec![root.to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            tally.entries += 1;
            // As the directory records it: no inode is looked at.
            let file_type = entry.file_type().unwrap();
            if file_type.is_dir() {
                waiting.push(entry.path());
            } else if file_type.is_file() {
                visit(entry.path());
            }
        }
    }
    tally
}

/// Lists everything; `visit` gets the regular files.
fn walk(tree: &Tree, visit: impl FnMut(Node)) -> Tally {
    let mut visitor = Files { tally: Tally::default(), visit };
    walk::walk(tree, &mut visitor).unwrap();
    visitor.tally
}

/// Counts entries and hands on the regular files.
struct Files<V> {
    tally: Tally,
    visit: V,
}

impl<V: FnMut(Node)> Visitor for Files<V> {
    fn found(&mut self, found: &Found<'_>) -> Next {
        self.tally.entries += 1;
        if found.file_type() == FileType::Regular {
            (self.visit)(found.node());
        }
        Next::Enter
    }

    fn unread(&mut self, path: FsPath, error: FsError) {
        panic!("{path}: {error}");
    }
}
