//! Everything that a tree shows, from the kernel and from us, in the same form.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::Path;
use std::rc::Rc;

use agentless_scanner::fs::{self, FileSystem, FileType, FsError, FsPath, Node, Tree};
use agentless_scanner::limits::Limits;
use sha2::{Digest, Sha256};

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
    mtime: i64,
    /// The hash of a file's content, or a link's target.
    content: Vec<u8>,
}

/// Path to entry. Paths have no leading `/`; the root is the empty path.
pub type Manifest = BTreeMap<Vec<u8>, Entry>;

/// What the kernel shows below `root`.
pub fn of_kernel(root: &Path) -> Manifest {
    let mut manifest = Manifest::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(path) = waiting.pop() {
        let metadata = path.symlink_metadata().unwrap();
        let file_type = match metadata.file_type() {
            kind if kind.is_file() => FileType::Regular,
            kind if kind.is_dir() => FileType::Directory,
            kind if kind.is_symlink() => FileType::Symlink,
            kind if kind.is_char_device() => FileType::CharacterDevice,
            kind if kind.is_block_device() => FileType::BlockDevice,
            kind if kind.is_fifo() => FileType::Fifo,
            _ => FileType::Socket,
        };
        let content = match file_type {
            FileType::Regular => {
                let file = std::fs::File::open(&path).unwrap();
                digest(metadata.len(), |offset, buffer| file.read_at(buffer, offset)).unwrap()
            }
            FileType::Symlink => path.read_link().unwrap().as_os_str().as_bytes().to_vec(),
            _ => Vec::new(),
        };
        if file_type == FileType::Directory {
            waiting.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let relative = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
        manifest.insert(
            relative,
            Entry {
                file_type,
                mode: u16::try_from(metadata.mode() & 0o7777).unwrap(),
                size: metadata.len(),
                uid: metadata.uid(),
                gid: metadata.gid(),
                links: u32::try_from(metadata.nlink()).unwrap(),
                mtime: metadata.mtime(),
                content,
            },
        );
    }
    manifest
}

/// What we show, listing each directory, and looking up each name that was listed.
pub fn of_ours(file_system: Box<dyn FileSystem>) -> Manifest {
    let look_up = |tree: &Tree, dir: Node, listed: &[fs::Entry]| {
        // Listing reads the directory as a list, looking up as a tree: they must agree.
        for child in listed {
            assert_eq!(tree.child(dir, &child.name).unwrap(), Some(child.node));
            let stat = tree.stat(child.node).unwrap();
            assert!(child.file_type.is_none_or(|file_type| file_type == stat.file_type));
        }
        assert_eq!(tree.child(dir, b"no file has this name").unwrap(), None);
    };
    visit(file_system, look_up).unwrap()
}

/// What we show of a filesystem that may be damaged.
pub fn of_damaged(file_system: Box<dyn FileSystem>) -> Result<Manifest, FsError> {
    visit(file_system, |_, _, _| {})
}

fn visit(
    file_system: Box<dyn FileSystem>,
    check_directory: impl Fn(&Tree, Node, &[fs::Entry]),
) -> Result<Manifest, FsError> {
    let tree = Tree::new(Rc::from(file_system), Limits::default());
    let mut manifest = Manifest::new();
    let mut waiting = vec![(Vec::new(), tree.root())];
    while let Some((path, node)) = waiting.pop() {
        let entry = entry(&tree, node)?;
        if entry.file_type == FileType::Directory {
            let listed = tree.read_dir_node(node)?;
            check_directory(&tree, node, &listed);
            let separator: &[u8] = if path.is_empty() { b"" } else { b"/" };
            waiting.extend(listed.iter().map(|child| ([&path, separator, &child.name].concat(), child.node)));
        }
        manifest.insert(path, entry);
    }
    Ok(manifest)
}

fn entry(tree: &Tree, node: Node) -> Result<Entry, FsError> {
    let stat = tree.stat(node)?;
    let content = match stat.file_type {
        FileType::Regular => {
            let file = tree.open_node(node, &stat)?;
            digest(stat.size, |offset, buffer| file.read_at(offset, buffer))?
        }
        FileType::Symlink => tree.read_link(node)?,
        _ => Vec::new(),
    };
    Ok(Entry {
        file_type: stat.file_type,
        mode: stat.mode,
        size: stat.size,
        uid: stat.uid,
        gid: stat.gid,
        links: stat.links,
        mtime: stat.mtime,
        content,
    })
}

/// The SHA-256 of a file; of a very large one, which is sparse, that of its first and last 4 MiB and of a window at each
/// GiB.
fn digest<E>(size: u64, mut read: impl FnMut(u64, &mut [u8]) -> Result<usize, E>) -> Result<Vec<u8>, E> {
    const WINDOW: u64 = 4 << 20;
    let windows: Vec<(u64, u64)> = if size <= 256 << 20 {
        vec![(0, size)]
    } else {
        (0..=(size >> 30)).map(|gib| gib << 30).chain([size - WINDOW]).map(|start| (start, WINDOW)).collect()
    };
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 300_000];
    for (start, length) in windows {
        let mut done = 0;
        while done < length {
            let wanted = usize::try_from(length - done).unwrap().min(buffer.len());
            let count = read(start + done, &mut buffer[..wanted])?;
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
            done += u64::try_from(count).unwrap();
        }
        hasher.update(done.to_le_bytes());
    }
    Ok(hasher.finalize().to_vec())
}

/// Fails with the first differences, if there are any.
pub fn assert_equal(kernel: &Manifest, ours: &Manifest, what: &str) {
    let differences = differences(kernel, ours);
    let mut report = String::new();
    for (path, theirs, mine) in differences.iter().take(10) {
        writeln!(report, "{}\n  kernel {theirs:?}\n  ours   {mine:?}", FsPath::new(path)).unwrap();
    }
    assert!(
        differences.is_empty(),
        "{what}: {} of {} entries differ:\n{report}",
        differences.len(),
        kernel.len()
    );
}

/// A path with what the kernel shows there, and what we show.
pub type Difference<'a> = (&'a [u8], Option<&'a Entry>, Option<&'a Entry>);

/// The paths that are not the same in both.
pub fn differences<'a>(kernel: &'a Manifest, ours: &'a Manifest) -> Vec<Difference<'a>> {
    let paths: std::collections::BTreeSet<_> = kernel.keys().chain(ours.keys()).collect();
    let both = paths.into_iter().map(|path| (path.as_slice(), kernel.get(path), ours.get(path)));
    both.filter(|(_, kernel, ours)| kernel != ours).collect()
}
