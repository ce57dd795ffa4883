//! Extended attributes, as the kernel's `listxattr` and `getxattr` show them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use agentless_analyser::fs::{FileSystem, Inode};

use agentless_disk_tests::fill;
use agentless_disk_tests::image::{Mount, Workspace, can_mount, open, run};
use rustix::fs::XattrFlags;

type Attributes = BTreeMap<String, Vec<u8>>;

fn set(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()).unwrap();
}

/// What the kernel shows, without access control lists: `system.…`, and the form in which XFS stores them.
fn of_kernel(path: &Path) -> Attributes {
    let mut list = vec![0; 64 << 10];
    let length = rustix::fs::llistxattr(path, &mut list).unwrap();
    let names = list[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    let names = names.map(|name| String::from_utf8(name.to_vec()).unwrap());
    names
        .filter(|name| !name.starts_with("system.") && !name.starts_with("trusted.SGI_ACL_"))
        .map(|name| {
            let mut value = vec![0; 64 << 10];
            let length = rustix::fs::lgetxattr(path, &name, &mut value).unwrap();
            value.truncate(length);
            (name, value)
        })
        .collect()
}

fn of_ours(file_system: &dyn FileSystem, inode: Inode) -> Attributes {
    let mut attributes = Attributes::new();
    file_system
        .xattrs(inode, &mut |attribute| {
            let name = String::from_utf8(attribute.name.to_vec()).unwrap();
            assert!(attributes.insert(name, attribute.value.to_vec()).is_none());
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    for (name, value) in &attributes {
        assert_eq!(file_system.xattr(inode, name.as_bytes()).unwrap().as_ref(), Some(value));
    }
    assert_eq!(file_system.xattr(inode, b"user.absent").unwrap(), None);
    attributes
}

/// Files whose attributes take every form: in the inode, in one leaf, below nodes, and with values of their own.
fn fill_attributes(root: &Path) {
    let file = |name: &str| {
        let path = root.join(name);
        fs::write(&path, "content").unwrap();
        path
    };
    file("none");
    let path = file("namespaces");
    set(&path, "user.of-users", b"u");
    set(&path, "trusted.overlay.opaque", b"y");
    set(&path, "security.capability", &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    set(&path, "user.empty", b"");
    run(Command::new("setfattr").args(["-n", "user.from-a-tool", "-v", "0x00ff00"]).arg(&path));

    let path = file("leaf");
    for index in 0..20 {
        set(&path, &format!("user.{index}"), &fill::content(index, 60));
    }
    let path = file("nodes");
    // About as many as the kernel lists: 64 KiB of names.
    for index in 0..300 {
        set(&path, &format!("user.{index}-{}", "n".repeat(200)), &fill::content(index, 30));
    }
    // Holes among them, also whole leaves.
    for index in (0..300).filter(|index| index % 3 == 0 || index % 120 < 40) {
        rustix::fs::lremovexattr(&path, format!("user.{index}-{}", "n".repeat(200))).unwrap();
    }
    let path = file("large-values");
    for (index, length) in (0..).zip([255, 256, 1000, 4000, 4040, 4096, 5000, 20_000, 65_535, 65_536]) {
        set(&path, &format!("user.{length}"), &fill::content(index, length));
    }
    let path = file("emptied");
    for length in [10, 3000, 60_000] {
        set(&path, &format!("user.{length}"), &fill::content(1, length));
    }
    for length in [10, 3000, 60_000] {
        rustix::fs::lremovexattr(&path, format!("user.{length}")).unwrap();
    }
    let directory = root.join("directory");
    fs::create_dir(&directory).unwrap();
    set(&directory, "trusted.overlay.opaque", b"y");
    symlink("target", root.join("link")).unwrap();
    set(&root.join("link"), "trusted.of-a-link", b"value");
    set(&root.join("link"), "trusted.large", &fill::content(1, 9000));
    let path = file("controlled");
    set(&path, "user.beside", b"an access control list");
    // Version 2, then the owner, user 1000, the group, the mask and all others: tag, permissions, id.
    let list: [(u16, u16, u32); 5] = [(1, 6, !0), (2, 7, 1000), (4, 4, !0), (0x10, 7, !0), (0x20, 4, !0)];
    let entries = list.iter().flat_map(|(tag, permissions, id)| {
        [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat()
    });
    let list: Vec<u8> = 2_u32.to_le_bytes().into_iter().chain(entries).collect();
    set(&path, "system.posix_acl_access", &list);
}

#[test]
fn attributes_of_every_form_are_those_of_the_kernel() {
    if !can_mount() {
        return;
    }
    for mkfs in [
        &["mkfs.xfs"][..],
        &["mkfs.xfs", "-b", "size=1024"],
        &["mkfs.xfs", "-b", "size=65536"],
        &["mkfs.xfs", "-i", "size=2048,nrext64=1"],
        &["mkfs.xfs", "-i", "size=1024", "-n", "size=65536"],
    ] {
        let workspace = Workspace::new();
        let image = workspace.format("image", 512 << 20, mkfs);
        {
            let mount = Mount::writable(&image);
            fill_attributes(mount.path());
        }
        let mount = Mount::read_only(&image);
        let file_system = open(&image);
        let mut count = 0;
        for entry in fs::read_dir(mount.path()).unwrap() {
            let name = entry.unwrap().file_name();
            let inode = file_system.lookup(file_system.root(), name.as_encoded_bytes()).unwrap().unwrap();
            let expected = of_kernel(&mount.path().join(&name));
            assert_eq!(of_ours(&*file_system, inode), expected, "{name:?} with {mkfs:?}");
            count += expected.len();
        }
        println!("{}: {count} attributes equal", mkfs.join(" "));
    }
}

/// Version 4, which this kernel does not mount: here `xfs_db` writes the attributes.
#[test]
fn attributes_of_version_4_are_those_that_were_written() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    for block_size in ["512", "4096", "65536"] {
        let name = format!("blocks-of-{block_size}");
        let image = workspace.format(
            &name,
            512 << 20,
            &["mkfs.xfs", "-m", "crc=0", "-b", &format!("size={block_size}")],
        );
        let mut expected = Attributes::new();
        let mut commands = "sb 0\naddr rootino\n".to_owned();
        let prefixes = [("-u", "user"), ("-r", "trusted"), ("-s", "security")];
        for (index, (option, prefix)) in (0..300).zip(prefixes.into_iter().cycle()) {
            let length = if index % 50 == 7 { index * 200 } else { 1 + index % 40 };
            writeln!(commands, "attr_set {option} -v {length} name-{index}").unwrap();
            expected.insert(format!("{prefix}.name-{index}"), b"v".repeat(length));
        }
        let script = workspace.path("script");
        fs::write(&script, commands).unwrap();
        let input = fs::File::open(&script).unwrap();
        run(Command::new("xfs_db").arg("-x").arg(&image).stdin(input));
        let file_system = open(&image);
        let ours = of_ours(&*file_system, file_system.root());
        assert_eq!(ours.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        assert_eq!(ours, expected);
        println!("version 4 with blocks of {block_size} bytes: {} attributes equal", ours.len());
    }
}
