//! What a walk over many files costs: how long it waits for blocks, and how much memory it takes.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agentless_analyser::fs::walk::{Found, Next, Visitor, walk};
use agentless_analyser::fs::{FsError, FsPath, Tree, open};
use agentless_analyser::limits::Limits;
use agentless_analyser::volume::Volume;
use agentless_core::volume::FileVolume;

use rustix::fs::FallocateFlags;

use agentless_disk_tests::image::{Mount, Workspace, can_mount, run};
use agentless_disk_tests::latency::LatencyVolume;

/// Counts what a walk finds.
#[derive(Default)]
struct Counter {
    entries: usize,
}

impl Visitor for Counter {
    fn found(&mut self, _found: &Found<'_>) -> Next {
        self.entries += 1;
        Next::Enter
    }

    fn unread(&mut self, path: FsPath, error: FsError) {
        panic!("{path}: {error}");
    }
}

fn count(volume: Arc<dyn Volume>) -> usize {
    let limits = Limits::default();
    let tree = Tree::new(Rc::from(open(volume, &limits).unwrap()), limits);
    let mut counter = Counter::default();
    walk(&tree, &mut counter).unwrap();
    counter.entries
}

/// Makes `directories` of `files` each, six in each one, and says how many entries these are.
fn fill(root: &Path, directories: usize, files: usize, mut make: impl FnMut(&Path)) -> usize {
    let mut paths: Vec<PathBuf> = vec![root.to_owned()];
    for index in 0..directories {
        let path = paths[index / 6].join(format!("directory-{index}"));
        fs::create_dir(&path).unwrap();
        for file in 0..files {
            make(&path.join(format!("file-{file}")));
        }
        paths.push(path);
    }
    directories * (files + 1)
}

#[test]
fn a_walk_over_200_000_entries_waits_less_than_four_seconds() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let image = workspace.format("image", 30 << 30, &["mkfs.ext4"]);
    let entries = {
        let mount = Mount::writable(&image);
        let root = mount.path();
        // As on a real system, what files have in them stands between the directories.
        let mut made = 0_usize;
        let mut entries = fill(root, 18_000, 9, |path| {
            made += 1;
            let file = File::create(path).unwrap();
            if made.is_multiple_of(20) {
                rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, 1 << 20).unwrap();
            }
        });
        let large = root.join("large");
        fs::create_dir(&large).unwrap();
        for index in 0..20_000 {
            File::create(large.join(format!("{index}-a-name-of-some-length-so-that-blocks-fill-up")))
                .unwrap();
        }
        let deep = root.join("deep/".repeat(20));
        fs::create_dir_all(&deep).unwrap();
        entries += 20_000 + 1 + 20;
        entries
    };
    assert!(entries >= 200_000);

    let volume = Arc::new(LatencyVolume::new(&image, Duration::from_millis(100), 64));
    let started = Instant::now();
    // mkfs has made lost+found.
    assert_eq!(count(volume.clone()), entries + 1);
    println!(
        "{entries} entries: {} blocks in {:.1?}, {} of them not asked for in time; {:.1?} of work",
        volume.fetched(),
        volume.elapsed(),
        volume.surprises(),
        started.elapsed(),
    );
    assert!(volume.elapsed() < Duration::from_secs(4), "{:?}", volume.elapsed());
}

#[test]
fn blocks_of_scattered_directories_are_asked_for_before_they_are_read() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    // Block maps, and extent trees that do not fit into their inodes.
    for (name, mkfs) in [("ext2", &["mkfs.ext2", "-b", "1024"]), ("ext4", &["mkfs.ext4", "-b", "1024"])] {
        let image = workspace.format(name, 2 << 30, mkfs);
        let mut entries = 1;
        {
            let mount = Mount::writable(&image);
            let between = File::create(mount.path().join("between")).unwrap();
            let block = vec![1; 20 << 10];
            for round in 0..16_u64 {
                for index in 0..400_u64 {
                    let dir = mount.path().join(format!("{index}"));
                    if round == 0 {
                        fs::create_dir(&dir).unwrap();
                        entries += 1;
                    }
                    for file in 0..5 {
                        File::create(dir.join(format!("{round}-{file}-{}", "n".repeat(200)))).unwrap();
                        entries += 1;
                    }
                    // What stands between the parts of each directory.
                    between.write_all_at(&block, (round * 400 + index) * (20 << 10)).unwrap();
                }
                between.sync_data().unwrap();
            }
        }
        let volume = Arc::new(LatencyVolume::new(&image, Duration::from_millis(100), 64));
        assert_eq!(count(volume.clone()), entries + 1);
        let (blocks, elapsed, surprises) = (volume.fetched(), volume.elapsed(), volume.surprises());
        println!(
            "{name}: {entries} entries, {blocks} blocks in {elapsed:.1?}, {surprises} not asked for in time"
        );
        // The superblock; before the directories are reached, the descriptors and inodes of the way to them.
        assert!(surprises <= 4, "{surprises}");
        assert!(elapsed < Duration::from_secs(2), "{elapsed:?}");
    }
}

/// Where [`the_walk_whose_memory_is_measured`] finds its image.
const IMAGE: &str = "AGENTLESS_TESTS_WALK_IMAGE";

#[test]
fn a_walk_over_a_million_entries_takes_less_than_128_mib() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let image = workspace.format("image", 8 << 30, &["mkfs.ext4", "-N", "200000"]);
    let entries = {
        let mount = Mount::writable(&image);
        let root = mount.path();
        // Names are what is counted, so most are links to a few files.
        let mut links = Links::new(root);
        let spread = fill(root, 100_000, 4, |path| links.make(path));
        let large = root.join("large");
        fs::create_dir(&large).unwrap();
        for index in 0..500_000 {
            links.make(&large.join(format!("a-file-{index}")));
        }
        spread + 500_000 + 1 + links.files
    };
    assert!(entries >= 1_000_000);

    // In a process of its own, so that nothing else is in its peak.
    let started = Instant::now();
    let output = run(Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "walk::the_walk_whose_memory_is_measured", "--ignored", "--nocapture"])
        .env(IMAGE, &image));
    let figure = |name: &str| -> usize {
        let line = output.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    let peak = figure("VmHWM:") / 1024;
    println!("{entries} entries: {peak} MiB, {:.1?}", started.elapsed());
    assert_eq!(figure("entries:"), entries + 1);
    assert!(peak < 128, "{peak} MiB");
}

#[test]
#[ignore = "is run by the test above, in a process of its own"]
fn the_walk_whose_memory_is_measured() {
    let Some(image) = std::env::var_os(IMAGE) else { return };
    let entries = count(Arc::new(FileVolume::open(Path::new(&image)).unwrap()));
    println!("\nentries: {entries}\n{}", fs::read_to_string("/proc/self/status").unwrap());
}

/// Makes hard links to files at the root, as many for each as a file may have.
struct Links {
    root: PathBuf,
    files: usize,
    left: usize,
}

impl Links {
    fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), files: 0, left: 0 }
    }

    fn make(&mut self, path: &Path) {
        if self.left == 0 {
            self.files += 1;
            self.left = 64_000;
            File::create(self.target()).unwrap();
        }
        self.left -= 1;
        fs::hard_link(self.target(), path).unwrap();
    }

    fn target(&self) -> PathBuf {
        self.root.join(format!("target-{}", self.files))
    }
}
