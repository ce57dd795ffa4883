//! Where on a disk the filesystem is: what `sgdisk`, `sfdisk` and `lvm` put around it.

mod lvm;
mod pair;
mod raid;

use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use self::pair::Pair;
use crate::image::{self, Mount, Workspace, run};
use crate::loop_device::Loop;

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
    /// The same on two disks, whose extents take turns in stripes of 512 KiB.
    LvmStriped,
    /// Linux software RAID on two disks that hold the same. The kernel, which may have no `md`, reads one of them.
    Raid1,
    /// A Btrfs filesystem on two bare disks.
    TwoDisks,
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
            Layout::Bare | Layout::Lvm | Layout::LvmStriped | Layout::Raid1 | Layout::TwoDisks => 0..size,
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

    /// Makes the filesystem.
    pub fn format(&self, mkfs: &[&str]) {
        match self.layout {
            Layout::TwoDisks => Pair::attach(&self.image, &self.halves()).format(mkfs),
            _ => image::format(Loop::writable_part(&self.image, &self.place).path(), mkfs),
        }
    }

    /// Mounts the filesystem that `image` has, which is this disk's or a snapshot of it.
    pub fn mount(&self, image: &Path, options: &str) -> Mounted {
        if self.layout == Layout::TwoDisks {
            let pair = Pair::attach(image, &self.halves());
            let mount = pair.mount(image.with_extension("mount"), options);
            return Mounted { mount, _pair: Some(pair) };
        }
        Mounted { mount: Mount::part(image, &self.place, options), _pair: None }
    }

    /// The disks that hold what `image` has, which is this disk's or a snapshot of it.
    pub fn assemble(&self, workspace: &Workspace, image: &Path) -> Vec<PathBuf> {
        let size = self.place.end;
        match self.layout {
            Layout::Lvm => lvm::around(workspace, image, size),
            Layout::LvmStriped => lvm::striped_around(workspace, image, size),
            Layout::Raid1 => raid::around(workspace, image, size),
            Layout::TwoDisks => pair::disks(workspace, image, &self.halves()),
            Layout::Bare | Layout::Gpt | Layout::MbrLogical => vec![image.to_owned()],
        }
    }

    fn halves(&self) -> [Range<u64>; 2] {
        let middle = self.place.end / 2;
        [0..middle, middle..self.place.end]
    }
}

/// A mount of a disk's filesystem, which ends with the value.
#[derive(Debug)]
pub struct Mounted {
    /// Ends before the devices do.
    mount: Mount,
    _pair: Option<Pair>,
}

impl Mounted {
    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.mount.path()
    }
}

/// How many bytes a table needs beside the filesystem.
const OVERHEAD: u64 = 32 << 20;

impl Layout {
    /// Whether the image that is mounted is the one disk that there is.
    pub fn is_one_disk(self) -> bool {
        matches!(self, Self::Bare | Self::Gpt | Self::MbrLogical)
    }

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
