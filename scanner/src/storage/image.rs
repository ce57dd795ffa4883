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
