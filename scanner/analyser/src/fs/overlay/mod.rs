//! Directories of other filesystems, laid over each other: what the kernel's overlayfs shows of them.
//!
//! Nothing is mounted. The layers are directories that were found in a tree; names are looked for in the upper one first,
//! and what it hides is hidden: by whiteouts, in opaque directories, and behind redirects of directories that were renamed.
//! The rules are those of "Documentation/filesystems/overlayfs.rst" in the kernel's source, and of `fs/overlayfs/namei.c`.

mod directories;
mod layers;
mod metacopy;
mod trace;

use std::cell::RefCell;
use std::collections::HashSet;
use std::ops::{ControlFlow, Range};
use std::rc::Rc;

pub use layers::{Attributes, Layers};
pub use trace::Trace;

use super::{DirEntry, FileSystem, FileType, FsError, Identity, Inode, Journal, Stat, Xattr};
use crate::limits::{Budget, Limits};
use directories::{Directories, Part};
use layers::{Found, Place};
use metacopy::Data;

/// An overlay of directories.
///
/// Inode numbers are its own. That of a file says which file of which filesystem below it is, so that it is the same in all
/// overlays with the same [`Layers`]; those of directories are given as they are found.
#[derive(Debug)]
pub struct Overlay {
    layers: Rc<Layers>,
    directories: RefCell<Directories>,
    budget: Budget,
    limits: Limits,
    data: RefCell<Data>,
    /// What was looked at since it was asked for.
    trace: RefCell<Option<Trace>>,
}

/// What takes the entries of a directory: the name, the layer that it is in, what it is there, and its type.
type Visit<'a> = dyn FnMut(&[u8], u32, Found, FileType) -> ControlFlow<()> + 'a;

/// Set in the inode number of everything but directories; then seven bits for the filesystem, and its own number.
const FILE: u64 = 1 << 63;
const FILE_SYSTEM_SHIFT: u32 = 56;
const OWN_NUMBER: u64 = (1 << FILE_SYSTEM_SHIFT) - 1;

impl Overlay {
    /// An overlay of these directories, the upper one first.
    ///
    /// # Errors
    ///
    /// [`FsError::Invalid`] without any, or if one of them is no directory.
    pub fn open(
        directories: &[(Rc<dyn FileSystem>, Inode)],
        layers: &Rc<Layers>,
        limits: &Limits,
    ) -> Result<Self, FsError> {
        let mut roots = Vec::new();
        for (file_system, inode) in directories {
            if file_system.stat(*inode)?.file_type != FileType::Directory {
                return Err(FsError::Invalid { problem: "a layer that is not a directory" });
            }
            let layer = u32::try_from(roots.len()).unwrap_or(u32::MAX);
            roots.push(Part { layer, place: layers.place(file_system, *inode)? });
        }
        let directories =
            Directories::new(roots).ok_or(FsError::Invalid { problem: "an overlay without layers" })?;
        Ok(Self {
            layers: Rc::clone(layers),
            directories: RefCell::new(directories),
            budget: Budget::new(limits),
            limits: limits.clone(),
            data: RefCell::default(),
            trace: RefCell::default(),
        })
    }

    /// The filesystem that a file or directory is on, of a directory the part that hides the others, and its inode there.
    pub fn origin(&self, inode: Inode) -> Result<(Rc<dyn FileSystem>, Inode), FsError> {
        let place = self.top(inode)?;
        Ok((self.layers.file_system(place)?, place.inode))
    }

    /// The place of a file, or of the part of a directory that hides the others.
    fn top(&self, inode: Inode) -> Result<Place, FsError> {
        match file(inode) {
            Some(place) => Ok(place),
            None => self.directories.borrow().top(inode),
        }
    }

    /// What an entry of a directory is here.
    fn inode(&self, parent: Inode, name: &[u8], layer: u32, found: Found) -> Result<Option<Inode>, FsError> {
        match found {
            Found::Whiteout => Ok(None),
            Found::File(place) => file_inode(place).map(Some),
            Found::Directory(place) => {
                let part = Part { layer, place };
                self.directories.borrow_mut().add(parent, name, part, &self.limits).map(Some)
            }
        }
    }

    /// Calls `visit` with the entries of a directory that are seen.
    fn visit(&self, dir: Inode, visit: &mut Visit<'_>) -> Result<(), FsError> {
        let parts = self.parts(dir)?;
        self.note_listing(dir, &parts);
        let mut listings = Vec::with_capacity(parts.len());
        for part in parts.iter() {
            listings.push((part.layer, self.layers.list(part.place)?));
        }
        let mut seen = HashSet::new();
        let is_merged = parts.len() > 1;
        for (layer, listing) in &listings {
            for (name, found, file_type) in listing.entries() {
                self.budget.step()?;
                if is_merged && !seen.insert(name) || found == Found::Whiteout {
                    continue;
                }
                if visit(name, *layer, found, file_type).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// What a name is in a directory, and in which layer.
    fn find(&self, dir: Inode, name: &[u8]) -> Result<Option<(u32, Found)>, FsError> {
        self.budget.step()?;
        for part in self.parts(dir)?.iter() {
            match self.layers.look_up(part.place, name)? {
                None => {}
                Some(Found::Whiteout) => return Ok(None),
                Some(found) => return Ok(Some((part.layer, found))),
            }
        }
        Ok(None)
    }

    /// Passes a hint on to the filesystems below.
    fn hint<T: Clone>(&self, places: &[(Place, T)], tell: impl Fn(&dyn FileSystem, Vec<(Inode, T)>)) {
        for places in places.chunk_by(|(a, _), (b, _)| a.file_system == b.file_system) {
            let Some(&(first, _)) = places.first() else { continue };
            let Ok(file_system) = self.layers.file_system(first) else { continue };
            let inodes = places.iter().map(|(place, of_it)| (place.inode, of_it.clone()));
            tell(&*file_system, inodes.collect());
        }
    }
}

impl FileSystem for Overlay {
    fn kind(&self) -> &'static str {
        "overlay"
    }

    /// That of the filesystems below is in their own reports.
    fn journal(&self) -> Journal {
        Journal::Clean
    }

    fn identity(&self) -> Identity {
        Identity::default()
    }

    fn root(&self) -> Inode {
        Inode(0)
    }

    fn stat(&self, inode: Inode) -> Result<Stat, FsError> {
        let stat = self.layers.stat(self.top(inode)?)?;
        // How many subdirectories a directory of several parts has, nobody counts.
        let is_merged = file(inode).is_none() && self.parts(inode)?.len() > 1;
        Ok(if is_merged { Stat { links: 1, ..stat } } else { stat })
    }

    fn read_dir(
        &self,
        dir: Inode,
        visit: &mut dyn FnMut(DirEntry<'_>) -> ControlFlow<()>,
    ) -> Result<(), FsError> {
        let mut outcome = Ok(());
        self.visit(dir, &mut |name, layer, found, file_type| match self.inode(dir, name, layer, found) {
            Ok(Some(inode)) => visit(DirEntry { name, inode, file_type: Some(file_type) }),
            Ok(None) => ControlFlow::Continue(()),
            Err(error) => {
                outcome = Err(error);
                ControlFlow::Break(())
            }
        })?;
        outcome
    }

    fn lookup(&self, dir: Inode, name: &[u8]) -> Result<Option<Inode>, FsError> {
        let found = match self.find(dir, name)? {
            Some((layer, found)) => self.inode(dir, name, layer, found)?,
            None => None,
        };
        self.note_lookup(dir, name, found);
        Ok(found)
    }

    fn read(&self, inode: Inode, offset: u64, dst: &mut [u8]) -> Result<usize, FsError> {
        let place = file(inode).ok_or(FsError::NOT_A_FILE)?;
        let data = self.data_of(inode, place)?;
        self.layers.file_system(data)?.read(data.inode, offset, dst)
    }

    fn read_link(&self, inode: Inode) -> Result<Vec<u8>, FsError> {
        let place = file(inode).ok_or(FsError::NOT_A_LINK)?;
        self.layers.file_system(place)?.read_link(place.inode)
    }

    /// Those of the overlay itself are left out, as the kernel does.
    fn xattrs(
        &self,
        inode: Inode,
        visit: &mut dyn FnMut(Xattr<'_>) -> ControlFlow<()>,
    ) -> Result<(), FsError> {
        let place = self.top(inode)?;
        self.layers.file_system(place)?.xattrs(place.inode, &mut |xattr| {
            if self.layers.attributes.own(xattr.name).is_some() {
                return ControlFlow::Continue(());
            }
            visit(xattr)
        })
    }

    fn prefetch_inodes(&self, inodes: &[Inode]) {
        let places: Vec<_> = inodes.iter().filter_map(|&inode| Some((self.top(inode).ok()?, ()))).collect();
        self.hint(&places, |file_system, inodes| {
            let inodes: Vec<_> = inodes.into_iter().map(|(inode, ())| inode).collect();
            file_system.prefetch_inodes(&inodes);
        });
    }

    fn prefetch_parts(&self, parts: &[(Inode, Range<u64>)]) {
        let mut places = Vec::new();
        for (inode, bytes) in parts {
            if let Some(place) = file(*inode) {
                places.push((place, bytes.clone()));
            } else if let Ok(layers) = self.parts(*inode) {
                let layers = layers.iter().map(|layer| layer.place);
                let unknown = layers.filter(|&place| !self.layers.knows(place));
                places.extend(unknown.map(|place| (place, bytes.clone())));
            }
        }
        self.hint(&places, |file_system, parts| file_system.prefetch_parts(&parts));
    }
}

/// The inode number of a file.
fn file_inode(place: Place) -> Result<Inode, FsError> {
    if place.inode.0 > OWN_NUMBER {
        return Err(FsError::Unsupported {
            feature: format!("the inode number {} in an overlay", place.inode.0),
        });
    }
    Ok(Inode(FILE | (u64::from(place.file_system) << FILE_SYSTEM_SHIFT) | place.inode.0))
}

/// The file that an inode number says, if it is not that of a directory.
fn file(inode: Inode) -> Option<Place> {
    let number = inode.0.checked_sub(FILE)?;
    let file_system = u8::try_from(number >> FILE_SYSTEM_SHIFT).ok()?;
    Some(Place { file_system, inode: Inode(number & OWN_NUMBER) })
}
