//! Every format that `mkfs.btrfs` and the kernel make, and every kind of content.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::process::Command;

use agentless_analyser::fs::FileType;

use agentless_disk_tests::image::{Mount, Workspace, can_mount, open, run};
use agentless_disk_tests::{fill, manifest};

/// Formats, fills, and compares.
fn compare(name: &str, options: &[&str], mount_options: &str, work: impl FnOnce(&Path)) {
    let workspace = Workspace::new();
    let size = if options.contains(&"-M") { 200 << 20 } else { 400 << 20 };
    let image = workspace.format("image", size, &[&["mkfs.btrfs"], options].concat());
    work(Mount::with_options(&image, mount_options).path());
    manifest::assert_equal_to_kernels(&image, name);
}

#[test]
fn node_sizes_checksums_and_features() {
    if !can_mount() {
        return;
    }
    for options in [
        &[][..],
        &["-n", "4096"],
        &["-n", "65536"],
        &["-M", "-n", "4096"],
        &["-m", "single"],
        &["-m", "dup", "-d", "dup"],
        &["-O", "^no-holes,^extref,^skinny-metadata"],
        &["-O", "^no-holes", "-R", "^free-space-tree"],
        &["-R", "quota"],
        &["--csum", "xxhash"],
        &["--csum", "sha256"],
        &["--csum", "blake2"],
    ] {
        compare(&options.join(" "), options, "rw", |root| fill::fill(root, 2000));
    }
}

#[test]
fn compression() {
    if !can_mount() {
        return;
    }
    for algorithm in ["zlib:9", "lzo", "zstd:1", "zstd:15"] {
        let options = format!("rw,compress-force={algorithm}");
        compare(algorithm, &[], &options, |root| {
            fill::fill(root, 100);
            compressible(root);
        });
    }
    // Not forced: what does not become smaller stays as it is.
    compare("lzo with small nodes", &["-n", "4096"], "rw,compress=lzo", compressible);
    compare("zstd", &["--csum", "sha256"], "rw,compress=zstd", compressible);
}

/// Text, numbers, runs, and parts that do not compress, of sizes around those of sectors and extents.
fn compressible(root: &Path) {
    let dir = root.join("compressible-sizes");
    fs::create_dir(&dir).unwrap();
    for size in [1, 20, 100, 1000, 2047, 2048, 4095, 4096, 4097, 20_000, 131_071, 131_072, 131_073, 1_000_000]
    {
        let text: String = (0..).map(|line| format!("line {line} of {size}\n")).take(size / 8 + 1).collect();
        fs::write(dir.join(format!("text-{size}")), &text.as_bytes()[..size]).unwrap();
        fs::write(dir.join(format!("run-{size}")), vec![b'r'; size]).unwrap();
        let mut mixed = Vec::new();
        while mixed.len() < size {
            mixed.extend(fill::content(u64::try_from(mixed.len()).unwrap(), 3000));
            mixed.extend(&text.as_bytes()[..text.len().min(5000)]);
        }
        fs::write(dir.join(format!("mixed-{size}")), &mixed[..size]).unwrap();
    }
    // Overwritten in the middle, so that a part of a compressed extent is left on each side.
    let path = dir.join("overwritten");
    fs::write(&path, "compressible ".repeat(40_000)).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    file.sync_all().unwrap();
    for offset in [4096, 50_000, 131_072 + 8192] {
        file.write_all_at(&fill::content(offset, 9000), offset).unwrap();
    }
    file.sync_all().unwrap();
    // An inline compressed file that was made longer afterwards.
    let longer = File::create(dir.join("longer")).unwrap();
    longer.write_all_at(&[b'i'; 1500], 0).unwrap();
    longer.sync_all().unwrap();
    longer.set_len(100_000).unwrap();
}

#[test]
fn large_directories_links_and_shared_extents() {
    if !can_mount() {
        return;
    }
    compare("many entries and links", &[], "rw", |root| {
        let many = root.join("many");
        fs::create_dir(&many).unwrap();
        for index in 0..100_000 {
            File::create(many.join(format!("{index}"))).unwrap();
        }
        // More names than an inode ref item of one directory holds, so that most are extended ones.
        let dir = root.join("links");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("file"), "linked").unwrap();
        for index in 0..3000 {
            fs::hard_link(dir.join("file"), dir.join(format!("{index}-{}", "l".repeat(60)))).unwrap();
        }
    });
    compare("shared extents", &[], "rw", |root| {
        let original = root.join("original");
        fs::write(&original, fill::content(1, 3 << 20)).unwrap();
        for index in 0..20_u64 {
            let copy = root.join(format!("copy-{index}"));
            run(Command::new("cp").arg("--reflink=always").arg(&original).arg(&copy));
            let file = File::options().write(true).open(&copy).unwrap();
            file.write_all_at(&fill::content(index, 10_000), index * 77_777).unwrap();
        }
        // Same content under other checksums' absence.
        let plain = root.join("without-checksums");
        fs::create_dir(&plain).unwrap();
        run(Command::new("chattr").arg("+C").arg(&plain));
        fs::write(plain.join("file"), fill::content(2, 1 << 20)).unwrap();
        let file = File::options().write(true).open(plain.join("file")).unwrap();
        file.sync_all().unwrap();
        file.write_all_at(&fill::content(3, 5000), 5000).unwrap();
    });
}

/// Sizes of sectors that this machine's kernel does not mount: what `mkfs.btrfs` put in is the truth.
#[test]
fn other_sector_sizes() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let source = workspace.path("source");
    fs::create_dir(&source).unwrap();
    fs::create_dir(source.join("dir")).unwrap();
    for size in [0, 1, 1000, 4095, 4096, 8191, 8193, 65_535, 65_537, 1_000_000] {
        fs::write(source.join(format!("dir/{size}")), fill::content(1, size)).unwrap();
    }
    symlink("dir/1000", source.join("link")).unwrap();
    for size in ["8192", "16384", "32768", "65536"] {
        let directory = source.to_str().unwrap();
        let mkfs = ["mkfs.btrfs", "-s", size, "-n", "65536", "-r", directory];
        let image = workspace.format(size, 300 << 20, &mkfs);
        let mut expected = manifest::of_kernel(&source);
        let mut ours = manifest::of_ours(open(&image));
        // A directory's own size and links differ between filesystems.
        expected.retain(|_, entry| entry.file_type != FileType::Directory);
        ours.retain(|_, entry| entry.file_type != FileType::Directory);
        manifest::assert_equal(&expected, &ours, size);
    }
}

#[test]
fn colliding_names() {
    if !can_mount() {
        return;
    }
    // CRC-32C is linear: these names differ and have the same hash, so that they share one item.
    let names = collisions();
    compare("colliding names", &[], "rw", |root| {
        for (index, name) in names.iter().enumerate() {
            fs::write(root.join(name), format!("{index}")).unwrap();
        }
        fs::remove_file(root.join(&names[1])).unwrap();
    });
}

/// Four names with the same hash, found by their first eight bytes.
fn collisions() -> Vec<String> {
    let mut seen = std::collections::HashMap::new();
    let mut found = Vec::new();
    for number in 0_u64.. {
        let name = format!("{number:08}-{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        if let Some(other) = seen.insert(crc32c::crc32c(name.as_bytes()), name.clone()) {
            found.extend([other, name]);
            if found.len() == 4 {
                break;
            }
        }
    }
    found
}
