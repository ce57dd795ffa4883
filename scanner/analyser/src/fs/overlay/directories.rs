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

/// A search for what a file or directory of one layer is in the layers below.
#[derive(Debug)]
pub(super) struct Search {
    way: Way,
    /// Whether an opaque directory on the way hides what is below.
    is_hidden: bool,
}

#[derive(Debug)]
enum Way {
    /// This name in the parts of its parent.
    Beside(Vec<u8>),
    /// This path from the root of each layer.
    Absolute(Vec<Vec<u8>>),
}

impl Search {
    /// For what has this name in its parent.
    pub(super) fn new(name: Vec<u8>) -> Self {
        Self { way: Way::Beside(name), is_hidden: false }
    }

    /// Goes on where a redirect of what was found leads: a path, or a name beside.
    pub(super) fn follow(&mut self, redirect: &[u8]) -> Result<(), FsError> {
        self.redirect(redirect, &[])
    }

    /// Goes on as if nothing on the way had been opaque.
    pub(super) fn show(&mut self) {
        self.is_hidden = false;
    }

    /// Replaces the way up to the names `rest`, which come last in it.
    fn redirect(&mut self, redirect: &[u8], rest: &[Vec<u8>]) -> Result<(), FsError> {
        let names = redirect.split(|&byte| byte == b'/').filter(|name| !name.is_empty());
        let names: Vec<_> = names.map(<[u8]>::to_vec).collect();
        let is_absolute = redirect.starts_with(b"/");
        let leads_up = names.iter().any(|name| name == b"." || name == b"..");
        if leads_up || names.is_empty() || !is_absolute && names.len() > 1 {
            return Err(FsError::corrupt(
                "an overlay's redirect",
                "it is neither a name nor an absolute path",
            ));
        }
        match &mut self.way {
            Way::Beside(name) if !is_absolute => *name = names.concat(),
            Way::Absolute(path) if !is_absolute => {
                path.truncate(path.len().saturating_sub(rest.len().saturating_add(1)));
                path.extend(names);
                path.extend_from_slice(rest);
            }
            way => {
                self.is_hidden = false;
                *way = Way::Absolute(names.into_iter().chain(rest.iter().cloned()).collect());
            }
        }
        Ok(())
    }

    /// What is found in the first layer below `layer` that has something there, and in which one.
    pub(super) fn next(
        &mut self,
        overlay: &Overlay,
        layer: u32,
        parents: &[Part],
        roots: &[Part],
    ) -> Result<Option<(u32, Found)>, FsError> {
        let starts = if matches!(self.way, Way::Absolute(_)) { roots } else { parents };
        for start in starts.iter().filter(|part| part.layer > layer) {
            if self.is_hidden {
                break;
            }
            overlay.budget.step()?;
            let found = match &self.way {
                Way::Beside(name) => overlay.layers.look_up(start.place, name)?,
                Way::Absolute(path) => {
                    let path = path.clone();
                    self.walk(&overlay.layers, start.place, &path, is_last(start.layer, roots))?
                }
            };
            match found {
                Some(Found::Whiteout) => break,
                Some(found) => return Ok(Some((start.layer, found))),
                None => {}
            }
        }
        Ok(None)
    }

    /// What a path is in one layer. What its directories say of themselves holds for the layers below: `ovl_lookup_layer` in
    /// the kernel's `fs/overlayfs/namei.c`.
    fn walk(
        &mut self,
        layers: &Layers,
        root: Place,
        path: &[Vec<u8>],
        is_last: bool,
    ) -> Result<Option<Found>, FsError> {
        let mut here = root;
        let mut rest = path;
        while let Some((name, behind)) = rest.split_first() {
            let found = layers.look_up(here, name)?;
            if behind.is_empty() {
                return Ok(found);
            }
            here = match found {
                Some(Found::Directory(place)) => place,
                Some(_) => return Ok(Some(Found::Whiteout)),
                None => return Ok(None),
            };
            if !is_last {
                let marks = layers.marks(here)?;
                if marks.is_opaque {
                    self.is_hidden = true;
                } else if let Some(redirect) = &marks.redirect {
                    self.redirect(redirect, behind)?;
                }
            }
            rest = behind;
        }
        Ok(None)
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
        let mut search = Search::new(name);
        let mut here = top;
        while !is_last(here.layer, &roots) {
            self.budget.step()?;
            let marks = self.layers.marks(here.place)?;
            if marks.is_opaque {
                break;
            }
            if let Some(redirect) = &marks.redirect {
                search.follow(redirect)?;
            }
            match search.next(self, here.layer, &parents, &roots)? {
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
}

fn is_last(layer: u32, roots: &[Part]) -> bool {
    roots.last().is_none_or(|last| layer >= last.layer)
}
