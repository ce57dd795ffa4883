//! Disks that were copied while they were in use: the kernel's recovery is the truth.
//!
//! The filesystem is stopped in the middle of its work (`XFS_IOC_GOINGDOWN`), so that its log holds transactions whose
//! changes never reached their places. One copy is mounted by the kernel, which replays the log onto it; the other is read
//! by us, and never changed.

use std::fs::{self, File};
use std::io::BufRead;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use agentless_analyser::fs::Journal;

use rustix::fs::FallocateFlags;

use super::churn::Churn;
use agentless_disk_tests::image::{Mount, Workspace, can_mount, open, run};
use agentless_disk_tests::shut_down::{Stop, shut_down};
use agentless_disk_tests::{changes, fill, manifest};

/// What a test does to a filesystem that will be stopped.
struct Case<'a> {
    mkfs: &'a [&'a str],
    mount_options: &'a str,
    size: u64,
    stop: Stop,
}

impl Default for Case<'_> {
    fn default() -> Self {
        Self { mkfs: &[], mount_options: "rw", size: 512 << 20, stop: Stop::AtOnce }
    }
}

/// Makes a dirty image, and compares our view with the kernel's recovery. The result is how many entries would be wrong
/// without the log. The work is done twice: what it did first is in its place.
fn compare(name: &str, case: &Case<'_>, work: impl FnMut(&Path)) -> usize {
    let workspace = Workspace::new();
    let dirty = make_dirty(&workspace, case, work);
    compare_dirty(name, &workspace, &dirty)
}

fn make_dirty(workspace: &Workspace, case: &Case<'_>, mut work: impl FnMut(&Path)) -> PathBuf {
    let image = workspace.format("image", case.size, &[&["mkfs.xfs"], case.mkfs].concat());
    work(Mount::with_options(&image, case.mount_options).path());
    let mount = Mount::with_options(&image, case.mount_options);
    work(mount.path());
    shut_down(mount.path(), case.stop);
    workspace.copy(&image, "dirty")
}

/// Compares our view of a dirty image with the kernel's recovery of a copy.
fn compare_dirty(name: &str, workspace: &Workspace, dirty: &Path) -> usize {
    let recovered = workspace.copy(dirty, "recovered");
    // The copy has the UUID of the image, which may still be mounted.
    let kernel = manifest::of_kernel(Mount::with_options(&recovered, "rw,nouuid").path());
    let file_system = open(dirty);
    let Journal::Replayed { transactions } = file_system.journal() else {
        panic!("{name}: the log was not replayed: {:?}", file_system.journal());
    };
    let ours = manifest::of_ours(file_system);
    manifest::assert_equal(&kernel, &ours, name);

    ignore_log(dirty);
    let file_system = open(dirty);
    assert_eq!(file_system.journal(), Journal::Clean);
    let stale = manifest::of_damaged(file_system);
    let wrong = manifest::differences(&kernel, &stale).len();
    println!(
        "{name}: {transactions} transactions; {} entries equal; without the log {wrong} would be wrong",
        ours.len(),
    );
    wrong
}

/// Makes the log look as if it had never been written: what is then read is what a reader without the log sees.
fn ignore_log(image: &Path) {
    let (start, _) = log_place(image);
    File::options().write(true).open(image).unwrap().write_all_at(&[0; 512], start).unwrap();
}

/// Where the log is, in bytes: its start, and its length.
pub(crate) fn log_place(image: &Path) -> (u64, u64) {
    let mut superblock = [0; 512];
    File::open(image).unwrap().read_exact_at(&mut superblock, 0).unwrap();
    let number = |at: usize| u64::from(u32::from_be_bytes(superblock[at..at + 4].try_into().unwrap()));
    let logstart = u64::from_be_bytes(superblock[48..56].try_into().unwrap());
    let group = logstart >> superblock[124];
    let block = group * number(84) + (logstart - (group << superblock[124]));
    (block * number(4), number(96) * number(4))
}

/// Whether what is to be replayed goes around the log's end, found by looking at each of its basic blocks: an independent
/// and simpler reading. The newest record is the one with the greatest number.
fn wraps(image: &Path) -> bool {
    let newest = records(image).pop().unwrap();
    newest.tail & 0xffff_ffff > newest.lsn & 0xffff_ffff
}

/// The header of a log record.
struct Header {
    /// Where it is on the volume, in bytes.
    offset: u64,
    lsn: u64,
    tail: u64,
}

/// The records that the log has, from oldest to newest.
fn records(image: &Path) -> Vec<Header> {
    let (start, length) = log_place(image);
    let mut log = vec![0; usize::try_from(length).unwrap()];
    File::open(image).unwrap().read_exact_at(&mut log, start).unwrap();
    let number = |block: &[u8], at: usize| u64::from_be_bytes(block[at..at + 8].try_into().unwrap());
    let mut found: Vec<Header> = (start..)
        .step_by(512)
        .zip(log.as_chunks::<512>().0)
        // With content: those without were written to be overwritten.
        .filter(|(_, block)| block.starts_with(&[0xfe, 0xed, 0xba, 0xbe]) && block[12..16] != [0; 4])
        .map(|(offset, block)| Header { offset, lsn: number(block, 16), tail: number(block, 24) })
        .collect();
    found.sort_by_key(|header| header.lsn);
    found
}

/// A way to format a filesystem, and to mount it.
const VARIANTS: [(&[&str], &str); 12] = [
    (&[], "rw"),
    (&["-b", "size=1024"], "rw"),
    (&["-s", "size=4096"], "rw"),
    (&["-i", "nrext64=1"], "rw"),
    (&["-m", "bigtime=0"], "rw"),
    (&["-l", "su=32k"], "rw,logbsize=32k"),
    (&["-l", "su=256k"], "rw,logbsize=256k"),
    (&["-l", "version=2"], "rw,logbsize=256k"),
    (&["-m", "rmapbt=1"], "rw"),
    (&["-n", "size=16384"], "rw"),
    (&["-i", "size=1024,sparse=0", "-m", "reflink=0"], "rw"),
    (&["-b", "size=16384"], "rw"),
];

#[test]
fn small_durable_files() {
    if !can_mount() {
        return;
    }
    for (mkfs, mount_options) in VARIANTS {
        let case = Case { mkfs, mount_options, ..Case::default() };
        let mut counts = [9, 40].into_iter();
        let wrong =
            compare(&mkfs.join(" "), &case, |root| changes::install_packages(root, counts.next().unwrap()));
        assert_ne!(wrong, 0, "this image does not need its log");
    }
}

#[test]
fn everything_that_is_hard_to_read_at_once() {
    if !can_mount() {
        return;
    }
    for (mkfs, mount_options) in [VARIANTS[0], VARIANTS[1], VARIANTS[4]] {
        let case = Case { mkfs, mount_options, stop: Stop::Flushed, ..Case::default() };
        let mut turns = ["first", "second"].into_iter();
        let wrong = compare(&mkfs.join(" "), &case, |root| {
            let dir = root.join(turns.next().unwrap());
            fs::create_dir(&dir).unwrap();
            fill::fill(&dir, 1000);
            run(Command::new("sync").arg("-f").arg(root));
            fs::remove_dir_all(dir.join("many")).unwrap();
            changes::install_packages(root, 5);
        });
        assert_ne!(wrong, 0, "this image does not need its log");
    }
}

/// Random work with each of these seeds, on a variant each.
fn churn(seeds: std::ops::Range<u64>) {
    if !can_mount() {
        return;
    }
    let mut needed = 0;
    let count = seeds.end - seeds.start;
    for seed in seeds {
        let index = usize::try_from(seed).unwrap();
        let (mkfs, mount_options) = VARIANTS[index % VARIANTS.len()];
        let stop = if seed % 4 == 0 { Stop::Flushed } else { Stop::AtOnce };
        let case = Case { mkfs, mount_options, stop, ..Case::default() };
        let name = format!("seed {seed}, {}", mkfs.join(" "));
        let mut churn = Churn::new(seed);
        let wrong = compare(&name, &case, |root| churn.run(root, 400));
        needed += u64::from(wrong > 0);
    }
    assert!(needed * 2 > count, "only {needed} of {count} images need their logs");
}

#[test]
fn random_work_1() {
    churn(0..12);
}

#[test]
fn random_work_2() {
    churn(12..24);
}

#[test]
fn a_log_that_wraps() {
    if !can_mount() {
        return;
    }
    // Whether the log goes around its end at the moment of the stop depends on when the kernel last made room, so a few
    // moments are tried.
    let mut wrapped = 0;
    for (seed, mkfs) in
        (100..).zip([&["--unsupported", "-l", "size=6m"][..], &["--unsupported", "-l", "size=6m,su=32k"]])
    {
        let case = Case { mkfs, size: 200 << 20, ..Case::default() };
        for count in [1200, 1500, 1800, 2100] {
            let mut churn = Churn::new(seed);
            let name = format!("{count} steps, {}", mkfs.join(" "));
            let workspace = Workspace::new();
            let dirty = make_dirty(&workspace, &case, |root| churn.run(root, count));
            wrapped += u32::from(wraps(&dirty));
            compare_dirty(&name, &workspace, &dirty);
        }
    }
    assert_ne!(wrapped, 0, "no log wrapped");
}

#[test]
fn copies_of_a_disk_that_is_written_to() {
    if !can_mount() {
        return;
    }
    // A copy that shares its blocks is of one point in time, as a snapshot of a volume is. The writer is stopped as the
    // machine would be, with SIGKILL.
    let host = Workspace::new();
    let host_image = host.format("host", 2 << 30, &["mkfs.xfs"]);
    let mount = Mount::writable(&host_image);
    let image = mount.path().join("image");
    File::create(&image).unwrap().set_len(512 << 20).unwrap();
    run(Command::new("mkfs.xfs").arg("-q").arg(&image));
    let script = "cd \"$0\"; i=0; while :; do i=$((i+1)); mkdir -p d$((i%7)); \
        head -c $((i*37%30000)) /dev/zero > d$((i%7))/f$i; cp -r d$((i%7)) c$((i%5)); ln -f d$((i%7))/f$i l$((i%50)); \
        mv -f d$((i%7))/f$i m$((i%90)); [ $((i%9)) = 0 ] && rm -rf c$((i%5)); [ $((i%4)) = 0 ] && sync -f .; echo $i; done";
    let copies = {
        let inner = Mount::writable(&image);
        let mut writer = Command::new("bash")
            .args(["-c", script])
            .arg(inner.path())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut progress = std::io::BufReader::new(writer.stdout.take().unwrap()).lines();
        let copies: Vec<_> = (0..6)
            .map(|index| {
                // A copy whenever some more was done.
                progress.by_ref().take(40).for_each(drop);
                let copy = mount.path().join(format!("copy-{index}"));
                run(Command::new("cp").arg("--reflink=always").arg(&image).arg(&copy));
                copy
            })
            .collect();
        writer.kill().unwrap();
        writer.wait().unwrap();
        copies
    };
    for copy in copies {
        let workspace = Workspace::new();
        let dirty = workspace.copy(&copy, "dirty");
        let wrong = compare_dirty(&copy.file_name().unwrap().to_string_lossy(), &workspace, &dirty);
        assert_ne!(wrong, 0, "this image does not need its log");
    }
}

#[test]
fn directories_whose_blocks_are_in_pieces() {
    if !can_mount() {
        return;
    }
    // Blocks of 16 KiB where no more than 2 KiB are free in a row, and nothing is kept back.
    let plain = "finobt=0,reflink=0,rmapbt=0,inobtcount=0";
    let mkfs = ["--unsupported", "-b", "size=1024", "-n", "size=16384", "-m", plain];
    let case = Case { mkfs: &mkfs, size: 128 << 20, stop: Stop::Flushed, ..Case::default() };
    let workspace = Workspace::new();
    let mut turn = 0;
    let mut kernel = manifest::Manifest::new();
    let dirty = make_dirty(&workspace, &case, |root| {
        run(Command::new("xfs_io").args(["-x", "-c", "resblks 0"]).arg(root));
        turn += 1;
        if turn == 1 {
            let ballast = File::create(root.join("ballast")).unwrap();
            let end = || ballast.metadata().unwrap().len();
            for size in (12..26).rev().map(|bits| 1 << bits) {
                while rustix::fs::fallocate(&ballast, FallocateFlags::empty(), end(), size).is_ok() {}
            }
            for offset in (0..end()).step_by(8192).take(3000) {
                let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                rustix::fs::fallocate(&ballast, flags, offset, 2048).unwrap();
            }
        } else {
            let dir = root.join("dir");
            fs::create_dir(&dir).unwrap();
            File::create(root.join("linked")).unwrap();
            for index in 0..2000 {
                fs::hard_link(root.join("linked"), dir.join(format!("{index}-{}", "n".repeat(50)))).unwrap();
            }
            kernel = manifest::of_kernel(root);
        }
    });
    // The kernel refuses to recover such a log: it checks each piece as if it were the whole. So the truth is what it showed
    // before the stop, all of which was written to the log.
    let file_system = open(&dirty);
    assert!(matches!(file_system.journal(), Journal::Replayed { .. }));
    manifest::assert_equal(&kernel, &manifest::of_ours(file_system), "directories in pieces");
}

#[test]
fn files_that_exchanged_their_content() {
    if !can_mount() {
        return;
    }
    // With the tree of reverse mappings each extent changes its file in a transaction of its own.
    let case = Case { mkfs: &["-m", "rmapbt=1"], stop: Stop::Flushed, ..Case::default() };
    let mut turn = 0;
    let wrong = compare("exchanged content", &case, |root| {
        turn += 1;
        let paths = ["left", "right"].map(|name| root.join(name));
        if turn == 1 {
            for (seed, path) in (0..).zip(&paths) {
                let file = File::create(path).unwrap();
                for index in 0..400 {
                    file.write_all_at(&fill::content(index * 2 + seed, 4096), index * 32768).unwrap();
                }
            }
        } else {
            let exchange = format!("swapext {}", paths[1].display());
            run(Command::new("xfs_io").args(["-c", &exchange]).arg(&paths[0]));
        }
    });
    assert_ne!(wrong, 0, "this image does not need its log");
}

#[test]
fn records_that_were_torn_while_several_worked() {
    if !can_mount() {
        return;
    }
    // The log ends wherever the stop, or a record that was not written whole, ends it. The extents of files of few parts are in
    // their inodes, those of many in trees.
    for parts in [8, 24] {
        let workspace = Workspace::new();
        let dirty = make_dirty(&workspace, &Case::default(), |root| {
            let progress = AtomicU64::new(0);
            std::thread::scope(|scope| {
                for worker in 0..4_u64 {
                    let progress = &progress;
                    scope.spawn(move || share_and_change(root, worker, parts, progress));
                }
                while progress.load(Ordering::Relaxed) < 67 {
                    std::thread::yield_now();
                }
                // The workers end when nothing works any more, the first time at the number that they know, too.
                if root.join("second").exists() {
                    shut_down(root, Stop::AtOnce);
                }
            });
            drop(File::create(root.join("second")));
        });
        // As many ends as records may be torn: the log ends in front of the first that is.
        let records = records(&dirty);
        for torn in 0..8_usize {
            let cut = workspace.copy(&dirty, "cut");
            if let Some(index) = torn.checked_sub(1) {
                let record = &records[records.len() - 1 - index];
                let file = File::options().write(true).open(&cut).unwrap();
                file.write_all_at(b"torn", record.offset + 512 + 100).unwrap();
            }
            compare_dirty(&format!("{parts} shared parts, {torn} records torn"), &workspace, &cut);
        }
    }
}

/// Copies a file by reference and writes over so many parts of it, until that is not possible any more.
fn share_and_change(root: &Path, worker: u64, parts: u64, progress: &AtomicU64) {
    let is_first = !root.join("second").exists();
    let work = |index: u64| -> std::io::Result<()> {
        let from = root.join(format!("original-{worker}"));
        if !from.exists() {
            fs::write(&from, fill::content(worker, 300_000))?;
        }
        let to = File::create(root.join(format!("copy-{worker}-{}", index % 5)))?;
        rustix::fs::ioctl_ficlone(&to, File::open(&from)?)?;
        for part in 0..parts {
            to.write_all_at(&fill::content(index + part, 5000), part * (240_000 / parts))?;
            if part % 2 == 0 {
                to.sync_data()?;
            }
        }
        to.sync_all()?;
        progress.fetch_add(1, Ordering::Relaxed);
        Ok(())
    };
    for index in 0.. {
        if (is_first && index == 30) || work(index).is_err() {
            break;
        }
    }
}
