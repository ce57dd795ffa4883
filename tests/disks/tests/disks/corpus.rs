//! Writes the seeds of the fuzz targets, `scanner/fuzz/corpus`: small images of every kind that the parsers know.
//!
//! `cargo test --test disks corpus -- --ignored` makes them again; `hostile_disks` replays them in every test run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Cursor;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use agentless_analyser::fs::survey;
use agentless_analyser::limits::Limits;
use agentless_analyser::volume::{MemoryVolume, SparseVolume, Volume, VolumeError};

use crate::ext4::attributes;
use crate::xfs::dirty_logs::log_place;
use agentless_disk_tests::image::{Mount, Workspace, can_mount, run};
use agentless_disk_tests::shut_down::{Stop, shut_down};

/// Seeds are in the repository, so they are small.
const MOST_BYTES: usize = 64 << 10;

pub(crate) fn write(target: &str, name: &str, image: &[u8]) {
    write_encoded(target, name, &SparseVolume::encode(image));
}

pub(crate) fn write_encoded(target: &str, name: &str, encoded: &[u8]) {
    assert!(encoded.len() <= MOST_BYTES, "{target}/{name} has {} bytes", encoded.len());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scanner/fuzz/corpus").join(target);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), encoded).unwrap();
}

#[test]
#[ignore = "writes the seeds of the fuzz targets into the source tree"]
fn write_the_seeds() {
    assert!(can_mount());
    let workspace = Workspace::new();
    file_systems(&workspace);
    dirty_journals(&workspace);
    dirty_logs(&workspace);
    btrfs(&workspace);
    xfs(&workspace);
    partition_tables(&workspace);
}

fn file_systems(workspace: &Workspace) {
    for (name, options) in [
        ("ext2", &["-O", "none,filetype"][..]),
        ("ext2-htree", &["-O", "none,dir_index,filetype"]),
        ("ext4", &["-O", "^has_journal,^resize_inode"]),
        ("ext4-without-checksums", &["-O", "^has_journal,^resize_inode,^metadata_csum"]),
        ("ext4-inline-data", &["-O", "^has_journal,^resize_inode,inline_data"]),
        (
            "ext4-inline-data-without-checksums",
            &["-O", "^has_journal,^resize_inode,inline_data,^metadata_csum"],
        ),
        (
            "ext4-bigalloc-without-checksums",
            &["-O", "^has_journal,^resize_inode,bigalloc,^metadata_csum", "-C", "4096"],
        ),
        ("ext4-meta-bg", &["-O", "^has_journal,^resize_inode,meta_bg", "-g", "256"]),
    ] {
        let mkfs = [&["mkfs.ext4", "-b", "1024", "-N", "48"], options].concat();
        let image = workspace.format(name, 512 << 10, &mkfs);
        fill(Mount::writable(&image).path());
        write("ext4", name, &fs::read(&image).unwrap());
    }
    for (name, options) in [
        ("attributes", "^has_journal,^resize_inode,ea_inode"),
        ("attributes-without-checksums", "^has_journal,^resize_inode,ea_inode,^metadata_csum"),
    ] {
        let mkfs = ["mkfs.ext4", "-b", "1024", "-N", "48", "-O", options];
        let image = workspace.format(name, 512 << 10, &mkfs);
        attributes::fill(Mount::writable(&image).path(), 3000);
        write("ext4", name, &fs::read(&image).unwrap());
    }
}

/// A little of everything.
fn fill(root: &Path) {
    fs::create_dir_all(root.join("usr/lib")).unwrap();
    fs::write(root.join("usr/lib/os-release"), "ID=test\n").unwrap();
    symlink("usr/lib", root.join("lib")).unwrap();
    symlink("x".repeat(200), root.join("long-link")).unwrap();
    fs::write(root.join("two-blocks"), "content ".repeat(250)).unwrap();
    let sparse = File::create(root.join("sparse")).unwrap();
    for index in 0..6 {
        sparse.write_all_at(b"extent", index * 4096).unwrap();
    }
    // More extents than an inode has room for, pointers beyond the direct ones.
    sparse.write_all_at(b"end", 300_000).unwrap();
    let many = root.join("many");
    fs::create_dir(&many).unwrap();
    for index in 0..60 {
        fs::hard_link(root.join("two-blocks"), many.join(format!("{index}-{}", "n".repeat(40)))).unwrap();
    }
}

fn dirty_journals(workspace: &Workspace) {
    for (name, options) in [
        ("version-3-checksums", &["-O", "64bit"][..]),
        ("64-bit-without-checksums", &["-O", "64bit,^metadata_csum"]),
        ("32-bit-without-checksums", &["-O", "^64bit,^metadata_csum"]),
    ] {
        let mkfs = [&["mkfs.ext4", "-b", "1024", "-N", "48", "-J", "size=1"], options].concat();
        let image = workspace.format(name, 4 << 20, &mkfs);
        let dirty = {
            let mount = Mount::with_options(&image, "rw,data=journal");
            write_and_revoke(mount.path());
            shut_down(mount.path(), Stop::AtOnce);
            workspace.copy(&image, &format!("{name}-dirty"))
        };
        let dump = workspace.path(&format!("{name}-journal"));
        let request = format!("dump <8> {}", dump.display());
        run(Command::new("debugfs").args(["-c", "-n", "-R", &request]).arg(&dirty));
        write("journal", name, &fs::read(&dump).unwrap());
        write("ext4", &format!("dirty-{name}"), &fs::read(&dirty).unwrap());
    }
}

/// Transactions with directories, revoke records and a block that begins with the journal's magic number.
fn write_and_revoke(root: &Path) {
    let sync = |path: &Path| File::open(path).unwrap().sync_all().unwrap();
    let dir = root.join("dir");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("escaped"), 0xc03b_3998_u32.to_be_bytes()).unwrap();
    sync(&dir);
    fs::remove_dir_all(&dir).unwrap();
    sync(root);
    fs::write(root.join("after"), "the directory").unwrap();
    sync(root);
}

fn dirty_logs(workspace: &Workspace) {
    for (name, mkfs, mount_options) in [
        ("version-5", &["-m", "reflink=1"][..], "rw"),
        ("records-of-256-kib", &["-i", "nrext64=1"], "rw,logbsize=256k"),
        ("blocks-of-1-kib", &["-b", "size=1024", "-m", "bigtime=0"], "rw"),
    ] {
        let mkfs = [&["mkfs.xfs", "--unsupported", "-d", "agcount=1", "-l", "size=17m"], mkfs].concat();
        let image = workspace.format(name, 64 << 20, &mkfs);
        let dirty = {
            let mount = Mount::with_options(&image, mount_options);
            write_and_free(mount.path());
            shut_down(mount.path(), Stop::AtOnce);
            workspace.copy(&image, &format!("{name}-dirty"))
        };
        let mut dirty_image = fs::read(&dirty).unwrap();
        // Behind the head a mount writes records without content: much, and what was never written is as good.
        let (start, length) = log_place(&dirty);
        let log = &mut dirty_image[usize::try_from(start).unwrap()..][..usize::try_from(length).unwrap()];
        for block in log.as_chunks_mut::<512>().0 {
            if block.starts_with(&[0xfe, 0xed, 0xba, 0xbe]) && block[12..16] == [0; 4] {
                block.fill(0);
            }
        }
        write("xfs_log", name, &dirty_image);
    }
}

/// Transactions with changes of most kinds, and with a directory's block that is freed.
fn write_and_free(root: &Path) {
    let sync = |path: &Path| File::open(path).unwrap().sync_all().unwrap();
    let dir = root.join("dir");
    fs::create_dir(&dir).unwrap();
    for index in 0..12 {
        symlink("t", dir.join(format!("{index}-{}", "n".repeat(40)))).unwrap();
    }
    sync(&dir);
    fs::remove_dir_all(&dir).unwrap();
    let sparse = File::create(root.join("sparse")).unwrap();
    for index in 0..3 {
        sparse.write_all_at(b"extent", index * 16384).unwrap();
    }
    symlink("x".repeat(700), root.join("long-link")).unwrap();
    sync(root);
}

/// Of Btrfs with small nodes.
fn btrfs(workspace: &Workspace) {
    const MIXED: [&str; 7] = ["mkfs.btrfs", "-M", "-n", "4096", "-m", "single", "-O"];
    for (name, features, options) in [
        ("plain", "no-holes", "rw"),
        ("holes", "^no-holes", "rw"),
        ("zlib", "no-holes", "rw,compress-force=zlib"),
        ("lzo", "no-holes", "rw,compress-force=lzo"),
        ("zstd", "no-holes", "rw,compress-force=zstd"),
    ] {
        let image = workspace.format(name, 32 << 20, &[&MIXED[..], &[features]].concat());
        fill_btrfs(Mount::with_options(&image, options).path());
        write("btrfs", name, &only_what_is_read(&image));
    }
    let image = workspace.format("tree-log", 32 << 20, &[&MIXED[..], &["no-holes"]].concat());
    fill_btrfs(Mount::writable(&image).path());
    let dirty = {
        let mount = Mount::with_options(&image, "rw,commit=3000");
        let sync = |name: &str| File::open(mount.path().join(name)).unwrap().sync_all().unwrap();
        fs::remove_file(mount.path().join("usr/lib/os-release")).unwrap();
        fs::write(mount.path().join("usr/lib/other"), "ID=other\n").unwrap();
        fs::rename(mount.path().join("text"), mount.path().join("usr/lib/text")).unwrap();
        File::options().write(true).open(mount.path().join("sparse")).unwrap().set_len(20_000).unwrap();
        for name in ["usr/lib", "usr/lib/text", "sparse"] {
            sync(name);
        }
        workspace.copy(&image, "tree-log-dirty")
    };
    write("btrfs", "tree-log", &only_what_is_read(&dirty));
}

/// An image without the sectors that nobody reads: nodes of earlier transactions, and trees that readers need not.
fn only_what_is_read(image: &Path) -> Vec<u8> {
    let mut bytes = fs::read(image).unwrap();
    let touched = Arc::<Mutex<BTreeSet<usize>>>::default();
    let inner = MemoryVolume::new(bytes.clone());
    let disk: Arc<dyn Volume> = Arc::new(Touched { inner, sectors: Arc::clone(&touched) });
    survey::disk(&disk, &Limits::default()).unwrap();
    let touched = touched.lock().unwrap();
    for (number, sector) in bytes.chunks_exact_mut(512).enumerate() {
        if !touched.contains(&number) {
            sector.fill(0);
        }
    }
    bytes
}

/// Remembers which sectors were read.
#[derive(Debug)]
struct Touched {
    inner: MemoryVolume,
    sectors: Arc<Mutex<BTreeSet<usize>>>,
}

impl Volume for Touched {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<(), VolumeError> {
        let start = usize::try_from(offset).unwrap();
        self.sectors.lock().unwrap().extend(start / 512..(start + dst.len()).div_ceil(512));
        self.inner.read_at(offset, dst)
    }
}

/// A little of everything that Btrfs has.
fn fill_btrfs(root: &Path) {
    fs::create_dir_all(root.join("usr/lib")).unwrap();
    fs::write(root.join("usr/lib/os-release"), "ID=test\n").unwrap();
    symlink("usr/lib", root.join("lib")).unwrap();
    fs::write(root.join("text"), "some text ".repeat(1500)).unwrap();
    let sparse = File::create(root.join("sparse")).unwrap();
    for index in 0..3 {
        sparse.write_all_at(b"extent", index * 20_000).unwrap();
    }
    run(Command::new("setfattr").args(["-n", "user.name", "-v", "value"]).arg(root.join("text")));
    let many = root.join("many");
    fs::create_dir(&many).unwrap();
    for index in 0..40 {
        fs::hard_link(root.join("text"), many.join(format!("{index}-{}", "n".repeat(40)))).unwrap();
    }
    run(Command::new("btrfs").args(["subvolume", "create"]).arg(root.join("subvolume")));
    fs::write(root.join("subvolume/inside"), "inside").unwrap();
    run(Command::new("btrfs").args(["subvolume", "snapshot"]).args([root, &root.join("snapshot")]));
}

/// The name of a seed, options of `mkfs`, and what fills it.
type Form = (&'static str, &'static [&'static str], fn(&Path));

/// Filesystems with a part of the forms each, so that they stay small.
fn xfs(workspace: &Workspace) {
    let v5: &[&str] = &["-b", "size=1024"];
    let forms: [Form; 4] = [
        ("directories", v5, |root| {
            linked(&root.join("short"), 3, 5);
            linked(&root.join("block"), 20, 20);
            linked(&root.join("leaf"), 80, 30);
        }),
        ("directory-with-nodes", v5, |root| linked(&root.join("nodes"), 560, 0)),
        ("extents", &["-b", "size=1024", "-i", "nrext64=1", "-m", "rmapbt=1"], |root| {
            let file = File::create(root.join("tree")).unwrap();
            for index in 0..30 {
                file.write_all_at(b"extent", index * 4096).unwrap();
            }
            symlink("x".repeat(700), root.join("long-link")).unwrap();
            symlink("target", root.join("link")).unwrap();
        }),
        ("attributes", v5, |root| {
            for (name, count, length) in
                [("short", 3, 10), ("leaf", 10, 30), ("nodes", 80, 10), ("large", 2, 3000)]
            {
                let path = root.join(name);
                fs::write(&path, "content").unwrap();
                for index in 0..count {
                    let (name, value) = (format!("user.{index}"), vec![b'v'; length]);
                    rustix::fs::lsetxattr(&path, name, &value, rustix::fs::XattrFlags::empty()).unwrap();
                }
            }
        }),
    ];
    for (name, options, fill) in forms {
        let mkfs = [&["mkfs.xfs", "--unsupported", "-d", "agcount=1", "-m", "finobt=0"], options].concat();
        let image = workspace.format(name, 16 << 20, &mkfs);
        fill(Mount::writable(&image).path());
        write_xfs(name, &image);
    }
    for (name, options) in
        [("version-4", &["-b", "size=1024"][..]), ("version-4-without-case", &["-n", "version=ci"])]
    {
        let mut prototype = "prototype\n0 0\nd--755 0 0\n".to_owned();
        writeln!(prototype, "link l--777 0 0 {}", "t".repeat(300)).unwrap();
        for (dir, count) in [("short", 2), ("block", 10), ("leaf", 60)] {
            writeln!(prototype, "{dir} d--755 0 0").unwrap();
            for index in 0..count {
                writeln!(prototype, "{index}-{} p--644 0 0", "n".repeat(50)).unwrap();
            }
            prototype += "$\n";
        }
        let path = workspace.path("prototype");
        fs::write(&path, prototype + "$\n$\n").unwrap();
        let mkfs =
            ["mkfs.xfs", "--unsupported", "-m", "crc=0", "-d", "agcount=1", "-p", path.to_str().unwrap()];
        let image = workspace.format(name, 16 << 20, &[&mkfs, options].concat());
        write_xfs(name, &image);
    }
}

/// A directory with names of one file.
fn linked(dir: &Path, count: usize, length: usize) {
    fs::create_dir(dir).unwrap();
    fs::write(dir.join("file"), "content").unwrap();
    for index in 0..count {
        fs::hard_link(dir.join("file"), dir.join(format!("{index}{}", "n".repeat(length)))).unwrap();
    }
}

/// Leaves out what no reader of a clean filesystem looks at: the log, which is as good empty, and inodes not in use.
fn write_xfs(name: &str, image: &Path) {
    let (start, length) = log_place(image);
    let mut image = fs::read(image).unwrap();
    image[usize::try_from(start).unwrap()..][..usize::try_from(length).unwrap()].fill(0);
    for sector in image.as_chunks_mut::<512>().0 {
        for inode in sector.as_chunks_mut::<256>().0 {
            if inode.starts_with(b"IN\0\0") {
                inode.fill(0);
            }
        }
    }
    write("xfs", name, &image);
}

fn partition_tables(workspace: &Workspace) {
    let image =
        workspace.format("root", 256 << 10, &["mkfs.ext4", "-b", "1024", "-N", "16", "-O", "^has_journal"]);
    let root = fs::read(image).unwrap();
    for (name, block) in
        [("gpt-512", gpt::disk::LogicalBlockSize::Lb512), ("gpt-4096", gpt::disk::LogicalBlockSize::Lb4096)]
    {
        let sectors = (1 << 20) / block.as_u64();
        let mut disk = Cursor::new(vec![0; 1 << 20]);
        let protective = gpt::mbr::ProtectiveMBR::with_lb_size(u32::try_from(sectors - 1).unwrap());
        protective.overwrite_lba0(&mut disk).unwrap();
        let config = gpt::GptConfig::new().writable(true).logical_block_size(block);
        let mut table = config.create_from_device(disk, None).unwrap();
        table.update_partitions(BTreeMap::new()).unwrap();
        let first = (64 << 10) / block.as_u64();
        let length = (256 << 10) / block.as_u64();
        table.add_partition_at("root", 1, first, length, gpt::partition_types::LINUX_FS, 0).unwrap();
        let mut disk = table.write().unwrap().into_inner();
        disk[64 << 10..][..root.len()].copy_from_slice(&root);
        write("partition_table", name, &disk);
        disk[usize::try_from(block.as_u64()).unwrap() + 16] ^= 1;
        write("partition_table", &format!("{name}-damaged-primary"), &disk);
    }

    let mut disk = vec![0; 512 << 10];
    let mut record = |sector: usize, index: usize, os_type: u8, start: u8, sectors: u16| {
        let at = sector * 512 + 446 + 16 * index;
        disk[at + 4] = os_type;
        disk[at + 8] = start;
        disk[at + 12..at + 14].copy_from_slice(&sectors.to_le_bytes());
        disk[sector * 512 + 510..sector * 512 + 512].copy_from_slice(&[0x55, 0xaa]);
    };
    record(0, 0, 0x83, 8, 16);
    record(0, 1, 0x05, 32, 900);
    record(32, 0, 0x83, 32, 512);
    record(32, 1, 0x05, 100, 100);
    record(132, 0, 0x82, 1, 8);
    disk[64 * 512..][..root.len().min((132 - 64) * 512)].copy_from_slice(&root[..(132 - 64) * 512]);
    write("partition_table", "mbr", &disk);
}
