//! The directories of an overlay, and the parts of the layers that each is made of.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::Overlay;
use super::layers::{Found, Layers, Place};
use crate::fs::{FsError, Inode};
use crate::limits::Limits;
use crate::volume::bytes::{to_u64, to_usize};

/// The directories that were found so far. An inode number is an index into `list`.
#[derive(Debug)]
pub(super) struct Directories {
    /// Never empty: the first is the root.
    list: Vec<Directory>,
    /// By the part that hides the others, so that directories which contain each other on a damaged disk end.
    known: HashMap<Part, u64>,
    /// Memory that both take, roughly.
    bytes: u64,
}

/// A directory of one layer. The upper layer has the number 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Part {
    pub(super) layer: u32,
    pub(super) place: Place,
}

#[derive(Debug)]
struct Directory {
    parent: Inode,
    name: Box<[u8]>,
    top: Part,
    /// Those of all layers, when they were asked for.
    parts: RefCell<Option<Rc<[Part]>>>,
}

impl Directories {
    /// The root is made of all layers.
    pub(super) fn new(roots: Vec<Part>) -> Option<Self> {
        let top = *roots.first()?;
        let parts = RefCell::new(Some(Rc::from(roots)));
        let root = Directory { parent: Inode(0), name: Box::default(), top, parts };
        Some(Self { list: vec![root], known: HashMap::from([(top, 0)]), bytes: 0 })
    }

    fn get(&self, inode: Inode) -> Result<&Directory, FsError> {
        let found = self.list.get(to_usize(inode.0));
        found.ok_or(FsError::Invalid { problem: "an inode that this overlay did not give" })
    }

    pub(super) fn top(&self, inode: Inode) -> Result<Place, FsError> {
        self.get(inode).map(|directory| directory.top.place)
    }

    /// The inode of a directory that was found as `name` in another.
    pub(super) fn add(
        &mut self,
        parent: Inode,
        name: &[u8],
        top: Part,
        limits: &Limits,
    ) -> Result<Inode, FsError> {
        const EACH: usize = size_of::<Directory>() + 2 * size_of::<(Part, u64)>();

        if let Some(&known) = self.known.get(&top) {
            return Ok(Inode(known));
        }
        self.bytes = self.bytes.saturating_add(to_u64(EACH.saturating_add(name.len())));
        if self.bytes > limits.walk_bytes {
            return Err(FsError::Limit {
                what: "the memory for the directories of one overlay (`walk_bytes`)",
                limit: limits.walk_bytes,
            });
        }
        let index = to_u64(self.list.len());
        self.list.push(Directory { parent, name: name.into(), top, parts: RefCell::default() });
        self.known.insert(top, index);
        Ok(Inode(index))
    }

    /// The names that lead from the root to a directory.
    pub(super) fn path(&self, inode: Inode) -> Vec<Box<[u8]>> {
        let mut names = Vec::new();
        let mut here = inode;
        // A parent was there before its children.
        while let Some(directory) =
            self.list.get(to_usize(here.0)).filter(|directory| directory.parent < here)
        {
            names.push(directory.name.clone());
            here = directory.parent;
        }
        names.reverse();
        names
    }
}

/// What a file or directory of one layer is called in the layers below.
pub(super) enum Way {
    /// This name in the parts of its parent.
    Beside(Vec<u8>),
    /// This path from the root of each layer.
    Absolute(Vec<u8>),
}

impl Way {
    /// The way that a redirect names, for what was reached by `self`.
    pub(super) fn redirected(self, redirect: &[u8]) -> Result<Self, FsError> {
        if redirect.starts_with(b"/") {
            return Ok(Self::Absolute(redirect.to_vec()));
        }
        if redirect.is_empty() || redirect.contains(&b'/') {
            return Err(FsError::corrupt(
                "an overlay's redirect",
                "it is neither a name nor an absolute path",
            ));
        }
        Ok(match self {
            Self::Beside(_) => Self::Beside(redirect.to_vec()),
            Self::Absolute(path) => {
                let parent = path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
                let parent = path.get(..parent).unwrap_or_default();
                Self::Absolute([parent, b"/", redirect].concat())
            }
        })
    }
}

impl Overlay {
    /// The parts that a directory is made of, the upper one first.
    pub(super) fn parts(&self, inode: Inode) -> Result<Rc<[Part]>, FsError> {
        let (parent, name, top) = {
            let directories = self.directories.borrow();
            let directory = directories.get(inode)?;
            if let Some(parts) = &*directory.parts.borrow() {
                return Ok(Rc::clone(parts));
            }
            (directory.parent, directory.name.to_vec(), directory.top)
        };
        // Not endless: a directory is found in its parent, whose parts are known by then.
        let parents = self.parts(parent)?;
        let roots = self.parts(Inode(0))?;
        let mut parts = vec![top];
        let mut way = Way::Beside(name);
        let mut here = top;
        while !is_last(here.layer, &roots) {
            self.budget.step()?;
            let marks = self.layers.marks(here.place)?;
            if marks.is_opaque {
                break;
            }
            if let Some(redirect) = &marks.redirect {
                way = way.redirected(redirect)?;
            }
            match self.below(here.layer, &way, &parents, &roots)? {
                Some((layer, Found::Directory(place))) => {
                    here = Part { layer, place };
                    parts.push(here);
                }
                _ => break,
            }
        }
        let parts: Rc<[Part]> = Rc::from(parts);
        *self.directories.borrow().get(inode)?.parts.borrow_mut() = Some(Rc::clone(&parts));
        Ok(parts)
    }

    /// What is reached by a way in the first layer below `layer` that has something there.
    pub(super) fn below(
        &self,
        layer: u32,
        way: &Way,
        parents: &[Part],
        roots: &[Part],
    ) -> Result<Option<(u32, Found)>, FsError> {
        let starts = if matches!(way, Way::Absolute(_)) { roots } else { parents };
        for start in starts.iter().filter(|part| part.layer > layer) {
            self.budget.step()?;
            let found = match way {
                Way::Beside(name) => self.layers.look_up(start.place, name)?,
                Way::Absolute(path) => {
                    let is_last = is_last(start.layer, roots);
                    match walk(&self.layers, start.place, path, is_last)? {
                        Walked::Found(found) => Some(found),
                        Walked::Absent => None,
                        Walked::Hidden => return Ok(None),
                    }
                }
            };
            if let Some(found) = found {
                return Ok(Some((start.layer, found)));
            }
        }
        Ok(None)
    }
}

enum Walked {
    Found(Found),
    /// The layers below may have it.
    Absent,
    /// They may, and it is not seen.
    Hidden,
}

/// What a path is in one layer.
fn walk(layers: &Layers, root: Place, path: &[u8], is_last: bool) -> Result<Walked, FsError> {
    let mut names = path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).peekable();
    let mut here = root;
    let mut is_hidden = false;
    while let Some(name) = names.next() {
        if name == b"." || name == b".." {
            return Err(FsError::corrupt("an overlay's redirect", "its path leads up"));
        }
        match layers.look_up(here, name)? {
            Some(found) if names.peek().is_none() => return Ok(Walked::Found(found)),
            Some(Found::Directory(place)) => {
                here = place;
                if !is_last {
                    let marks = layers.marks(place)?;
                    is_hidden |= marks.is_opaque;
                    if marks.redirect.is_some() {
                        let feature =
                            "an overlay's redirect through a directory that was renamed itself".to_owned();
                        return Err(FsError::Unsupported { feature });
                    }
                }
            }
            Some(_) => return Ok(Walked::Hidden),
            None => return Ok(if is_hidden { Walked::Hidden } else { Walked::Absent }),
        }
    }
    Ok(Walked::Found(Found::Directory(here)))
}

fn is_last(layer: u32, roots: &[Part]) -> bool {
    roots.last().is_none_or(|last| layer >= last.layer)
}
