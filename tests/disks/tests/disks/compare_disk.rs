//! `cargo compare-disk`, as who calls it sees it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use agentless_disk_tests::image::{self, Mount, Workspace, can_mount, run};
use agentless_disk_tests::layout::{Disk, Layout};
use agentless_disk_tests::loop_device::Loop;
use agentless_disk_tests::{changes, fill};

pub(crate) fn compare_disk(disk: &Path, options: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_compare-disk")).arg(disk).args(options).output().unwrap()
}

pub(crate) fn assert_ends(output: &Output, code: i32, with: &str) {
    let said = [&output.stdout[..], &output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(with), "{said}");
}

#[test]
fn a_disk_is_compared_as_it_was_unmounted_and_as_it_was_in_use() {
    if !can_mount() {
        return;
    }
    for mkfs in ["mkfs.ext4", "mkfs.xfs", "mkfs.btrfs"] {
        let workspace = Workspace::with_snapshots();
        let disk = Disk::new(&workspace, Layout::Gpt, 1 << 30);
        image::format(Loop::writable_part(&disk.image, &disk.place).path(), &[mkfs]);
        let in_use = {
            let mount = Mount::part(&disk.image, &disk.place, "rw");
            fill::fill(mount.path(), 100);
            if mkfs == "mkfs.btrfs" {
                let subvolume = mount.path().join("subvolume");
                run(Command::new("btrfs").args(["subvolume", "create"]).arg(&subvolume));
                fs::write(subvolume.join("file"), "in a subvolume").unwrap();
            }
            rustix::fs::syncfs(fs::File::open(mount.path()).unwrap()).unwrap();
            let service = mount.path().join("service");
            fs::create_dir(&service).unwrap();
            changes::serve(&service, 0);
            workspace.snapshot(&disk.image, "in-use")
        };
        assert_ends(&compare_disk(&disk.image, &["--partition", "1"]), 0, "all equal");
        let copies = workspace.path("");
        let options = ["--copies", copies.to_str().unwrap()];
        assert_ends(&compare_disk(&in_use, &options), 0, "recovered by the kernel in a temporary copy");
    }
}

#[test]
fn what_cannot_be_compared_is_said() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let image = workspace.image("image", 1 << 20);
    assert_ends(&compare_disk(&image, &[]), 2, "nothing that is known");
    assert_ends(&compare_disk(&image, &["--partition", "3"]), 2, "there is no such partition");
    assert_ends(&compare_disk(&workspace.path("absent"), &[]), 2, "could not open");
    run(Command::new("mkswap").arg(&image));
    assert_ends(&compare_disk(&image, &[]), 2, "swap, which is not compared");
}
