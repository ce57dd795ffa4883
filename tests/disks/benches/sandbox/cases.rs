//! What is measured.

use std::fs;
use std::path::PathBuf;

use agentless_core::task::{FileAction, FileTask, Scope, Task, TreeChoice};
use agentless_disk_tests::bench_images::{self, KINDS};
use agentless_disk_tests::fill::content;
use agentless_disk_tests::image::{Mount, Workspace};
use agentless_disk_tests::work::Work;
use agentless_disk_tests::{confined, debian};

/// One work on one disk.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) title: &'static str,
    pub(crate) disk: Disk,
    pub(crate) reading: Reading,
    pub(crate) what: What,
    /// How often the work is done in one process: more where it takes milliseconds.
    pub(crate) runs: u32,
}

/// What is read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Disk {
    /// One MiB of zeros.
    Empty,
    /// The Debian system of the other benchmark, and what else it has, on this filesystem.
    Real(&'static str),
    /// A tree of 200,000 entries on ext4.
    Tree,
    /// One large file on ext4.
    Large,
    /// A directory with a Debian system.
    Directory,
}

/// The way to the bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reading {
    /// An image file.
    File,
    /// Verified blocks.
    Blocks,
    /// Blocks that take 100 ms to arrive.
    SlowBlocks,
    /// The kernel's.
    Directory,
}

/// What is done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    /// What the operating system records.
    OsPackages,
    /// That, and what applications and containers bring.
    AllPackages,
    Content,
    Work(Work),
}

const fn case(title: &'static str, disk: Disk, reading: Reading, what: What, runs: u32) -> Case {
    Case { title, disk, reading, what, runs }
}

pub(crate) const CASES: &[Case] = &[
    case("empty disk", Disk::Empty, Reading::File, What::OsPackages, 40),
    case("packages, btrfs, image", Disk::Real("btrfs"), Reading::File, What::OsPackages, 20),
    case("packages, btrfs, blocks", Disk::Real("btrfs"), Reading::Blocks, What::OsPackages, 20),
    case("packages, ext4, image", Disk::Real("ext4"), Reading::File, What::OsPackages, 20),
    case("packages, ext4, blocks", Disk::Real("ext4"), Reading::Blocks, What::OsPackages, 20),
    case("packages, xfs, image", Disk::Real("xfs"), Reading::File, What::OsPackages, 20),
    case("packages, xfs, blocks", Disk::Real("xfs"), Reading::Blocks, What::OsPackages, 20),
    case("packages, directory", Disk::Directory, Reading::Directory, What::OsPackages, 20),
    case("all packages, ext4, image", Disk::Real("ext4"), Reading::File, What::AllPackages, 3),
    case("all packages, ext4, blocks", Disk::Real("ext4"), Reading::Blocks, What::AllPackages, 3),
    case("all packages, xfs, blocks", Disk::Real("xfs"), Reading::Blocks, What::AllPackages, 3),
    case("all packages, directory", Disk::Directory, Reading::Directory, What::AllPackages, 3),
    case("walk, directory", Disk::Directory, Reading::Directory, What::Work(Work::Walk), 1),
    case("walk of 200,000, image", Disk::Tree, Reading::File, What::Work(Work::Walk), 1),
    case("walk of 200,000, blocks", Disk::Tree, Reading::Blocks, What::Work(Work::Walk), 1),
    case("walk of 200,000, 100 ms", Disk::Tree, Reading::SlowBlocks, What::Work(Work::Walk), 1),
    case("every file, ext4, image", Disk::Real("ext4"), Reading::File, What::Work(Work::ReadAll), 1),
    case("every file, ext4, blocks", Disk::Real("ext4"), Reading::Blocks, What::Work(Work::ReadAll), 1),
    case("every file, xfs, blocks", Disk::Real("xfs"), Reading::Blocks, What::Work(Work::ReadAll), 1),
    case("every file, btrfs, blocks", Disk::Real("btrfs"), Reading::Blocks, What::Work(Work::ReadAll), 1),
    case("every file, directory", Disk::Directory, Reading::Directory, What::Work(Work::ReadAll), 1),
    case("file of 256 MiB, image", Disk::Large, Reading::File, What::Content, 3),
    case("file of 256 MiB, blocks", Disk::Large, Reading::Blocks, What::Content, 3),
];

impl What {
    pub(crate) fn task(self) -> Task {
        match self {
            Self::OsPackages => {
                Task::Packages(Scope { languages: false, containers: false, copyright: false })
            }
            Self::AllPackages => Task::Packages(Scope::default()),
            Self::Content => Task::File(FileTask {
                action: FileAction::Content,
                path: LARGE.into(),
                tree: TreeChoice::System(1),
            }),
            Self::Work(work) => confined::task(work),
        }
    }
}

const LARGE: &str = "/opt/large";

impl Disk {
    /// Makes it, unless a case before did.
    pub(crate) fn make(self, workspace: &Workspace) -> PathBuf {
        let path = workspace.path(match self {
            Self::Empty => "empty",
            Self::Real(title) => title,
            Self::Tree => "tree",
            Self::Large => "large",
            Self::Directory => "directory",
        });
        if path.exists() {
            return path;
        }
        match self {
            Self::Empty => workspace.image("empty", 1 << 20),
            Self::Real(title) => KINDS.iter().find(|kind| kind.title == title).unwrap().real(workspace),
            Self::Tree => bench_images::tree(workspace, 200_000),
            Self::Large => {
                let image = workspace.format("large", 1 << 30, &["mkfs.ext4"]);
                let mount = Mount::writable(&image);
                let inside = |path: &str| mount.path().join(path.trim_start_matches('/'));
                for folder in ["etc", "opt"] {
                    fs::create_dir(inside(folder)).unwrap();
                }
                // What makes it a system.
                fs::write(inside("/etc/os-release"), "ID=benchmark\n").unwrap();
                fs::write(inside(LARGE), content(1, 256 << 20)).unwrap();
                image
            }
            Self::Directory => {
                fs::create_dir(&path).unwrap();
                debian::install(&path);
                path
            }
        }
    }
}
