//! What overlays that share layers know of them together: a directory of an image's layer is listed once, however many
//! containers were made from the image.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::rc::Rc;

use crate::fs::{DeviceNumbers, FileSystem, FileType, FsError, Inode, Stat};
use crate::limits::Limits;
use crate::volume::bytes::{to_u64, to_usize};

/// The filesystems that layers are on, and their directories that were listed.
#[derive(Debug)]
pub struct Layers {
    pub(super) attributes: Attributes,
    file_systems: RefCell<Vec<Rc<dyn FileSystem>>>,
    listings: RefCell<HashMap<Place, Rc<Listing>>>,
    marks: RefCell<HashMap<Place, Rc<Marks>>>,
    /// Memory that both take, roughly, and how much they may.
    bytes: Cell<u64>,
    most_bytes: u64,
    most_entries: u64,
}

/// A file or directory of one of the filesystems below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    /// The index of the filesystem.
    pub(super) file_system: u8,
    pub(super) inode: Inode,
}

/// The attributes by which an overlay records what a directory hides: in the names of an overlay that a system
/// administrator mounted, or in those of one that any user may mount (`userxattr`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attributes {
    /// `trusted.overlay.…`
    Trusted,
    /// `user.overlay.…`
    User,
}

impl Attributes {
    pub(super) fn prefix(self) -> &'static [u8] {
        match self {
            Self::Trusted => b"trusted.overlay.",
            Self::User => b"user.overlay.",
        }
    }

    /// An attribute's name behind the prefix.
    pub(super) fn own(self, name: &[u8]) -> Option<&[u8]> {
        name.strip_prefix(self.prefix())
    }
}

/// What an overlay recorded about one inode of a layer: "Documentation/filesystems/overlayfs.rst" of the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// `opaque` is `y`: the layers below show nothing here.
    pub(super) is_opaque: bool,
    /// `opaque` is `x`: among its files may be whiteouts of the kind that is no device.
    pub(super) has_whiteout_files: bool,
    /// `whiteout`: a file of no bytes that stands for the absence of one.
    is_whiteout: bool,
    /// `redirect`: the name, or the path from the layer's root, that it has in the layers below.
    pub(super) redirect: Option<Vec<u8>>,
    /// `metacopy`: its data is in a layer below.
    pub(super) is_metacopy: bool,
}

/// What a name is in one directory of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Absent in the layers below too.
    Whiteout,
    Directory(Place),
    /// Anything else.
    File(Place),
}

/// The entries of one directory, sorted by name.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// The names, one behind the other.
    names: Vec<u8>,
    entries: Vec<Listed>,
}

#[derive(Clone, Copy, Debug)]
struct Listed {
    start: u32,
    end: u32,
    found: Found,
    file_type: FileType,
}

impl Listing {
    /// Name, what it is, and its type.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&[u8], Found, FileType)> {
        self.entries.iter().map(|entry| (self.name(entry), entry.found, entry.file_type))
    }

    fn name(&self, entry: &Listed) -> &[u8] {
        self.names.get(to_usize(entry.start)..to_usize(entry.end)).unwrap_or_default()
    }

    fn find(&self, name: &[u8]) -> Option<Found> {
        let index = self.entries.binary_search_by(|entry| self.name(entry).cmp(name)).ok()?;
        self.entries.get(index).map(|entry| entry.found)
    }

    fn bytes(&self) -> u64 {
        to_u64(self.entries.len().saturating_mul(size_of::<Listed>()).saturating_add(self.names.len()))
    }
}

impl Layers {
    /// Nothing is known yet. As much is kept in memory as one filesystem may keep of its metadata.
    pub fn new(attributes: Attributes, limits: &Limits) -> Self {
        Self {
            attributes,
            file_systems: RefCell::default(),
            listings: RefCell::default(),
            marks: RefCell::default(),
            bytes: Cell::new(0),
            most_bytes: limits.cache_bytes,
            most_entries: limits.dir_entries,
        }
    }

    /// The place of a directory that is a layer.
    pub(super) fn place(&self, file_system: &Rc<dyn FileSystem>, inode: Inode) -> Result<Place, FsError> {
        let mut known = self.file_systems.borrow_mut();
        let index = known.iter().position(|other| Rc::ptr_eq(other, file_system));
        let index = index.unwrap_or(known.len());
        // Seven bits are what an overlay's inode numbers have for it.
        let number = u8::try_from(index).ok().filter(|&number| number < 128);
        let number = number
            .ok_or_else(|| FsError::Unsupported { feature: "an overlay on many filesystems".to_owned() })?;
        if index == known.len() {
            known.push(Rc::clone(file_system));
        }
        Ok(Place { file_system: number, inode })
    }

    /// The filesystem that a place is on.
    pub(super) fn file_system(&self, place: Place) -> Result<Rc<dyn FileSystem>, FsError> {
        let known = self.file_systems.borrow();
        let found = known.get(usize::from(place.file_system)).map(Rc::clone);
        found.ok_or(FsError::Invalid { problem: "an inode that this overlay did not give" })
    }

    pub(super) fn stat(&self, place: Place) -> Result<Stat, FsError> {
        self.file_system(place)?.stat(place.inode)
    }

    /// Whether a directory's entries are known without reading it.
    pub(super) fn knows(&self, directory: Place) -> bool {
        self.listings.borrow().contains_key(&directory)
    }

    /// What an overlay recorded about an inode.
    pub(super) fn marks(&self, place: Place) -> Result<Rc<Marks>, FsError> {
        if let Some(known) = self.marks.borrow().get(&place) {
            return Ok(Rc::clone(known));
        }
        let mut marks = Marks::default();
        self.file_system(place)?.xattrs(place.inode, &mut |xattr| {
            match self.attributes.own(xattr.name) {
                Some(b"opaque") => {
                    marks.is_opaque = xattr.value == b"y";
                    marks.has_whiteout_files = xattr.value == b"x";
                }
                Some(b"whiteout") => marks.is_whiteout = true,
                Some(b"redirect") => marks.redirect = Some(xattr.value.to_vec()),
                Some(b"metacopy") => marks.is_metacopy = true,
                _ => {}
            }
            ControlFlow::Continue(())
        })?;
        let marks = Rc::new(marks);
        let bytes = marks.redirect.as_ref().map_or(0, Vec::len).saturating_add(size_of::<Marks>());
        if self.take(to_u64(bytes)) {
            self.marks.borrow_mut().insert(place, Rc::clone(&marks));
        }
        Ok(marks)
    }

    /// The entries of a directory.
    pub(super) fn list(&self, directory: Place) -> Result<Rc<Listing>, FsError> {
        if let Some(known) = self.listings.borrow().get(&directory) {
            return Ok(Rc::clone(known));
        }
        let listing = Rc::new(self.read(directory)?);
        if self.take(listing.bytes().saturating_add(to_u64(size_of::<Listing>()))) {
            self.listings.borrow_mut().insert(directory, Rc::clone(&listing));
        }
        Ok(listing)
    }

    fn read(&self, directory: Place) -> Result<Listing, FsError> {
        let file_system = self.file_system(directory)?;
        let mut names = Vec::new();
        let mut raw = Vec::new();
        let mut excess = false;
        file_system.read_dir(directory.inode, &mut |entry| {
            let start = u32::try_from(names.len());
            names.extend_from_slice(entry.name);
            let (Ok(start), Ok(end)) = (start, u32::try_from(names.len())) else {
                excess = true;
                return ControlFlow::Break(());
            };
            if to_u64(raw.len()) >= self.most_entries {
                excess = true;
                return ControlFlow::Break(());
            }
            raw.push((start, end, entry.inode, entry.file_type));
            ControlFlow::Continue(())
        })?;
        if excess {
            return Err(FsError::Limit {
                what: "the number of entries in one directory (`dir_entries`)",
                limit: self.most_entries,
            });
        }
        let has_whiteout_files = self.marks(directory)?.has_whiteout_files;
        let doubtful = |file_type: Option<FileType>| match file_type {
            None | Some(FileType::CharacterDevice) => true,
            Some(FileType::Regular) => has_whiteout_files,
            Some(_) => false,
        };
        let asked: Vec<_> =
            raw.iter().filter(|(.., kind)| doubtful(*kind)).map(|(_, _, inode, _)| *inode).collect();
        if !asked.is_empty() {
            file_system.prefetch_inodes(&asked);
        }
        let mut listing = Listing { names, entries: Vec::with_capacity(raw.len()) };
        for (start, end, inode, file_type) in raw {
            let place = Place { inode, ..directory };
            let (found, file_type) = match file_type {
                Some(file_type) if !doubtful(Some(file_type)) => (found(place, file_type), file_type),
                _ => {
                    let stat = self.stat(place)?;
                    let found = if self.is_whiteout(place, &stat, has_whiteout_files)? {
                        Found::Whiteout
                    } else {
                        found(place, stat.file_type)
                    };
                    (found, stat.file_type)
                }
            };
            listing.entries.push(Listed { start, end, found, file_type });
        }
        let Listing { names, entries } = &mut listing;
        let name = |entry: &Listed| names.get(to_usize(entry.start)..to_usize(entry.end)).unwrap_or_default();
        entries.sort_by(|a, b| name(a).cmp(name(b)));
        Ok(listing)
    }

    /// What a name is in a directory.
    pub(super) fn look_up(&self, directory: Place, name: &[u8]) -> Result<Option<Found>, FsError> {
        if let Some(known) = self.listings.borrow().get(&directory) {
            return Ok(known.find(name));
        }
        let Some(inode) = self.file_system(directory)?.lookup(directory.inode, name)? else {
            return Ok(None);
        };
        let place = Place { inode, ..directory };
        let stat = self.stat(place)?;
        let may_be_file = stat.file_type == FileType::Regular
            && stat.size == 0
            && self.marks(directory)?.has_whiteout_files;
        let is_whiteout = self.is_whiteout(place, &stat, may_be_file)?;
        Ok(Some(if is_whiteout { Found::Whiteout } else { found(place, stat.file_type) }))
    }

    /// A whiteout is a character device with the numbers 0, 0 or, where a directory says that there may be some, a file of
    /// no bytes with an attribute.
    fn is_whiteout(&self, place: Place, stat: &Stat, may_be_file: bool) -> Result<bool, FsError> {
        Ok(match stat.file_type {
            FileType::CharacterDevice => stat.device == Some(DeviceNumbers { major: 0, minor: 0 }),
            FileType::Regular if may_be_file && stat.size == 0 => self.marks(place)?.is_whiteout,
            _ => false,
        })
    }

    /// Takes memory, if there is as much. What was kept first stays: containers of one image are read one after the other,
    /// each in the same order, so that what is forgotten as the oldest would be what the next one needs first.
    fn take(&self, bytes: u64) -> bool {
        /// An entry of a hash table that is half empty, and the counts of an `Rc`.
        const EACH: u64 = 64;

        let sum = self.bytes.get().saturating_add(bytes).saturating_add(EACH);
        let fits = sum <= self.most_bytes;
        if fits {
            self.bytes.set(sum);
        }
        fits
    }
}

fn found(place: Place, file_type: FileType) -> Found {
    if file_type == FileType::Directory { Found::Directory(place) } else { Found::File(place) }
}
