//! A disk whose filesystem is in a logical volume, made by LVM2's tools without device-mapper.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::partition;
use crate::image::{Workspace, run};
use crate::loop_device::Loop;
use crate::lvm_tools;

/// Copies a filesystem of `size` bytes into the logical volume `system/root` of a new disk.
///
/// The copy shares the blocks with the original: both are in a workspace with snapshots.
pub(super) fn around(workspace: &Workspace, filesystem: &Path, size: u64) -> PathBuf {
    let mut name = filesystem.file_name().unwrap().to_owned();
    name.push("-in-lvm");
    let disk = workspace.image(name.to_str().unwrap(), size + (256 << 20));
    run(Command::new("sgdisk").args(["-n1:0:+64M", "-n2::0", "-t2:8e00"]).arg(&disk));
    let place = partition(&disk, 2);
    let device = Loop::writable_part(&disk, &place);
    let tools = Tools { workspace, device: device.path() };
    tools.run("pvcreate", &[]);
    tools.run("vgcreate", &["system"]);
    // `root` has to grow around what is behind it.
    let root_bytes = |bytes: u64| format!("{bytes}b");
    let create = ["-an", "-Zn", "-Wn", "-y"];
    let first = root_bytes(size / 3 / EXTENT * EXTENT);
    tools.run("lvcreate", &[&create[..], &["-n", "root", "-L", &first, "system"]].concat());
    tools.run("lvcreate", &[&create[..], &["-n", "swap", "-L", "64m", "system"]].concat());
    tools.run("lvextend", &["-L", &root_bytes(size), "system/root"]);
    let mut at = 0;
    for [start, length] in tools.segments() {
        let request = format!("reflink {} {at} {} {length}", filesystem.display(), place.start + start);
        run(Command::new("xfs_io").args(["-c", &request]).arg(&disk));
        at += length;
    }
    assert_eq!(at, size);
    disk
}

/// The size of an extent in bytes, which LVM2 chooses by itself.
const EXTENT: u64 = 4 << 20;

/// LVM2's tools, which see one device and no other.
struct Tools<'a> {
    workspace: &'a Workspace,
    device: &'a Path,
}

impl Tools<'_> {
    fn run(&self, tool: &str, arguments: &[&str]) -> String {
        let mut command = lvm_tools::command(self.workspace, tool, [self.device]);
        command.args(arguments);
        if ["pvcreate", "vgcreate"].contains(&tool) {
            command.arg(self.device);
        }
        run(&mut command)
    }

    /// Where the pieces of `root` are on the device, in their order: start and length in bytes.
    fn segments(&self) -> Vec<[u64; 2]> {
        let report = |tool: &str, fields: &str, what: &str| {
            let options =
                ["--noheadings", "--units", "b", "--nosuffix", "--separator", "|", "-o", fields, what];
            self.run(tool, &options)
        };
        let start: u64 = report("vgs", "pe_start", "system").trim().parse().unwrap();
        let pieces = report("lvs", "seg_pe_ranges", "system/root");
        let pieces = pieces.lines().map(|line| {
            // `/dev/loop0:10-19`, in extents, both ends included.
            let (_, range) = line.trim().rsplit_once(':').unwrap();
            let (first, last) = range.split_once('-').unwrap();
            let [first, last]: [u64; 2] = [first, last].map(|extent| extent.parse().unwrap());
            [start + first * EXTENT, (last + 1 - first) * EXTENT]
        });
        pieces.collect()
    }
}
