//! Filesystems on several devices, and copies that are damaged or missing.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use agentless_analyser::fs::btrfs::BtrfsDriver;
use agentless_analyser::fs::{Driver, FileSystem, FsError, Recognised, probe};
use agentless_analyser::limits::Limits;
use agentless_analyser::volume::Volume;
use agentless_core::volume::FileVolume;

use agentless_disk_tests::image::{Mount, Workspace, can_mount, open, run, unmount};
use agentless_disk_tests::loop_device::Loop;
use agentless_disk_tests::{fill, manifest};

use super::{find, read};

/// Loop devices that the kernel knows as those of a filesystem, until the value ends.
struct Scanned(Vec<Loop>);

impl Scanned {
    fn attach(images: &[PathBuf]) -> Self {
        let loops = Self(images.iter().map(|image| Loop::writable(image)).collect());
        // The kernel learns of a filesystem's devices before it mounts one of them.
        for device in &loops.0 {
            run(Command::new("btrfs").args(["device", "scan"]).arg(device.path()));
        }
        loops
    }
}

impl Drop for Scanned {
    fn drop(&mut self) {
        for device in &self.0 {
            let _ = Command::new("btrfs").args(["device", "scan", "--forget"]).arg(device.path()).output();
        }
    }
}

/// A mount of a device, which ends with the value.
struct DeviceMount<'a>(&'a Path);

impl<'a> DeviceMount<'a> {
    fn new(device: &Path, point: &'a Path, options: &str) -> Self {
        fs::create_dir_all(point).unwrap();
        run(Command::new("mount").args(["-t", "btrfs", "-o", options]).arg(device).arg(point));
        Self(point)
    }
}

impl Drop for DeviceMount<'_> {
    fn drop(&mut self) {
        if unmount(self.0, &[]).is_err() {
            let _ = unmount(self.0, &["--lazy"]);
        }
    }
}

struct Pool {
    workspace: Workspace,
    images: Vec<PathBuf>,
}

impl Pool {
    fn new(devices: usize, mkfs: &[&str], work: impl FnOnce(&Path)) -> Self {
        let workspace = Workspace::new();
        let images: Vec<PathBuf> =
            (0..devices).map(|index| workspace.path(&format!("device-{index}"))).collect();
        for image in &images {
            File::create(image).unwrap().set_len(300 << 20).unwrap();
        }
        run(Command::new("mkfs.btrfs").args(["-q", "-f"]).args(mkfs).args(&images));
        let pool = Self { workspace, images };
        pool.mounted(&pool.images, "rw", work);
        pool
    }

    fn mounted<T>(&self, images: &[PathBuf], options: &str, work: impl FnOnce(&Path) -> T) -> T {
        let loops = Scanned::attach(images);
        let point = self.workspace.path("mount");
        let mount = DeviceMount::new(loops.0[0].path(), &point, options);
        work(mount.0)
    }

    fn open(images: &[PathBuf]) -> Result<Box<dyn FileSystem>, FsError> {
        let volume = |image: &PathBuf| -> Arc<dyn Volume> { Arc::new(FileVolume::open(image).unwrap()) };
        let volumes: Vec<_> = images.iter().map(volume).collect();
        BtrfsDriver.open(&volumes, &Limits::default())
    }
}

#[test]
fn profiles() {
    if !can_mount() {
        return;
    }
    for (devices, data, metadata) in [
        (2, "single", "raid1"),
        (2, "raid0", "raid0"),
        (3, "raid1", "raid1"),
        (4, "raid10", "raid10"),
        (3, "raid1c3", "raid1c3"),
        (4, "raid1c4", "raid1c4"),
        (3, "raid5", "raid1"),
        (4, "raid6", "raid5"),
    ] {
        let pool = Pool::new(devices, &["-d", data, "-m", metadata], |root| {
            fill::fill(root, 500);
            fs::write(root.join("large"), fill::content(4, 20 << 20)).unwrap();
        });
        let kernel = pool.mounted(&pool.images, "ro", manifest::of_kernel);
        let mut images = pool.images.clone();
        images.reverse();
        let ours = manifest::of_ours(Pool::open(&images).unwrap());
        manifest::assert_equal(&kernel, &ours, data);
        println!("{data} on {devices} devices: {} entries equal", ours.len());

        let members: BTreeMap<u64, u64> = pool
            .images
            .iter()
            .map(|image| {
                let mut head = vec![0; 256 << 10];
                FileVolume::open(image).unwrap().read_at(0, &mut head).unwrap();
                let membership = BtrfsDriver.membership(&head).unwrap();
                (membership.member, membership.members)
            })
            .collect();
        let count = u64::try_from(devices).unwrap();
        assert_eq!(members, (1..=count).map(|devid| (devid, count)).collect());
    }
}

#[test]
fn missing_devices() {
    if !can_mount() {
        return;
    }
    for (devices, data, present) in [(2, "raid1", 1), (4, "raid10", 3), (3, "raid1c3", 1)] {
        let pool = Pool::new(devices, &["-d", data, "-m", data], |root| fill::fill(root, 100));
        let present = &pool.images[..present];
        let kernel = pool.mounted(present, "ro,degraded", manifest::of_kernel);
        let ours = manifest::of_ours(Pool::open(present).unwrap());
        manifest::assert_equal(&kernel, &ours, data);
        println!("{data} with {} of {devices} devices: {} entries equal", present.len(), ours.len());
    }
    // What is on the missing device only is said to be there.
    let pool = Pool::new(2, &["-d", "raid0", "-m", "raid1"], |root| {
        fs::write(root.join("large"), fill::content(4, 1 << 20)).unwrap();
        fs::write(root.join("small"), "inline").unwrap();
    });
    for (present, missing) in [(0, 2), (1, 1)] {
        let file_system = Pool::open(&pool.images[present..=present]).unwrap();
        assert_eq!(read(&*file_system, "small").unwrap(), b"inline");
        let error = read(&*file_system, "large").unwrap_err().to_string();
        assert!(error.ends_with(&format!("it is on device {missing}, which is missing")), "{error}");
    }
}

/// Overwrites a part of a device, but for its superblocks.
fn damage(image: &Path, from: u64) {
    let file = File::options().write(true).open(image).unwrap();
    let end = file.metadata().unwrap().len();
    let noise = fill::content(1, 1 << 20);
    let mut offset = from.max(1 << 20);
    while offset < end {
        if offset != 64 << 20 {
            file.write_all_at(&noise, offset).unwrap();
        }
        offset += 1 << 20;
    }
}

#[test]
fn damaged_copies() {
    if !can_mount() {
        return;
    }
    for data in ["raid1", "raid10"] {
        let pool =
            Pool::new(4, &["-d", data, "-m", "raid1c3", "--csum", "xxhash"], |root| fill::fill(root, 100));
        let kernel = pool.mounted(&pool.images, "ro", manifest::of_kernel);
        damage(&pool.images[1], 0);
        let ours = manifest::of_ours(Pool::open(&pool.images).unwrap());
        manifest::assert_equal(&kernel, &ours, data);
    }
    // One device with two copies of its metadata and one of its data: metadata is read, data is not.
    let workspace = Workspace::new();
    let image = workspace.format("image", 300 << 20, &["mkfs.btrfs", "-m", "dup", "-d", "single"]);
    {
        let mount = Mount::writable(&image);
        fs::write(mount.path().join("large"), fill::content(4, 1 << 20)).unwrap();
        fs::write(mount.path().join("small"), "inline").unwrap();
    }
    let bytes = fs::read(&image).unwrap();
    let content = fill::content(4, 1 << 20);
    let at = bytes.windows(64).position(|window| window == &content[..64]).unwrap();
    let file = File::options().write(true).open(&image).unwrap();
    file.write_all_at(b"!", u64::try_from(at + 500_000).unwrap()).unwrap();
    let file_system = open(&image);
    let mut part = vec![0; 400_000];
    let count = file_system.read(find(&*file_system, "large"), 0, &mut part).unwrap();
    assert!(count == part.len() && part == content[..count]);
    let error = read(&*file_system, "large").unwrap_err().to_string();
    assert!(error.ends_with("its checksum is wrong"), "{error}");
    assert_eq!(read(&*file_system, "small").unwrap(), b"inline");
}

#[test]
fn damaged_superblocks() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let image = workspace.format("image", 300 << 20, &["mkfs.btrfs"]);
    fill::fill(Mount::writable(&image).path(), 50);
    let kernel = manifest::of_kernel(Mount::read_only(&image).path());
    let file = File::options().write(true).open(&image).unwrap();
    let compare = |what| {
        let Recognised::Driver(driver) = probe(&FileVolume::open(&image).unwrap()).unwrap() else {
            panic!("not recognised: {what}")
        };
        assert_eq!(driver.name(), "btrfs");
        manifest::assert_equal(&kernel, &manifest::of_ours(open(&image)), what);
    };
    file.write_all_at(b"!", (64 << 10) + 300).unwrap();
    compare("a wrong checksum");
    file.write_all_at(&vec![0; 512 << 10], 0).unwrap();
    compare("no primary superblock");
    file.write_all_at(b"!", (64 << 20) + 300).unwrap();
    let volume: Arc<dyn Volume> = Arc::new(FileVolume::open(&image).unwrap());
    let error = BtrfsDriver.open(&[volume], &Limits::default()).unwrap_err().to_string();
    assert_eq!(error, "the Btrfs superblock is damaged: it has no magic number");
}

#[test]
fn images_that_were_cut_short_are_refused() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let image = workspace.format("image", 300 << 20, &["mkfs.btrfs"]);
    File::options().write(true).open(&image).unwrap().set_len(250 << 20).unwrap();
    let error = Pool::open(&[image]).unwrap_err().to_string();
    assert!(error.ends_with("but its volume only 262144000: the image was cut short"), "{error}");
}
