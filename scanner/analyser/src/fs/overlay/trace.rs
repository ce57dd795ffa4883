//! What a reader of a file looked at beside it, so that the same file in another overlay need not be read again.
//!
//! A file of a shared layer is the same inode in each overlay, but what is beside it may differ: a container may have
//! changed `/etc/debian_version`, which is read with `/etc/os-release`. So each name that is looked up, and each directory
//! that is listed, is noted with what it was. Where all of them are the same, so is everything that was read.

use std::collections::BTreeMap;

use super::directories::Part;
use super::layers::Place;
use super::{Overlay, file};
use crate::fs::{FileSystem, Inode};

/// What was looked at: names from the root, with what was found there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    lookups: BTreeMap<Vec<Box<[u8]>>, Seen>,
    listings: BTreeMap<Vec<Box<[u8]>>, Vec<Place>>,
    is_too_long: bool,
}

/// What a name was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Nothing,
    /// Of how many parts it is made does not matter: what was looked at in it is noted by itself.
    Directory,
    File(Place),
}

impl Trace {
    /// Names and listings of one trace. A reader that looks at more of them is not spared.
    const MOST: usize = 1 << 14;

    /// How much memory it takes, roughly.
    pub fn bytes(&self) -> usize {
        /// An entry, and a few names of a few bytes.
        const EACH: usize = 256;

        self.lookups.len().saturating_add(self.listings.len()).saturating_mul(EACH)
    }

    fn check_length(&mut self) {
        if self.lookups.len().saturating_add(self.listings.len()) > Self::MOST {
            *self = Self { is_too_long: true, ..Self::default() };
        }
    }
}

impl Seen {
    fn of(found: Option<Inode>) -> Self {
        found.map_or(Self::Nothing, |inode| file(inode).map_or(Self::Directory, Self::File))
    }
}

impl Overlay {
    /// Begins to note what is looked at.
    pub fn start_trace(&self) {
        self.trace.replace(Some(Trace::default()));
    }

    /// What was looked at since. None if it was too much to be compared.
    pub fn take_trace(&self) -> Option<Trace> {
        self.trace.take().filter(|trace| !trace.is_too_long)
    }

    /// Whether all that was looked at in another overlay of the same layers is the same in this one.
    pub fn is_same(&self, trace: &Trace) -> bool {
        let inode = |path: &[Box<[u8]>]| {
            path.iter().try_fold(self.root(), |here, name| self.lookup(here, name).ok().flatten())
        };
        let looked_up = trace.lookups.iter().all(|(path, seen)| {
            let Some((name, directory)) = path.split_last() else { return false };
            let Some(directory) = inode(directory) else { return false };
            self.lookup(directory, name).is_ok_and(|found| Seen::of(found) == *seen)
        });
        looked_up
            && trace.listings.iter().all(|(path, places)| {
                let parts = inode(path).and_then(|inode| self.parts(inode).ok());
                parts.is_some_and(|parts| parts.iter().map(|part| &part.place).eq(places))
            })
    }

    pub(super) fn note_lookup(&self, dir: Inode, name: &[u8], found: Option<Inode>) {
        if let Some(trace) = self.trace.borrow_mut().as_mut().filter(|trace| !trace.is_too_long) {
            let mut path = self.directories.borrow().path(dir);
            path.push(name.into());
            trace.lookups.insert(path, Seen::of(found));
            trace.check_length();
        }
    }

    pub(super) fn note_listing(&self, dir: Inode, parts: &[Part]) {
        if let Some(trace) = self.trace.borrow_mut().as_mut().filter(|trace| !trace.is_too_long) {
            let places = parts.iter().map(|part| part.place).collect();
            trace.listings.insert(self.directories.borrow().path(dir), places);
            trace.check_length();
        }
    }
}
