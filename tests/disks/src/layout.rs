//! Where on a disk the filesystem is: what `sgdisk`, `sfdisk` and `lvm` put around it.

use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::image::run;

const MIB: u64 = 1 << 20;

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
}

impl Layout {
    /// How many bytes it needs beside the filesystem.
    const OVERHEAD: u64 = 32 * MIB;

    /// The size of a disk for a filesystem of `size` bytes.
    pub fn disk_size(self, size: u64) -> u64 {
        if self == Self::Bare { size } else { size + Self::OVERHEAD }
    }

    /// Writes the table to an empty disk of `disk_size(size)`, and returns where the filesystem will be: as those tools
    /// say that read it back.
    pub fn write(self, disk: &Path, size: u64) -> Range<u64> {
        match self {
            Self::Bare => 0..size,
            Self::Gpt => {
                let parts = ["-n14:2048:+3M", "-t14:ef02", "-n15::+12M", "-t15:ef00", "-n1::0", "-t1:8300"];
                run(Command::new("sgdisk").args(parts).arg(disk));
                partition(disk, 1)
            }
            Self::MbrLogical => {
                sfdisk(disk, "label: dos\nsize=4M, type=83\ntype=5\nsize=8M, type=82\ntype=83\n");
                partition(disk, 6)
            }
        }
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
