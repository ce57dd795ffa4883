//! Content that is hard to read back.

use std::fs::{self, File, FileTimes};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, chown, lchown, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

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
    for level in 0..60 {
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
    for (name, kind) in [("pipe", "p"), ("character", "c 1 3"), ("block", "b 7 0")] {
        run(Command::new("mknod").arg(dir.join(name)).args(kind.split(' ')));
    }
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
