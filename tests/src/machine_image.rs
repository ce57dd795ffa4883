//! A disk image of this machine: GPT, and an ext4 root with this machine's package database and system directories.
//!
//! Real input for the demo and the end-to-end tests. What `dpkg-query` says on this machine is the truth that the
//! scanner's list is compared with. Nothing outside the given folder is changed, and no file is read that every user of
//! this machine could not read.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::tools::{self, ToolError};

/// How large an image is made, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// The whole disk.
    pub disk: u64,
    /// The files in it, at least. What a scan needs is there whatever this says.
    pub content: u64,
}

impl Size {
    /// A disk of 2 GiB that holds more than 1 GB: what a small server has.
    pub const REAL: Self = Self { disk: 2 << 30, content: 1_150 << 20 };

    /// Just what a scan needs, for tests that are about something else.
    pub const SMALL: Self = Self { disk: 256 << 20, content: 0 };
}

/// An image that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineImage {
    /// Where it is.
    pub path: PathBuf,
    /// Bytes of this machine's own files in it.
    pub system_bytes: u64,
    /// Bytes of generated files, which fill it up where this machine's system directories are smaller than
    /// [`Size::content`].
    pub filler_bytes: u64,
}

/// Why no image could be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A program is missing or failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// A file could not be read or written.
    #[error("could not {what} {}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// This machine has no dpkg database.
    #[error("{} does not exist: the demo scans this machine's own package database and needs Debian or Ubuntu", path.display())]
    NoPackageDatabase {
        /// Where it should be.
        path: PathBuf,
    },
    /// The caller said stop.
    #[error("stopped")]
    Stopped,
    /// The partition table could not be written.
    #[error("could not write the partition table of {}: {message}", path.display())]
    PartitionTable {
        /// The image.
        path: PathBuf,
        /// What the GPT writer said.
        message: String,
    },
}

/// Makes `folder/disk.img`. The folder must exist; what is needed in between is put beside the image and removed. Ends
/// with [`ImageError::Stopped`] soon after `stop` says so.
pub fn build(folder: &Path, wanted: Size, stop: &dyn Fn() -> bool) -> Result<MachineImage, ImageError> {
    let mkfs = mkfs()?;
    let root = folder.join("root");
    remove_tree(&root)?;
    let mut staging = Staging { root: root.clone(), bytes: 0, limit: wanted.content, stop };
    staging.copy_system()?;
    let system_bytes = staging.bytes;
    staging.fill()?;
    let filler_bytes = staging.bytes - system_bytes;

    let path = folder.join("disk.img");
    let (offset, size) = write_partition_table(&path, wanted.disk)?;
    let offset = format!("offset={offset}");
    let blocks = format!("{}k", size / 1024);
    let arguments: [&std::ffi::OsStr; 9] = [
        "-q".as_ref(),
        "-F".as_ref(),
        "-L".as_ref(),
        "root".as_ref(),
        "-E".as_ref(),
        offset.as_ref(),
        "-d".as_ref(),
        root.as_ref(),
        path.as_ref(),
    ];
    tools::run(&mkfs, arguments.into_iter().chain([blocks.as_ref()]))?;
    remove_tree(&root)?;
    Ok(MachineImage { path, system_bytes, filler_bytes })
}

/// Looks for the programs that [`build`] runs.
pub fn look_for_tools() -> Result<(), ToolError> {
    mkfs().map(drop)
}

fn mkfs() -> Result<PathBuf, ToolError> {
    tools::find("mkfs.ext4", "install the Debian package `e2fsprogs`")
}

/// The tree that becomes the root filesystem.
struct Staging<'a> {
    root: PathBuf,
    bytes: u64,
    limit: u64,
    stop: &'a dyn Fn() -> bool,
}

/// What a scan needs, first and whole.
const NEEDED: [&str; 4] = ["/etc/os-release", "/usr/lib/os-release", "/etc/debian_version", "/var/lib/dpkg"];

/// What makes the image as large and as full as a real one, until the limit is reached.
const BULK: [&str; 4] = ["/usr/bin", "/usr/lib", "/usr/local", "/usr/share"];

impl Staging<'_> {
    fn copy_system(&mut self) -> Result<(), ImageError> {
        let database = Path::new("/var/lib/dpkg/status");
        if !database.is_file() {
            return Err(ImageError::NoPackageDatabase { path: database.to_owned() });
        }
        for path in NEEDED {
            self.copy(Path::new(path), u64::MAX)?;
        }
        for path in BULK {
            self.copy(Path::new(path), self.limit)?;
        }
        Ok(())
    }

    /// Copies a file, a symbolic link or a tree, in the order of the names, until `limit` bytes are held. What is not
    /// there, not readable by every user, or neither file, link nor directory is left out.
    fn copy(&mut self, path: &Path, limit: u64) -> Result<(), ImageError> {
        let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
        if (self.stop)() {
            return Err(ImageError::Stopped);
        }
        if self.bytes >= limit {
            return Ok(());
        }
        let target = self.root.join(path.strip_prefix("/").unwrap_or(path));
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(|source| file("create", parent, source))?;
        }
        if metadata.is_dir() {
            return self.copy_children(path, &target, limit);
        }
        if target.symlink_metadata().is_ok() {
            return Ok(());
        }
        if metadata.is_symlink() {
            let link = fs::read_link(path).map_err(|source| file("read", path, source))?;
            return std::os::unix::fs::symlink(link, &target)
                .map_err(|source| file("create", &target, source));
        }
        let for_everyone = metadata.permissions().mode() & 0o004 != 0;
        if metadata.is_file() && for_everyone {
            self.bytes += fs::copy(path, &target).map_err(|source| file("copy", path, source))?;
        }
        Ok(())
    }

    fn copy_children(&mut self, path: &Path, target: &Path, limit: u64) -> Result<(), ImageError> {
        fs::create_dir_all(target).map_err(|source| file("create", target, source))?;
        let Ok(entries) = fs::read_dir(path) else { return Ok(()) };
        let mut children: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        children.sort();
        children.iter().try_for_each(|child| self.copy(child, limit))
    }

    /// Adds generated files until the limit is reached, so that a small container image makes a full disk as well.
    fn fill(&mut self) -> Result<(), ImageError> {
        const FILE_SIZE: u64 = 8 << 20;
        let folder = self.root.join("var/lib/filler");
        fs::create_dir_all(&folder).map_err(|source| file("create", &folder, source))?;
        let mut generator = SplitMix64(1);
        while self.bytes < self.limit {
            let path = folder.join(format!("{}.bin", self.bytes));
            let mut content = Vec::new();
            for _ in 0..FILE_SIZE / 8 {
                content.extend_from_slice(&generator.next().to_le_bytes());
            }
            File::create(&path)
                .and_then(|mut created| created.write_all(&content))
                .map_err(|source| file("write", &path, source))?;
            self.bytes += FILE_SIZE;
        }
        Ok(())
    }
}

/// The generator of Steele, Lea and Flood: bytes that neither compress nor leave holes in the image.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// Writes the partition table of a Debian cloud image (BIOS boot, root) into a new sparse file, with the crate `gpt`: a
/// writer that shares no code with the reader under test. Returns offset and size of the root partition, in bytes.
fn write_partition_table(path: &Path, disk_size: u64) -> Result<(u64, u64), ImageError> {
    let failed = |error: &dyn std::fmt::Display| ImageError::PartitionTable {
        path: path.to_owned(),
        message: error.to_string(),
    };
    if path.exists() {
        fs::remove_file(path).map_err(|source| file("remove", path, source))?;
    }
    let image = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(|source| file("create", path, source))?;
    image.set_len(disk_size).map_err(|source| file("resize", path, source))?;
    let sectors = u32::try_from(disk_size / 512 - 1).unwrap_or(u32::MAX);
    let mut image = image;
    gpt::mbr::ProtectiveMBR::with_lb_size(sectors).overwrite_lba0(&mut image).map_err(|e| failed(&e))?;
    let mut disk =
        gpt::GptConfig::new().writable(true).create_from_device(image, None).map_err(|e| failed(&e))?;
    disk.add_partition("", 3 << 20, gpt::partition_types::BIOS, 0, None).map_err(|e| failed(&e))?;
    let free = disk.find_free_sectors().iter().map(|(_, length)| *length).max().unwrap_or(0);
    // Room for alignment to a mebibyte.
    let size = (free * 512).saturating_sub(2 << 20) >> 20 << 20;
    let root = disk
        .add_partition("root", size, gpt::partition_types::LINUX_FS, 0, Some(2048))
        .map_err(|e| failed(&e))?;
    let place = disk.partitions().get(&root).map(|partition| (partition.first_lba * 512, size));
    disk.write().map_err(|e| failed(&e))?;
    place.ok_or_else(|| failed(&"the root partition is missing"))
}

fn remove_tree(path: &Path) -> Result<(), ImageError> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(file("remove", path, source)),
        _ => Ok(()),
    }
}

fn file(what: &'static str, path: &Path, source: io::Error) -> ImageError {
    ImageError::File { what, path: path.to_owned(), source }
}
