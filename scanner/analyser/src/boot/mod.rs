//! Which kernel a system starts when nobody interferes.
//!
//! The boot loaders are asked in the order in which they take precedence where files of several are on one disk: GRUB 2,
//! systemd-boot, Syslinux, GRUB Legacy. Without one of them the links that Debian keeps are followed, and then the newest
//! kernel is taken. What a firmware or a hypervisor is told to start is not on the disk.

mod bls;
mod grub;
mod grub_legacy;
mod script;
mod syslinux;
mod systemd_boot;
mod version;

use crate::fs::{FileType, FsError, FsPath, Tree};

pub use script::fuzz_boot;

/// Where kernels are.
const BOOT: &str = "/boot";

/// What the names of kernels begin with, before their release.
const PREFIXES: &[&str] = &["vmlinuz-", "vmlinux-", "bzImage-", "Image-", "image-", "kernel-"];

/// How a boot loader is asked.
type Loader = fn(&Tree) -> Result<Configured, Doubt>;

/// Why it cannot be told which kernel is started: something that decides it is damaged, or cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Doubt {
    /// The file or directory.
    pub(crate) path: FsPath,
    pub(crate) reason: String,
}

impl Doubt {
    fn new(path: &FsPath, reason: impl Into<String>) -> Self {
        Self { path: path.clone(), reason: reason.into() }
    }

    /// What could not be read at this path.
    fn at(path: &FsPath) -> impl FnOnce(FsError) -> Self {
        |error| Self::new(path, crate::chain(&error))
    }
}

/// Those that are known.
const LOADERS: [Loader; 4] =
    [grub::configured, systemd_boot::configured, syslinux::configured, grub_legacy::configured];

/// The release of the kernel that is started, such as `6.1.0-18-amd64`, or what stands for it in the kernel's name, such as
/// `lts`. `None` if that is decided elsewhere than on the disk, or no kernel is there.
///
/// # Errors
///
/// What is damaged. Another boot loader's files say nothing then: the first one is the one that starts.
pub(crate) fn default_kernel(tree: &Tree) -> Result<Option<String>, Doubt> {
    for loader in LOADERS {
        match loader(tree)? {
            Configured::Not => {}
            Configured::Unknown => return Ok(None),
            Configured::Kernel(path) => return release(tree, &path),
        }
    }
    for link in ["/vmlinuz", "/boot/vmlinuz"] {
        if let Some(release) = release(tree, link)? {
            return Ok(Some(release));
        }
    }
    let newest = installed(tree)?.into_iter().filter(|release| !release.contains("rescue"));
    Ok(newest.max_by(|a, b| version::compare(a.as_bytes(), b.as_bytes())))
}

/// The releases in the names of the kernels that are there.
pub(crate) fn installed(tree: &Tree) -> Result<Vec<String>, Doubt> {
    let boot = FsPath::new(BOOT);
    let entries = match tree.read_dir(&boot) {
        Err(FsError::Invalid { .. }) => return Ok(Vec::new()),
        entries => entries.map_err(Doubt::at(&boot))?.unwrap_or_default(),
    };
    let names = entries.iter().filter_map(|entry| str::from_utf8(&entry.name).ok());
    Ok(names.filter_map(release_in_name).map(str::to_owned).collect())
}

/// What a boot loader says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Configured {
    /// It is not there.
    Not,
    /// It is there, and what it starts is no Linux or depends on something that is not on the disk.
    Unknown,
    /// It starts this file: a path on the filesystem of its configuration.
    Kernel(String),
}

impl Configured {
    fn or_unknown(kernel: Option<String>) -> Self {
        kernel.map_or(Self::Unknown, Self::Kernel)
    }
}

/// The content of the first of these files that is there, with its path.
fn first_file(tree: &Tree, paths: &[&str]) -> Result<Option<(FsPath, Vec<u8>)>, Doubt> {
    for path in paths {
        let path = FsPath::new(path);
        if let Some(content) = text(tree, &path)? {
            return Ok(Some((path, content)));
        }
    }
    Ok(None)
}

/// The content of a small text file, if there is one. A power cut leaves zeros where a file was being written: what would
/// have stood there is not known.
fn text(tree: &Tree, path: &FsPath) -> Result<Option<Vec<u8>>, Doubt> {
    let read = || match tree.lookup(path)? {
        Some((node, stat)) if stat.file_type == FileType::Regular => {
            tree.open_node(node, &stat)?.read_small().map(Some)
        }
        _ => Ok(None),
    };
    let content = read().map_err(Doubt::at(path))?;
    if content.as_ref().is_some_and(|content| content.contains(&0)) {
        return Err(Doubt::new(path, "it has zeros in it: it was not written to its end"));
    }
    Ok(content)
}

/// The release in a kernel's name.
fn release_in_name(name: &str) -> Option<&str> {
    let release = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix))?;
    let release = release.strip_suffix(".efi.signed").unwrap_or(release);
    // What was there before, and its checksum.
    let is_other = matches!(release.rsplit('.').next(), Some("old" | "hmac"));
    (!release.is_empty() && !is_other).then_some(release)
}

/// The release of the kernel at a path. If its name has none, it is a link, to a kernel whose name has, or lies in a
/// directory that has the release as its name (`kernel-install`: `/MACHINE/RELEASE/linux`).
fn release(tree: &Tree, path: &str) -> Result<Option<String>, Doubt> {
    let path = FsPath::new(path);
    let name = |path: &FsPath| path.file_name().and_then(|name| String::from_utf8(name.to_vec()).ok());
    let Some(file) = name(&path) else { return Ok(None) };
    if let Some(release) = release_in_name(&file) {
        return Ok(Some(release.to_owned()));
    }
    // The path of a boot loader begins at its own filesystem, which may be the one that is mounted on /boot.
    for start in [FsPath::new(BOOT), FsPath::root()] {
        let mut place = start.join(path.as_relative_bytes());
        // Links to links: `/vmlinuz` to `boot/vmlinuz`, and that to the kernel.
        for _ in 0..4 {
            let Some(target) = link(tree, &place).map_err(Doubt::at(&place))? else { break };
            place = if target.starts_with(b"/") {
                FsPath::new(&target)
            } else {
                place.parent().unwrap_or_default().join(&target)
            };
            if let Some(release) = name(&place).as_deref().and_then(release_in_name) {
                return Ok(Some(release.to_owned()));
            }
        }
    }
    let parent = path.parent().as_ref().and_then(name);
    Ok(parent.filter(|parent| file == "linux" && parent.starts_with(|first: char| first.is_ascii_digit())))
}

/// The target of a path that is a symbolic link.
fn link(tree: &Tree, path: &FsPath) -> Result<Option<Vec<u8>>, FsError> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
    let Some((parent, stat)) = tree.lookup(&parent)? else { return Ok(None) };
    if stat.file_type != FileType::Directory {
        return Ok(None);
    }
    let Some(node) = tree.child(parent, name)? else { return Ok(None) };
    if tree.stat(node)?.file_type == FileType::Symlink { tree.read_link(node).map(Some) } else { Ok(None) }
}

#[cfg(test)]
mod tests;
