//! A Btrfs filesystem on two devices: the halves of one image, so that a snapshot is one of both at the same moment.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::image::{Mount, Workspace, run};
use crate::loop_device::Loop;

/// The devices in an image.
#[derive(Debug)]
pub(super) struct Pair([Loop; 2]);

impl Pair {
    pub(super) fn attach(image: &Path, places: &[Range<u64>; 2]) -> Self {
        Self(places.each_ref().map(|place| Loop::writable_part(image, place)))
    }

    pub(super) fn format(&self, mkfs: &[&str]) {
        let [program, options @ ..] = mkfs else { panic!("no mkfs") };
        run(Command::new(program).args(options).args(["-q", "-f"]).args(self.0.each_ref().map(Loop::path)));
    }

    /// Mounts what is on both.
    pub(super) fn mount(&self, point: PathBuf, options: &str) -> Mount {
        // The kernel learns of a filesystem's devices before it mounts one of them.
        for device in &self.0 {
            run(Command::new("btrfs").args(["device", "scan"]).arg(device.path()));
        }
        Mount::device(self.0[0].path(), point, options).unwrap_or_else(|problem| panic!("{problem}"))
    }
}

/// A snapshot has the same devices, by their numbers: the kernel has to forget these ones.
impl Drop for Pair {
    fn drop(&mut self) {
        for device in &self.0 {
            let _ = Command::new("btrfs").args(["device", "scan", "--forget"]).arg(device.path()).output();
        }
    }
}

/// A disk for each of the devices.
pub(super) fn disks(workspace: &Workspace, image: &Path, places: &[Range<u64>; 2]) -> Vec<PathBuf> {
    let disk = |(number, Range { start, end }): (usize, &Range<u64>)| {
        let mut name = image.file_name().unwrap().to_owned();
        name.push(format!("-of-pair-{number}"));
        let disk = workspace.image(name.to_str().unwrap(), end - start);
        let request = format!("reflink {} {start} 0 {}", image.display(), end - start);
        run(Command::new("xfs_io").args(["-c", &request]).arg(&disk));
        disk
    };
    places.iter().enumerate().map(disk).collect()
}
