//! A disk whose filesystem is in a logical volume, made by LVM2's tools without device-mapper.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::partition;
use crate::image::{Workspace, run};
use crate::loop_device::Loop;
use crate::lvm_tools;

/// Copies a filesystem of `size` bytes into the logical volume `system/root` of a new disk.
///
/// The copy shares the blocks with the original: both are in a workspace with snapshots.
pub(super) fn around(workspace: &Workspace, filesystem: &Path, size: u64) -> Vec<PathBuf> {
    let machine = Machine::new(workspace, filesystem, 1, size);
    // `root` has to grow around what is behind it.
    let first = bytes(size / 3 / EXTENT * EXTENT);
    machine.create("root", &["-L", &first]);
    machine.create("swap", &["-L", "64m"]);
    machine.run("lvextend", &["-L", &bytes(size), "system/root"]);
    let mut at = 0;
    for pieces in machine.segments() {
        let [Piece { disk, start, length }] = pieces[..] else { panic!("{pieces:?}") };
        machine.copy(filesystem, disk, &[(at, start, length)]);
        at += length;
    }
    assert_eq!(at, size);
    machine.images
}

/// As [`around`], in stripes on two disks.
pub(super) fn striped_around(workspace: &Workspace, filesystem: &Path, size: u64) -> Vec<PathBuf> {
    const STRIPE: u64 = 512 << 10;

    let machine = Machine::new(workspace, filesystem, 2, size / 2);
    machine.create("swap", &["-L", "64m"]);
    machine.create("root", &["-L", &bytes(size), "-i2", "-I", &bytes(STRIPE)]);
    let segments = machine.segments();
    let [pieces] = &segments[..] else { panic!("{segments:?}") };
    for (column, &Piece { disk, start, length }) in (0..).zip(pieces) {
        assert_eq!(length * 2, size);
        let stripes =
            (0..length / STRIPE).map(|row| ((row * 2 + column) * STRIPE, start + row * STRIPE, STRIPE));
        machine.copy(filesystem, disk, &stripes.collect::<Vec<_>>());
    }
    machine.images
}

fn bytes(count: u64) -> String {
    format!("{count}b")
}

/// The size of an extent in bytes, which LVM2 chooses by itself.
const EXTENT: u64 = 4 << 20;

/// Disks with a physical volume each, of one volume group.
struct Machine<'a> {
    workspace: &'a Workspace,
    images: Vec<PathBuf>,
    /// The physical volumes: where they are on their disks, and as devices.
    places: Vec<Range<u64>>,
    devices: Vec<Loop>,
}

/// A part of a logical volume, in bytes.
#[derive(Clone, Copy, Debug)]
struct Piece {
    disk: usize,
    /// Where it is on the physical volume.
    start: u64,
    length: u64,
}

impl<'a> Machine<'a> {
    /// With room for `size` bytes on each disk, and some more.
    fn new(workspace: &'a Workspace, filesystem: &Path, disks: usize, size: u64) -> Self {
        let image = |number: usize| {
            let mut name = filesystem.file_name().unwrap().to_owned();
            name.push(format!("-in-lvm-{number}"));
            let disk = workspace.image(name.to_str().unwrap(), size + (256 << 20));
            run(Command::new("sgdisk").args(["-n1:0:+64M", "-n2::0", "-t2:8e00"]).arg(&disk));
            disk
        };
        let images: Vec<PathBuf> = (0..disks).map(image).collect();
        let places: Vec<_> = images.iter().map(|disk| partition(disk, 2)).collect();
        let devices: Vec<_> =
            images.iter().zip(&places).map(|(disk, place)| Loop::writable_part(disk, place)).collect();
        let machine = Self { workspace, images, places, devices };
        let paths = machine.paths();
        machine.run("pvcreate", &paths);
        machine.run("vgcreate", &[&["system"][..], &paths].concat());
        machine
    }

    fn paths(&self) -> Vec<&str> {
        self.devices.iter().map(|device| device.path().to_str().unwrap()).collect()
    }

    /// Runs one of LVM2's tools, which sees these devices and no others.
    fn run(&self, tool: &str, arguments: &[&str]) -> String {
        let devices = self.devices.iter().map(Loop::path);
        run(lvm_tools::command(self.workspace, tool, devices).args(arguments))
    }

    fn create(&self, name: &str, options: &[&str]) {
        self.run("lvcreate", &[&["-an", "-Zn", "-Wn", "-y", "-n", name, "system"], options].concat());
    }

    /// Shares parts of a filesystem with a physical volume: from where, to where, and how many bytes.
    fn copy(&self, filesystem: &Path, disk: usize, parts: &[(u64, u64, u64)]) {
        let start = self.places[disk].start;
        let requests = parts.iter().map(|(from, to, length)| {
            format!("reflink {} {from} {} {length}\n", filesystem.display(), start + to)
        });
        let script = self.workspace.path("reflinks");
        std::fs::write(&script, requests.collect::<String>()).unwrap();
        run(Command::new("xfs_io").arg(&self.images[disk]).stdin(std::fs::File::open(&script).unwrap()));
    }

    /// The segments of `root`, each with its pieces.
    fn segments(&self) -> Vec<Vec<Piece>> {
        let report = |tool: &str, fields: &str, what: &str| {
            let options =
                ["--noheadings", "--units", "b", "--nosuffix", "--separator", "|", "-o", fields, what];
            self.run(tool, &options)
        };
        let starts = report("vgs", "pe_start", "system");
        let start: u64 = starts.split_whitespace().next().unwrap().parse().unwrap();
        let paths = self.paths();
        let piece = |range: &str| {
            // `/dev/loop0:10-19`, in extents, both ends included.
            let (device, range) = range.rsplit_once(':').unwrap();
            let (first, last) = range.split_once('-').unwrap();
            let [first, last]: [u64; 2] = [first, last].map(|extent| extent.parse().unwrap());
            let disk = paths.iter().position(|path| *path == device).unwrap();
            Piece { disk, start: start + first * EXTENT, length: (last + 1 - first) * EXTENT }
        };
        let segments = report("lvs", "seg_pe_ranges", "system/root");
        segments.lines().map(|line| line.split_whitespace().map(piece).collect()).collect()
    }
}
