//! A root on a partition, the rest of the system in a volume group of two disks and on partitions of a third.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use agentless_disk_tests::image::{Workspace, can_mount, run};
use agentless_disk_tests::loop_device::Loop;
use agentless_disk_tests::lvm_tools;

use super::machine::{Mounted, directory, files, mounts, open, unknowns};

const MIB: u64 = 1 << 20;

pub(super) fn disk(workspace: &Workspace, name: &str, size: u64) -> PathBuf {
    let path = workspace.path(name);
    File::create(&path).unwrap().set_len(size).unwrap();
    path
}

pub(super) fn write(disk: &Path, offset: u64, content: &[u8]) {
    File::options().write(true).open(disk).unwrap().write_all_at(content, offset).unwrap();
}

/// Makes the group `data` on two disks with these images as the content of its volumes, which are linear and may go over
/// the end of the first disk. The tools say where their segments are: nothing is mapped by the kernel.
pub(super) fn group(workspace: &Workspace, disks: &[PathBuf], volumes: &[(&str, &Path)]) {
    let loops: Vec<_> = disks.iter().map(|disk| Loop::writable(disk)).collect();
    let devices: Vec<_> = loops.iter().map(|each| each.path().to_str().unwrap()).collect();
    let lvm = |tool: &str, arguments: &str| {
        let devices = loops.iter().map(Loop::path);
        run(lvm_tools::command(workspace, tool, devices).args(arguments.split(' ')))
    };
    lvm("vgcreate", &format!("-s 1m data {}", devices.join(" ")));
    for (name, image) in volumes {
        let extents = image.metadata().unwrap().len() / MIB;
        lvm("lvcreate", &format!("-an -Zn -Wn -y -l {extents} -n {name} data"));
    }
    let start: u64 = lvm("pvs", "--noheadings --units b --nosuffix -o pe_start")
        .lines()
        .next()
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let segments = lvm(
        "lvs",
        "--segments --noheadings --units b --nosuffix --separator | -o lv_name,seg_start,seg_size,devices data",
    );
    for line in segments.lines() {
        let fields: Vec<_> = line.trim().split('|').collect();
        let (device, extent) = fields[3].trim_end_matches(')').split_once('(').unwrap();
        let disk = devices.iter().position(|name| *name == device).unwrap();
        let (_, image) = volumes.iter().find(|(name, _)| *name == fields[0]).unwrap();
        let mut content = vec![0; fields[2].parse().unwrap()];
        File::open(image).unwrap().read_exact_at(&mut content, fields[1].parse().unwrap()).unwrap();
        write(&disks[disk], start + extent.parse::<u64>().unwrap() * MIB, &content);
    }
}

#[test]
fn a_system_on_partitions_and_logical_volumes_of_four_disks_equals_the_kernels() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let uuid = "0a3407de-014b-458b-b5c1-848e92a327a3";
    let fstab = format!(
        "UUID={uuid} / ext4 defaults 0 1\n/dev/mapper/data-var /var ext4 defaults 0 2\n\
         /dev/data/var--log /nothing ext4 nofail\n/dev/mapper/data-var--log /var/log ext4 defaults 0 2\n\
         PARTUUID=11111111-2222-3333-4444-555555555555 /home ext4\nPARTLABEL=the\\040data /srv ext4\n\
         LABEL=nowhere /opt ext4\n"
    );
    let ext4 = |name: &str, size: u64, files: &[(&str, &str)], options: &[&str]| {
        let from = directory(&workspace, &format!("{name}.files"), files);
        let from = from.to_str().unwrap();
        workspace.format(name, size, &[&["mkfs.ext4", "-d", from][..], options].concat())
    };
    let root_files = [
        ("etc/os-release", "ID=test\n"),
        ("etc/fstab", &*fstab),
        ("var/hidden", "hidden"),
        ("home/", ""),
        ("srv/", ""),
        ("opt/", ""),
        ("usr/lib/file", "in usr"),
    ];
    let root = ext4("root", 32 * MIB, &root_files, &["-U", uuid]);
    let var = ext4(
        "var",
        40 * MIB,
        &[("lib/dpkg/status", "status"), ("log/", ""), ("large", &"x".repeat(20 << 20))],
        &[],
    );
    let log = ext4("log", 16 * MIB, &[("syslog", "a line\n")], &[]);
    let home = ext4("home", 8 * MIB, &[("user/file", "at home")], &[]);
    let srv = ext4("srv", 8 * MIB, &[("www/index", "served")], &[]);

    let disks: Vec<_> = [("a", 64), ("b", 36), ("c", 36), ("d", 32)]
        .map(|(name, size)| disk(&workspace, name, size * MIB))
        .into();
    run(Command::new("sgdisk").args(["-n", "1:2048:+1M", "-t", "1:EF02", "-n", "2:8M:+32M"]).arg(&disks[0]));
    write(&disks[0], 8 * MIB, &std::fs::read(&root).unwrap());
    group(&workspace, &disks[1..3], &[("var", &var), ("var-log", &log)]);
    run(Command::new("sgdisk")
        .args(["-n", "1:1M:+8M", "-u", "1:11111111-2222-3333-4444-555555555555"])
        .args(["-n", "2:16M:+8M", "-c", "2:the data"])
        .arg(&disks[3]));
    write(&disks[3], MIB, &std::fs::read(&home).unwrap());
    write(&disks[3], 16 * MIB, &std::fs::read(&srv).unwrap());

    let storage = open(&disks);
    assert_eq!(
        mounts(&storage.report, 0),
        [
            "/ = a partition 2",
            "/var = data/var on b, c",
            "/home = d partition 1",
            "/srv = d partition 2",
            "/var/log = data/var-log on b, c"
        ]
    );
    assert_eq!(
        unknowns(&storage.report),
        ["a partition 2 /opt: /etc/fstab mounts LABEL=nowhere there: no device of the target has this label"]
    );
    assert_eq!(storage.report.trees.len(), 1);
    let kernel = Mounted::new(
        &workspace,
        &[
            ("/", &root, ""),
            ("/var", &var, ""),
            ("/var/log", &log, ""),
            ("/home", &home, ""),
            ("/srv", &srv, ""),
        ],
    );
    assert!(kernel.files() == files(&storage, 0));

    // Without one of its disks, the group's volumes are named and the rest is read.
    let partial = open(&[disks[0].clone(), disks[1].clone(), disks[3].clone()]);
    let unknowns = unknowns(&partial.report);
    assert!(
        unknowns.iter().any(|unknown| unknown.starts_with("data/var on b: ") && unknown.contains("missing")),
        "{unknowns:#?}"
    );
    assert_eq!(partial.report.trees[0].mounts.len(), 3);
}
