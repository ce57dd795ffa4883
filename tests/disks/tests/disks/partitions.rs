//! Filesystems inside partitions, and a disk that was cut short.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agentless_analyser::fs;
use agentless_analyser::limits::Limits;
use agentless_analyser::volume::{Volume, partition};
use agentless_core::volume::FileVolume;

use agentless_disk_tests::image::{Mount, Workspace, can_mount};
use agentless_disk_tests::{fill, manifest};

const MIB: u64 = 1 << 20;

/// A disk of 128 MiB whose root filesystem of 96 MiB begins at `start`.
fn disk_with_root_at(workspace: &Workspace, start: u64) -> PathBuf {
    let root = workspace.format("root", 96 * MIB, &["mkfs.ext4"]);
    let disk = workspace.path("disk");
    let file = File::create(&disk).unwrap();
    file.set_len(128 * MIB).unwrap();
    file.write_all_at(&std::fs::read(root).unwrap(), start).unwrap();
    fill::fill(Mount::part(&disk, &(start..start + 96 * MIB), "rw").path(), 100);
    disk
}

fn assert_root_equals_kernel(disk: &Path, number: u32) {
    let volume: Arc<dyn Volume> = Arc::new(FileVolume::open(disk).unwrap());
    let table = partition::read(&volume, &Limits::default()).unwrap();
    assert_eq!(table.problems, []);
    let root = table.partitions.iter().find(|partition| partition.number == number).unwrap();
    let kernel = {
        let mount = Mount::part(disk, &(root.offset..root.offset + root.size), "ro");
        manifest::of_kernel(mount.path())
    };
    let slice = Arc::new(root.open(&volume).unwrap());
    let ours = manifest::of_ours(fs::open(slice, &Limits::default()).unwrap());
    manifest::assert_equal(&kernel, &ours, "partition");
}

#[test]
fn root_in_a_gpt_partition_written_by_another_implementation() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let path = disk_with_root_at(&workspace, 16 * MIB);
    let mut disk = Box::new(File::options().read(true).write(true).open(&path).unwrap());
    let sectors = u32::try_from(128 * MIB / 512 - 1).unwrap();
    gpt::mbr::ProtectiveMBR::with_lb_size(sectors).overwrite_lba0(&mut disk).unwrap();
    let mut table = gpt::GptConfig::new().writable(true).create_from_device(disk, None).unwrap();
    table.update_partitions(BTreeMap::new()).unwrap();
    table.add_partition_at("bios", 14, 2048, 8192, gpt::partition_types::BIOS, 0).unwrap();
    table.add_partition_at("root", 1, 32768, 96 * 2048, gpt::partition_types::LINUX_FS, 0).unwrap();
    table.write().unwrap();
    assert_root_equals_kernel(&path, 1);
}

#[test]
fn root_in_a_logical_mbr_partition() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let path = disk_with_root_at(&workspace, 16 * MIB);
    let disk = File::options().write(true).open(&path).unwrap();
    // A primary one that fills the disk, an extended one behind 8 MiB, and in it the root.
    let record = |sector: u64, os_type: u8, start: u64, sectors: u64| {
        let mut entry = [0; 16];
        entry[4] = os_type;
        entry[8..12].copy_from_slice(&u32::try_from(start).unwrap().to_le_bytes());
        entry[12..].copy_from_slice(&u32::try_from(sectors).unwrap().to_le_bytes());
        disk.write_all_at(&entry, sector * 512 + 446).unwrap();
        disk.write_all_at(&[0x55, 0xaa], sector * 512 + 510).unwrap();
    };
    record(0, 0x05, 8 * 2048, 112 * 2048);
    record(8 * 2048, 0x83, 8 * 2048, 96 * 2048);
    drop(disk);
    assert_root_equals_kernel(&path, 5);
}

#[test]
fn an_image_cut_short_says_so() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let image = workspace.format("image", 64 * MIB, &["mkfs.ext4"]);
    File::options().write(true).open(&image).unwrap().set_len(40 * MIB).unwrap();
    let volume = Arc::new(FileVolume::open(&image).unwrap());
    let error = fs::open(volume, &Limits::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the ext4 filesystem is damaged: it has 67108864 bytes, but its volume only 41943040: the image was cut short"
    );
}
