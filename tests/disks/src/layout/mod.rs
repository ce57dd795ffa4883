//! Where on a disk the filesystem is: what `sgdisk`, `sfdisk` and `lvm` put around it.

mod lvm;

use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::image::{Workspace, run};

/// What is between the disk and the filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Nothing.
    Bare,
    /// A GUID partition table as on the images of Debian for EC2: partitions 14 and 15 to start the machine, and behind
    /// them number 1.
    Gpt,
    /// An MBR whose extended partition holds two logical ones: the filesystem is in the second.
    MbrLogical,
    /// As installers of Red Hat and its like make it: a partition that is a physical volume, with a logical volume `root`
    /// of two pieces. The kernel, which may have no device-mapper, reads the logical volume from a file of its own.
    Lvm,
}

/// A disk with a filesystem somewhere on it.
#[derive(Debug)]
pub struct Disk {
    layout: Layout,
    /// The image that the filesystem is made in.
    pub image: PathBuf,
    /// Where in the image it is: as those tools say that read a table back.
    pub place: Range<u64>,
}

impl Disk {
    /// Makes an empty one, for a filesystem of `size` bytes.
    pub fn new(workspace: &Workspace, layout: Layout, size: u64) -> Self {
        let image = workspace.image("disk", if layout.has_table() { size + OVERHEAD } else { size });
        let place = match layout {
            Layout::Bare | Layout::Lvm => 0..size,
            Layout::Gpt => {
                let parts = ["-n14:2048:+3M", "-t14:ef02", "-n15::+12M", "-t15:ef00", "-n1::0", "-t1:8300"];
                run(Command::new("sgdisk").args(parts).arg(&image));
                partition(&image, 1)
            }
            Layout::MbrLogical => {
                sfdisk(&image, "label: dos\nsize=4M, type=83\ntype=5\nsize=8M, type=82\ntype=83\n");
                partition(&image, 6)
            }
        };
        Self { layout, image, place }
    }

    /// The disk that holds what `image` has, which is this disk's or a snapshot of it.
    pub fn assemble(&self, workspace: &Workspace, image: &Path) -> PathBuf {
        match self.layout {
            Layout::Lvm => lvm::around(workspace, image, self.place.end),
            _ => image.to_owned(),
        }
    }
}

/// How many bytes a table needs beside the filesystem.
const OVERHEAD: u64 = 32 << 20;

impl Layout {
    fn has_table(self) -> bool {
        matches!(self, Self::Gpt | Self::MbrLogical)
    }
}

fn sfdisk(disk: &Path, script: &str) {
    let mut sfdisk = Command::new("sfdisk");
    sfdisk.arg("--quiet").arg(disk).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut running = sfdisk.spawn().unwrap();
    running.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(running.wait().unwrap().success(), "sfdisk {script:?}");
}

/// Where a partition is, in bytes.
fn partition(disk: &Path, number: u32) -> Range<u64> {
    let mut partx = Command::new("partx");
    partx.args(["--noheadings", "--raw", "--output", "START,SECTORS", "--nr", &number.to_string()]);
    let shown = run(partx.arg(disk));
    let sectors: Vec<u64> = shown.split_whitespace().map(|number| number.parse().unwrap()).collect();
    let [start, length] = sectors[..] else { panic!("partition {number}: {shown:?}") };
    start * 512..(start + length) * 512
}
