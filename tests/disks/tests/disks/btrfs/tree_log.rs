//! Disks that were copied while files were made durable: the kernel's replay of the tree log is the truth.
//!
//! After a commit, files and directories are changed and some of them made durable, which writes the tree log and nothing
//! else. The image is copied at that moment. One copy is mounted by the kernel, which replays the log into it; the other is
//! read by us, and never changed.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use agentless_analyser::fs::Journal;
use agentless_analyser::limits::Limits;
use agentless_core::volume::FileVolume;

use agentless_disk_tests::caught::caught;
use agentless_disk_tests::image::{Mount, Workspace, can_mount, open, run};
use agentless_disk_tests::{fill, manifest};

use super::attributes;

/// Makes a dirty image and compares our view with the kernel's. `before` is committed, `after` is not.
fn compare(name: &str, mkfs: &[&str], mount_options: &str, before: impl Fn(&Path), after: impl Fn(&Path)) {
    compare_logs(1, name, mkfs, mount_options, before, after);
}

/// As [`compare`], with this many subvolumes in the log.
fn compare_logs(
    logs: u64,
    name: &str,
    mkfs: &[&str],
    mount_options: &str,
    before: impl Fn(&Path),
    after: impl Fn(&Path),
) {
    caught(LOGGED, || compare_once(logs, name, &make_dirty(mkfs, mount_options, &before, &after)));
}

/// What these tests need a disk for: a commit in the wrong moment takes all into the trees.
const LOGGED: &str = "whose log has all that was synced";

/// An image that was copied while it was mounted.
struct Dirty {
    workspace: Workspace,
    image: PathBuf,
}

fn make_dirty(mkfs: &[&str], mount_options: &str, before: impl Fn(&Path), after: impl Fn(&Path)) -> Dirty {
    let workspace = Workspace::new();
    let mounted = workspace.format("image", 200 << 20, &[&["mkfs.btrfs"], mkfs].concat());
    let image = {
        // No commit but those that are asked for.
        let mount = Mount::with_options(&mounted, &format!("{mount_options},commit=3000"));
        before(mount.path());
        run(Command::new("sync").arg("-f").arg(mount.path()));
        after(mount.path());
        workspace.copy(&mounted, "dirty")
    };
    Dirty { workspace, image }
}

/// Compares our view of a dirty image with the kernel's. The result is whether it needs this many logs.
fn compare_once(logs: u64, name: &str, Dirty { workspace, image }: &Dirty) -> bool {
    // The kernel takes two images with one UUID for one filesystem, so the first one is gone by now.
    let recovered = workspace.copy(image, "recovered");
    let mount = Mount::writable(&recovered);
    let kernel = manifest::of_kernel(mount.path());

    let file_system = open(image);
    let journal = file_system.journal();
    let ours = manifest::of_ours(file_system);
    manifest::assert_equal(&kernel, &ours, name);
    attributes::assert_same(mount.path(), &kernel, &*open(image));
    drop(mount);

    ignore_log(image);
    let file_system = open(image);
    assert_eq!(file_system.journal(), Journal::Clean);
    let stale = manifest::of_ours(file_system);
    let wrong = manifest::differences(&kernel, &stale).len();
    println!("{name}: {journal:?}; {} entries equal; without replay {wrong} would be wrong", ours.len());
    has_logs(journal, logs) && wrong > 0
}

/// Whether so many logs were replayed. A commit in the wrong moment leaves fewer, and none that cannot be replayed.
fn has_logs(journal: Journal, logs: u64) -> bool {
    match journal {
        Journal::Clean => false,
        Journal::Replayed { transactions } => transactions == logs,
        Journal::Partial { .. } | Journal::Ignored { .. } => panic!("the log was not replayed: {journal:?}"),
    }
}

/// Makes an image look as if it had no log: what is then read is the last commit.
fn ignore_log(image: &Path) {
    let file = File::options().read(true).write(true).open(image).unwrap();
    let mut superblock = [0; 4096];
    file.read_exact_at(&mut superblock, 64 << 10).unwrap();
    superblock[96..104].fill(0);
    let checksum = crc32c::crc32c(&superblock[32..]);
    superblock[..4].copy_from_slice(&checksum.to_le_bytes());
    file.write_all_at(&superblock, 64 << 10).unwrap();
}

fn sync(path: impl AsRef<Path>) {
    File::open(path).unwrap().sync_all().unwrap();
}

fn write(path: impl AsRef<Path>, seed: u64, length: usize) {
    fs::write(path, fill::content(seed, length)).unwrap();
}

#[test]
fn new_and_changed_files() {
    if !can_mount() {
        return;
    }
    for (mkfs, options) in [
        (&[][..], "rw"),
        (&["-n", "4096", "-O", "^no-holes"], "rw"),
        (&["--csum", "blake2"], "rw,compress=zstd"),
        (&["-M"], "rw"),
    ] {
        let before = |root: &Path| {
            for index in 0..50 {
                write(root.join(format!("old-{index}")), index, 3000 + usize::try_from(index).unwrap() * 997);
            }
            write(root.join("large"), 77, 1 << 20);
            write(root.join("prealloc"), 78, 5000);
            fs::create_dir_all(root.join("a/b/c")).unwrap();
        };
        let after = |root: &Path| {
            // Inline, one extent, several; new, longer, shorter, overwritten in the middle.
            for (index, size) in [0, 1, 100, 2000, 4096, 70_000].into_iter().enumerate() {
                let path = root.join(format!("a/b/new-{index}"));
                write(&path, 100 + u64::try_from(index).unwrap(), size);
                sync(&path);
            }
            let large = File::options().write(true).open(root.join("large")).unwrap();
            large.write_all_at(&fill::content(5, 10_000), 300_000).unwrap();
            large.write_all_at(b"in a sector", 500_001).unwrap();
            large.set_len(900_000).unwrap();
            large.sync_all().unwrap();
            for index in [3, 9] {
                let file = File::options().write(true).open(root.join(format!("old-{index}"))).unwrap();
                file.set_len(index * 100).unwrap();
                file.sync_all().unwrap();
            }
            let grown = File::options().write(true).open(root.join("old-20")).unwrap();
            grown.write_all_at(&fill::content(6, 5000), 200_000).unwrap();
            grown.sync_data().unwrap();
            run(Command::new("fallocate").args(["-p", "-o", "8192", "-l", "4096"]).arg(root.join("old-30")));
            sync(root.join("old-30"));
            run(Command::new("fallocate").args(["-l", "300000"]).arg(root.join("prealloc")));
            sync(root.join("prealloc"));
            run(Command::new("setfattr").args(["-n", "user.name", "-v", "value"]).arg(root.join("old-40")));
            run(Command::new("chmod").arg("4751").arg(root.join("old-40")));
            sync(root.join("old-40"));
            symlink("a/b", root.join("a/link")).unwrap();
            sync(root.join("a"));
            // Not made durable, so it is not there after a crash.
            write(root.join("a/lost"), 1, 5000);
        };
        compare(&format!("files {}", mkfs.join(" ")), mkfs, options, before, after);
    }
}

#[test]
fn names() {
    if !can_mount() {
        return;
    }
    let before = |root: &Path| {
        for dir in ["a", "b", "c"] {
            fs::create_dir(root.join(dir)).unwrap();
            for index in 0..30 {
                write(root.join(dir).join(format!("file-{index}")), index, 100);
            }
        }
    };
    compare("rename over", &[], "rw", before, |root| {
        write(root.join("a/status-new"), 9, 40_000);
        sync(root.join("a/status-new"));
        fs::rename(root.join("a/status-new"), root.join("a/file-3")).unwrap();
        sync(root.join("a/file-3"));
    });
    compare("rename and unlink, directory synced", &[], "rw", before, |root| {
        fs::rename(root.join("a/file-1"), root.join("a/renamed")).unwrap();
        fs::remove_file(root.join("a/file-2")).unwrap();
        write(root.join("a/new"), 3, 3000);
        sync(root.join("a"));
    });
    compare("hard links", &[], "rw", before, |root| {
        fs::hard_link(root.join("a/file-1"), root.join("a/linked")).unwrap();
        fs::hard_link(root.join("a/file-1"), root.join("b/linked")).unwrap();
        sync(root.join("a/file-1"));
        fs::remove_file(root.join("a/file-5")).unwrap();
        sync(root.join("a"));
    });
    // More names than an item has room for: most are extended ones. Adding to them makes the kernel commit.
    let many_links = |root: &Path| {
        before(root);
        for index in 0..700 {
            fs::hard_link(root.join("a/file-1"), root.join(format!("b/{index}-{}", "l".repeat(40)))).unwrap();
        }
    };
    compare("many hard links", &[], "rw", many_links, |root| {
        write(root.join("a/file-1"), 7, 6000);
        sync(root.join("a/file-1"));
        for index in [3, 600] {
            fs::remove_file(root.join(format!("b/{index}-{}", "l".repeat(40)))).unwrap();
        }
        sync(root.join("b"));
    });
    compare("new directories", &[], "rw", before, |root| {
        fs::create_dir_all(root.join("a/x/y/z")).unwrap();
        write(root.join("a/x/y/z/file"), 4, 9000);
        write(root.join("a/x/other"), 5, 9000);
        sync(root.join("a/x/y/z/file"));
        sync(root.join("a/x"));
    });
    compare("names reused", &[], "rw", before, |root| {
        fs::remove_file(root.join("b/file-1")).unwrap();
        write(root.join("b/file-1"), 8, 5000);
        sync(root.join("b/file-1"));
        fs::remove_file(root.join("b/file-2")).unwrap();
        fs::rename(root.join("b/file-3"), root.join("b/file-2")).unwrap();
        sync(root.join("b/file-2"));
    });
}

#[test]
fn several_subvolumes() {
    if !can_mount() {
        return;
    }
    let before = |root: &Path| {
        for name in ["one", "two"] {
            run(Command::new("btrfs").args(["subvolume", "create"]).arg(root.join(name)));
            write(root.join(name).join("file"), 1, 5000);
        }
    };
    compare_logs(3, "subvolumes", &[], "rw", before, |root| {
        for path in ["one/file", "two/file", "new"] {
            write(root.join(path), 2, 70_000);
            sync(root.join(path));
        }
    });
}

/// Two logs of the same size: where there is room for three quarters of both, one of them is replayed.
#[test]
fn the_logs_of_all_subvolumes_share_their_room() {
    if !can_mount() {
        return;
    }
    let before = |root: &Path| {
        for name in ["one", "two"] {
            run(Command::new("btrfs").args(["subvolume", "create"]).arg(root.join(name)));
            write(root.join(name).join("file"), 1, 5000);
        }
    };
    let after = |root: &Path| {
        for name in ["one", "two"] {
            write(root.join(name).join("file"), 2, 70_000);
            sync(root.join(name).join("file"));
        }
    };
    caught(LOGGED, || {
        let dirty = make_dirty(&[], "rw", before, after);
        if !has_logs(open(&dirty.image).journal(), 2) {
            return false;
        }
        let journal = |tree_log_bytes| {
            let limits = Limits { tree_log_bytes, ..Limits::default() };
            let volume = FileVolume::open(&dirty.image).unwrap();
            agentless_analyser::fs::open(Arc::new(volume), &limits).unwrap().journal()
        };
        let all = Journal::Replayed { transactions: 2 };
        let enough = (1..10_000).map(|units| units * 64).find(|&bytes| journal(bytes) == all).unwrap();
        assert_eq!(
            journal(enough * 3 / 4),
            Journal::Partial { transactions: 1, reason: "the tree log is too large" }
        );
        assert_eq!(journal(64), Journal::Ignored { reason: "the tree log is too large" });
        true
    });
}

/// A log that cannot be read does not cost the last commit.
#[test]
fn a_damaged_log() {
    if !can_mount() {
        return;
    }
    let before = |root: &Path| write(root.join("file"), 1, 5000);
    let after = |root: &Path| {
        write(root.join("file"), 2, 9000);
        sync(root.join("file"));
    };
    caught(LOGGED, || {
        let dirty = make_dirty(&["-m", "single"], "rw", before, after);
        if !has_logs(open(&dirty.image).journal(), 1) {
            return false;
        }
        // All nodes of the log say that they belong to tree −6, `BTRFS_TREE_LOG_OBJECTID`.
        let mut bytes = fs::read(&dirty.image).unwrap();
        for node in bytes.chunks_exact_mut(16 << 10).filter(|node| node[88..96] == (-6_i64).to_le_bytes()) {
            node[5000..5008].fill(0x55);
        }
        fs::write(&dirty.image, bytes).unwrap();
        let file_system = open(&dirty.image);
        assert_eq!(file_system.journal(), Journal::Ignored { reason: "the tree log is damaged" });
        assert_eq!(super::read(&*file_system, "file").unwrap(), fill::content(1, 5000));
        true
    });
}

/// Package managers' work, with what is made durable chosen at random.
#[test]
fn random_workloads() {
    if !can_mount() {
        return;
    }
    for seed in 1..=24 {
        let mkfs = [&[][..], &["-n", "4096"], &["-O", "^no-holes"]][usize::try_from(seed % 3).unwrap()];
        let prepare = |root: &Path| Workload::new(root, seed).steps(300, false);
        let work = |root: &Path| {
            let mut workload = Workload::new(root, seed + 1000);
            workload.steps(60, true);
            // Whatever made the kernel commit in between, this is in the log.
            write(root.join("last"), seed, 5000);
            sync(root.join("last"));
        };
        compare(&format!("seed {seed} {}", mkfs.join(" ")), mkfs, "rw", prepare, work);
    }
}

struct Workload {
    root: PathBuf,
    state: u64,
}

impl Workload {
    fn new(root: &Path, seed: u64) -> Self {
        Self { root: root.to_owned(), state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) % below
    }

    fn dir(&mut self) -> PathBuf {
        let number = self.random(4);
        self.root.join(format!("dir-{number}"))
    }

    fn file(&mut self) -> PathBuf {
        let number = self.random(25);
        let dir = if self.random(3) == 0 { self.subdir() } else { self.dir() };
        dir.join(format!("file-{number}"))
    }

    fn subdir(&mut self) -> PathBuf {
        let number = self.random(5);
        self.dir().join(format!("sub-{number}"))
    }

    fn steps(&mut self, count: u32, durable: bool) {
        for index in 0..4 {
            let _ = fs::create_dir(self.root.join(format!("dir-{index}")));
        }
        for _ in 0..count {
            // What does not work, such as removing what is not there, is left out.
            let path = self.file();
            let seed = self.random(1000);
            match self.random(if durable { 16 } else { 13 }) {
                0 | 1 => drop(fs::write(&path, fill::content(seed, usize::try_from(seed * 37).unwrap()))),
                2 => drop(fs::remove_file(&path)),
                3 => drop(fs::rename(self.file(), &path)),
                4 => drop(fs::hard_link(self.file(), &path)),
                5 => drop(File::options().write(true).open(&path).map(|file| file.set_len(seed * 50))),
                6 => drop(File::options().write(true).open(&path).map(|file| {
                    file.write_all_at(&fill::content(seed, 3000), seed * 100).unwrap();
                })),
                7 => drop(fs::create_dir(self.subdir())),
                8 => drop(fs::remove_dir(self.subdir())),
                9 => drop(fs::rename(self.subdir(), self.subdir())),
                10 => drop(symlink(format!("target-{seed}"), &path)),
                11 => drop(rustix::fs::lsetxattr(
                    &path,
                    format!("user.{}", seed % 3),
                    &fill::content(seed, usize::try_from(seed).unwrap()),
                    rustix::fs::XattrFlags::empty(),
                )),
                12 => drop(rustix::fs::lremovexattr(&path, format!("user.{}", seed % 3))),
                13 => drop(File::open(&path).map(|file| file.sync_all().unwrap())),
                14 => sync(self.dir()),
                _ => drop(File::open(self.subdir()).map(|dir| dir.sync_all().unwrap())),
            }
        }
    }
}
