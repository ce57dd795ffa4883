//! Forks and directories of every form, each proved by `xfs_db` to be there, and read as the kernel reads them.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;

use agentless_analyser::fs::{self as our_fs, FsPath, Tree};
use agentless_analyser::limits::Limits;

use rustix::fs::FallocateFlags;

use agentless_disk_tests::counting::{CountingVolume, lookups_in_names, make_names};
use agentless_disk_tests::image::{Mount, Workspace, can_mount, open, run};
use agentless_disk_tests::{fill, manifest};

/// A field of an inode, by `xfs_db`, such as `core.format`.
fn field(image: &Path, inode: u64, name: &str) -> String {
    let (address, print) = (format!("inode {inode}"), format!("print {name}"));
    let printed = run(Command::new("xfs_db").args(["-r", "-c", &address, "-c", &print]).arg(image));
    printed.trim().to_owned()
}

/// Writes blocks in an order, or with holes, that takes an extent each.
fn fragmented(path: &Path, block: u64, extents: u64) {
    let file = File::create(path).unwrap();
    for index in 0..extents {
        file.write_all_at(&fill::content(index, usize::try_from(block).unwrap()), index * 2 * block).unwrap();
    }
}

#[test]
fn files_of_very_many_extents() {
    if !can_mount() {
        return;
    }
    for (block, options) in [
        (1024, &["-b", "size=1024"][..]),
        (1024, &["-b", "size=1024", "-i", "nrext64=1"]),
        (4096, &[]),
        (65536, &["-b", "size=65536"]),
    ] {
        let workspace = Workspace::new();
        let image = workspace.format("image", 2 << 30, &[&["mkfs.xfs"], options].concat());
        let (extents, inode) = {
            let mount = Mount::writable(&image);
            let path = mount.path().join("fragmented");
            let extents = if block == 65536 { 1500 } else { 12_000 };
            fragmented(&path, block, extents);
            // Allocated and not written, among what is: an unwritten extent between two others.
            run(Command::new("fallocate").args(["-l", "10000000"]).arg(&path));
            (extents, fs::metadata(&path).unwrap().ino())
        };
        assert_eq!(field(&image, inode, "core.format"), "core.format = 3 (btree)");
        manifest::assert_equal_to_kernels(&image, &options.join(" "));

        // Each extent is read at once, and no block of the tree twice.
        let volume = Arc::new(CountingVolume::new(&image));
        let limits = Limits::default();
        let tree = Tree::new(Rc::from(our_fs::open(volume.clone(), &limits).unwrap()), limits);
        let file = tree.open(&FsPath::new("/fragmented")).unwrap().unwrap();
        let before = volume.reads();
        let mut buffer = vec![0; 1 << 20];
        let mut offset = 0;
        while offset < file.size() {
            offset += u64::try_from(file.read_at(offset, &mut buffer).unwrap()).unwrap();
        }
        let reads = u64::try_from(volume.reads() - before).unwrap();
        println!("blocks of {block}: {reads} reads for {extents} extents");
        // Each MiB that begins within an extent reads that one again.
        assert!(reads < extents + extents / 20 + 100, "{reads}");
    }
}

#[test]
fn contiguous_files_are_read_at_once() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let image = workspace.format("image", 512 << 20, &["mkfs.xfs"]);
    {
        let mount = Mount::writable(&image);
        fs::write(mount.path().join("file"), fill::content(1, 64 << 20)).unwrap();
    }
    let volume = Arc::new(CountingVolume::new(&image));
    let limits = Limits::default();
    let tree = Tree::new(Rc::from(our_fs::open(volume.clone(), &limits).unwrap()), limits);
    let file = tree.open(&FsPath::new("/file")).unwrap().unwrap();
    let before = volume.reads();
    assert!(file.read_all().unwrap() == fill::content(1, 64 << 20));
    let reads = volume.reads() - before;
    assert!(reads < 70, "{reads} reads for 64 MiB, in steps of 1 MiB");
}

/// Directories so large that their index has nodes, and with so many extents that those have a tree.
#[test]
fn directories_of_100_000_entries() {
    if !can_mount() {
        return;
    }
    for options in [&[][..], &["-b", "size=1024"], &["-n", "size=65536"]] {
        let workspace = Workspace::new();
        let image = workspace.format("image", 1 << 30, &[&["mkfs.xfs"], options].concat());
        let inodes: Vec<u64> = {
            let mount = Mount::writable(&image);
            let dirs = [mount.path().join("left"), mount.path().join("right")];
            for dir in &dirs {
                fs::create_dir(dir).unwrap();
            }
            // In turn, so that the directories' blocks lie between each other.
            let target = dirs[0].join("the only file");
            File::create(&target).unwrap();
            for index in 0..50_000 {
                for dir in &dirs {
                    fs::hard_link(&target, dir.join(format!("{index}-{}", "n".repeat(index % 50)))).unwrap();
                }
            }
            // Whole blocks without entries, so that the list has holes.
            for index in (0..50_000).filter(|index| index % 9000 > 7000) {
                fs::remove_file(dirs[1].join(format!("{index}-{}", "n".repeat(index % 50)))).unwrap();
            }
            dirs.iter().map(|dir| fs::metadata(dir).unwrap().ino()).collect()
        };
        for &inode in &inodes {
            assert_eq!(field(&image, inode, "core.format"), "core.format = 3 (btree)", "{options:?}");
        }
        manifest::assert_equal_to_kernels(&image, &options.join(" "));
    }
}

/// Behind 4 MiB the kernel gives such a directory a block for every second name or so: it is larger than what it lists by far.
#[test]
fn a_directory_whose_blocks_of_64_kib_are_all_but_empty() {
    const COUNT: usize = 106_000;

    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let image = workspace.format("image", 2 << 30, &["mkfs.xfs", "-n", "size=65536"]);
    let size = {
        let mount = Mount::writable(&image);
        let dir = mount.path().join("dir");
        fs::create_dir(&dir).unwrap();
        for index in 0..COUNT {
            File::create(dir.join(format!("the name of a file {index:08}"))).unwrap();
        }
        fs::metadata(&dir).unwrap().len()
    };
    println!("a directory of {COUNT} names has {} MiB", size >> 20);
    // This is about directories that are larger than the limit on what is listed of one.
    assert!(size > Limits::default().dir_bytes, "{size}");
    manifest::assert_equal_to_kernels(&image, "blocks of 64 KiB");
}

#[test]
fn looking_up_a_name_in_a_large_directory_reads_a_few_of_its_blocks() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let image = workspace.format("image", 512 << 20, &["mkfs.xfs"]);
    make_names(Mount::writable(&image).path(), 25_000);
    let reads = lookups_in_names(&image);
    println!("{reads} blocks read for 6 lookups in a directory of 25,000 names");
    assert!(reads < 20, "{reads}");
}

/// Files that share extents, each with a part of its own.
#[test]
fn shared_extents() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let image = workspace.format("image", 512 << 20, &["mkfs.xfs", "-m", "reflink=1,rmapbt=1"]);
    {
        let mount = Mount::writable(&image);
        let original = mount.path().join("original");
        fs::write(&original, fill::content(1, 5_000_000)).unwrap();
        for index in 0..20 {
            let copy = mount.path().join(format!("copy-{index}"));
            run(Command::new("cp").arg("--reflink=always").arg(&original).arg(&copy));
            let file = File::options().write(true).open(&copy).unwrap();
            for part in 0..index {
                file.write_all_at(&fill::content(index, 5000), part * 200_000 + index * 777).unwrap();
            }
        }
    }
    manifest::assert_equal_to_kernels(&image, "reflinks");
}

/// Clusters of inodes that are allocated in part: where free space is in pieces smaller than 64 inodes.
#[test]
fn sparse_inodes() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let image = workspace.format("image", 320 << 20, &["mkfs.xfs", "-b", "size=1024"]);
    // Unmounted in between, because the kernel gives back what a removed file had only some time later.
    let written = {
        let mount = Mount::writable(&image);
        let filler = mount.path().join("filler");
        fs::create_dir(&filler).unwrap();
        // Files of 24 KiB until nothing fits, each of which gets its place at once.
        let fits = |index: &u32| {
            let file = File::create(filler.join(index.to_string()));
            file.is_ok_and(|file| rustix::fs::fallocate(file, FallocateFlags::empty(), 0, 24 << 10).is_ok())
        };
        (0..20_000).take_while(fits).count()
    };
    {
        let mount = Mount::writable(&image);
        let filler = mount.path().join("filler");
        // Every other one removed: holes too small for 64 inodes of 512 bytes.
        for index in (0..written).step_by(2) {
            fs::remove_file(filler.join(index.to_string())).unwrap();
        }
        let last = filler.join(written.to_string());
        if last.exists() {
            fs::remove_file(last).unwrap();
        }
    }
    {
        let mount = Mount::writable(&image);
        let dir = mount.path().join("dir");
        fs::create_dir(&dir).unwrap();
        // More than inodes became free, with what they hold in them.
        for index in 0..60_000 {
            symlink(index.to_string(), dir.join(index.to_string())).unwrap();
        }
    }
    assert!(has_sparse_inodes(&image));
    manifest::assert_equal_to_kernels(&image, "sparse inodes");
}

/// Whether a leaf of the inode trees has a record `startino,holemask,count,freecount,free` with a hole.
fn has_sparse_inodes(image: &Path) -> bool {
    let mut database = Command::new("xfs_db");
    for group in 0..4 {
        for leaf in 1..16 {
            let (group, leaf) = (format!("agi {group}"), format!("addr ptrs[{leaf}]"));
            for command in [&group, "addr root", "print recs", &leaf, "print recs"] {
                database.args(["-c", command]);
            }
        }
    }
    let output = database.arg("-r").arg(image).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let mut records = printed.split(' ').filter_map(|word| word.split_once(":["));
    records.any(|(_, record)| record.split(',').nth(1).is_some_and(|holes| holes.starts_with("0x")))
}

/// A file on a realtime device is refused by name, everything else is read.
#[test]
fn files_on_a_realtime_device_are_refused() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let image = workspace.format("image", 512 << 20, &["mkfs.xfs"]);
    let inode = {
        let mount = Mount::writable(&image);
        fs::write(mount.path().join("file"), "content").unwrap();
        fs::metadata(mount.path().join("file")).unwrap().ino()
    };
    let address = format!("inode {inode}");
    run(Command::new("xfs_db").args(["-x", "-c", &address, "-c", "write core.realtime 1"]).arg(&image));
    let tree = Tree::new(Rc::from(open(&image)), Limits::default());
    let error = tree.open(&FsPath::new("/file")).unwrap().unwrap().read_all().unwrap_err();
    assert_eq!(error.to_string(), "a file on an XFS realtime device is not supported");
}
