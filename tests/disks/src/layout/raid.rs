//! Two disks that hold the same, as Linux software RAID has them: `md` with a superblock of version 1.2. The kernel, which
//! may have no `md`, does not assemble it; `mdadm` is the judge of the superblocks.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::partition;
use crate::image::{Workspace, run};
use crate::loop_device::Loop;

const SECTOR: u64 = 512;
/// Where the superblock is, and where the data begins.
const SUPERBLOCK: u64 = 4 << 10;
const DATA: u64 = 1 << 20;

/// Copies a filesystem of `size` bytes onto both disks of a new array.
///
/// The copies share the blocks with the original: all are in a workspace with snapshots.
pub(super) fn around(workspace: &Workspace, filesystem: &Path, size: u64) -> Vec<PathBuf> {
    let member = |number: u8| {
        let mut name = filesystem.file_name().unwrap().to_owned();
        name.push(format!("-in-raid-{number}"));
        let disk = workspace.image(name.to_str().unwrap(), size + (8 << 20));
        run(Command::new("sgdisk").args(["-n1::0", "-t1:fd00"]).arg(&disk));
        let place = partition(&disk, 1);
        let file = File::options().write(true).open(&disk).unwrap();
        file.write_all_at(&superblock(number, size), place.start + SUPERBLOCK).unwrap();
        let request = format!("reflink {} 0 {} {size}", filesystem.display(), place.start + DATA);
        run(Command::new("xfs_io").args(["-c", &request]).arg(&disk));
        let device = Loop::writable_part(&disk, &place);
        let examined = run(Command::new("mdadm").arg("--examine").arg(device.path()));
        for line in ["Raid Level : raid1", "Raid Devices : 2", " - correct"] {
            assert!(examined.contains(line), "no {line:?} in {examined}");
        }
        disk
    };
    vec![member(0), member(1)]
}

/// The superblock of a whole member, `struct mdp_superblock_1` of `uapi/linux/raid/md_p.h`.
fn superblock(number: u8, size: u64) -> Vec<u8> {
    let mut superblock = vec![0; 260];
    let mut put = |at: usize, bytes: &[u8]| superblock[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &0xa92b_4efc_u32.to_le_bytes());
    put(4, &1_u32.to_le_bytes());
    put(16, &[0xa5; 16]);
    put(32, b"machine:root");
    // RAID1 of two, all of them in use.
    put(72, &1_u32.to_le_bytes());
    put(80, &(size / SECTOR).to_le_bytes());
    put(92, &2_u32.to_le_bytes());
    put(128, &(DATA / SECTOR).to_le_bytes());
    put(136, &(size / SECTOR).to_le_bytes());
    put(144, &(SUPERBLOCK / SECTOR).to_le_bytes());
    put(160, &u32::from(number).to_le_bytes());
    put(168, &[number + 1; 16]);
    put(200, &20_u64.to_le_bytes());
    put(208, &u64::MAX.to_le_bytes());
    put(220, &2_u32.to_le_bytes());
    // `dev_roles`
    put(256, &[0, 0, 1, 0]);
    let words = superblock.chunks(4).map(|word| u64::from(u32::from_le_bytes(word.try_into().unwrap())));
    let sum: u64 = words.sum();
    let folded = u32::try_from((sum & 0xffff_ffff) + (sum >> 32)).unwrap();
    superblock[216..220].copy_from_slice(&folded.to_le_bytes());
    superblock
}
