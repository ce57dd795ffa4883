//! Extended attributes and features, against the kernel and against `dumpe2fs`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::ops::ControlFlow;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;

use agentless_analyser::fs::{FsPath, Tree};
use agentless_analyser::limits::Limits;
use rustix::fs::XattrFlags;

use agentless_disk_tests::fill::content;
use agentless_disk_tests::image::{Mount, Workspace, can_mount, open, run};

type Attributes = BTreeMap<String, Vec<u8>>;

/// Files with attributes of every namespace and size: in the inode, in a block, shared by two files, and too large for both.
pub(crate) fn fill(root: &Path, largest: usize) {
    let set = |path: &Path, name: &str, value: &[u8]| {
        rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()).unwrap();
    };
    for name in ["none", "small", "block", "shared", "also-shared", "large", "acl", "removed"] {
        fs::write(root.join(name), name).unwrap();
    }
    fs::create_dir(root.join("directory")).unwrap();
    symlink("small", root.join("link")).unwrap();

    set(&root.join("small"), "user.a", b"1");
    set(&root.join("small"), "user.empty", b"");
    set(&root.join("small"), "trusted.overlay.opaque", b"y");
    set(&root.join("directory"), "trusted.overlay.opaque", b"y");
    set(&root.join("link"), "trusted.of-a-link", b"yes");
    // VFS_CAP_REVISION_2 with one permitted capability.
    let capability = [0x01, 0, 0, 2, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    set(&root.join("small"), "security.capability", &capability);
    for index in 0..6 {
        set(&root.join("block"), &format!("user.{}-{index}", "n".repeat(20)), &content(index, 60));
    }
    for name in ["shared", "also-shared"] {
        set(&root.join(name), "user.shared", &content(7, 500));
    }
    set(&root.join("large"), "user.large", &content(8, largest));
    set(&root.join("removed"), "user.removed", &content(9, 300));
    rustix::fs::removexattr(root.join("removed"), "user.removed").unwrap();
    let entry = |tag: u16, mode: u16, id: u32| {
        [&tag.to_le_bytes()[..], &mode.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    let list = [entry(1, 6, u32::MAX), entry(2, 4, 1000), entry(4, 4, u32::MAX), entry(16, 4, u32::MAX)];
    let list = [&2_u32.to_le_bytes()[..], &list.concat(), &entry(32, 4, u32::MAX)].concat();
    set(&root.join("acl"), "system.posix_acl_access", &list);
    set(&root.join("acl"), "user.beside-an-acl", b"here");
}

fn of_kernel(path: &Path) -> Attributes {
    let mut names = vec![0; 64 << 10];
    let length = rustix::fs::llistxattr(path, names.as_mut_slice()).unwrap();
    let names = names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    names
        .filter(|name| !name.starts_with(b"system.posix_acl"))
        .map(|name| {
            let mut value = vec![0; 64 << 10];
            let length = rustix::fs::lgetxattr(path, name, value.as_mut_slice()).unwrap();
            value.truncate(length);
            (String::from_utf8(name.to_vec()).unwrap(), value)
        })
        .collect()
}

/// Compares every attribute of every file at the root.
fn compare(mkfs: &[&str], largest: usize) {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let image = workspace.format("image", 32 << 20, mkfs);
    fill(Mount::writable(&image).path(), largest);
    let mount = Mount::read_only(&image);
    let tree = Tree::new(Rc::from(open(&image)), Limits::default());
    let entries = tree.read_dir(&FsPath::root()).unwrap().unwrap();
    assert!(entries.len() > 9);
    let mut count = 0;
    for entry in entries {
        let name = String::from_utf8(entry.name).unwrap();
        let mut ours = Attributes::new();
        tree.xattrs(entry.node, &mut |found| {
            ours.insert(String::from_utf8(found.name.to_vec()).unwrap(), found.value.to_vec());
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(of_kernel(&mount.path().join(&name)), ours, "{name}");
        for (attribute, value) in &ours {
            assert_eq!(tree.xattr(entry.node, attribute.as_bytes()).unwrap().as_ref(), Some(value));
        }
        assert_eq!(tree.xattr(entry.node, b"user.absent").unwrap(), None);
        count += ours.len();
    }
    println!("{}: {count} attributes equal", mkfs.join(" "));
    assert!(count > 15);
}

#[test]
fn attributes_in_inodes_and_blocks() {
    compare(&["mkfs.ext4", "-b", "4096"], 3900);
}

#[test]
fn attributes_in_blocks_only() {
    compare(&["mkfs.ext2", "-b", "4096", "-I", "128"], 3000);
}

#[test]
fn attributes_without_checksums() {
    compare(&["mkfs.ext4", "-O", "^metadata_csum,^64bit", "-b", "1024"], 700);
}

#[test]
fn attributes_beside_inline_data() {
    compare(&["mkfs.ext4", "-O", "inline_data", "-I", "512", "-b", "4096"], 3900);
}

#[test]
fn attributes_in_inodes_of_their_own() {
    compare(&["mkfs.ext4", "-O", "ea_inode", "-b", "4096"], 60_000);
    compare(&["mkfs.ext4", "-O", "ea_inode,^metadata_csum"], 20_000);
}

#[test]
fn damaged_attributes_cost_only_themselves() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let image = workspace.format("image", 32 << 20, &["mkfs.ext4", "-b", "1024"]);
    fill(Mount::writable(&image).path(), 700);
    let block = run(Command::new("debugfs").args(["-R", "stat /block"]).arg(&image));
    let block: u64 =
        block.split("File ACL: ").nth(1).unwrap().split_whitespace().next().unwrap().parse().unwrap();
    let file = File::options().write(true).open(&image).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"?", block * 1024 + 1000).unwrap();

    let tree = Tree::new(Rc::from(open(&image)), Limits::default());
    let (node, _) = tree.lookup(&FsPath::new("/block")).unwrap().unwrap();
    let error = tree.xattr(node, b"user.absent").unwrap_err().to_string();
    assert!(error.ends_with("is damaged: the checksum of their block is wrong"), "{error}");
    assert_eq!(tree.open(&FsPath::new("/block")).unwrap().unwrap().read_all().unwrap(), b"block");
    let (node, _) = tree.lookup(&FsPath::new("/shared")).unwrap().unwrap();
    assert_eq!(tree.xattr(node, b"user.shared").unwrap(), Some(content(7, 500)));
}

#[test]
fn features_are_those_of_dumpe2fs() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    for (index, mkfs) in [
        &["mkfs.ext2"][..],
        &["mkfs.ext3"],
        &["mkfs.ext4"],
        &["mkfs.ext4", "-O", "^metadata_csum,uninit_bg,bigalloc,quota,project,mmp,verity"],
        &["mkfs.ext4", "-O", "ea_inode,large_dir,inline_data,encrypt,casefold,orphan_file,fast_commit"],
        &["mkfs.ext4", "-O", "sparse_super2,meta_bg,^resize_inode,metadata_csum_seed,stable_inodes"],
    ]
    .into_iter()
    .enumerate()
    {
        let image = workspace.format(&format!("image-{index}"), 16 << 20, mkfs);
        let printed = run(Command::new("dumpe2fs").arg("-h").arg(&image));
        let printed = printed.lines().find_map(|line| line.strip_prefix("Filesystem features:")).unwrap();
        let expected: Vec<_> = printed.split_whitespace().collect();
        assert_eq!(open(&image).identity().features, expected, "{mkfs:?}");
    }
}
