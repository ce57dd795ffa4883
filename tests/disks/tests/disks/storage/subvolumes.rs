//! Systems in subvolumes of Btrfs.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use agentless_disk_tests::image::{Mount, Workspace, can_mount, run, unmount};
use agentless_disk_tests::loop_device::Loop;

use super::machine::{Mounted, files, mounts, open, unknowns};

const MIB: u64 = 1 << 20;

fn btrfs(command: &str) {
    run(Command::new("btrfs").args(command.split(' ')));
}

/// A filesystem with a system in `@`, a home, a container's root inside the system, and a snapshot of the system. `fstab` is
/// the system's.
fn image(workspace: &Workspace, fstab: &str) -> PathBuf {
    let image = workspace.format("pool", 128 * MIB, &["mkfs.btrfs", "-L", "pool"]);
    let mount = Mount::writable(&image);
    let top = mount.path().display();
    let write = |path: &str, content: &str| {
        let path = mount.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    btrfs(&format!("subvolume create {top}/@"));
    btrfs(&format!("subvolume create {top}/@home"));
    write("@/etc/os-release", "ID=test\n");
    write("@/etc/fstab", fstab);
    write("@/usr/lib/file", "in usr");
    write("@home/user/file", "at home");
    fs::create_dir(mount.path().join("@/home")).unwrap();
    btrfs(&format!("subvolume snapshot -r {top}/@ {top}/before"));
    write("@/usr/lib/later", "after the snapshot");
    btrfs(&format!("subvolume create {top}/@/container"));
    write("@/container/etc/os-release", "ID=container\n");
    image
}

#[test]
fn the_system_in_a_subvolume_is_joined_with_its_home() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let fstab = "LABEL=pool / btrfs subvol=@ 0 0\nLABEL=pool /home btrfs defaults,subvol=/@home 0 0\n";
    let image = image(&workspace, fstab);
    let storage = open(std::slice::from_ref(&image));
    assert_eq!(mounts(&storage.report, 0), ["/ = pool /@", "/home = pool /@home"]);
    assert_eq!(unknowns(&storage.report), [""; 0]);
    // Neither the snapshot nor the container is a system of its own.
    assert_eq!(storage.report.trees.len(), 1);
    let kernel = Mounted::new(&workspace, &[("/", &image, ",subvol=@"), ("/home", &image, ",subvol=@home")]);
    assert!(kernel.files() == files(&storage, 0));
}

#[test]
fn the_default_subvolume_is_the_root_whatever_else_there_is() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let image = image(&workspace, "LABEL=pool /home btrfs subvol=@missing\n");
    {
        let mount = Mount::writable(&image);
        btrfs(&format!("subvolume set-default {}", mount.path().join("before").display()));
    }
    let storage = open(std::slice::from_ref(&image));
    assert_eq!(mounts(&storage.report, 0), ["/ = pool"]);
    let expected =
        "pool /home: /etc/fstab mounts LABEL=pool there: the filesystem has no subvolume /@missing";
    assert_eq!(unknowns(&storage.report), [expected]);
    let kernel = Mounted::new(&workspace, &[("/", &image, "")]);
    assert!(kernel.files() == files(&storage, 0));
}

#[test]
fn a_snapshot_that_replaced_the_system_is_the_system() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    for (fstab, expected) in [
        // Where the table names the root, only that one is it.
        ("LABEL=pool / btrfs subvol=@ 0 0\n", ["/ = pool /@"].as_slice()),
        ("LABEL=pool /home btrfs subvol=@home 0 0\n", &["/ = pool /@", "/home = pool /@home"]),
    ] {
        let image = image(&workspace, fstab);
        {
            // As a rollback does it: the old system goes, and a snapshot takes its name.
            let mount = Mount::writable(&image);
            let top = mount.path().display();
            btrfs(&format!("subvolume delete {top}/@/container"));
            btrfs(&format!("subvolume delete {top}/@"));
            btrfs(&format!("subvolume snapshot {top}/before {top}/@"));
            if fstab.contains("/home") {
                btrfs(&format!("subvolume delete {top}/before"));
            }
        }
        let storage = open(std::slice::from_ref(&image));
        assert_eq!(mounts(&storage.report, 0), expected);
        assert_eq!(storage.report.trees.iter().filter(|tree| tree.is_system).count(), 1);
    }
}

#[test]
fn a_system_on_a_filesystem_of_two_disks_is_read() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let disks = ["one", "two"].map(|name| workspace.path(name));
    for disk in &disks {
        fs::File::create(disk).unwrap().set_len(128 * MIB).unwrap();
    }
    run(Command::new("mkfs.btrfs").args(["-q", "-f", "-d", "raid0", "-m", "raid1"]).args(&disks));
    {
        let loops = disks.each_ref().map(|disk| Loop::writable(disk));
        let point = workspace.path("both");
        fs::create_dir(&point).unwrap();
        run(Command::new("mount")
            .arg("-o")
            .arg(format!("device={}", loops[1].path().display()))
            .arg(loops[0].path())
            .arg(&point));
        for (path, content) in [("etc/os-release", "ID=test\n".to_owned()), ("var/x", "y".repeat(1 << 20))] {
            fs::create_dir_all(point.join(path).parent().unwrap()).unwrap();
            fs::write(point.join(path), content).unwrap();
        }
        unmount(&point, &[]).unwrap();
    }
    let storage = open(&disks);
    assert_eq!(mounts(&storage.report, 0), ["/ = one, two"]);
    assert!(files(&storage, 0)["/var/x"].as_deref() == Some("y".repeat(1 << 20).as_bytes()));
    assert_eq!(unknowns(&storage.report), [""; 0]);

    let partial = open(&disks[..1]);
    assert!(!unknowns(&partial.report).is_empty());
}
