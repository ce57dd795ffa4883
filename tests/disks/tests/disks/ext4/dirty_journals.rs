//! Disks that were copied while they were in use: the kernel's recovery is the truth.
//!
//! The filesystem is stopped in the middle of its work (`EXT4_IOC_SHUTDOWN`), so that its journal holds transactions that
//! never reached their place. One copy is mounted by the kernel, which replays the journal onto it; the other is read by
//! us, and never changed.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use agentless_analyser::fs::Journal;

use agentless_disk_tests::caught::caught;
use agentless_disk_tests::image::{Mount, Workspace, can_mount, open, run};
use agentless_disk_tests::shut_down::{Stop, shut_down};
use agentless_disk_tests::{changes, fill, manifest};

/// What a test does to a filesystem that will be stopped.
struct Case<'a> {
    mkfs: &'a [&'a str],
    mount_options: &'a str,
    size: u64,
}

/// Makes a dirty image that needs its journal, and compares our view with the kernel's recovery.
fn compare(case: &Case<'_>, work: impl Fn(&Path)) {
    compare_caught(case, "that needs its journal", |root, _| work(root), |_| true);
}

/// As [`compare`], until the journal is `wanted`, which `state` puts into words. The work is told the image, too.
fn compare_caught(
    case: &Case<'_>,
    state: &str,
    work: impl Fn(&Path, &Path),
    wanted: fn(&RawJournal) -> bool,
) {
    caught(state, || {
        let (journal, wrong) = compare_once(case, &work);
        wrong > 0 && wanted(&journal)
    });
}

/// Makes a dirty image and compares our view with the kernel's recovery. The result is its journal, and how many entries
/// would be wrong without it.
fn compare_once(case: &Case<'_>, work: impl Fn(&Path, &Path)) -> (RawJournal, usize) {
    let workspace = Workspace::new();
    let image = workspace.format("image", case.size, case.mkfs);
    let dirty = {
        let mount = Mount::with_options(&image, case.mount_options);
        work(mount.path(), &image);
        shut_down(mount.path(), Stop::AtOnce);
        // Unmounting writes what is in memory to its place, journal or not; a snapshot sees the disk before.
        workspace.copy(&image, "dirty")
    };
    let recovered = workspace.copy(&dirty, "recovered");
    let kernel = manifest::of_kernel(Mount::writable(&recovered).path());

    let file_system = open(&dirty);
    let Journal::Replayed { transactions } = file_system.journal() else {
        panic!("the journal is not dirty: {:?}", file_system.journal());
    };
    let journal = RawJournal::dump(&workspace, &dirty);
    let ours = manifest::of_ours(file_system);
    manifest::assert_equal(&kernel, &ours, &case.mkfs.join(" "));
    assert_eq!(journal.commits, journal.newest - journal.oldest + 1);
    assert_eq!(transactions, journal.commits);

    ignore_journal(&dirty);
    let stale = manifest::of_damaged(open(&dirty));
    let wrong = manifest::differences(&kernel, &stale).len();
    println!(
        "{}: {transactions} transactions, {} blocks of revoke records, wrapped: {}; {} entries equal; without replay \
         {wrong} would be wrong",
        case.mkfs.join(" "),
        journal.revokes,
        journal.wrapped,
        ours.len(),
    );
    (journal, wrong)
}

/// Makes an image look as if its journal were clean: what is then read is what a reader without a journal sees.
fn ignore_journal(image: &Path) {
    const RECOVER: u8 = 4;
    let file = File::options().read(true).write(true).open(image).unwrap();
    let mut superblock = [0; 1024];
    file.read_exact_at(&mut superblock, 1024).unwrap();
    superblock[0x60] &= !RECOVER;
    let checksum = !crc32c::crc32c(&superblock[..0x3fc]);
    superblock[0x3fc..].copy_from_slice(&checksum.to_le_bytes());
    file.write_all_at(&superblock, 1024).unwrap();
}

/// What the log holds, found by looking at each of its blocks: an independent and simpler reading.
struct RawJournal {
    /// The transaction that the log starts with.
    oldest: u64,
    /// The last one that is committed.
    newest: u64,
    /// Committed transactions since the log's start.
    commits: u64,
    /// Blocks of revoke records.
    revokes: usize,
    /// Whether the log goes on at the journal's beginning.
    wrapped: bool,
}

impl RawJournal {
    fn dump(workspace: &Workspace, image: &Path) -> Self {
        let dump: PathBuf = workspace.path("journal");
        // `-c` and `-n`: without the bitmaps and checksums, which are as torn as everything else.
        let request = format!("dump <8> {}", dump.display());
        run(Command::new("debugfs").args(["-c", "-n", "-R", &request]).arg(image));
        let journal = fs::read(dump).unwrap();
        let field = |at: usize| u32::from_be_bytes(journal[at..at + 4].try_into().unwrap());
        let sequence = field(0x18);
        let [block_size, start] = [field(0xc), field(0x1c)].map(|number| usize::try_from(number).unwrap());
        let oldest = u64::from(sequence);
        let mut found = Self { oldest, newest: oldest, commits: 0, revokes: 0, wrapped: false };
        for block in 1..journal.len() / block_size {
            let at = block * block_size;
            if field(at) != 0xc03b_3998 || field(at + 8) < sequence {
                continue;
            }
            match field(at + 4) {
                2 => {
                    found.commits += 1;
                    found.newest = found.newest.max(u64::from(field(at + 8)));
                    found.wrapped |= block < start;
                }
                5 => found.revokes += 1,
                _ => {}
            }
        }
        found
    }
}

#[test]
fn several_transactions() {
    if !can_mount() {
        return;
    }
    for mkfs in [
        &["mkfs.ext4"][..],
        &["mkfs.ext4", "-b", "1024"],
        &["mkfs.ext4", "-O", "^metadata_csum"],
        &["mkfs.ext4", "-O", "^64bit,^metadata_csum"],
        &["mkfs.ext4", "-O", "inline_data"],
        &["mkfs.ext3"],
    ] {
        compare(&Case { mkfs, mount_options: "rw", size: 64 << 20 }, |root| {
            changes::install_packages(root, 40);
        });
    }
}

#[test]
fn everything_that_is_hard_to_read_at_once() {
    if !can_mount() {
        return;
    }
    for mkfs in [
        &["mkfs.ext4"][..],
        &["mkfs.ext4", "-b", "1024", "-O", "inline_data,^metadata_csum"],
        &["mkfs.ext4", "-O", "bigalloc", "-C", "16384"],
        &["mkfs.ext4", "-O", "meta_bg,^resize_inode", "-b", "1024", "-g", "1024"],
        &["mkfs.ext3", "-b", "2048"],
    ] {
        // A commit each second as well as those that the content asks for.
        compare(&Case { mkfs, mount_options: "rw,commit=1", size: 192 << 20 }, |root| {
            fill::fill(root, 1000);
            File::open(root).unwrap().sync_all().unwrap();
            fs::remove_dir_all(root.join("many")).unwrap();
            changes::install_packages(root, 5);
        });
    }
}

#[test]
fn a_journal_that_wraps() {
    if !can_mount() {
        return;
    }
    // The smallest journal there is has 1024 blocks. The log goes around its end now and then, until the kernel makes room.
    for (block_size, journal) in [("1024", "size=1"), ("4096", "size=4")] {
        let mkfs = ["mkfs.ext4", "-b", block_size, "-J", journal];
        let case = Case { mkfs: &mkfs, mount_options: "rw", size: 64 << 20 };
        for more in [0, 4, 12] {
            let work = |root: &Path, image: &Path| {
                let workspace = Workspace::new();
                let mut wrapped = (0..1000).filter(|&index| {
                    changes::install_package(root, index);
                    index > 100 && RawJournal::dump(&workspace, image).wrapped
                });
                wrapped.nth(more).expect("the log goes around its end");
            };
            compare_caught(&case, "whose log goes around its end", work, |journal| journal.wrapped);
        }
    }
}

#[test]
fn blocks_that_were_freed_and_used_again() {
    if !can_mount() {
        return;
    }
    for options in ["metadata_csum", "^metadata_csum", "^extent,^64bit"] {
        let mkfs = ["mkfs.ext4", "-b", "1024", "-J", "size=4", "-O", options];
        let case = Case { mkfs: &mkfs, mount_options: "rw", size: 16 << 20 };
        let work = |root: &Path, _: &Path| free_and_use_again(root);
        compare_caught(&case, "with revoke records", work, |journal| journal.revokes > 0);
    }
}

/// Makes directories on an almost full disk, removes them, and fills their blocks with data. The directories' blocks are
/// in the journal, the data is not: replaying the former without looking at revoke records would destroy the latter.
fn free_and_use_again(root: &Path) {
    let write = |name: String, seed: u64| {
        let path = root.join(name);
        let done = fs::write(&path, fill::content(seed, 60_000)).and_then(|()| File::open(&path)?.sync_all());
        done.is_ok()
    };
    let ballast = (0..1000).take_while(|index| write(format!("ballast-{index}"), *index)).count();
    for index in ballast - 12..=ballast {
        fs::remove_file(root.join(format!("ballast-{index}"))).unwrap();
    }
    let dirs = root.join("dirs");
    fs::create_dir(&dirs).unwrap();
    fs::write(root.join("linked"), "").unwrap();
    for dir in 0..50 {
        let dir = dirs.join(dir.to_string());
        fs::create_dir(&dir).unwrap();
        for link in 0..40 {
            fs::hard_link(root.join("linked"), dir.join(format!("{link}-{}", "n".repeat(90)))).unwrap();
        }
    }
    File::open(&dirs).unwrap().sync_all().unwrap();
    fs::remove_dir_all(&dirs).unwrap();
    File::open(root).unwrap().sync_all().unwrap();
    let data = (0..1000).take_while(|index| write(format!("data-{index}"), 1000 + *index)).count();
    assert!(data > 5, "{data}");
}

#[test]
fn file_data_in_the_journal() {
    if !can_mount() {
        return;
    }
    // Files that begin with the journal's own magic number, which the journal must not contain.
    let case = Case { mkfs: &["mkfs.ext4", "-b", "1024"], mount_options: "rw,data=journal", size: 64 << 20 };
    compare(&case, |root| {
        for index in 0..30 {
            let mut content = 0xc03b_3998_u32.to_be_bytes().to_vec();
            content.extend(fill::content(index, 5000));
            let path = root.join(format!("escaped-{index}"));
            fs::write(&path, content).unwrap();
            File::open(&path).unwrap().sync_all().unwrap();
        }
    });
}
