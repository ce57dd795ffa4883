//! Subvolumes, snapshots, and what the kernel shows where one is inside another.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;

use agentless_disk_tests::image::{Mount, Workspace, can_mount, open, run};
use agentless_disk_tests::{fill, manifest};

use super::find;

fn btrfs(arguments: &[&str], paths: &[&Path]) -> String {
    run(Command::new("btrfs").args(arguments).args(paths))
}

/// Subvolumes in subvolumes, snapshots of what holds others, one that was deleted and one that was moved.
fn make(root: &Path) {
    btrfs(&["subvolume", "create"], &[&root.join("home")]);
    fs::create_dir_all(root.join("var/lib")).unwrap();
    btrfs(&["subvolume", "create"], &[&root.join("var/lib/machines")]);
    btrfs(&["subvolume", "create"], &[&root.join("var/lib/machines/inner")]);
    fs::write(root.join("top"), "top level").unwrap();
    fs::write(root.join("home/file"), fill::content(1, 9000)).unwrap();
    fs::write(root.join("var/lib/machines/file"), fill::content(2, 100)).unwrap();
    fs::write(root.join("var/lib/machines/inner/file"), fill::content(3, 70_000)).unwrap();
    symlink("home/file", root.join("link")).unwrap();
    btrfs(&["subvolume", "snapshot", "-r"], &[root, &root.join("read-only")]);
    btrfs(&["subvolume", "snapshot"], &[&root.join("var/lib/machines"), &root.join("writable")]);
    fs::write(root.join("writable/more"), fill::content(4, 5000)).unwrap();
    fs::remove_file(root.join("writable/file")).unwrap();
    btrfs(&["subvolume", "create"], &[&root.join("deleted")]);
    btrfs(&["subvolume", "snapshot"], &[root, &root.join("of-deleted")]);
    btrfs(&["subvolume", "delete"], &[&root.join("deleted")]);
    fs::rename(root.join("home"), root.join("var/moved-home")).unwrap();
}

/// The kernel makes up the time of the empty directories that stand for subvolumes in snapshots: the present one.
fn equal_but_for_made_up_times(kernel: &Path, image: &Path, what: &str) {
    let mut theirs = manifest::of_kernel(kernel);
    let mut ours = manifest::of_ours(open(image));
    let file_system = open(image);
    let is_made_up = |path: &[u8]| {
        let path = kernel.join(OsStr::from_bytes(path));
        path.symlink_metadata().unwrap().ino() == 2
    };
    let made_up: Vec<Vec<u8>> = theirs.keys().filter(|path| is_made_up(path)).cloned().collect();
    for path in &made_up {
        assert!(theirs.remove(path).is_some() && ours.remove(path).is_some(), "{what}");
        let path = std::str::from_utf8(path).unwrap();
        let theirs = kernel.join(path).symlink_metadata().unwrap();
        let ours = file_system.stat(find(&*file_system, path)).unwrap();
        assert_eq!(
            (theirs.mode(), theirs.size(), theirs.nlink(), theirs.uid(), theirs.gid()),
            (0o40_000 | u32::from(ours.mode), ours.size, u64::from(ours.links), ours.uid, ours.gid),
            "{what}: {path}"
        );
    }
    manifest::assert_equal(&theirs, &ours, what);
    println!("{what}: {} entries equal, {} of them made up", ours.len() + made_up.len(), made_up.len());
}

#[test]
fn subvolumes_are_crossed_as_the_kernel_does() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let image = workspace.format("image", 300 << 20, &["mkfs.btrfs"]);
    make(Mount::writable(&image).path());
    let mount = Mount::read_only(&image);
    equal_but_for_made_up_times(mount.path(), &image, "top level");
    let listed = list(mount.path());
    drop(mount);

    let file_system = open(&image);
    let found = file_system.subvolumes().unwrap().found;
    let mut ours: Vec<(u64, String)> = found
        .iter()
        .map(|each| (each.id, String::from_utf8(each.path.clone()).unwrap()))
        .filter(|&(id, _)| id != 5)
        .collect();
    ours.sort();
    assert_eq!(ours, listed);
    for each in &found {
        let path = String::from_utf8(each.path.clone()).unwrap();
        assert_eq!(each.is_default, each.id == 5, "{path}");
        assert_eq!(each.is_snapshot, ["read-only", "writable", "of-deleted"].contains(&&*path), "{path}");
        assert_eq!(find(&*file_system, &path), each.root, "{path}");
    }
}

/// The length of the name in the items that name a subvolume, made longer than a name can be.
#[test]
fn a_damaged_name_costs_its_subvolume() {
    const NODE: usize = 16 << 10;

    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let image = workspace.format("image", 300 << 20, &["mkfs.btrfs"]);
    {
        let mount = Mount::writable(&image);
        for name in ["good", "the-damaged-one"] {
            btrfs(&["subvolume", "create"], &[&mount.path().join(name)]);
        }
    }
    let mut bytes = fs::read(&image).unwrap();
    let fsid: [u8; 16] = bytes[65_536 + 32..][..16].try_into().unwrap();
    // `owner` of `struct btrfs_header`: the root tree.
    let of_root_tree = |node: &&mut [u8]| node[32..48] == fsid && node[88..96] == 1_u64.to_le_bytes();
    for node in bytes.chunks_exact_mut(NODE).filter(of_root_tree) {
        let name = b"the-damaged-one";
        let places: Vec<usize> =
            (103..NODE - name.len()).filter(|&at| node[at..].starts_with(name)).collect();
        for at in places {
            node[at - 2..at].fill(0xff);
        }
        let sum = crc32c::crc32c(&node[32..]);
        node[..4].copy_from_slice(&sum.to_le_bytes());
    }
    fs::write(&image, bytes).unwrap();

    let subvolumes = open(&image).subvolumes().unwrap();
    let paths: Vec<&[u8]> = subvolumes.found.iter().map(|each| &*each.path).collect();
    assert_eq!(paths, [&b""[..], b"good"]);
    let problems: Vec<String> =
        subvolumes.problems.iter().map(|(id, error)| format!("{id}: {error}")).collect();
    assert_eq!(problems, ["257: the name of Btrfs subvolume 257 is damaged: there is none"]);
}

/// What `btrfs subvolume list` says.
fn list(mount: &Path) -> Vec<(u64, String)> {
    let text = btrfs(&["subvolume", "list"], &[mount]);
    let line = |line: &str| {
        let mut words = line.split(' ');
        let id = words.nth(1).unwrap().parse().unwrap();
        (id, line.split(" path ").nth(1).unwrap().to_owned())
    };
    let mut listed: Vec<_> =
        text.lines().map(line).filter(|(_, path)| !path.starts_with("DELETED")).collect();
    listed.sort();
    listed
}

#[test]
fn the_default_subvolume_is_the_root() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let image = workspace.format("image", 300 << 20, &["mkfs.btrfs"]);
    {
        let mount = Mount::writable(&image);
        make(mount.path());
        btrfs(&["subvolume", "set-default"], &[&mount.path().join("var/lib/machines")]);
    }
    let mount = Mount::read_only(&image);
    equal_but_for_made_up_times(mount.path(), &image, "default subvolume");
    drop(mount);
    let default = open(&image).subvolumes().unwrap().found.into_iter().find(|each| each.is_default).unwrap();
    assert_eq!(default.path, b"var/lib/machines");
}

#[test]
fn many_snapshots_that_changed_since() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let image = workspace.format("image", 400 << 20, &["mkfs.btrfs", "-n", "4096"]);
    {
        let mount = Mount::writable(&image);
        let root = mount.path().join("root");
        btrfs(&["subvolume", "create"], &[&root]);
        fill::fill(&root, 200);
        for index in 0..10 {
            let snapshot = mount.path().join(format!("snapshot-{index}"));
            btrfs(&["subvolume", "snapshot"], &[&root, &snapshot]);
            fs::write(snapshot.join("names/size-1"), format!("changed in {index}")).unwrap();
            fs::write(root.join(format!("names/after-{index}")), fill::content(index, 5000)).unwrap();
            fs::remove_file(root.join(format!("links/hard-{index}"))).unwrap();
        }
    }
    let mount = Mount::read_only(&image);
    equal_but_for_made_up_times(mount.path(), &image, "snapshots");
}

#[test]
fn identity() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    for (name, options) in
        [("default", &[][..]), ("mixed", &["-M"]), ("raid", &["-L", "a label", "-O", "^no-holes,raid1c34"])]
    {
        let image = workspace.format(name, 256 << 20, &[&["mkfs.btrfs"], options].concat());
        let dump = btrfs(&["inspect-internal", "dump-super"], &[&image]);
        let field = |name: &str| {
            let line = dump.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap();
            line[name.len()..].trim().to_owned()
        };
        let identity = open(&image).identity();
        assert_eq!(identity.uuid, Some(field("fsid")));
        assert_eq!(
            identity.label.map_or_else(String::new, |label| String::from_utf8(label).unwrap()),
            field("label")
        );
        assert_eq!(identity.size.unwrap().to_string(), field("total_bytes"));
        assert_eq!(identity.block_size.unwrap().to_string(), field("sectorsize"));
        // The names are in parentheses, with a bar between them, each on a line of its own.
        let names: Vec<String> = dump
            .split('(')
            .skip(1)
            .filter_map(|rest| rest.split_once(')').map(|(inside, _)| inside))
            .filter(|inside| {
                inside.contains('|') || inside.chars().all(|c| c.is_ascii_uppercase() || " _\t\n".contains(c))
            })
            .flat_map(|inside| inside.split('|').map(|name| name.trim().to_owned()).collect::<Vec<_>>())
            .filter(|name| !name.is_empty() && name.len() > 2 && name != "WRITTEN")
            .collect();
        let mut ours = identity.features;
        let mut theirs = names;
        ours.sort();
        theirs.sort();
        assert_eq!(ours, theirs, "{name}");
    }
}

#[test]
fn changed_uuid() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let image = workspace.format("image", 200 << 20, &["mkfs.btrfs"]);
    fill::fill(Mount::writable(&image).path(), 50);
    let uuid = "01234567-89ab-cdef-0123-456789abcdef";
    // In the superblock only: nodes keep the old one.
    run(Command::new("btrfstune").args(["-f", "-M", uuid]).arg(&image));
    let kernel = manifest::of_kernel(Mount::read_only(&image).path());
    let file_system = open(&image);
    assert_eq!(file_system.identity().uuid.as_deref(), Some(uuid));
    assert!(file_system.identity().features.contains(&"METADATA_UUID".to_owned()));
    manifest::assert_equal(&kernel, &manifest::of_ours(file_system), "another UUID");
}
