//! Content that is hard to read back.

use std::fs::{self, File, FileTimes};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, chown, lchown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::image::run;

/// Fills a mounted filesystem; `many` is the number of entries of the largest directory.
pub fn fill(root: &Path, many: usize) {
    names(root);
    large_directory(root, many);
    deep_directory(root);
    links(root);
    sparse_files(root);
    fragmented_files(root);
    metadata(root);
    extended_attributes(root);
    compressible_files(root);
    shared_extents(root);
}

/// Different bytes for each file and position, so that no block can stand for another.
pub fn content(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn names(root: &Path) {
    let dir = root.join("names");
    fs::create_dir(&dir).unwrap();
    let long = "n".repeat(255);
    for name in
        [&b"with space"[..], b"new\nline", b"\xff\xfe not UTF-8", "grüße".as_bytes(), b"...", long.as_bytes()]
    {
        fs::write(dir.join(std::ffi::OsStr::from_bytes(name)), name).unwrap();
    }
    // Sizes around those of an inode's own space, of a block, and of what a read asks for.
    for size in [0, 1, 59, 60, 61, 100, 130, 160, 1023, 1024, 1025, 4095, 4096, 4097, 300_001] {
        fs::write(dir.join(format!("size-{size}")), content(size, usize::try_from(size).unwrap())).unwrap();
    }
    fs::create_dir(dir.join("empty")).unwrap();
    // Few entries: in the inode, where the format has that, and just more than fit.
    for count in [1, 2, 3, 5, 8, 20] {
        let small = dir.join(format!("small-{count}"));
        fs::create_dir(&small).unwrap();
        for index in 0..count {
            fs::write(small.join(format!("f{index}")), b"x").unwrap();
        }
    }
}

fn large_directory(root: &Path, many: usize) {
    let dir = root.join("many");
    fs::create_dir(&dir).unwrap();
    for index in 0..many {
        File::create(dir.join(format!("{index:05}-a-name-of-some-length-so-that-blocks-fill-up"))).unwrap();
    }
    // Holes in the list.
    for index in (0..many).step_by(3) {
        fs::remove_file(dir.join(format!("{index:05}-a-name-of-some-length-so-that-blocks-fill-up")))
            .unwrap();
    }
}

fn deep_directory(root: &Path) {
    let mut dir = root.join("deep");
    for level in 0..300 {
        dir.push(format!("level-{level}"));
    }
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("bottom"), "reached").unwrap();
}

fn links(root: &Path) {
    let dir = root.join("links");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("file"), "linked").unwrap();
    for index in 0..10 {
        fs::hard_link(dir.join("file"), dir.join(format!("hard-{index}"))).unwrap();
    }
    // Up to 59 bytes are in the inode; with inline data up to about 150; the longest that 1 KiB blocks take is 1023.
    for length in [1, 4, 58, 59, 60, 61, 100, 150, 160, 255, 1000] {
        symlink("t".repeat(length), dir.join(format!("soft-{length}"))).unwrap();
    }
    symlink("/links/file", dir.join("absolute")).unwrap();
    // An overlay's whiteout, the largest numbers that each format has, and those that need more than eight bits each.
    for (name, kind) in [
        ("pipe", "p"),
        ("character", "c 1 3"),
        ("block", "b 7 0"),
        ("whiteout", "c 0 0"),
        ("nvme", "b 259 70000"),
        ("largest", "c 511 262143"),
    ] {
        run(Command::new("mknod").arg(dir.join(name)).args(kind.split(' ')));
    }
    drop(UnixListener::bind(dir.join("socket")).unwrap());
}

fn sparse_files(root: &Path) {
    let dir = root.join("sparse");
    fs::create_dir(&dir).unwrap();
    let hole = File::create(dir.join("only-a-hole")).unwrap();
    hole.set_len(1 << 30).unwrap();
    // Behind 4 GiB a size needs more than 32 bits, and a block map three levels.
    let large = File::create(dir.join("above-4-gib")).unwrap();
    for offset in [0, (1 << 30) + 5, (4 << 30) + 123_456, (5 << 30) + 7] {
        large.write_all_at(&content(offset, 10_000), offset).unwrap();
    }
    let ends_in_hole = File::create(dir.join("ends-in-a-hole")).unwrap();
    ends_in_hole.write_all_at(&content(1, 5000), 100_000).unwrap();
    ends_in_hole.set_len(1_000_000).unwrap();
}

fn fragmented_files(root: &Path) {
    let dir = root.join("fragmented");
    fs::create_dir(&dir).unwrap();
    // Every other block is a hole: as many extents as blocks.
    for (name, blocks) in [("few-extents", 3), ("many-extents", 1500)] {
        let file = File::create(dir.join(name)).unwrap();
        for index in 0..blocks {
            file.write_all_at(&content(index, 4096), index * 8192).unwrap();
        }
    }
    // Two files that grow in turn, each part written out before the next.
    let files = [File::create(dir.join("left")).unwrap(), File::create(dir.join("right")).unwrap()];
    for index in 0..60 {
        for (which, file) in (0..).zip(&files) {
            file.write_all_at(&content(index * 2 + which, 5000), index * 5000).unwrap();
            file.sync_data().unwrap();
        }
    }
    // Allocated but never written, but for a part in the middle. ext2 and ext3 cannot.
    let allocated = dir.join("allocated");
    let done = Command::new("fallocate").args(["-l", "1000000"]).arg(&allocated).output();
    if done.is_ok_and(|output| output.status.success()) {
        let file = File::options().write(true).open(&allocated).unwrap();
        file.write_all_at(&content(9, 70_000), 300_123).unwrap();
    }
}

fn metadata(root: &Path) {
    let dir = root.join("metadata");
    fs::create_dir(&dir).unwrap();
    for mode in [0o000, 0o644, 0o777, 0o1777, 0o2755, 0o4755, 0o7777] {
        let path = dir.join(format!("mode-{mode:o}"));
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    for id in [0, 1, 65_535, 65_536, 100_000, 4_000_000_000] {
        let path = dir.join(format!("owner-{id}"));
        fs::write(&path, "").unwrap();
        chown(&path, Some(id), Some(id / 2)).unwrap();
    }
    symlink("nowhere", dir.join("owned-link")).unwrap();
    lchown(dir.join("owned-link"), Some(1000), Some(1000)).unwrap();
    // Before 1970, and beyond what 32 bits hold, where the format can record it.
    for (name, time) in [
        ("1960", UNIX_EPOCH - Duration::from_hours(10 * 365 * 24)),
        ("2100", UNIX_EPOCH + Duration::from_hours(130 * 365 * 24)),
        ("2400", UNIX_EPOCH + Duration::from_hours(430 * 365 * 24)),
    ] {
        let file = File::create(dir.join(name)).unwrap();
        file.set_times(FileTimes::new().set_modified(time)).unwrap();
    }
}

fn extended_attributes(root: &Path) {
    let dir = root.join("xattrs");
    fs::create_dir(&dir).unwrap();
    // How much there is room for differs: in the inode, in one block, in as many as it takes.
    let set = |path: &Path, name: &str, value: &[u8]| match rustix::fs::lsetxattr(
        path,
        name,
        value,
        XattrFlags::empty(),
    ) {
        Ok(()) | Err(Errno::NOSPC | Errno::TOOBIG | Errno::RANGE | Errno::OPNOTSUPP) => {}
        Err(error) => panic!("{}: {name}: {error}", path.display()),
    };
    for size in [0, 1, 10, 50, 100, 200, 700, 900, 2000, 3900, 4000, 4096, 10_000, 65_536] {
        let path = dir.join(format!("value-of-{size}"));
        fs::write(&path, "").unwrap();
        set(&path, "user.test", &content(size, usize::try_from(size).unwrap()));
    }
    for count in [2, 5, 20, 60, 300] {
        let path = dir.join(format!("{count}-attributes"));
        fs::write(&path, "").unwrap();
        for index in 0..count {
            set(&path, &format!("user.attribute-{index}"), &content(index, 20));
            set(&path, &format!("trusted.overlay.{index}"), b"");
        }
    }
    let path = dir.join("names");
    fs::write(&path, "").unwrap();
    for name in ["user.x", "trusted.x", "security.x", "security.capability.not", "user.\u{fc}.\n"] {
        set(&path, name, name.as_bytes());
    }
    set(&path, &format!("user.{}", "n".repeat(250)), b"the longest name");
    // Twins, which ext4 stores once, and one that became another.
    for name in ["twin-1", "twin-2", "former-twin"] {
        let path = dir.join(name);
        fs::write(&path, "").unwrap();
        set(&path, "user.twin", &[7; 600]);
    }
    set(&dir.join("former-twin"), "user.twin", &[8; 600]);
    // What an overlay and a file with capabilities have, on each kind of inode.
    set(&dir, "trusted.overlay.opaque", b"y");
    symlink("names", dir.join("link")).unwrap();
    set(&dir.join("link"), "trusted.overlay.origin", b"link");
    run(Command::new("mknod").arg(dir.join("device")).args(["c", "0", "0"]));
    set(&dir.join("device"), "security.selinux", b"system_u:object_r:device_t:s0\0");
    let capable = dir.join("capable");
    fs::write(&capable, "#!/bin/sh\n").unwrap();
    // Revision 2, effective: CAP_NET_RAW permitted.
    set(&capable, "security.capability", &[1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    // An access control list, which no manifest shows, between two attributes.
    let listed = dir.join("with-access-control-list");
    fs::write(&listed, "").unwrap();
    set(&listed, "user.a", b"1");
    set(&listed, "system.posix_acl_access", &access_control_list());
    set(&listed, "user.z", b"2");
}

/// `posix_acl_xattr_header` and five `posix_acl_xattr_entry` of `uapi/linux/posix_acl_xattr.h`: read for one more user.
fn access_control_list() -> Vec<u8> {
    const NOBODY: u32 = u32::MAX;
    let entries: [(u16, u16, u32); 5] =
        [(1, 6, NOBODY), (2, 4, 1000), (4, 4, NOBODY), (0x10, 4, NOBODY), (0x20, 4, NOBODY)];
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        list.extend(tag.to_le_bytes());
        list.extend(permissions.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    list
}

/// Files that become small where the filesystem compresses; elsewhere they are files like all.
fn compressible_files(root: &Path) {
    let dir = root.join("compressible");
    fs::create_dir(&dir).unwrap();
    let text = |seed: usize, length: usize| -> Vec<u8> {
        let words = (seed..).flat_map(|number| format!("line {number} of a log file, ").into_bytes());
        words.take(length).collect()
    };
    for size in [100, 2000, 4095, 4097, 8192, 131_071, 131_072, 131_073, 1_000_000] {
        fs::write(dir.join(format!("text-{size}")), text(size, size)).unwrap();
    }
    fs::write(dir.join("zeros"), vec![0; 300_000]).unwrap();
    let mixed = [text(1, 200_000), content(2, 200_000), text(3, 200_000)].concat();
    fs::write(dir.join("mixed"), mixed).unwrap();
    // A log file: each part reaches the disk before the next, which begins in the middle of a block.
    let mut log = File::create(dir.join("appended")).unwrap();
    for index in 0..20 {
        log.write_all(&text(index * 1000, 7001)).unwrap();
        log.sync_data().unwrap();
    }
    // Parts of what is compressed are replaced, and the end is cut off.
    let path = dir.join("overwritten");
    fs::write(&path, text(5, 600_000)).unwrap();
    let file = File::options().write(true).open(path).unwrap();
    file.sync_data().unwrap();
    for offset in [0, 70_000, 131_072, 333_333] {
        file.write_all_at(&text(6, 10_000), offset).unwrap();
        file.sync_data().unwrap();
    }
    file.set_len(500_001).unwrap();
}

/// Copies that share their blocks with the original, some of which changed since; XFS and Btrfs can.
fn shared_extents(root: &Path) {
    let dir = root.join("shared");
    fs::create_dir(&dir).unwrap();
    let original = dir.join("original");
    fs::write(&original, content(21, 1_000_000)).unwrap();
    let source = File::open(&original).unwrap();
    for index in 0..5 {
        let copy = File::create(dir.join(format!("copy-{index}"))).unwrap();
        if rustix::fs::ioctl_ficlone(&copy, &source).is_err() {
            return;
        }
        copy.write_all_at(&content(index, 5000), 100_000 * index + 17).unwrap();
    }
    source.sync_all().unwrap();
}
