//! The images that are read.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use agentless_disk_tests::image::{Mount, Workspace};
use agentless_disk_tests::{debian, large_tree};

/// A filesystem to make.
#[derive(Debug)]
pub(crate) struct Kind {
    /// As `mount -t` calls it.
    name: &'static str,
    mkfs: &'static [&'static str],
}

/// Every filesystem that there is a driver for, as its `mkfs` makes it by default.
pub(crate) const KINDS: &[Kind] = &[
    Kind { name: "btrfs", mkfs: &["mkfs.btrfs"] },
    Kind { name: "ext4", mkfs: &["mkfs.ext4"] },
    Kind { name: "xfs", mkfs: &["mkfs.xfs"] },
];

/// The size of an image.
const SIZE: u64 = 2 << 30;
/// The bytes of real files in it.
const CONTENT: u64 = 500_000_000;

impl Kind {
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// An image of a Debian system and, up to [`CONTENT`], what else this machine has in `/usr`.
    pub(crate) fn real(&self, workspace: &Workspace) -> PathBuf {
        let image = workspace.format(self.name, SIZE, self.mkfs);
        let mount = Mount::writable(&image);
        debian::install(mount.path());
        let more = mount.path().join("opt/usr");
        let mut left = CONTENT.saturating_sub(bytes_below(mount.path()));
        copy(Path::new("/usr/share"), &more.join("share"), &mut left);
        copy(Path::new("/usr/lib"), &more.join("lib"), &mut left);
        image
    }
}

/// An ext4 image with a tree of `entries` entries.
pub(crate) fn tree(workspace: &Workspace, entries: u32) -> PathBuf {
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
