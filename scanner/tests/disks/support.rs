//! Images, mounts, and a volume that counts.

use std::collections::BTreeSet;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use agentless_scanner::fs::{self, FileSystem};
use agentless_scanner::limits::Limits;
use agentless_scanner::volume::{FileVolume, Volume, VolumeError};
use tempfile::TempDir;

/// The programs that make the images, and the Debian packages that have them.
const TOOLS: [(&str, &str); 11] = [
    ("mkfs.ext4", "e2fsprogs"),
    ("dumpe2fs", "e2fsprogs"),
    ("debugfs", "e2fsprogs"),
    ("mkfs.xfs", "xfsprogs"),
    ("xfs_db", "xfsprogs"),
    ("mkfs.btrfs", "btrfs-progs"),
    ("lvm", "lvm2"),
    ("thin_restore", "thin-provisioning-tools"),
    ("sgdisk", "gdisk"),
    ("sfdisk", "fdisk"),
    ("mount", "mount"),
];

/// Whether this machine can make and mount images.
///
/// These tests are the proof that the drivers are right, so a machine that cannot run them fails them and says what is
/// missing. Who develops without root sets `AGENTLESS_TESTS_WITHOUT_ROOT=1`, and sees which tests were left out; on CI
/// that is ignored.
pub(crate) fn can_mount() -> bool {
    let mut missing = Vec::new();
    if !rustix::process::geteuid().is_root() {
        missing.push("root (to mount images through loop devices)".to_owned());
    }
    for (tool, package) in TOOLS {
        if Command::new(tool).arg("-V").output().is_err() {
            missing.push(format!("`{tool}` (Debian and Ubuntu: apt-get install {package})"));
        }
    }
    if !Path::new("/dev/loop-control").exists() {
        missing.push("loop devices (modprobe loop)".to_owned());
    }
    if missing.is_empty() {
        return true;
    }
    let on_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    let allowed = std::env::var_os("AGENTLESS_TESTS_WITHOUT_ROOT").is_some_and(|value| value == "1");
    assert!(
        allowed && !on_ci,
        "this test compares with the kernel and lacks {}; AGENTLESS_TESTS_WITHOUT_ROOT=1 leaves it out",
        missing.join(", ")
    );
    eprintln!("left out: lacks {}", missing.join(", "));
    false
}

/// A directory for images that is removed at the end.
pub(crate) struct Workspace(TempDir);

impl Workspace {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A sparse image of `size` bytes, formatted by `mkfs`.
    pub(crate) fn format(&self, name: &str, size: u64, mkfs: &[&str]) -> PathBuf {
        let image = self.path(name);
        File::create(&image).unwrap().set_len(size).unwrap();
        let [program, options @ ..] = mkfs else { panic!("no mkfs") };
        let force = if program.starts_with("mkfs.ext") { "-F" } else { "-f" };
        run(Command::new(program).args(options).args(["-q", force]).arg(&image));
        image
    }

    /// A copy that shares nothing with the original.
    pub(crate) fn copy(&self, image: &Path, name: &str) -> PathBuf {
        let copy = self.path(name);
        run(Command::new("cp").arg("--sparse=always").arg(image).arg(&copy));
        copy
    }
}

/// A mount that ends with the value, also when a test panics.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// Mounts `image` so that it can be written.
    pub(crate) fn writable(image: &Path) -> Self {
        Self::with_options(image, "rw")
    }

    /// Mounts `image` so that it cannot change.
    pub(crate) fn read_only(image: &Path) -> Self {
        Self::with_options(image, "ro")
    }

    pub(crate) fn with_options(image: &Path, options: &str) -> Self {
        let point = image.with_extension("mount");
        std::fs::create_dir_all(&point).unwrap();
        run(Command::new("mount").arg("-o").arg(format!("loop,{options}")).arg(image).arg(&point));
        Self(point)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily, so that a file a panicking test left open does not keep the mount.
        let done = Command::new("umount").arg(&self.0).status().is_ok_and(|status| status.success());
        if !done {
            let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        }
    }
}

/// Runs a program that must succeed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn open(image: &Path) -> Box<dyn FileSystem> {
    fs::open(Arc::new(FileVolume::open(image).unwrap()), &Limits::default()).unwrap()
}

/// Counts the 512 KiB blocks of a volume that are read: each of them is one request to the EBS direct APIs.
#[derive(Debug)]
pub(crate) struct CountingVolume {
    inner: FileVolume,
    touched: Mutex<BTreeSet<u64>>,
    prefetched: Mutex<BTreeSet<u64>>,
    reads: AtomicUsize,
}

const SNAPSHOT_BLOCK: u64 = 512 << 10;

impl CountingVolume {
    pub(crate) fn new(image: &Path) -> Self {
        let inner = FileVolume::open(image).unwrap();
        Self { inner, touched: Mutex::default(), prefetched: Mutex::default(), reads: AtomicUsize::new(0) }
    }

    pub(crate) fn touched(&self) -> usize {
        self.touched.lock().unwrap().len()
    }

    /// How many times anything was read.
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }

    /// How many blocks were prefetched that nobody read.
    pub(crate) fn prefetched_in_vain(&self) -> usize {
        self.prefetched.lock().unwrap().difference(&self.touched.lock().unwrap()).count()
    }
}

fn snapshot_blocks(range: Range<u64>) -> Range<u64> {
    range.start / SNAPSHOT_BLOCK..range.end.div_ceil(SNAPSHOT_BLOCK)
}

impl Volume for CountingVolume {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<(), VolumeError> {
        let end = offset + u64::try_from(dst.len()).unwrap();
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.touched.lock().unwrap().extend(snapshot_blocks(offset..end));
        self.inner.read_at(offset, dst)
    }

    fn prefetch(&self, ranges: &[Range<u64>]) {
        for range in ranges {
            self.prefetched.lock().unwrap().extend(snapshot_blocks(range.clone()));
        }
    }
}
