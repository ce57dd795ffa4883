//! Small disks for tests.

use std::fs;
use std::path::Path;
use std::process::Command;

const MIB: usize = 1 << 20;
const SECTOR: usize = 512;

/// An ext4 filesystem with these files, made by `mke2fs` with these options. An empty directory is a path that ends with `/`.
pub(crate) fn ext4(files: &[(&str, &str)], options: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let (root, image) = (folder.path().join("root"), folder.path().join("image"));
    fs::create_dir(&root).unwrap();
    for (path, content) in files {
        write(&root.join(path), path.ends_with('/'), content);
    }
    // On Debian, /usr/sbin is not on the path of who is not root.
    let made = ["mke2fs", "/usr/sbin/mke2fs"].iter().any(|program| {
        let mut command = Command::new(program);
        command.args(["-q", "-t", "ext4"]).args(options).arg("-d").args([&root, &image]).arg("4m");
        command.output().is_ok_and(|output| output.status.success())
    });
    assert!(made, "mke2fs makes the disk of this test (Debian and Ubuntu: apt-get install e2fsprogs)");
    fs::read(image).unwrap()
}

fn write(path: &Path, is_directory: bool, content: &str) {
    if is_directory {
        fs::create_dir_all(path).unwrap();
    } else {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

/// A disk with an MBR of this signature and these primary partitions, each with its type.
pub(crate) fn mbr(signature: u32, partitions: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut disk = vec![0; MIB];
    disk[440..444].copy_from_slice(&signature.to_le_bytes());
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    for (index, (kind, content)) in partitions.iter().enumerate() {
        let at = 446 + 16 * index;
        let sectors = |bytes: usize| u32::try_from(bytes / SECTOR).unwrap().to_le_bytes();
        disk[at + 4] = *kind;
        let start = sectors(disk.len());
        disk[at + 8..at + 12].copy_from_slice(&start);
        disk[at + 12..at + 16].copy_from_slice(&sectors(content.len()));
        disk.extend_from_slice(content);
    }
    disk
}

/// A half of a RAID1 with md's metadata of version 1.0, which is at the end: `struct mdp_superblock_1` of the kernel's
/// `include/uapi/linux/raid/md_p.h`.
pub(crate) fn mirrored(data: &[u8], number: u32) -> Vec<u8> {
    let mut disk = data.to_vec();
    disk.resize(data.len() + (128 << 10), 0);
    let place = (disk.len() - (8 << 10)) & !0xfff;
    let sectors = |bytes: usize| u64::try_from(bytes / SECTOR).unwrap().to_le_bytes();
    let mut superblock = vec![0; 256 + 4];
    let mut put = |at: usize, bytes: &[u8]| superblock[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &0xa92b_4efc_u32.to_le_bytes()); // magic
    put(4, &1_u32.to_le_bytes()); // major_version
    put(16, &[0xa5; 16]); // set_uuid
    put(32, b"host:data"); // set_name
    put(72, &1_u32.to_le_bytes()); // level
    put(80, &sectors(data.len())); // size
    put(92, &2_u32.to_le_bytes()); // raid_disks
    put(136, &sectors(data.len())); // data_size
    put(144, &sectors(place)); // super_offset
    put(160, &number.to_le_bytes()); // dev_number
    put(168, &[u8::try_from(number).unwrap() + 1; 16]); // device_uuid
    put(200, &7_u64.to_le_bytes()); // events
    put(208, &u64::MAX.to_le_bytes()); // resync_offset
    put(220, &2_u32.to_le_bytes()); // max_dev
    put(258, &1_u16.to_le_bytes()); // dev_roles
    let words = superblock.chunks(4).map(|word| u64::from(u32::from_le_bytes(word.try_into().unwrap())));
    let sum: u64 = words.sum();
    let folded = u32::try_from((sum & 0xffff_ffff) + (sum >> 32)).unwrap();
    superblock[216..220].copy_from_slice(&folded.to_le_bytes()); // sb_csum
    disk[place..place + superblock.len()].copy_from_slice(&superblock);
    disk
}
