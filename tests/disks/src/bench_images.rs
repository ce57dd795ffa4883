//! The images that the benchmarks read.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::image::{Mount, Workspace};
use crate::{debian, languages, large_tree};

/// A filesystem to make.
#[derive(Debug)]
pub struct Kind {
    /// What the table calls it.
    pub title: &'static str,
    /// As `mount -t` calls it.
    pub format: &'static str,
    /// The options that it is filled with.
    mount: &'static str,
}

/// Every filesystem that there is a driver for, as its `mkfs` makes it by default. Compression is what Fedora has.
pub const KINDS: &[Kind] = &[
    Kind { title: "btrfs", format: "btrfs", mount: "rw" },
    Kind { title: "btrfs, zstd", format: "btrfs", mount: "rw,compress=zstd:1" },
    Kind { title: "ext4", format: "ext4", mount: "rw" },
    Kind { title: "xfs", format: "xfs", mount: "rw" },
];

/// The size of an image.
const SIZE: u64 = 2 << 30;
/// The bytes of real files in it.
const CONTENT: u64 = 500_000_000;

impl Kind {
    /// An image of a Debian system and, up to half a gigabyte, what else this machine has in `/usr`.
    pub fn real(&self, workspace: &Workspace) -> PathBuf {
        self.filled(workspace, |_| {})
    }

    /// The same with packages of languages, which are a part of the half gigabyte.
    pub fn with_languages(&self, workspace: &Workspace) -> PathBuf {
        self.filled(workspace, |root| languages::install(&root.join("srv")))
    }

    fn filled(&self, workspace: &Workspace, fill: impl FnOnce(&Path)) -> PathBuf {
        let image = workspace.format(self.title, SIZE, &[&format!("mkfs.{}", self.format)]);
        let mount = Mount::with_options(&image, self.mount);
        debian::install(mount.path());
        fill(mount.path());
        let more = mount.path().join("opt/usr");
        let mut left = CONTENT.saturating_sub(bytes_below(mount.path()));
        copy(Path::new("/usr/share"), &more.join("share"), &mut left);
        copy(Path::new("/usr/lib"), &more.join("lib"), &mut left);
        image
    }
}

/// An ext4 image with a tree of `entries` entries.
pub fn tree(workspace: &Workspace, entries: u32) -> PathBuf {
    let inodes = (entries + 1000).to_string();
    let image = workspace.format("tree", 2 * SIZE, &["mkfs.ext4", "-N", &inodes]);
    large_tree::fill(Mount::writable(&image).path(), entries);
    image
}

fn bytes_below(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    let sizes = entries.map(|entry| {
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() { bytes_below(&entry.path()) } else { metadata.len() }
    });
    sizes.sum()
}

/// Copies files and links in the order of their names, until `left` bytes are copied.
fn copy(from: &Path, to: &Path, left: &mut u64) {
    let mut names: Vec<_> = fs::read_dir(from).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    fs::create_dir_all(to).unwrap();
    for name in names {
        let (from, to) = (from.join(&name), to.join(&name));
        let metadata = from.symlink_metadata().unwrap();
        if *left == 0 {
            return;
        } else if metadata.is_dir() {
            copy(&from, &to, left);
        } else if metadata.is_symlink() {
            symlink(from.read_link().unwrap(), to).unwrap();
        } else if metadata.is_file() {
            fs::copy(&from, &to).unwrap();
            *left = left.saturating_sub(metadata.len());
        }
    }
}
