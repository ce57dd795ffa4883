//! Images made by `mkfs`, and mounts of the kernel's own drivers.

use std::fs::File;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock};

use agentless_analyser::fs::{self, FileSystem};
use agentless_analyser::limits::Limits;
use agentless_core::volume::FileVolume;
use tempfile::TempDir;

use crate::loop_device::Loop;

/// The programs that make the images, and the Debian packages that have them.
const TOOLS: &[(&str, &str)] = &[
    ("mkfs.ext4", "e2fsprogs"),
    ("dumpe2fs", "e2fsprogs"),
    ("debugfs", "e2fsprogs"),
    ("e2fsck", "e2fsprogs"),
    ("mkfs.xfs", "xfsprogs"),
    ("xfs_db", "xfsprogs"),
    ("mkfs.btrfs", "btrfs-progs"),
    ("lvm", "lvm2"),
    ("thin_restore", "thin-provisioning-tools"),
    ("mdadm", "mdadm"),
    ("sgdisk", "gdisk"),
    ("sfdisk", "fdisk"),
    ("setfattr", "attr"),
    ("mount", "mount"),
    ("debootstrap", "debootstrap"),
];

/// Whether this machine can make and mount images.
///
/// These tests are the proof that the drivers are right, so a machine that cannot run them fails them and says what is
/// missing. Who develops without root sets `AGENTLESS_TESTS_WITHOUT_ROOT=1`, and sees which tests were left out; on CI
/// that is ignored.
pub fn can_mount() -> bool {
    // Looked for once in a process: each test asks.
    static MISSING: LazyLock<Vec<String>> = LazyLock::new(missing);
    if MISSING.is_empty() {
        return true;
    }
    let allowed = std::env::var_os("AGENTLESS_TESTS_WITHOUT_ROOT").is_some_and(|value| value == "1");
    assert!(
        allowed && !on_ci(),
        "this test compares with the kernel and lacks {}; AGENTLESS_TESTS_WITHOUT_ROOT=1 leaves it out",
        MISSING.join(", ")
    );
    eprintln!("left out: lacks {}", MISSING.join(", "));
    false
}

/// What this machine lacks to make and mount images.
fn missing() -> Vec<String> {
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
    missing
}

/// Whether this is a run that must not leave out anything.
pub fn on_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}

/// A directory for images that is removed at the end.
#[derive(Debug)]
pub struct Workspace {
    /// Ends before the directory that it is in.
    mount: Option<Mount>,
    directory: TempDir,
}

impl Workspace {
    /// An empty one.
    #[expect(clippy::new_without_default, reason = "it makes a directory")]
    pub fn new() -> Self {
        Self { mount: None, directory: tempfile::tempdir().unwrap() }
    }

    /// An empty one whose images can be copied while they are written to: see [`snapshot`](Self::snapshot).
    pub fn with_snapshots() -> Self {
        let mut workspace = Self::new();
        // Sparse, and it gives back what is deleted: it takes as much space as its images.
        let image = workspace.format("reflink", 64 << 30, &["mkfs.xfs", "-m", "reflink=1"]);
        workspace.mount = Some(Mount::with_options(&image, "rw,discard"));
        workspace
    }

    /// Where a file of this name is, or would be.
    pub fn path(&self, name: &str) -> PathBuf {
        self.mount.as_ref().map_or_else(|| self.directory.path(), Mount::path).join(name)
    }

    /// A sparse image of `size` bytes.
    pub fn image(&self, name: &str, size: u64) -> PathBuf {
        let image = self.path(name);
        File::create(&image).unwrap().set_len(size).unwrap();
        image
    }

    /// A sparse image of `size` bytes, formatted by `mkfs`.
    pub fn format(&self, name: &str, size: u64, mkfs: &[&str]) -> PathBuf {
        let image = self.image(name, size);
        format(&image, mkfs);
        image
    }

    /// A copy that shares nothing with the original.
    pub fn copy(&self, image: &Path, name: &str) -> PathBuf {
        let copy = self.path(name);
        run(Command::new("cp").arg("--sparse=always").arg(image).arg(&copy));
        copy
    }

    /// A copy of what `image` holds at one moment, whoever writes to it, as a snapshot of an EBS volume is: the clone
    /// keeps writers out while it shares the blocks.
    pub fn snapshot(&self, image: &Path, name: &str) -> PathBuf {
        let copy = self.path(name);
        run(Command::new("cp").arg("--reflink=always").arg(image).arg(&copy));
        copy
    }
}

/// Formats an image or a device by `mkfs`.
pub fn format(device: &Path, mkfs: &[&str]) {
    let [program, options @ ..] = mkfs else { panic!("no mkfs") };
    let force = if program.starts_with("mkfs.ext") { "-F" } else { "-f" };
    run(Command::new(program).args(options).args(["-q", force]).arg(device));
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
        Self::attempt(image, None, options).unwrap_or_else(|problem| panic!("-o {options}: {problem}"))
    }

    /// Mounts the filesystem in a part of `image`.
    pub fn part(image: &Path, part: &Range<u64>, options: &str) -> Self {
        Self::attempt(image, Some(part), options).unwrap_or_else(|problem| panic!("-o {options}: {problem}"))
    }

    /// Mounts `image`, or a part of it, if the kernel can.
    ///
    /// # Errors
    ///
    /// What `mount` says.
    pub fn attempt(image: &Path, part: Option<&Range<u64>>, options: &str) -> Result<Self, String> {
        let point = image.with_extension("mount");
        let read_only = options.split(',').any(|option| option == "ro");
        // Not the one that `mount -o loop` would make: that shares the device of an earlier mount of the same image, which
        // may be about to end. Detached while it is mounted, it stays as long as the mount.
        let device = Loop::attach(image, part, read_only);
        Self::device(device.path(), point, options)
    }

    /// Mounts a device, if the kernel can.
    ///
    /// # Errors
    ///
    /// What `mount` says.
    pub(crate) fn device(device: &Path, point: PathBuf, options: &str) -> Result<Self, String> {
        std::fs::create_dir_all(&point).unwrap();
        let output = Command::new("mount").args(["-o", options]).arg(device).arg(&point).output().unwrap();
        if output.status.success() {
            Ok(Self(point))
        } else {
            Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
        }
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// A mount that no path leads to any more: it ends with the process, however that ends.
#[derive(Debug)]
pub struct Detached {
    _root: File,
    path: PathBuf,
}

impl Mount {
    /// Takes the mount away from its path.
    pub fn detach(self) -> Detached {
        let root = File::open(&self.0).unwrap();
        run(Command::new("umount").arg("--lazy").arg(&self.0));
        let path = PathBuf::from(format!("/proc/self/fd/{}/", root.as_raw_fd()));
        // What ends a mount that has a path is not to be done.
        std::mem::forget(self);
        Detached { _root: root, path }
    }
}

impl Detached {
    /// Where this process finds it.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily at last, so that a file a panicking test left open does not keep the mount.
        if unmount(&self.0, &[]).is_err() {
            let _ = unmount(&self.0, &["--lazy"]);
        }
    }
}

/// Ends the mount at `point`, with these options of `umount`.
///
/// Busy for a moment it may be: a process that another thread starts has a copy of every open file until it runs its program.
///
/// # Errors
///
/// What `umount` says at last.
pub fn unmount(point: &Path, options: &[&str]) -> Result<(), String> {
    const ATTEMPTS: usize = 100;

    let attempt = || {
        let output =
            Command::new("umount").args(options).arg(point).output().map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
        }
    };
    (1..ATTEMPTS).find_map(|_| attempt().ok()).map_or_else(attempt, Ok)
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
