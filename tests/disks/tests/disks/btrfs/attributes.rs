//! Extended attributes and the numbers of devices.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use agentless_analyser::fs::FileSystem;

use agentless_disk_tests::image::{Mount, Workspace, can_mount, open, run};
use agentless_disk_tests::manifest::Manifest;
use agentless_disk_tests::{fill, manifest};

use super::find;

type Attributes = BTreeMap<Vec<u8>, Vec<u8>>;

/// What the kernel shows, without access control lists.
fn of_kernel(path: &Path) -> Attributes {
    let mut names = vec![0; 64 << 10];
    let length = rustix::fs::llistxattr(path, &mut names[..]).unwrap();
    let names = names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    let value = |name: &[u8]| {
        let mut value = vec![0; 64 << 10];
        let length = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), &mut value[..]).unwrap();
        value.truncate(length);
        (name.to_vec(), value)
    };
    names.filter(|name| !name.starts_with(b"system.posix_acl_")).map(value).collect()
}

/// Fails if attributes or device numbers differ anywhere below a mount.
pub(super) fn assert_same(kernel: &Path, entries: &Manifest, file_system: &dyn FileSystem) -> usize {
    let mut count = 0;
    for path in entries.keys() {
        let theirs = kernel.join(OsStr::from_bytes(path));
        let inode = find(file_system, path);
        let mut ours = Attributes::new();
        let mut collect = |each: agentless_analyser::fs::Xattr<'_>| {
            ours.insert(each.name.to_vec(), each.value.to_vec());
            ControlFlow::Continue(())
        };
        file_system.xattrs(inode, &mut collect).unwrap();
        assert_eq!(of_kernel(&theirs), ours, "{}", theirs.display());
        for (name, value) in &ours {
            assert_eq!(file_system.xattr(inode, name).unwrap().as_ref(), Some(value));
        }
        count += ours.len();
        if let Some(device) = file_system.stat(inode).unwrap().device {
            let number = theirs.symlink_metadata().unwrap().rdev();
            assert_eq!((rustix::fs::major(number), rustix::fs::minor(number)), (device.major, device.minor));
        }
    }
    count
}

#[test]
fn attributes_and_devices() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    for (name, mkfs) in [("default", &["mkfs.btrfs"][..]), ("small nodes", &["mkfs.btrfs", "-n", "4096"])] {
        let image = workspace.format(name, 200 << 20, mkfs);
        {
            let mount = Mount::writable(&image);
            let file = mount.path().join("file");
            std::fs::write(&file, "content").unwrap();
            let set = |path: &Path, name: &str, value: &[u8]| {
                rustix::fs::lsetxattr(path, name, value, rustix::fs::XattrFlags::empty()).unwrap();
            };
            for index in 0..60_u8 {
                set(&file, &format!("user.{}{index}", "n".repeat(usize::from(index) * 4)), &[index; 50]);
            }
            set(&file, "user.empty", b"");
            set(&file, "user.large", &fill::content(1, 3000));
            set(&file, "trusted.overlay.opaque", b"y");
            set(
                &file,
                "security.capability",
                &[1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            );
            set(&file, "btrfs.compression", b"zstd");
            // User 7 may read: entries of 8 bytes with tag, permissions and number, behind a version.
            let mut acl = 2_u32.to_le_bytes().to_vec();
            for (tag, permissions, id) in
                [(1_u16, 6_u16, u32::MAX), (2, 4, 7), (4, 4, u32::MAX), (16, 4, u32::MAX), (32, 4, u32::MAX)]
            {
                acl.extend(tag.to_le_bytes());
                acl.extend(permissions.to_le_bytes());
                acl.extend(id.to_le_bytes());
            }
            set(&file, "system.posix_acl_access", &acl);
            set(mount.path(), "user.of-the-root", b"directory");
            for (name, numbers) in
                [("c", "c 1 3"), ("b", "b 259 1048575"), ("whiteout", "c 0 0"), ("m", "c 511 256")]
            {
                run(Command::new("mknod").arg(mount.path().join(name)).args(numbers.split(' ')));
            }
        }
        let mount = Mount::read_only(&image);
        let count = assert_same(mount.path(), &manifest::of_kernel(mount.path()), &*open(&image));
        println!("{name}: {count} attributes equal");
    }
}
