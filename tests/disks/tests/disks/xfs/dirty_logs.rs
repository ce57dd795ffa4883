//! Disks that were copied while they were in use: the kernel's recovery is the truth.
//!
//! The filesystem is stopped in the middle of its work (`XFS_IOC_GOINGDOWN`), so that its log holds transactions whose
//! changes never reached their places. One copy is mounted by the kernel, which replays the log onto it; the other is read
//! by us, and never changed.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use agentless_scanner::fs::Journal;

use super::churn::Churn;
use agentless_disk_tests::image::{Mount, Workspace, can_mount, open, run};
use agentless_disk_tests::{fill, manifest};

/// How a filesystem is stopped.
#[derive(Clone, Copy, Debug)]
enum Stop {
    /// `XFS_FSOP_GOING_FLAGS_LOGFLUSH`: after what is committed in memory was written to the log.
    Flushed,
    /// `XFS_FSOP_GOING_FLAGS_NOLOGFLUSH`: like a power failure.
    AtOnce,
}

fn shut_down(root: &Path, stop: Stop) {
    // `_IOR('X', 125, __u32)`
    const GOING_DOWN: rustix::ioctl::Opcode = rustix::ioctl::opcode::read::<u32>(b'X', 125);
    let root = File::open(root).unwrap();
    let flags = match stop {
        Stop::Flushed => 1,
        Stop::AtOnce => 2,
    };
    #[expect(unsafe_code, reason = "the kernel reads one u32, which the setter holds")]
    // SAFETY: the opcode takes a pointer to a u32, which is what `Setter` passes.
    unsafe {
        rustix::ioctl::ioctl(&root, rustix::ioctl::Setter::<GOING_DOWN, u32>::new(flags)).unwrap();
    }
}

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
fn compare(name: &str, case: &Case<'_>, mut work: impl FnMut(&Path)) -> usize {
    let workspace = Workspace::new();
    let image = workspace.format("image", case.size, &[&["mkfs.xfs"], case.mkfs].concat());
    work(Mount::with_options(&image, case.mount_options).path());
    let dirty = {
        let mount = Mount::with_options(&image, case.mount_options);
        work(mount.path());
        shut_down(mount.path(), case.stop);
        // Unmounting does not write what is in memory any more, but a snapshot sees the disk before.
        workspace.copy(&image, "dirty")
    };
    compare_dirty(name, &workspace, &dirty)
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
    let file = File::options().read(true).write(true).open(image).unwrap();
    let mut superblock = [0; 512];
    file.read_exact_at(&mut superblock, 0).unwrap();
    let number = |at: usize| u64::from(u32::from_be_bytes(superblock[at..at + 4].try_into().unwrap()));
    let logstart = u64::from_be_bytes(superblock[48..56].try_into().unwrap());
    let group = logstart >> superblock[124];
    let block = group * number(84) + (logstart - (group << superblock[124]));
    file.write_all_at(&[0; 512], block * number(4)).unwrap();
}

/// Writes what a package manager writes: small files that replace each other, each made durable.
fn transactions(root: &Path, count: u64) {
    let dir = root.join("var/lib/dpkg");
    fs::create_dir_all(dir.join("info")).unwrap();
    for index in 0..count {
        let new = dir.join("status-new");
        fs::write(&new, fill::content(index, 3000 + usize::try_from(index).unwrap() * 17)).unwrap();
        File::open(&new).unwrap().sync_all().unwrap();
        fs::rename(&new, dir.join("status")).unwrap();
        fs::write(dir.join(format!("info/package-{index}.list")), format!("/usr/share/{index}\n")).unwrap();
        if index % 3 == 0 && index > 6 {
            fs::remove_file(dir.join(format!("info/package-{}.list", index - 5))).unwrap();
        }
        File::open(&dir).unwrap().sync_all().unwrap();
    }
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
        let wrong = compare(&mkfs.join(" "), &case, |root| transactions(root, counts.next().unwrap()));
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
            transactions(root, 5);
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
        let wrong = compare(&name, &case, |root| churn.run(root, 600));
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
    for (seed, mkfs) in
        (100..).zip([&["--unsupported", "-l", "size=6m"][..], &["--unsupported", "-l", "size=6m,su=32k"]])
    {
        let case = Case { mkfs, size: 200 << 20, ..Case::default() };
        for count in [1500, 2500] {
            let mut churn = Churn::new(seed);
            compare(&format!("{count} steps, {}", mkfs.join(" ")), &case, |root| churn.run(root, count));
        }
    }
}
