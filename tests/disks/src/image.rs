//! Images made by `mkfs`, and mounts of the kernel's own drivers.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use agentless_scanner::fs::{self, FileSystem};
use agentless_scanner::limits::Limits;
use agentless_scanner::volume::FileVolume;
use tempfile::TempDir;

/// The programs that make the images, and the Debian packages that have them.
const TOOLS: [(&str, &str); 12] = [
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
    ("debootstrap", "debootstrap"),
];

/// Whether this machine can make and mount images.
///
/// These tests are the proof that the drivers are right, so a machine that cannot run them fails them and says what is
/// missing. Who develops without root sets `AGENTLESS_TESTS_WITHOUT_ROOT=1`, and sees which tests were left out; on CI
/// that is ignored.
pub fn can_mount() -> bool {
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
#[derive(Debug)]
pub struct Workspace(TempDir);

impl Workspace {
    /// An empty one.
    #[expect(clippy::new_without_default, reason = "it makes a directory")]
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Where a file of this name is, or would be.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A sparse image of `size` bytes, formatted by `mkfs`.
    pub fn format(&self, name: &str, size: u64, mkfs: &[&str]) -> PathBuf {
        let image = self.path(name);
        File::create(&image).unwrap().set_len(size).unwrap();
        let [program, options @ ..] = mkfs else { panic!("no mkfs") };
        let force = if program.starts_with("mkfs.ext") { "-F" } else { "-f" };
        run(Command::new(program).args(options).args(["-q", force]).arg(&image));
        image
    }

    /// A copy that shares nothing with the original.
    pub fn copy(&self, image: &Path, name: &str) -> PathBuf {
        let copy = self.path(name);
        run(Command::new("cp").arg("--sparse=always").arg(image).arg(&copy));
        copy
    }
}

/// A mount that ends with the value, also when a test panics.
#[derive(Debug)]
pub struct Mount(PathBuf);

impl Mount {
    /// Mounts `image` so that it can be written.
    pub fn writable(image: &Path) -> Self {
        Self::with_options(image, "rw")
    }

    /// Mounts `image` so that it cannot change.
    pub fn read_only(image: &Path) -> Self {
        Self::with_options(image, "ro")
    }

    /// Mounts `image` with these options of `mount -o`.
    pub fn with_options(image: &Path, options: &str) -> Self {
        let point = image.with_extension("mount");
        std::fs::create_dir_all(&point).unwrap();
        run(Command::new("mount").arg("-o").arg(format!("loop,{options}")).arg(image).arg(&point));
        Self(point)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Another test that starts a program at this moment holds every open file for an instant.
        let unmount =
            || Command::new("umount").arg("-q").arg(&self.0).status().is_ok_and(|status| status.success());
        let done = (0..100).any(|_| unmount());
        // Lazily, so that a file a panicking test left open does not keep the mount.
        if !done {
            let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        }
    }
}

/// Runs a program that must succeed.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Opens an image with our own driver.
pub fn open(image: &Path) -> Box<dyn FileSystem> {
    fs::open(Arc::new(FileVolume::open(image).unwrap()), &Limits::default()).unwrap()
}
