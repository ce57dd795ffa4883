//! Random work on a filesystem: the same for the same seed.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::{FileExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{FallocateFlags, XattrFlags};

use agentless_disk_tests::fill;

/// Whoever works.
pub(super) struct Churn {
    state: u64,
    dirs: Vec<PathBuf>,
    files: Vec<PathBuf>,
    /// How many names were given.
    named: u64,
}

impl Churn {
    pub(super) fn new(seed: u64) -> Self {
        let state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d;
        Self { state, dirs: Vec::new(), files: Vec::new(), named: 0 }
    }

    /// Xorshift64*.
    fn random(&mut self, below: u64) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % below
    }

    fn index(&mut self, below: usize) -> usize {
        usize::try_from(self.random(u64::try_from(below).unwrap())).unwrap()
    }

    fn dir(&mut self) -> PathBuf {
        let index = self.index(self.dirs.len());
        self.dirs[index].clone()
    }

    fn file(&mut self) -> Option<PathBuf> {
        (!self.files.is_empty()).then(|| {
            let index = self.index(self.files.len());
            self.files[index].clone()
        })
    }

    fn name(&mut self) -> PathBuf {
        self.named += 1;
        let padding = "n".repeat(self.index(60));
        self.dir().join(format!("{}-{padding}", self.named))
    }

    /// Does so many things below `root`, which is the same each time.
    pub(super) fn run(&mut self, root: &Path, count: u64) {
        if self.dirs.is_empty() {
            self.dirs.push(root.to_owned());
        }
        for _ in 0..count {
            self.step();
        }
    }

    fn step(&mut self) {
        match self.random(100) {
            0..20 => self.create(),
            20..32 => self.write(),
            32..38 => self.remove(),
            38..44 => self.rename(),
            44..48 => self.make_dir(),
            48..50 => self.remove_dir(),
            50..56 => self.link(),
            56..64 => self.attributes(),
            64..70 => self.metadata(),
            70..75 => self.resize(),
            75..83 => self.clone(),
            83..88 => self.holes(),
            88..91 => self.crowd(),
            91..93 => self.fragment(),
            _ => self.make_durable(),
        }
    }

    fn create(&mut self) {
        let path = self.name();
        let length = if self.random(4) == 0 { self.index(200_000) } else { self.index(5000) };
        fs::write(&path, fill::content(self.named, length)).unwrap();
        self.files.push(path);
    }

    fn open(&mut self) -> Option<File> {
        let path = self.file()?;
        Some(File::options().read(true).write(true).open(path).unwrap())
    }

    fn write(&mut self) {
        if let Some(file) = self.open() {
            let (offset, length) = (self.random(300_000), self.index(50_000));
            file.write_all_at(&fill::content(self.state, length), offset).unwrap();
        }
    }

    fn remove(&mut self) {
        if !self.files.is_empty() {
            let index = self.index(self.files.len());
            fs::remove_file(self.files.swap_remove(index)).unwrap();
        }
    }

    fn rename(&mut self) {
        if self.files.len() < 2 {
            return;
        }
        let index = self.index(self.files.len());
        let from = self.files.swap_remove(index);
        let to = if self.random(2) == 0 { self.name() } else { self.file().unwrap() };
        fs::rename(&from, &to).unwrap();
        // Two names of one file: nothing was renamed.
        if from.symlink_metadata().is_ok() {
            self.files.push(from);
        }
        if !self.files.contains(&to) {
            self.files.push(to);
        }
    }

    fn make_dir(&mut self) {
        let path = self.name();
        fs::create_dir(&path).unwrap();
        self.dirs.push(path);
    }

    fn remove_dir(&mut self) {
        if self.dirs.len() > 3 {
            let index = 1 + self.index(self.dirs.len() - 1);
            let dir = self.dirs[index].clone();
            fs::remove_dir_all(&dir).unwrap();
            self.dirs.retain(|path| !path.starts_with(&dir));
            self.files.retain(|path| !path.starts_with(&dir));
        }
    }

    fn link(&mut self) {
        let path = self.name();
        if self.random(2) == 0 {
            // In the inode, or in a block of its own.
            symlink("t".repeat(1 + self.index(1000)), path).unwrap();
        } else if let Some(file) = self.file() {
            fs::hard_link(file, &path).unwrap();
            self.files.push(path);
        }
    }

    fn attributes(&mut self) {
        let Some(path) = self.file() else { return };
        let name = format!("user.{}", self.random(12));
        match self.random(8) {
            0 => drop(rustix::fs::removexattr(&path, name)),
            // In the inode, in a leaf, in blocks of its own.
            kind => {
                let most = [20, 20, 20, 200, 200, 1500, 20_000, 60_000][usize::try_from(kind).unwrap()];
                let length = self.index(most);
                let value = fill::content(self.state, length);
                rustix::fs::setxattr(&path, name, &value, XattrFlags::empty()).unwrap();
            }
        }
    }

    fn metadata(&mut self) {
        let Some(path) = self.file() else { return };
        match self.random(3) {
            0 => {
                let mode = u32::try_from(self.random(0o10000)).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            }
            1 => {
                let id = u32::try_from(self.random(1 << 30)).unwrap();
                chown(&path, Some(id), Some(id / 3)).unwrap();
            }
            _ => {
                let time = UNIX_EPOCH + Duration::from_secs(self.random(1 << 31));
                File::open(&path).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
            }
        }
    }

    fn resize(&mut self) {
        if let Some(file) = self.open() {
            file.set_len(self.random(400_000)).unwrap();
        }
    }

    /// A file that shares its blocks with another, and writes to some of them.
    fn clone(&mut self) {
        let Some(from) = self.open() else { return };
        let path = self.name();
        let to = File::create_new(&path).unwrap();
        self.files.push(path);
        // Without the feature it stays empty.
        if rustix::fs::ioctl_ficlone(&to, &from).is_ok() {
            for _ in 0..self.random(6) {
                let (offset, length) = (self.random(200_000), self.index(20_000));
                to.write_all_at(&fill::content(self.state, length), offset).unwrap();
                if self.random(3) == 0 {
                    to.sync_data().unwrap();
                }
            }
        }
    }

    fn holes(&mut self) {
        let Some(file) = self.open() else { return };
        let flags = match self.random(5) {
            0 | 1 => FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
            2 => FallocateFlags::ZERO_RANGE,
            3 => FallocateFlags::KEEP_SIZE,
            _ => FallocateFlags::empty(),
        };
        let (offset, length) = (self.random(200_000), 1 + self.random(100_000));
        rustix::fs::fallocate(&file, flags, offset, length).unwrap();
    }

    /// Many entries in one directory, and perhaps none again: it changes its form.
    fn crowd(&mut self) {
        let dir = self.dir();
        let count = self.random(400);
        let paths: Vec<PathBuf> =
            (0..count).map(|index| dir.join(format!("crowd-{}-{index}", self.named))).collect();
        self.named += 1;
        for path in &paths {
            File::create_new(path).unwrap();
        }
        if self.random(2) == 0 {
            for path in paths {
                fs::remove_file(path).unwrap();
            }
        }
    }

    /// A file with so many extents that they need a tree.
    fn fragment(&mut self) {
        let path = self.name();
        let file = File::create_new(&path).unwrap();
        self.files.push(path);
        for index in 0..self.random(300) {
            file.write_all_at(&fill::content(index, 4096), index * 8192 * 4).unwrap();
        }
        file.sync_data().unwrap();
    }

    fn make_durable(&mut self) {
        if let Some(file) = self.open() {
            if self.random(30) == 0 {
                rustix::fs::syncfs(&file).unwrap();
            } else {
                file.sync_all().unwrap();
            }
        }
    }
}
