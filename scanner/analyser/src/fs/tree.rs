//! Paths over inodes: the view that extractors have of the filesystems of a system.
//!
//! A tree begins with one filesystem; others are mounted on its directories, as `/etc/fstab` would have them.

use std::collections::HashMap;
use std::ops::{ControlFlow, Range};
use std::rc::Rc;

use super::{DirEntry, FileSystem, FileType, FsError, FsPath, Inode, Stat, Xattr};
use crate::limits::Limits;
use crate::volume::bytes::{to_u64, to_usize};

/// Filesystems mounted into each other, addressed by path.
///
/// Symbolic links are followed inside the tree as a process with its root there would follow them: an absolute target
/// starts again at the root, and `..` never leaves it. What does not exist is `None`, not an error, and so is what lies
/// behind a dangling link or below something that is no directory.
///
/// A mount covers the directory that it is on, and `..` in its root is the parent of that directory.
#[derive(Debug)]
pub struct Tree {
    /// Never empty: the first is the root's.
    mounts: Vec<Mount>,
    /// The directories that something is mounted on, and the index of what is. A mount only ever covers a directory of a
    /// mount that was there before it, so following this map ends.
    covered: HashMap<Node, u32>,
    limits: Limits,
}

/// A directory of a filesystem that is seen in the tree.
#[derive(Debug)]
struct Mount {
    file_system: Rc<dyn FileSystem>,
    root: Inode,
    /// The index of the first mount of the same filesystem.
    first: u32,
}

/// A file or directory of a tree: an inode of one of its mounts. What is mounted twice has two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node {
    mount: u32,
    inode: Inode,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The name: any bytes but `/` and NUL.
    pub name: Vec<u8>,
    /// What it names: of a mount point the root of what is mounted there.
    pub node: Node,
    /// Its type, where the directory records it; [`Tree::stat`] always knows.
    pub file_type: Option<FileType>,
}

/// One entry of a directory while it is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Child<'a> {
    pub(super) name: &'a [u8],
    pub(super) node: Node,
    pub(super) file_type: Option<FileType>,
}

impl Tree {
    /// A tree over `file_system`.
    pub fn new(file_system: Rc<dyn FileSystem>, limits: Limits) -> Self {
        let root = file_system.root();
        Self::with_root(file_system, root, limits)
    }

    /// A tree over the part of `file_system` below the directory `root`, such as a subvolume.
    pub fn with_root(file_system: Rc<dyn FileSystem>, root: Inode, limits: Limits) -> Self {
        let top = Mount { file_system, root, first: 0 };
        Self { mounts: vec![top], covered: HashMap::new(), limits }
    }

    /// Mounts the part of `file_system` below the directory `root` on the directory `at`, which may be in an earlier
    /// mount, or be one. A filesystem may be mounted several times.
    ///
    /// # Errors
    ///
    /// [`FsError::Invalid`] if `at` does not exist, or one of the two is no directory; [`FsError::Limit`] for more mounts
    /// than [`Limits::mounts`]; and as [`lookup`](Self::lookup).
    pub fn mount(
        &mut self,
        at: &FsPath,
        file_system: Rc<dyn FileSystem>,
        root: Inode,
    ) -> Result<(), FsError> {
        let Some((point, stat)) = self.lookup(at)? else {
            return Err(FsError::Invalid { problem: "the mount point does not exist" });
        };
        if stat.file_type != FileType::Directory {
            return Err(FsError::Invalid { problem: "the mount point is not a directory" });
        }
        if file_system.stat(root)?.file_type != FileType::Directory {
            return Err(FsError::Invalid { problem: "what is to be mounted is not a directory" });
        }
        let index = u32::try_from(self.mounts.len()).ok().filter(|&index| index < self.limits.mounts).ok_or(
            FsError::Limit { what: "the number of mounts (`mounts`)", limit: u64::from(self.limits.mounts) },
        )?;
        let same = self.mounts.iter().find(|mount| Rc::ptr_eq(&mount.file_system, &file_system));
        let first = same.map_or(index, |mount| mount.first);
        self.mounts.push(Mount { file_system, root, first });
        self.covered.insert(point, index);
        Ok(())
    }

    /// The bounds that reading through this tree keeps.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The root directory.
    pub fn root(&self) -> Node {
        self.uncover(Node { mount: 0, inode: self.top().root })
    }

    /// The filesystem that a node is in, and its inode there: the same for a directory that is mounted twice.
    pub fn place(&self, node: Node) -> (&Rc<dyn FileSystem>, Inode) {
        (&self.mount_of(node).file_system, node.inode)
    }

    /// A filesystem by number, and an inode in it: the same for all nodes that are the same file or directory.
    pub(super) fn identity(&self, node: Node) -> (u32, Inode) {
        (self.mount_of(node).first, node.inode)
    }

    /// Type, mode, size and ownership.
    pub fn stat(&self, node: Node) -> Result<Stat, FsError> {
        self.file_system(node).stat(node.inode)
    }

    /// The target of a symbolic link, as it is recorded.
    pub fn read_link(&self, node: Node) -> Result<Vec<u8>, FsError> {
        self.file_system(node).read_link(node.inode)
    }

    /// Calls `visit` with each extended attribute, as [`FileSystem::xattrs`] does.
    pub fn xattrs(
        &self,
        node: Node,
        visit: &mut dyn FnMut(Xattr<'_>) -> ControlFlow<()>,
    ) -> Result<(), FsError> {
        self.file_system(node).xattrs(node.inode, visit)
    }

    /// The value of one extended attribute, if there is one.
    pub fn xattr(&self, node: Node, name: &[u8]) -> Result<Option<Vec<u8>>, FsError> {
        self.file_system(node).xattr(node.inode, name)
    }

    /// Finds a file, following symbolic links, the last component's too. The result is never a symbolic link.
    ///
    /// # Errors
    ///
    /// [`FsError::Limit`] for more symbolic links than [`Limits::symlinks`], and what the driver reports about damaged
    /// directories on the way.
    pub fn lookup(&self, path: &FsPath) -> Result<Option<(Node, Stat)>, FsError> {
        // The directories passed through, so that `..` behind a link goes to the parent of the link's target.
        let mut ancestors = Vec::new();
        let mut here = self.root();
        let mut stat = self.stat(here)?;
        // What is still to be walked, last component first.
        let mut rest: Vec<Vec<u8>> = Vec::new();
        queue(&mut rest, path.as_relative_bytes());
        let mut links = 0;

        while let Some(name) = rest.pop() {
            if stat.file_type != FileType::Directory {
                return Ok(None);
            }
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    if let Some(parent) = ancestors.pop() {
                        here = parent;
                        stat = self.stat(here)?;
                    }
                    continue;
                }
                _ => {}
            }
            let Some(found) = self.child(here, &name)? else { return Ok(None) };
            let found_stat = self.stat(found)?;
            if found_stat.file_type == FileType::Symlink {
                links += 1;
                if links > self.limits.symlinks {
                    let limit = u64::from(self.limits.symlinks);
                    return Err(FsError::Limit {
                        what: "the number of symbolic links in one path (`symlinks`)",
                        limit,
                    });
                }
                let target = self.read_link(found)?;
                self.check_length(&target, &rest)?;
                if target.first() == Some(&b'/') {
                    ancestors.clear();
                    here = self.root();
                    stat = self.stat(here)?;
                }
                queue(&mut rest, &target);
            } else {
                ancestors.push(here);
                here = found;
                stat = found_stat;
            }
        }
        Ok(Some((here, stat)))
    }

    /// What `name` is in a directory, if anything: of a symbolic link the link itself.
    pub fn child(&self, dir: Node, name: &[u8]) -> Result<Option<Node>, FsError> {
        let found = self.file_system(dir).lookup(dir.inode, name)?;
        Ok(found.map(|inode| self.uncover(Node { mount: dir.mount, inode })))
    }

    /// Opens a regular file.
    ///
    /// # Errors
    ///
    /// [`FsError::Invalid`] if there is something else than a regular file, and as [`lookup`](Self::lookup).
    pub fn open(&self, path: &FsPath) -> Result<Option<File<'_>>, FsError> {
        let Some((node, stat)) = self.lookup(path)? else { return Ok(None) };
        self.open_node(node, &stat).map(Some)
    }

    /// Opens a regular file that was found before.
    ///
    /// # Errors
    ///
    /// [`FsError::Invalid`] if it is no regular file.
    pub fn open_node(&self, node: Node, stat: &Stat) -> Result<File<'_>, FsError> {
        if stat.file_type != FileType::Regular {
            return Err(FsError::NOT_A_FILE);
        }
        Ok(File { tree: self, node, size: stat.size })
    }

    /// Lists a directory, sorted by name, without `.` and `..`.
    ///
    /// # Errors
    ///
    /// [`FsError::Invalid`] if it is no directory, and as [`lookup`](Self::lookup).
    pub fn read_dir(&self, path: &FsPath) -> Result<Option<Vec<Entry>>, FsError> {
        let Some((node, stat)) = self.lookup(path)? else { return Ok(None) };
        if stat.file_type != FileType::Directory {
            return Err(FsError::NOT_A_DIRECTORY);
        }
        self.read_dir_node(node).map(Some)
    }

    /// Lists a directory that was found before, sorted by name, without `.` and `..`.
    ///
    /// # Errors
    ///
    /// [`FsError::Limit`] for more entries than [`Limits::dir_entries`], and what the driver reports.
    pub fn read_dir_node(&self, dir: Node) -> Result<Vec<Entry>, FsError> {
        let mut entries = Vec::new();
        let mut excess = false;
        self.visit_dir(dir, &mut |Child { name, node, file_type }| {
            if to_u64(entries.len()) >= self.limits.dir_entries {
                excess = true;
                return ControlFlow::Break(());
            }
            entries.push(Entry { name: name.to_vec(), node, file_type });
            ControlFlow::Continue(())
        })?;
        if excess {
            return Err(FsError::Limit {
                what: "the number of entries in one directory (`dir_entries`)",
                limit: self.limits.dir_entries,
            });
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Calls `visit` with the entries of a directory as they come, until it breaks.
    pub(super) fn visit_dir(
        &self,
        dir: Node,
        visit: &mut dyn FnMut(Child<'_>) -> ControlFlow<()>,
    ) -> Result<(), FsError> {
        self.file_system(dir).read_dir(dir.inode, &mut |entry| {
            let DirEntry { name, inode, file_type } = entry;
            let named = Node { mount: dir.mount, inode };
            let node = self.uncover(named);
            let file_type = if node == named { file_type } else { Some(FileType::Directory) };
            visit(Child { name, node, file_type })
        })
    }

    /// What is seen where `node` is: the root of what is mounted on it.
    fn uncover(&self, mut node: Node) -> Node {
        if self.covered.is_empty() {
            return node;
        }
        while let Some(&mount) = self.covered.get(&node)
            && let Some(found) = self.mounts.get(to_usize(mount))
        {
            node = Node { mount, inode: found.root };
        }
        node
    }

    /// Says that these files and directories will be looked at soon, as [`FileSystem::prefetch_inodes`] does.
    pub fn prefetch_inodes(&self, nodes: &[Node]) {
        self.by_mount(nodes, |file_system, inodes| file_system.prefetch_inodes(inodes));
    }

    /// Says that these files and directories will be read soon, as [`FileSystem::prefetch_content`] does.
    pub fn prefetch_content(&self, nodes: &[Node]) {
        self.by_mount(nodes, |file_system, inodes| file_system.prefetch_content(inodes));
    }

    /// Says that these bytes of files will be read soon, as [`FileSystem::prefetch_parts`] does.
    pub fn prefetch_parts(&self, parts: &[(Node, Range<u64>)]) {
        for parts in parts.chunk_by(|(a, _), (b, _)| a.mount == b.mount) {
            let Some(&(first, _)) = parts.first() else { continue };
            let parts: Vec<_> = parts.iter().map(|(node, bytes)| (node.inode, bytes.clone())).collect();
            self.file_system(first).prefetch_parts(&parts);
        }
    }

    fn by_mount(&self, nodes: &[Node], tell: impl Fn(&dyn FileSystem, &[Inode])) {
        for nodes in nodes.chunk_by(|a, b| a.mount == b.mount) {
            let Some(&first) = nodes.first() else { continue };
            let inodes: Vec<_> = nodes.iter().map(|node| node.inode).collect();
            tell(self.file_system(first), &inodes);
        }
    }

    fn file_system(&self, node: Node) -> &dyn FileSystem {
        &*self.mount_of(node).file_system
    }

    fn mount_of(&self, node: Node) -> &Mount {
        self.mounts.get(to_usize(node.mount)).unwrap_or_else(|| self.top())
    }

    #[expect(clippy::indexing_slicing, reason = "a tree is made with one mount, and none is ever taken away")]
    fn top(&self) -> &Mount {
        &self.mounts[0]
    }

    /// What remains to be walked after following a link stays as short as a path may be.
    fn check_length(&self, target: &[u8], rest: &[Vec<u8>]) -> Result<(), FsError> {
        let waiting: usize = rest.iter().map(|name| name.len().saturating_add(1)).sum();
        if target.len().saturating_add(waiting) > self.limits.path_bytes {
            let limit = to_u64(self.limits.path_bytes);
            return Err(FsError::Limit {
                what: "the length of a path behind symbolic links (`path_bytes`)",
                limit,
            });
        }
        Ok(())
    }
}

/// Puts the components of `path` on the stack of what is still to be walked.
fn queue(rest: &mut Vec<Vec<u8>>, path: &[u8]) {
    rest.extend(path.split(|&byte| byte == b'/').rev().map(<[u8]>::to_vec));
}

/// An open regular file.
#[derive(Clone, Copy, Debug)]
pub struct File<'tree> {
    tree: &'tree Tree,
    node: Node,
    size: u64,
}

impl File<'_> {
    /// The size in bytes, as the inode records it: a sparse file may claim more than the volume holds.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Where it is in the tree.
    pub fn node(&self) -> Node {
        self.node
    }

    /// Reads at `offset`, and returns how many bytes it gave: fewer than asked only at the end of the file.
    pub fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<usize, FsError> {
        self.tree.file_system(self.node).read(self.node.inode, offset, dst)
    }

    /// Reads the whole file. This is the only whole-file read there is, because it is the only one that is bounded.
    ///
    /// # Errors
    ///
    /// [`FsError::Limit`] for a file larger than [`Limits::file_bytes`].
    pub fn read_all(&self) -> Result<Vec<u8>, FsError> {
        self.read_up_to("the size of a file (`file_bytes`)", self.tree.limits.file_bytes)
    }

    /// Reads the whole file, for documents that are parsed as a whole.
    ///
    /// # Errors
    ///
    /// [`FsError::Limit`] for a file larger than [`Limits::lock_bytes`].
    pub fn read_document(&self) -> Result<Vec<u8>, FsError> {
        self.read_up_to("the size of a document (`lock_bytes`)", self.tree.limits.lock_bytes)
    }

    /// Reads the whole file, for formats that are known to be small.
    ///
    /// # Errors
    ///
    /// [`FsError::Limit`] for a file larger than [`Limits::small_file_bytes`].
    pub fn read_small(&self) -> Result<Vec<u8>, FsError> {
        self.read_up_to("the size of a small file (`small_file_bytes`)", self.tree.limits.small_file_bytes)
    }

    fn read_up_to(&self, what: &'static str, limit: u64) -> Result<Vec<u8>, FsError> {
        /// Memory is claimed in steps of this size, so that it follows what was read and not what the inode says.
        const STEP: usize = 1 << 20;

        if self.size > limit {
            return Err(FsError::Limit { what, limit });
        }
        let size = to_usize(self.size);
        if size > STEP {
            self.tree.file_system(self.node).prefetch_content(&[self.node.inode]);
        }
        let mut content = Vec::new();
        while content.len() < size {
            let start = content.len();
            let end = size.min(start.saturating_add(STEP));
            // Exactly, because doubling would claim up to twice the limit; and not at any price, because a sandboxed
            // process has little memory and would be ended.
            content.try_reserve_exact(end.saturating_sub(start)).map_err(|_| FsError::Limit {
                what: "the size of a file, by the memory that there is,",
                limit: to_u64(start),
            })?;
            content.resize(end, 0);
            let part = content.get_mut(start..).unwrap_or_default();
            let (wanted, given) = (part.len(), self.read_at(to_u64(start), part)?);
            if given < wanted {
                content.truncate(start.saturating_add(given));
                break;
            }
        }
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use agentless_core::fs::Directory;
    use tempfile::TempDir;

    use super::*;

    /// A filesystem with these files, whose content is their own path; a path that ends in `/` is a directory.
    fn file_system(paths: &[&str]) -> (TempDir, Rc<dyn FileSystem>) {
        let root = tempfile::tempdir().unwrap();
        for path in paths {
            let place = root.path().join(path);
            if path.ends_with('/') {
                fs::create_dir_all(place).unwrap();
            } else {
                fs::create_dir_all(place.parent().unwrap()).unwrap();
                fs::write(place, path).unwrap();
            }
        }
        let opened = Directory::open(root.path(), &Limits::default()).unwrap();
        (root, Rc::new(opened))
    }

    fn read(tree: &Tree, path: &str) -> Option<String> {
        let file = tree.open(&FsPath::new(path)).unwrap()?;
        Some(String::from_utf8(file.read_all().unwrap()).unwrap())
    }

    fn names(tree: &Tree, path: &str) -> Vec<String> {
        let entries = tree.read_dir(&FsPath::new(path)).unwrap().unwrap();
        entries.into_iter().map(|entry| String::from_utf8(entry.name).unwrap()).collect()
    }

    fn mount(tree: &mut Tree, at: &str, file_system: &Rc<dyn FileSystem>) {
        tree.mount(&FsPath::new(at), Rc::clone(file_system), file_system.root()).unwrap();
    }

    #[test]
    fn a_mount_covers_its_directory_and_dot_dot_leads_back() {
        let (root, top) = file_system(&["etc/fstab", "var/covered", "usr/"]);
        let (var_root, var) = file_system(&["lib/dpkg/status", "log/"]);
        let (_log_root, log) = file_system(&["syslog"]);
        symlink("/etc/fstab", var_root.path().join("absolute")).unwrap();
        symlink("../etc/fstab", var_root.path().join("relative")).unwrap();
        symlink("../../../../etc/../var/lib", var_root.path().join("log/above")).unwrap();
        symlink("var/log", root.path().join("logs")).unwrap();

        let mut tree = Tree::new(top, Limits::default());
        mount(&mut tree, "/var", &var);
        // Through a link, as `mount` follows it, and inside an earlier mount.
        mount(&mut tree, "/logs", &log);
        assert_eq!(read(&tree, "/var/lib/dpkg/status").as_deref(), Some("lib/dpkg/status"));
        assert_eq!(read(&tree, "/var/log/syslog").as_deref(), Some("syslog"));
        assert_eq!(read(&tree, "/logs/syslog").as_deref(), Some("syslog"));
        for path in ["/var/absolute", "/var/relative"] {
            assert_eq!(read(&tree, path).as_deref(), Some("etc/fstab"), "{path}");
        }
        assert_eq!(read(&tree, "/var/covered"), None);
        assert_eq!(read(&tree, "/var/log/above/dpkg/status"), None);
        assert_eq!(names(&tree, "/var"), ["absolute", "lib", "log", "relative"]);
    }

    #[test]
    fn a_listed_mount_point_is_the_mounted_root() {
        let (_top_root, top) = file_system(&["a/", "b/inside", "c"]);
        let (_other_root, other) = file_system(&["below/inside"]);
        let mut tree = Tree::new(top, Limits::default());
        let below = other.lookup(other.root(), b"below").unwrap().unwrap();
        tree.mount(&FsPath::new("a"), Rc::clone(&other), below).unwrap();
        let listed = tree.read_dir(&FsPath::root()).unwrap().unwrap();
        assert_eq!(listed[0].node, tree.lookup(&FsPath::new("/a")).unwrap().unwrap().0);
        assert_eq!(listed[0].file_type, Some(FileType::Directory));
        let (file_system, inode) = tree.place(listed[0].node);
        assert!(Rc::ptr_eq(file_system, &other) && inode == below);
        assert_eq!(names(&tree, "/a"), ["inside"]);
        assert_eq!(read(&tree, "/a/../b/inside").as_deref(), Some("b/inside"));
    }

    #[test]
    fn directories_of_the_tree_itself_can_be_mounted_again_and_cover_what_was_mounted_before() {
        let (_root, top) = file_system(&["srv/data/file", "mnt/", "home/"]);
        let (_other_root, other) = file_system(&["srv/data/file", "other"]);
        let mut tree = Tree::new(Rc::clone(&top), Limits::default());
        let (data, _) = tree.lookup(&FsPath::new("/srv/data")).unwrap().unwrap();
        let (file_system, inode) = tree.place(data);
        let file_system = Rc::clone(file_system);
        tree.mount(&FsPath::new("/mnt"), file_system, inode).unwrap();
        assert_eq!(read(&tree, "/mnt/file").as_deref(), Some("srv/data/file"));
        assert_eq!(names(&tree, "/mnt/../mnt/.."), ["home", "mnt", "srv"]);
        let (first, _) = tree.lookup(&FsPath::new("/mnt/file")).unwrap().unwrap();
        let (second, _) = tree.lookup(&FsPath::new("/srv/data/file")).unwrap().unwrap();
        assert_ne!(first, second);
        assert_eq!(tree.place(first).1, tree.place(second).1);

        mount(&mut tree, "/mnt", &other);
        assert_eq!(names(&tree, "/mnt"), ["other", "srv"]);
        mount(&mut tree, "/", &other);
        assert_eq!(names(&tree, "/"), ["other", "srv"]);
        assert_eq!(names(&tree, "/../.."), ["other", "srv"]);
    }

    #[test]
    fn what_cannot_be_mounted_says_why_and_changes_nothing() {
        let (_root, top) = file_system(&["file", "dir/"]);
        let mut tree = Tree::new(Rc::clone(&top), Limits { mounts: 2, ..Limits::default() });
        let file = top.lookup(top.root(), b"file").unwrap().unwrap();
        let mut refused =
            |at: &str, root| tree.mount(&FsPath::new(at), Rc::clone(&top), root).unwrap_err().to_string();
        assert_eq!(refused("/absent", top.root()), "the mount point does not exist");
        assert_eq!(refused("/file", top.root()), "the mount point is not a directory");
        assert_eq!(refused("/dir", file), "what is to be mounted is not a directory");
        mount(&mut tree, "/dir", &top);
        let error = tree.mount(&FsPath::new("/dir"), Rc::clone(&top), top.root()).unwrap_err();
        assert_eq!(error.to_string(), "the number of mounts (`mounts`) exceeds the limit of 2");
        // The filesystem is inside itself once, and no deeper: its directory there is not covered.
        assert_eq!(names(&tree, "/dir"), ["dir", "file"]);
        assert_eq!(names(&tree, "/dir/dir"), Vec::<String>::new());
    }
}
