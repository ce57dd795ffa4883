//! The names that unpacking makes, in memory.

use std::collections::BTreeMap;

use crate::fs::{FileType, FsError, FsPath, Stat};
use crate::limits::Limits;
use crate::volume::bytes::{to_u64, to_usize};

/// What the archives so far would have left on a disk.
#[derive(Debug)]
pub(super) struct Names {
    /// The first is the root. What was removed stays here, without a name.
    nodes: Vec<Node>,
    /// Memory that they have, roughly.
    bytes: u64,
    limits: Limits,
}

/// A file or directory.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) stat: Stat,
    /// The archive that it is from.
    pub(super) archive: u32,
    /// The last archive that has its name; of a directory, or something in it.
    last: u32,
    pub(super) content: Content,
    children: BTreeMap<Box<[u8]>, u32>,
}

/// Where what a file holds is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// It holds nothing: a directory, a device.
    Nothing,
    /// The target of a symbolic link.
    Target(Vec<u8>),
    /// At this place of the archive: the number of a zip's entry, or an offset in a tar.
    At(u64),
}

/// The root.
pub(super) const ROOT: u32 = 0;

/// Directories that no archive lists are made with this mode, as `mkdir -p` does.
const IMPLIED: u16 = 0o755;

impl Names {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { nodes: vec![Node::directory(0)], bytes: 0, limits: limits.clone() }
    }

    pub(super) fn get(&self, node: u32) -> Option<&Node> {
        self.nodes.get(to_usize(node))
    }

    /// The names in a directory.
    pub(super) fn children(&self, node: u32) -> impl Iterator<Item = (&[u8], u32)> {
        let children = self.get(node).map(|node| node.children.iter());
        children.into_iter().flatten().map(|(name, &child)| (&**name, child))
    }

    pub(super) fn child(&self, node: u32, name: &[u8]) -> Option<u32> {
        self.get(node)?.children.get(name).copied()
    }

    /// Puts something at a path below the directory `place`. What was there before goes, but for a directory where another
    /// one comes: that gets the new mode, and keeps what is in it.
    pub(super) fn put(&mut self, place: u32, path: &FsPath, node: Node) -> Result<(), FsError> {
        let Some(name) = path.file_name() else {
            // The root of the archive itself.
            return Ok(());
        };
        let parent = self.parent(place, path, node.archive)?;
        if node.stat.file_type == FileType::Directory
            && let Some(known) = self.child(parent, name).and_then(|known| self.get_mut(known))
            && known.stat.file_type == FileType::Directory
        {
            (known.stat, known.archive, known.last) = (node.stat, node.archive, node.archive);
            return Ok(());
        }
        self.add(parent, name, node).map(drop)
    }

    /// Gives a file that was put before another name.
    pub(super) fn link(
        &mut self,
        place: u32,
        path: &FsPath,
        target: &FsPath,
        archive: u32,
    ) -> Result<(), FsError> {
        let name = path.file_name().ok_or(FsError::Invalid { problem: "a hard link without a name" })?;
        let missing = FsError::Invalid { problem: "a hard link to a file that is not there" };
        let found = match (target.file_name(), self.walk(place, &target.parent().unwrap_or_default(), None)?)
        {
            (Some(name), Some(parent)) => self.child(parent, name),
            _ => None,
        };
        let found = found.ok_or(missing)?;
        let node = self.get(found).ok_or(FsError::NOT_A_FILE)?;
        if node.stat.file_type == FileType::Directory {
            return Err(FsError::Invalid { problem: "a hard link to a directory" });
        }
        // To link a file of a lower layer copies it to this one: whiteouts of the one are none of the other.
        let copy = (node.last < archive).then(|| Node {
            last: archive,
            children: BTreeMap::new(),
            content: node.content.clone(),
            ..*node
        });
        let parent = self.parent(place, path, archive)?;
        if let Some(copy) = copy {
            return self.add(parent, name, copy).map(drop);
        }
        if let Some(node) = self.get_mut(found) {
            node.stat.links = node.stat.links.saturating_add(1);
        }
        self.pay(name.len())?;
        self.name(parent, name, found);
        Ok(())
    }

    /// Removes what archives before `archive` put at a path: what a whiteout says.
    pub(super) fn hide(&mut self, place: u32, path: &FsPath, archive: u32) -> Result<(), FsError> {
        let Some(name) = path.file_name() else { return Ok(()) };
        let Some(parent) = self.walk(place, &path.parent().unwrap_or_default(), None)? else { return Ok(()) };
        let Some(found) = self.child(parent, name) else { return Ok(()) };
        if self.get(found).is_some_and(|node| node.last < archive) {
            if let Some(parent) = self.get_mut(parent) {
                parent.children.remove(name);
            }
        } else {
            self.empty(found, archive);
        }
        Ok(())
    }

    /// Removes what archives before `archive` put into a directory, which it has as well: what an opaque directory says.
    pub(super) fn hide_below(&mut self, place: u32, path: &FsPath, archive: u32) -> Result<(), FsError> {
        let directory = self.parent(place, &path.join("x"), archive)?;
        self.empty(directory, archive);
        Ok(())
    }

    fn empty(&mut self, directory: u32, archive: u32) {
        let mut waiting = vec![directory];
        while let Some(here) = waiting.pop() {
            let mut children =
                self.get_mut(here).map(|node| std::mem::take(&mut node.children)).unwrap_or_default();
            children.retain(|_, child| self.get(*child).is_some_and(|child| child.last >= archive));
            waiting.extend(children.values());
            if let Some(node) = self.get_mut(here) {
                node.children = children;
            }
        }
    }

    /// The directory that holds a path; it is made if it is not there.
    fn parent(&mut self, place: u32, path: &FsPath, archive: u32) -> Result<u32, FsError> {
        let found = self.walk(place, &path.parent().unwrap_or_default(), Some(archive))?;
        found.ok_or(FsError::NOT_A_DIRECTORY)
    }

    /// The directory that a path leads to from `place`, which no symbolic link leaves. If it is not there, it is made for
    /// `archive`; without one there is none.
    fn walk(&mut self, place: u32, path: &FsPath, archive: Option<u32>) -> Result<Option<u32>, FsError> {
        let (mut here, mut ancestors, mut links) = (place, Vec::new(), 0_u32);
        let mut rest: Vec<Vec<u8>> = path.components().rev().map(<[u8]>::to_vec).collect();
        self.touch(here, archive);
        while let Some(name) = rest.pop() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    here = ancestors.pop().unwrap_or(place);
                    continue;
                }
                _ => {}
            }
            let next = match (self.child(here, &name), archive) {
                (Some(next), _) => next,
                (None, Some(archive)) => self.add(here, &name, Node::directory(archive))?,
                (None, None) => return Ok(None),
            };
            let Some(node) = self.get(next) else { return Ok(None) };
            match (node.stat.file_type, &node.content) {
                (FileType::Directory, _) => {
                    ancestors.push(here);
                    here = next;
                    self.touch(here, archive);
                }
                (_, Content::Target(target)) => {
                    links = links.saturating_add(1);
                    let waiting: usize = rest.iter().map(Vec::len).sum();
                    if links > self.limits.symlinks
                        || target.len().saturating_add(waiting) > self.limits.path_bytes
                    {
                        let limit = u64::from(self.limits.symlinks);
                        let what = "the number of symbolic links in one path (`symlinks`)";
                        return Err(FsError::Limit { what, limit });
                    }
                    if target.first() == Some(&b'/') {
                        (here, ancestors) = (place, Vec::new());
                    }
                    rest.extend(target.split(|&byte| byte == b'/').rev().map(<[u8]>::to_vec));
                }
                _ => return Err(FsError::NOT_A_DIRECTORY),
            }
        }
        Ok(Some(here))
    }

    fn touch(&mut self, directory: u32, archive: Option<u32>) {
        if let (Some(archive), Some(node)) = (archive, self.get_mut(directory)) {
            node.last = archive;
        }
    }

    fn add(&mut self, parent: u32, name: &[u8], node: Node) -> Result<u32, FsError> {
        let target = if let Content::Target(target) = &node.content { target.len() } else { 0 };
        self.pay(size_of::<Node>().saturating_add(name.len()).saturating_add(target))?;
        let limit = FsError::Limit { what: "the number of files in archives", limit: u64::from(u32::MAX) };
        let index = u32::try_from(self.nodes.len()).map_err(|_| limit)?;
        self.nodes.push(node);
        self.name(parent, name, index);
        Ok(index)
    }

    fn name(&mut self, parent: u32, name: &[u8], index: u32) {
        if let Some(parent) = self.get_mut(parent) {
            parent.children.insert(name.into(), index);
        }
    }

    fn get_mut(&mut self, node: u32) -> Option<&mut Node> {
        self.nodes.get_mut(to_usize(node))
    }

    /// Takes memory for a name. One name of a thousand components is a thousand directories.
    fn pay(&mut self, bytes: usize) -> Result<(), FsError> {
        /// An entry of a map of names.
        const EACH: usize = 48;

        let sum = self.bytes.saturating_add(to_u64(bytes.saturating_add(EACH)));
        if sum > self.limits.file_bytes {
            let what = "the memory for the names in archives (`file_bytes`)";
            return Err(FsError::Limit { what, limit: self.limits.file_bytes });
        }
        self.bytes = sum;
        Ok(())
    }
}

impl Node {
    pub(super) fn new(archive: u32, file_type: FileType, mode: u16, content: Content) -> Self {
        let stat = Stat { file_type, mode, size: 0, uid: 0, gid: 0, links: 1, mtime: 0, device: None };
        let size = if let Content::Target(target) = &content { to_u64(target.len()) } else { 0 };
        Self { stat: Stat { size, ..stat }, archive, last: archive, content, children: BTreeMap::new() }
    }

    pub(super) fn directory(archive: u32) -> Self {
        Self::new(archive, FileType::Directory, IMPLIED, Content::Nothing)
    }

    pub(super) fn with_size(mut self, size: u64) -> Self {
        self.stat.size = size;
        self
    }
}
