//! One walk over everything in a tree, for all who look for something in it.
//!
//! The walk goes level by level, because that is what makes it fast where reading has latency: the inodes of all directories
//! of a level are asked for together, then the blocks of all of them, and only then is the first one read. Within a level
//! directories are visited by their inode numbers, which in ext4, XFS and Btrfs is the order that their metadata has on the
//! disk.
//!
//! Entries are handed on as they are read. Only directories are remembered, by their parent and their own name, until the
//! end of the walk.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::HashSet;
use std::ops::ControlFlow;

use super::tree::Child;
use super::{FileType, FsError, FsPath, Inode, Node, Tree};
use crate::volume::bytes::{to_u64, to_usize};

/// What a walk tells whoever looks for something.
pub trait Visitor {
    /// Something was found. The tree may be read in here.
    fn found(&mut self, found: &Found<'_>) -> Next;

    /// A directory was not read, or only in part, or it is not known whether this is one: what is in it, and was not
    /// found, is missing.
    fn unread(&mut self, path: FsPath, error: FsError);
}

/// How a walk goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// With everything; what was found is entered if it is a directory.
    Enter,
    /// Without what is below the directory that was found.
    Skip,
    /// Not at all.
    Stop,
}

/// One entry of a directory, on a walk.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    directories: &'a Directories,
    directory: usize,
    child: Child<'a>,
    file_type: FileType,
}

impl Found<'_> {
    /// Its name: any bytes but `/` and NUL.
    pub fn name(&self) -> &[u8] {
        self.child.name
    }

    /// Where it is in the tree.
    pub fn node(&self) -> Node {
        self.child.node
    }

    /// The directory that it is in.
    pub fn directory(&self) -> Option<Node> {
        self.directories.list.get(self.directory).map(|directory| directory.node)
    }

    /// What it is.
    pub fn file_type(&self) -> FileType {
        self.file_type
    }

    /// Its path. It is put together when it is asked for.
    pub fn path(&self) -> FsPath {
        self.directories.path(self.directory).join(self.child.name)
    }
}

/// Directories whose inodes and blocks are asked for before the first of them is read.
const AHEAD: usize = 4096;
/// The bytes of these directories, so that large ones are not all asked for at once.
const AHEAD_BYTES: u64 = 64 << 20;
/// Entries whose type their directory does not record are kept until there are so many, to ask for their inodes together.
const UNTYPED: usize = 512;

/// Visits everything in a tree but its root directory. Each directory is entered once, also where it is mounted twice or
/// where a damaged disk has it in several places, under the path that comes first.
///
/// # Errors
///
/// [`FsError::Limit`] for more directories than [`Limits::walk_bytes`](crate::limits::Limits::walk_bytes) has room for. What
/// concerns one directory goes to [`Visitor::unread`].
pub fn walk(tree: &Tree, visitor: &mut dyn Visitor) -> Result<(), FsError> {
    let mut walk = Walk { tree, directories: Directories::default(), visited: HashSet::new(), bytes: 0 };
    match walk.run(visitor) {
        Ok(()) | Err(End::Stopped) => Ok(()),
        Err(End::Failed(error)) => Err(error),
    }
}

struct Walk<'a> {
    tree: &'a Tree,
    directories: Directories,
    /// The directories that were found, as [`Tree::identity`] names them.
    visited: HashSet<(u32, Inode)>,
    /// Memory that `directories` and `visited` take, roughly.
    bytes: u64,
}

/// Why a walk ended before everything was visited.
enum End {
    Stopped,
    Failed(FsError),
}

impl From<FsError> for End {
    fn from(error: FsError) -> Self {
        Self::Failed(error)
    }
}

impl Walk<'_> {
    fn run(&mut self, visitor: &mut dyn Visitor) -> Result<(), End> {
        let mut level = Vec::from_iter(self.add(None, self.tree.root(), b"")?);
        while !level.is_empty() {
            level.sort_unstable_by_key(|&index| {
                self.directories.node(index).map(|node| self.tree.identity(node))
            });
            let mut below = Vec::new();
            for mut rest in level.chunks(AHEAD) {
                let nodes: Vec<_> = rest.iter().filter_map(|&index| self.directories.node(index)).collect();
                self.tree.prefetch_inodes(&nodes);
                while !rest.is_empty() {
                    let (batch, later) = rest.split_at(self.ahead(rest).clamp(1, rest.len()));
                    for &directory in batch {
                        self.read(directory, &mut below, visitor)?;
                    }
                    rest = later;
                }
            }
            level = below;
        }
        Ok(())
    }

    /// Asks for the blocks of as many of these directories as should be on their way at a time, and says how many these are.
    fn ahead(&self, directories: &[usize]) -> usize {
        let mut bytes = 0_u64;
        let nodes: Vec<_> = directories
            .iter()
            .filter_map(|&index| self.directories.node(index))
            .take_while(|&node| {
                let is_first = bytes == 0;
                // What cannot be read costs nothing here, and is reported when it is its turn.
                bytes = bytes.saturating_add(self.tree.stat(node).map_or(1, |stat| stat.size.max(1)));
                is_first || bytes <= AHEAD_BYTES
            })
            .collect();
        self.tree.prefetch_content(&nodes);
        nodes.len()
    }

    /// Visits what is in one directory, and adds the directories to be entered to `below`.
    fn read(
        &mut self,
        directory: usize,
        below: &mut Vec<usize>,
        visitor: &mut dyn Visitor,
    ) -> Result<(), End> {
        let (tree, Some(node)) = (self.tree, self.directories.node(directory)) else { return Ok(()) };
        let mut untyped = Vec::new();
        let mut outcome = Ok(());
        let listed = tree.visit_dir(node, &mut |child| {
            if let Some(file_type) = child.file_type {
                outcome = self.visit(directory, child, file_type, below, visitor);
            } else {
                untyped.push((child.name.to_vec(), child.node));
                if untyped.len() >= UNTYPED {
                    outcome = self.visit_untyped(directory, &untyped, below, visitor);
                    untyped.clear();
                }
            }
            if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        outcome?;
        self.visit_untyped(directory, &untyped, below, visitor)?;
        if let Err(error) = listed {
            visitor.unread(self.directories.path(directory), error);
        }
        Ok(())
    }

    /// Finds out what these entries are, and visits them.
    fn visit_untyped(
        &mut self,
        directory: usize,
        entries: &[(Vec<u8>, Node)],
        below: &mut Vec<usize>,
        visitor: &mut dyn Visitor,
    ) -> Result<(), End> {
        let nodes: Vec<_> = entries.iter().map(|&(_, node)| node).collect();
        self.tree.prefetch_inodes(&nodes);
        for (name, node) in entries {
            let child = Child { name, node: *node, file_type: None };
            match self.tree.stat(*node) {
                Ok(stat) => self.visit(directory, child, stat.file_type, below, visitor)?,
                Err(error) => visitor.unread(self.directories.path(directory).join(name), error),
            }
        }
        Ok(())
    }

    fn visit(
        &mut self,
        directory: usize,
        child: Child<'_>,
        file_type: FileType,
        below: &mut Vec<usize>,
        visitor: &mut dyn Visitor,
    ) -> Result<(), End> {
        let found = Found { directories: &self.directories, directory, child, file_type };
        match visitor.found(&found) {
            Next::Stop => return Err(End::Stopped),
            Next::Enter if file_type == FileType::Directory => {}
            Next::Enter | Next::Skip => return Ok(()),
        }
        let length =
            self.directories.path_length(directory).saturating_add(child.name.len()).saturating_add(1);
        if length > self.tree.limits().path_bytes {
            let limit = to_u64(self.tree.limits().path_bytes);
            let error = FsError::Limit { what: "the length of a path (`path_bytes`)", limit };
            visitor.unread(self.directories.path(directory).join(child.name), error);
        } else {
            below.extend(self.add(Some(directory), child.node, child.name)?);
        }
        Ok(())
    }

    /// Remembers a directory; `None` if it was found before.
    fn add(&mut self, parent: Option<usize>, node: Node, name: &[u8]) -> Result<Option<usize>, FsError> {
        /// A record, and an entry of a hash table that is half empty.
        const EACH: usize = size_of::<Directory>() + 2 * (size_of::<(u32, Inode)>() + 1);

        if !self.visited.insert(self.tree.identity(node)) {
            return Ok(None);
        }
        self.bytes = self.bytes.saturating_add(to_u64(EACH.saturating_add(name.len())));
        let limit = self.tree.limits().walk_bytes;
        if self.bytes > limit {
            return Err(FsError::Limit {
                what: "the memory for the directories of one walk (`walk_bytes`)",
                limit,
            });
        }
        Ok(Some(self.directories.add(parent, node, name)))
    }
}

/// The directories of a walk, each behind its parent.
#[derive(Debug, Default)]
struct Directories {
    list: Vec<Directory>,
    /// Their names, one behind the other.
    names: Vec<u8>,
}

#[derive(Debug)]
struct Directory {
    node: Node,
    parent: u32,
    /// Where its name begins in `names`; it ends where the next one's begins.
    name: u32,
    /// Bytes of the path to it, with a `/` before each name.
    path_length: u32,
}

impl Directories {
    fn add(&mut self, parent: Option<usize>, node: Node, name: &[u8]) -> usize {
        /// `Limits::walk_bytes` ends a walk before there are so many directories, or so long names.
        fn narrow(number: usize) -> u32 {
            u32::try_from(number).unwrap_or(u32::MAX)
        }

        let index = self.list.len();
        let path_length =
            parent.map_or(0, |parent| self.path_length(parent).saturating_add(name.len()).saturating_add(1));
        self.list.push(Directory {
            node,
            // The root is its own parent.
            parent: narrow(parent.unwrap_or(index)),
            name: narrow(self.names.len()),
            path_length: narrow(path_length),
        });
        self.names.extend_from_slice(name);
        index
    }

    fn node(&self, index: usize) -> Option<Node> {
        self.list.get(index).map(|directory| directory.node)
    }

    fn path_length(&self, index: usize) -> usize {
        self.list.get(index).map_or(0, |directory| to_usize(directory.path_length))
    }

    /// The path of a directory. The loop ends, because each parent is before its children.
    fn path(&self, mut index: usize) -> FsPath {
        let mut names = Vec::new();
        while let Some(directory) = self.list.get(index).filter(|_| index > 0) {
            let end =
                self.list.get(index.saturating_add(1)).map_or(self.names.len(), |next| to_usize(next.name));
            names.push(self.names.get(to_usize(directory.name)..end).unwrap_or_default());
            index = to_usize(directory.parent).min(index.saturating_sub(1));
        }
        let mut path = FsPath::root();
        for name in names.into_iter().rev() {
            path.push(name);
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::rc::Rc;

    use agentless_core::fs::Directory as LocalDirectory;

    use super::*;
    use crate::fs::FileSystem;
    use crate::limits::Limits;

    /// Notes every path, and answers for some of them.
    #[derive(Default)]
    struct Notes {
        found: Vec<String>,
        unread: Vec<String>,
        answers: Vec<(&'static str, Next)>,
    }

    impl Visitor for Notes {
        fn found(&mut self, found: &Found<'_>) -> Next {
            let path = found.path().to_string();
            assert_eq!(found.path().file_name(), Some(found.name()));
            let answer = self.answers.iter().find(|(asked, _)| *asked == path);
            let answer = answer.map_or(Next::Enter, |(_, answer)| *answer);
            self.found.push(path);
            answer
        }

        fn unread(&mut self, path: FsPath, error: FsError) {
            self.unread.push(format!("{path}: {error}"));
        }
    }

    fn local(paths: &[&str]) -> (tempfile::TempDir, Rc<dyn FileSystem>) {
        let root = tempfile::tempdir().unwrap();
        for path in paths {
            fs::create_dir_all(root.path().join(path)).unwrap();
        }
        let opened = LocalDirectory::open(root.path(), &Limits::default()).unwrap();
        (root, Rc::new(opened))
    }

    fn walked(tree: &Tree, answers: &[(&'static str, Next)]) -> Notes {
        let mut notes = Notes { answers: answers.to_vec(), ..Notes::default() };
        walk(tree, &mut notes).unwrap();
        notes
    }

    #[test]
    fn everything_is_visited_level_by_level_and_across_mounts_once() {
        let (root, top) = local(&["a/b/c", "mnt/hidden", "again"]);
        fs::write(root.path().join("a/file"), "").unwrap();
        symlink("/a", root.path().join("a/link")).unwrap();
        let (_other_root, other) = local(&["x/y"]);
        let mut tree = Tree::new(Rc::clone(&top), Limits::default());
        tree.mount(&FsPath::new("/mnt"), Rc::clone(&other), other.root()).unwrap();
        let (a, _) = tree.lookup(&FsPath::new("/a")).unwrap().unwrap();
        let inode = tree.place(a).1;
        tree.mount(&FsPath::new("/again"), top, inode).unwrap();

        let mut notes = walked(&tree, &[]);
        let depth = |path: &String| path.matches('/').count();
        assert!(notes.found.is_sorted_by_key(depth), "{:?}", notes.found);
        notes.found.sort();
        // What is mounted at /again is visited as /a or as /again, and not twice.
        let seen_as = notes.found.iter().find(|path| path.ends_with("/file")).unwrap();
        let shown = seen_as.strip_suffix("/file").unwrap().to_owned();
        let mut expected = ["/a", "/again", "/mnt", "/mnt/x", "/mnt/x/y"].map(str::to_owned).to_vec();
        expected.extend(["/b", "/b/c", "/file", "/link"].map(|path| format!("{shown}{path}")));
        expected.sort();
        assert_eq!(notes.found, expected);
        assert_eq!(notes.unread, [""; 0]);
    }

    #[test]
    fn a_visitor_leaves_out_directories_and_ends_the_walk() {
        let (_root, top) = local(&["proc/1/fd", "usr/lib", "var/lib"]);
        let tree = Tree::new(top, Limits::default());
        let mut notes = walked(&tree, &[("/proc", Next::Skip)]);
        notes.found.sort();
        assert_eq!(notes.found, ["/proc", "/usr", "/usr/lib", "/var", "/var/lib"]);
        let notes = walked(&tree, &[("/usr", Next::Stop)]);
        assert_eq!(notes.found.last().unwrap(), "/usr");
    }

    #[test]
    fn long_paths_are_reported_and_many_directories_end_the_walk() {
        let (_root, top) = local(&["aa/bb/cc/dd/ee"]);
        let tree = Tree::new(Rc::clone(&top), Limits { path_bytes: 9, ..Limits::default() });
        let notes = walked(&tree, &[]);
        assert_eq!(notes.found, ["/aa", "/aa/bb", "/aa/bb/cc", "/aa/bb/cc/dd"]);
        assert_eq!(
            notes.unread,
            ["/aa/bb/cc/dd: the length of a path (`path_bytes`) exceeds the limit of 9"]
        );

        let tree = Tree::new(top, Limits { walk_bytes: 200, ..Limits::default() });
        let error = walk(&tree, &mut Notes::default()).unwrap_err().to_string();
        assert_eq!(
            error,
            "the memory for the directories of one walk (`walk_bytes`) exceeds the limit of 200"
        );
    }
}
