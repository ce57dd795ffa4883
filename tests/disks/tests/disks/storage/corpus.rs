//! Writes the seeds of the fuzz target `machine`: several disks each, one behind the other.

use std::fs;
use std::path::{Path, PathBuf};

use agentless_analyser::analyse::survey;
use agentless_analyser::volume::SparseVolume;

use agentless_disk_tests::image::{Workspace, can_mount};

use super::machine::directory;
use super::volumes::{disk, group, write};

/// In the form of [`survey::encoded_machine`].
fn save(name: &str, disks: &[PathBuf]) {
    let mut encoded = Vec::new();
    for disk in disks {
        let one = SparseVolume::encode(&fs::read(disk).unwrap());
        encoded.extend_from_slice(&u32::try_from(one.len()).unwrap().to_le_bytes());
        encoded.extend_from_slice(&one);
    }
    assert!(encoded.len() <= 128 << 10, "{name} has {} bytes", encoded.len());
    let unknowns = survey::encoded_machine(&encoded).unwrap().unknowns();
    assert!(unknowns.iter().all(|unknown| unknown.reason.contains("package database")), "{unknowns:#?}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scanner/fuzz/corpus/machine");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), encoded).unwrap();
}

#[test]
#[ignore = "writes the seeds of a fuzz target into the source tree"]
fn write_the_seeds() {
    assert!(can_mount());
    let workspace = Workspace::new();
    let ext4 = |name: &str, files: &[(&str, &str)]| {
        let from = directory(&workspace, &format!("{name}.files"), files);
        let options = ["-b", "1024", "-N", "32", "-O", "^has_journal,^resize_inode", "-L", name, "-d"];
        let mkfs = [&["mkfs.ext4"][..], &options, &[from.to_str().unwrap()]].concat();
        workspace.format(name, 1 << 20, &mkfs)
    };
    let fstab = "LABEL=root / ext4\n/dev/mapper/data-var /var ext4\nLABEL=srv /srv ext4\n/srv/www /home none bind\n\
                 /dev/sdb2 /opt ext4 nofail\n";
    let root = ext4(
        "root",
        &[
            ("etc/os-release", "ID=test\n"),
            ("etc/fstab", fstab),
            ("var/", ""),
            ("srv/", ""),
            ("home/", ""),
            ("opt/", ""),
        ],
    );
    let var = ext4("var", &[("lib/dpkg/status", "Package: a\nStatus: install ok installed\nVersion: 1\n\n")]);
    let srv = ext4("srv", &[("www/index", "served")]);

    let disks = [("one", 4 << 20), ("two", 8 << 20)].map(|(name, size)| disk(&workspace, name, size));
    // Two primary partitions, of one filesystem each.
    for (index, image) in (0_u64..).zip([&root, &srv]) {
        let start = (index + 1) << 20;
        let mut entry = [0; 16];
        entry[4] = 0x83;
        entry[8..12].copy_from_slice(&u32::try_from(start / 512).unwrap().to_le_bytes());
        entry[12..].copy_from_slice(&2048_u32.to_le_bytes());
        write(&disks[0], 446 + 16 * index, &entry);
        write(&disks[0], start, &fs::read(image).unwrap());
    }
    write(&disks[0], 510, &[0x55, 0xaa]);
    group(&workspace, &disks[1..], &[("var", &var)]);
    save("root-and-group", &disks);

    let usr = ext4("usr", &[("lib/os-release", "ID=image\n"), ("bin/", "")]);
    let empty = ext4("empty", &[("etc/", ""), ("usr/", ""), ("var/", "")]);
    save("usr-and-root", &[usr, empty]);
    let deployment = [
        ("ostree/deploy/os/deploy/0.0/usr/lib/os-release", "ID=ostree\n"),
        ("ostree/deploy/os/deploy/0.0/var/", ""),
        ("ostree/deploy/os/var/lib/dpkg/status", ""),
    ];
    save("ostree", &[ext4("ostree", &deployment)]);
}
