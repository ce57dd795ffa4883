//! Loop devices: what the kernel and the formats' tools need where an image file does not do.

use std::fs;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tempfile::TempDir;

use crate::image::run;

/// A loop device over an image or a part of it, which is detached with the value.
#[derive(Debug)]
pub struct Loop(PathBuf);

/// A read-only mount of a loop device, which ends with the value.
#[derive(Debug)]
pub struct LoopMount<'device> {
    _device: &'device Loop,
    point: TempDir,
}

impl Loop {
    /// A device over a whole image that can be written.
    pub fn writable(image: &Path) -> Self {
        Self::attach(image, None, false)
    }

    /// A device over a part of an image that can be written.
    pub fn writable_part(image: &Path, part: &Range<u64>) -> Self {
        Self::attach(image, Some(part), false)
    }

    /// A read-only device of which nothing is in the kernel's cache.
    pub fn cold(image: &Path) -> Self {
        let device = Self::attach(image, None, true);
        // What looks at every new device has to have looked.
        let _ = Command::new("udevadm").arg("settle").output();
        run(Command::new("blockdev").arg("--flushbufs").arg(&device.0));
        device
    }

    pub(crate) fn attach(image: &Path, part: Option<&Range<u64>>, read_only: bool) -> Self {
        let mut losetup = Command::new("losetup");
        losetup.args(["--find", "--show"]).args(read_only.then_some("--read-only"));
        if let Some(Range { start, end }) = part {
            losetup.args(["--offset", &start.to_string(), "--sizelimit", &(end - start).to_string()]);
        }
        Self(PathBuf::from(run(losetup.arg(image)).trim_end()))
    }

    /// The device's path below `/dev`.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The device's number, as user space has it.
    pub fn number(&self) -> u64 {
        fs::metadata(&self.0).unwrap().rdev()
    }

    /// How many 512-byte sectors the kernel reads ahead of a reader.
    pub fn set_read_ahead(&self, sectors: u32) {
        run(Command::new("blockdev").args(["--setra", &sectors.to_string()]).arg(&self.0));
    }

    /// Mounts the filesystem of type `kind`, by a system call of this process, so that it counts as its work.
    pub fn mount(&self, kind: &str) -> LoopMount<'_> {
        let point = tempfile::tempdir().unwrap();
        mount(Some(&self.0), point.path(), Some(kind), MsFlags::MS_RDONLY, None::<&str>).unwrap();
        LoopMount { _device: self, point }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.0).status();
    }
}

impl LoopMount<'_> {
    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.point.path()
    }
}

impl Drop for LoopMount<'_> {
    fn drop(&mut self) {
        // Lazily, so that a file a panicking test left open does not keep the mount.
        let _ = umount2(self.point.path(), MntFlags::empty())
            .or_else(|_| umount2(self.point.path(), MntFlags::MNT_DETACH));
    }
}
