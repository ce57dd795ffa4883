//! Files that containers share: what was reported of one is reported again where the same file is met.
//!
//! A package database in an image's layer is the same file in each container that was made from it, and is read once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::Extractor;
use super::input::Input;
use super::report::Event;
use crate::fs::overlay::{Overlay, Trace};
use crate::fs::{FsPath, Inode};
use crate::limits::Limits;

/// What is known of the files of layers, of all overlays with the same [`Layers`](crate::fs::overlay::Layers).
#[derive(Debug)]
pub struct Memory {
    known: HashMap<Key, Vec<Known>>,
    /// Bytes that may still be kept.
    room: u64,
}

/// Where a file is says something to an extractor too.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    extractor: &'static str,
    file: Inode,
    path: FsPath,
}

/// What was reported of a file, and what it was that the extractor looked at beside it.
#[derive(Clone, Debug)]
struct Known {
    beside: Rc<Trace>,
    events: Rc<[Event]>,
}

impl Memory {
    /// Nothing is known yet. As much of it may be kept as a quarter of all packages.
    pub fn new(limits: &Limits) -> Self {
        Self { known: HashMap::new(), room: most_bytes(limits) }
    }
}

/// Bytes that may be kept of all files, and so of one.
pub(super) fn most_bytes(limits: &Limits) -> u64 {
    limits.package_bytes.checked_div(4).unwrap_or(0)
}

/// What is known of the files that the tree of one overlay shares with others.
#[derive(Clone, Debug)]
pub struct Shared {
    overlay: Rc<Overlay>,
    memory: Rc<RefCell<Memory>>,
}

impl Shared {
    /// For the tree of `overlay`.
    pub fn new(overlay: &Rc<Overlay>, memory: &Rc<RefCell<Memory>>) -> Self {
        Self { overlay: Rc::clone(overlay), memory: Rc::clone(memory) }
    }

    /// What was reported of this file, if what is beside it is the same too.
    pub(super) fn known(&self, extractor: &dyn Extractor, input: &Input<'_>) -> Option<Rc<[Event]>> {
        let memory = self.memory.borrow();
        let candidates = memory.known.get(&key(extractor, input))?;
        let same = candidates.iter().find(|known| self.overlay.is_same(&known.beside))?;
        Some(Rc::clone(&same.events))
    }

    /// An extractor begins to read.
    pub(super) fn start(&self) {
        self.overlay.start_trace();
    }

    /// It has read, and this is what it reported.
    pub(super) fn keep(&self, extractor: &dyn Extractor, input: &Input<'_>, events: Vec<Event>) {
        /// Ways in which what is beside one file differs: a search through them has an end.
        const MOST: usize = 16;
        /// An entry of the table.
        const EACH: usize = 256;

        let Some(beside) = self.overlay.take_trace() else { return };
        let bytes = events.iter().map(Event::bytes).chain([beside.bytes(), EACH]);
        let bytes = crate::volume::bytes::to_u64(bytes.fold(0, usize::saturating_add));
        let mut memory = self.memory.borrow_mut();
        let Some(room) = memory.room.checked_sub(bytes) else { return };
        let known = memory.known.entry(key(extractor, input)).or_default();
        if known.len() < MOST {
            known.push(Known { beside: Rc::new(beside), events: Rc::from(events) });
            memory.room = room;
        }
    }
}

fn key(extractor: &dyn Extractor, input: &Input<'_>) -> Key {
    Key { extractor: extractor.name(), file: input.inode(), path: input.path().clone() }
}
