//! Loop devices, for what has to be known about a mount's device.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tempfile::TempDir;

use crate::image::run;

/// A read-only loop device, which is detached with the value.
#[derive(Debug)]
pub struct LoopDevice(PathBuf);

/// A read-only mount of a loop device, which ends with the value.
#[derive(Debug)]
pub struct DeviceMount<'device> {
    _device: &'device LoopDevice,
    point: TempDir,
}

impl LoopDevice {
    /// Attaches an image. Nothing of it is in the device's cache.
    pub fn attach(image: &Path) -> Self {
        let printed = run(Command::new("losetup").args(["--find", "--show", "--read-only"]).arg(image));
        let device = Self(printed.trim().into());
        // What looks at every new device has to have looked.
        let _ = Command::new("udevadm").arg("settle").output();
        run(Command::new("blockdev").arg("--flushbufs").arg(&device.0));
        device
    }

    /// How many 512-byte sectors the kernel reads ahead of a reader.
    pub fn set_read_ahead(&self, sectors: u32) {
        run(Command::new("blockdev").args(["--setra", &sectors.to_string()]).arg(&self.0));
    }

    /// The device's number, as user space has it.
    pub fn number(&self) -> u64 {
        fs::metadata(&self.0).unwrap().rdev()
    }

    /// Mounts the filesystem of type `kind`, by a system call of this process, so that it counts as its work.
    pub fn mount(&self, kind: &str) -> DeviceMount<'_> {
        let point = tempfile::tempdir().unwrap();
        mount(Some(&self.0), point.path(), Some(kind), MsFlags::MS_RDONLY, None::<&str>).unwrap();
        DeviceMount { _device: self, point }
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.0).status();
    }
}

impl DeviceMount<'_> {
    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.point.path()
    }
}

impl Drop for DeviceMount<'_> {
    fn drop(&mut self) {
        // Lazily, so that a file a panicking test left open does not keep the mount.
        let _ = umount2(self.point.path(), MntFlags::empty())
            .or_else(|_| umount2(self.point.path(), MntFlags::MNT_DETACH));
    }
}
