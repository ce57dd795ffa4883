//! Disks of one machine, joined.

use std::fmt::Write as _;
use std::sync::Arc;

use super::test_image::{ext4, mbr, mirrored};
use super::{Disk, DiskState, Source, Storage};
use crate::fs::FsPath;
use crate::limits::Limits;
use crate::report::{Content, StorageReport};
use crate::volume::MemoryVolume;

const RELEASE: (&str, &str) = ("etc/os-release", "ID=test\n");
const VAR: &str = "0a3407de-014b-458b-b5c1-848e92a327a3";

fn disk(id: &str, bytes: Vec<u8>) -> Disk {
    attached(id, None, bytes)
}

fn attached(id: &str, device: Option<&str>, bytes: Vec<u8>) -> Disk {
    let state = DiskState::Open(Arc::new(MemoryVolume::new(bytes)));
    Disk { id: id.to_owned(), device: device.map(str::to_owned), state }
}

fn open(disks: &[Disk]) -> Storage {
    Storage::open("target", Source::Disks(disks), &Limits::default())
}

/// A root whose `/etc/fstab` has these lines.
fn root(fstab: &str) -> Vec<u8> {
    ext4(
        &[RELEASE, ("etc/fstab", fstab), ("var/", ""), ("home/", ""), ("usr/", ""), ("srv/", "")],
        &["-L", "root"],
    )
}

/// A filesystem with one file, which has its name.
fn named(name: &str, options: &[&str]) -> Vec<u8> {
    ext4(&[("name", name)], options)
}

/// What the tree with this number has in a file.
fn content(storage: &Storage, tree: usize, path: &str) -> Option<String> {
    let (_, tree) = storage.trees().nth(tree)?;
    let file = tree.open(&FsPath::new(path)).unwrap()?;
    Some(String::from_utf8(file.read_all().unwrap()).unwrap())
}

/// `path = place` of what is mounted in a tree.
fn mounts(report: &StorageReport, tree: usize) -> Vec<String> {
    let mounts = report.trees[tree].mounts.iter();
    mounts
        .map(|mount| {
            let assumed = if mount.assumed.is_some() { " (assumed)" } else { "" };
            format!("{} = {}{assumed}", mount.path, report.place_of(mount.filesystem))
        })
        .collect()
}

/// `place path: reason` of what is unknown.
fn unknowns(report: &StorageReport) -> Vec<String> {
    let unknowns = report.unknowns();
    unknowns.iter().map(|unknown| format!("{}: {}", unknown.text(), unknown.reason)).collect()
}

#[test]
fn a_filesystem_is_found_by_each_of_its_names() {
    let var = || named("var", &["-L", "my var", "-U", VAR]);
    let partitioned = || mbr(0x00c0_ffee, &[(0x83, named("other", &["-L", "other"])), (0x83, var())]);
    for (source, place) in [
        (format!("UUID={}", VAR.to_uppercase()), "vol-2 partition 2"),
        ("LABEL=\"my\\040var\"".to_owned(), "vol-2 partition 2"),
        ("PARTUUID=00C0FFEE-02".to_owned(), "vol-2 partition 2"),
        (format!("/dev/disk/by-uuid/{VAR}"), "vol-2 partition 2"),
        ("/dev/disk/by-label/my\\134x20var".to_owned(), "vol-2 partition 2"),
        ("/dev/disk/by-partuuid/00c0ffee-02".to_owned(), "vol-2 partition 2"),
        ("/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol2_1-part2".to_owned(), "vol-2 partition 2"),
        ("/dev/xvdf2".to_owned(), "vol-2 partition 2"),
        ("/dev/sdf2".to_owned(), "vol-2 partition 2"),
        // The only other disk that has a second partition.
        ("/dev/nvme1n1p2".to_owned(), "vol-2 partition 2 (assumed)"),
    ] {
        let root = root(&format!("LABEL=root / ext4\n{source} /var ext4 defaults 0 2\n"));
        let storage = open(&[
            attached("vol-1", Some("/dev/xvda"), root),
            attached("vol-2", Some("/dev/sdf"), partitioned()),
        ]);
        assert_eq!(mounts(&storage.report, 0), ["/ = vol-1", &format!("/var = {place}")], "{source}");
        assert_eq!(content(&storage, 0, "/var/name").as_deref(), Some("var"), "{source}");
        assert_eq!(unknowns(&storage.report), [""; 0], "{source}");
        // What is joined is no tree of its own, and what is not is one.
        assert_eq!(storage.report.trees.len(), 2, "{source}");
        assert_eq!(mounts(&storage.report, 1), ["/ = vol-2 partition 1"], "{source}");
    }
}

#[test]
fn the_kernels_name_of_a_disk_is_believed_only_where_one_can_be_meant() {
    let disks = |fstab: &str| {
        [disk("a", root(fstab)), disk("b", named("b", &["-L", "b"])), disk("c", named("c", &["-L", "c"]))]
    };
    let storage = open(&disks("LABEL=root / ext4\n/dev/nvme1n1 /var ext4\n"));
    assert_eq!(mounts(&storage.report, 0), ["/ = a"]);
    let expected = "a /var: /etc/fstab mounts /dev/nvme1n1 there: the names of disks depend on the machine, and several \
                    devices can be meant";
    assert_eq!(unknowns(&storage.report), [expected]);
    // Both are still read, each by itself.
    assert_eq!(storage.report.trees.len(), 3);
}

#[test]
fn a_device_that_is_not_there_is_an_unknown_unless_the_system_can_do_without() {
    let fstab = format!(
        "UUID={VAR} /var ext4\nUUID={VAR} /home ext4 nofail\nLABEL=x /srv ext4 noauto\nserver:/ /usr nfs\n\
         tmpfs /tmp tmpfs\nUUID={VAR} none swap\n"
    );
    let storage = open(&[disk("vol-1", root(&fstab))]);
    let expected =
        format!("vol-1 /var: /etc/fstab mounts UUID={VAR} there: no device of the target has this UUID");
    assert_eq!(unknowns(&storage.report), [expected]);
    let mut said: Vec<_> = storage.report.trees[0].unmounted.iter().map(|entry| &*entry.path).collect();
    said.sort_unstable();
    assert_eq!(said, ["/home", "/srv", "/usr", "/var"]);
}

#[test]
fn two_roots_are_two_systems_with_trees_of_their_own() {
    let data = || named("data", &["-L", "data"]);
    let system = |label, number| {
        let fstab = format!("LABEL={label} / ext4\nLABEL=data /srv ext4\n");
        ext4(&[RELEASE, ("etc/fstab", &fstab), ("number", number), ("srv/", "")], &["-L", label])
    };
    let storage =
        open(&[disk("vol", mbr(1, &[(0x83, system("a", "1")), (0x83, system("b", "2")), (0x83, data())]))]);
    assert_eq!(storage.report.trees.len(), 2);
    for (tree, number) in [(0, "1"), (1, "2")] {
        assert!(storage.report.trees[tree].is_system);
        assert_eq!(content(&storage, tree, "/number").as_deref(), Some(number));
        assert_eq!(content(&storage, tree, "/srv/name").as_deref(), Some("data"));
    }
}

#[test]
fn of_copies_of_a_disk_each_system_gets_its_own() {
    let copy =
        || mbr(1, &[(0x83, root(&format!("UUID={VAR} /var ext4\n"))), (0x83, named("var", &["-U", VAR]))]);
    let storage = open(&[disk("vol-1", copy()), disk("vol-2", copy())]);
    assert_eq!(mounts(&storage.report, 0), ["/ = vol-1 partition 1", "/var = vol-1 partition 2"]);
    assert_eq!(mounts(&storage.report, 1), ["/ = vol-2 partition 1", "/var = vol-2 partition 2"]);
}

#[test]
fn a_directory_is_shown_in_a_second_place() {
    let fstab = "LABEL=data /srv ext4\n/srv/below /var none bind\n";
    let data = ext4(&[("below/name", "deep")], &["-L", "data"]);
    let storage = open(&[disk("a", root(fstab)), disk("b", data)]);
    assert_eq!(content(&storage, 0, "/var/name").as_deref(), Some("deep"));
    assert_eq!(storage.report.trees[0].mounts[2].part.as_deref(), Some("/srv/below"));
}

#[test]
fn a_usr_of_its_own_is_joined_to_the_only_root_that_lacks_one() {
    let usr = |version| {
        ext4(&[("lib/os-release", "ID=image\n"), ("bin/", ""), ("version", version)], &["-L", version])
    };
    let empty_root = ext4(&[("etc/", ""), ("usr/", ""), ("var/", "")], &[]);
    let storage = open(&[disk("vol", mbr(1, &[(0x83, usr("a")), (0x83, usr("b")), (0x83, empty_root)]))]);
    assert_eq!(storage.report.trees.len(), 2);
    for (tree, version) in [(0, "a"), (1, "b")] {
        assert_eq!(content(&storage, tree, "/usr/version").as_deref(), Some(version));
        assert!(storage.report.trees[tree].is_system);
    }
    // Without a root it is said.
    let storage = open(&[disk("vol", usr("a"))]);
    assert_eq!(unknowns(&storage.report).len(), 1);
}

#[test]
fn a_deployment_of_ostree_is_a_system_with_its_own_var() {
    let deployment = "ostree/deploy/os/deploy/0123.0";
    let release = format!("{deployment}/usr/lib/os-release");
    let var = format!("{deployment}/var/");
    let files =
        [(&*release, "ID=ostree\n"), (&*var, ""), ("ostree/deploy/os/var/name", "var"), ("boot/", "")];
    let storage = open(&[disk("vol", ext4(&files, &[]))]);
    assert_eq!(storage.report.trees.len(), 1);
    assert_eq!(storage.report.trees[0].mounts[0].part.as_deref(), Some("/ostree/deploy/os/deploy/0123.0"));
    assert_eq!(content(&storage, 0, "/usr/lib/os-release").as_deref(), Some("ID=ostree\n"));
    assert_eq!(content(&storage, 0, "/var/name").as_deref(), Some("var"));
}

#[test]
fn a_hostile_table_of_mounts_ends() {
    // The root on itself, in itself, and directories that are shown in each other.
    let mut fstab =
        "LABEL=root /var ext4\nLABEL=root /var/var ext4\n/var /home none bind\n/home/var /usr none rbind\n\
                     /srv /srv none bind\n/usr /srv/x none bind\n"
            .to_owned();
    for index in 0..30_000 {
        let _ = writeln!(fstab, "LABEL=root /var/{index} ext4");
    }
    let storage = open(&[disk(
        "vol",
        ext4(&[RELEASE, ("etc/fstab", &fstab), ("var/var/", ""), ("srv/", "")], &["-L", "root"]),
    )]);
    assert_eq!(storage.report.trees.len(), 1);
    assert!(storage.report.trees[0].unmounted.len() <= 101, "{}", storage.report.trees[0].unmounted.len());
    assert!(content(&storage, 0, "/var/var/etc/os-release").is_some());
    // One that is too large to be one is not read at all.
    let storage = open(&[disk("vol", root(&"x\n".repeat(1_000_000)))]);
    assert_eq!(unknowns(&storage.report).len(), 1);
}

#[test]
fn what_the_firmware_reads_is_no_gap() {
    let mut fat = vec![0; 1 << 20];
    fat[0] = 0xeb;
    fat[54..62].copy_from_slice(b"FAT16   ");
    fat[39..43].copy_from_slice(&[0x34, 0x12, 0xcd, 0xab]);
    // Without the type of an EFI system partition: only the mount point says what it is.
    let table = |fat: Vec<u8>, point: &str| {
        mbr(1, &[(0x0c, fat), (0x83, root(&format!("UUID=ABCD-1234 {point} vfat\n")))])
    };
    let storage = open(&[disk("vol", table(fat.clone(), "/boot/efi"))]);
    assert_eq!(unknowns(&storage.report), [""; 0]);
    assert_eq!(storage.report.devices[1].content, Content::Irrelevant { what: "firmware".to_owned() });
    let storage = open(&[disk("vol", table(fat, "/srv"))]);
    assert_eq!(unknowns(&storage.report), ["vol partition 1: FAT: this version does not read it"]);
}

#[test]
fn halves_of_a_mirror_are_one_system_though_each_looks_whole() {
    let data = root("");
    let half = |number| mirrored(&data, number);
    let storage = open(&[disk("a", half(0)), disk("b", half(1))]);
    assert_eq!(storage.report.trees.len(), 1);
    assert_eq!(mounts(&storage.report, 0), ["/ = md/data on a, b"]);
    assert_eq!(unknowns(&storage.report), [""; 0]);

    // In partitions that are typed so, one half is enough to know it. What it holds is all there is.
    let storage = open(&[disk("a", mbr(1, &[(0xfd, half(0))]))]);
    assert_eq!(mounts(&storage.report, 0), ["/ = md/data on a"]);
    assert_eq!(unknowns(&storage.report), [""; 0]);
    assert_eq!(storage.report.devices[2].notes.len(), 1);

    // Two filesystems of one size are no mirror.
    let storage = open(&[disk("a", root("")), disk("b", root(""))]);
    assert_eq!(storage.report.trees.len(), 2);
}

#[test]
fn a_table_in_a_partition_is_looked_at_once() {
    let deepest = mbr(3, &[(0x83, named("c", &[]))]);
    let inner = mbr(2, &[(0x83, named("b", &[])), (0x83, deepest)]);
    let storage = open(&[disk("vol", mbr(1, &[(0x83, inner)]))]);
    let places: Vec<_> =
        storage.report.trees.iter().map(|tree| storage.report.place_of(tree.root())).collect();
    assert_eq!(places, ["vol partition 1 partition 1"]);
    assert_eq!(unknowns(&storage.report), ["vol partition 1 partition 2: no filesystem was recognised"]);
}

#[test]
fn more_devices_and_filesystems_than_the_limits_are_said() {
    let table = mbr(1, &[(0x83, named("a", &[])), (0x83, named("b", &[])), (0x83, named("c", &[]))]);
    let limits = Limits { devices: 3, ..Limits::default() };
    let storage = Storage::open("target", Source::Disks(&[disk("vol", table.clone())]), &limits);
    assert_eq!(storage.report.devices.len(), 3);
    assert_eq!(unknowns(&storage.report).len(), 1);
    let limits = Limits { filesystems: 2, ..Limits::default() };
    let storage = Storage::open("target", Source::Disks(&[disk("vol", table)]), &limits);
    let expected = "vol partition 3: ext4: the number of filesystems of one target (`filesystems`) exceeds the limit of 2";
    assert_eq!(unknowns(&storage.report), [expected]);
    let limits = Limits { systems: 1, ..Limits::default() };
    let storage =
        Storage::open("target", Source::Disks(&[disk("a", root("")), disk("b", root(""))]), &limits);
    assert_eq!(
        unknowns(&storage.report),
        ["b: the target has more than 1 systems, which is the limit (`systems`)"]
    );
    // What is left out as a system is still read as a filesystem.
    assert_eq!(storage.report.trees.len(), 2);
}

#[test]
fn disks_that_cannot_be_read_cost_only_themselves() {
    let unread =
        Disk { id: "b".to_owned(), device: None, state: DiskState::Unread { reason: "no".to_owned() } };
    let empty = Disk { id: "c".to_owned(), device: None, state: DiskState::Empty { size: 5 } };
    let storage = open(&[unread, disk("a", root("")), empty]);
    assert_eq!(unknowns(&storage.report), ["b: no"]);
    assert_eq!(mounts(&storage.report, 0), ["/ = a"]);
}
