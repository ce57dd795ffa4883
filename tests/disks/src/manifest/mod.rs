//! Everything that a tree shows, from the kernel and from us, in the same form.

mod digest;
mod kernel;
mod ours;

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::Path;

use agentless_analyser::fs::{DeviceNumbers, FileType, FsPath, Journal};

pub use kernel::{of_kernel, of_kernel_without_recovery};
pub use ours::{of_damaged, of_ours, of_tree};

use crate::image::{Mount, open};

/// What one path shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub file_type: FileType,
    mode: u16,
    size: u64,
    uid: u32,
    gid: u32,
    links: u32,
    pub(crate) mtime: i64,
    device: Option<DeviceNumbers>,
    xattrs: Xattrs,
    content: Content,
}

impl Entry {
    /// Stands for a name whose inode cannot be read.
    fn without_inode(problem: String) -> Self {
        Self {
            file_type: FileType::Regular,
            mode: 0,
            size: 0,
            uid: 0,
            gid: 0,
            links: 0,
            mtime: 0,
            device: None,
            xattrs: Xattrs::default(),
            content: Content::Unreadable(Problem(problem)),
        }
    }
}

/// The extended attributes of one inode, names and values, sorted; without access control lists, which
/// [`FileSystem::xattrs`](agentless_analyser::fs::FileSystem::xattrs) leaves out.
#[derive(Clone, Default, PartialEq, Eq)]
struct Xattrs(Vec<(Vec<u8>, Vec<u8>)>);

impl fmt::Debug for Xattrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Of a longer value, how many bytes are shown.
        const SHOWN: usize = 40;

        let shown = |value: &[u8]| format!("{}", value[..value.len().min(SHOWN)].escape_ascii());
        let entries = self.0.iter();
        f.debug_map()
            .entries(
                entries.map(|(name, value)| (shown(name), format!("{} B: {}", value.len(), shown(value)))),
            )
            .finish()
    }
}

/// What an inode holds.
#[derive(Clone, PartialEq, Eq)]
enum Content {
    /// Nothing that is compared here: a directory's entries have paths of their own.
    None,
    /// The hash of a regular file, see [`digest`].
    Data([u8; 32]),
    /// Where a symbolic link points.
    Target(Vec<u8>),
    /// It could not be read, or contradicts itself.
    Unreadable(Problem),
}

/// Why something is unreadable: any two problems are equal, because each side has its own words.
#[derive(Clone)]
struct Problem(String);

impl PartialEq for Problem {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Problem {}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Data(hash) => write!(f, "sha256 {:02x?}…", &hash[..6]),
            Self::Target(target) => write!(f, "-> {}", FsPath::new(target)),
            Self::Unreadable(Problem(problem)) => write!(f, "unreadable: {problem}"),
        }
    }
}

/// Path to entry. Paths have no leading `/`; the root is the empty path.
pub type Manifest = BTreeMap<Vec<u8>, Entry>;

/// Fails with the first differences, if there are any.
pub fn assert_equal(kernel: &Manifest, ours: &Manifest, what: &str) {
    let differences = differences(kernel, ours);
    assert!(
        differences.is_empty(),
        "{what}: {} of {} entries differ:\n{}",
        differences.len(),
        kernel.len(),
        describe(&differences, 10)
    );
}

/// Compares a filesystem that was unmounted with what the kernel shows of it.
pub fn assert_equal_to_kernels(image: &Path, what: &str) {
    let kernel = of_kernel(Mount::read_only(image).path());
    let file_system = open(image);
    assert_eq!(file_system.journal(), Journal::Clean, "{what}");
    let ours = of_ours(file_system);
    assert_equal(&kernel, &ours, what);
    println!("{what}: {} entries equal", ours.len());
}

/// A path with what the kernel shows there, and what we show.
pub type Difference<'a> = (&'a [u8], Option<&'a Entry>, Option<&'a Entry>);

/// The paths that are not the same in both.
pub fn differences<'a>(kernel: &'a Manifest, ours: &'a Manifest) -> Vec<Difference<'a>> {
    let of_kernel = kernel.iter().map(|(path, entry)| (path.as_slice(), Some(entry), ours.get(path)));
    let only_ours = ours.iter().filter(|(path, _)| !kernel.contains_key(*path));
    let mut differences: Vec<_> = of_kernel
        .filter(|(_, kernel, ours)| kernel != ours)
        .chain(only_ours.map(|(path, entry)| (path.as_slice(), None, Some(entry))))
        .collect();
    differences.sort_by_key(|(path, ..)| *path);
    differences
}

/// The first `most` differences as text, three lines each.
pub fn describe(differences: &[Difference<'_>], most: usize) -> String {
    let side = |entry: Option<&Entry>| match entry {
        Some(entry) => format!("{entry:?}"),
        None => "nothing there".to_owned(),
    };
    let mut report = String::new();
    for (path, kernel, ours) in differences.iter().take(most) {
        let path = if path.is_empty() { FsPath::new("/") } else { FsPath::new(path) };
        writeln!(report, "{path}\n  kernel {}\n  ours   {}", side(*kernel), side(*ours)).unwrap();
    }
    if differences.len() > most {
        writeln!(report, "and {} more", differences.len() - most).unwrap();
    }
    report
}
