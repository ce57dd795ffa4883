//! Files of which a layer has the metadata alone (`metacopy=on`): whose owner or mode was changed, and whose data still is
//! in a layer below.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::rc::Rc;

use super::directories::Search;
use super::layers::{Found, Place};
use super::{Overlay, file_inode};
use crate::fs::{FsError, Inode};
use crate::volume::bytes::to_u64;

/// The directory of each file, and its name there.
type Names = HashMap<Inode, (Inode, Box<[u8]>)>;

/// Where the data of files is.
#[derive(Debug, Default)]
pub(super) struct Data {
    /// The file that was read last, and where its data is.
    last: Option<(Inode, Place)>,
    /// Where files are, when that was needed: a file's inode does not say it.
    names: Option<Rc<Names>>,
}

impl Overlay {
    /// Where the data of a file is.
    pub(super) fn data_of(&self, inode: Inode, place: Place) -> Result<Place, FsError> {
        if let Some((_, data)) = self.data.borrow().last.filter(|(last, _)| *last == inode) {
            return Ok(data);
        }
        let is_copied = self.layers.marks(place)?.is_metacopy;
        let data = if is_copied { self.data_below(inode, place)? } else { place };
        self.data.borrow_mut().last = Some((inode, data));
        Ok(data)
    }

    fn data_below(&self, inode: Inode, place: Place) -> Result<Place, FsError> {
        let names = self.names()?;
        let missing =
            || FsError::corrupt("a file of an overlay without data (`metacopy`)", "no layer below has it");
        let (directory, name) = names.get(&inode).ok_or_else(missing)?;
        let parents = self.parts(*directory)?;
        let roots = self.parts(Inode(0))?;
        let found = self.find(*directory, name)?;
        let (mut layer, mut here) = (found.ok_or_else(missing)?.0, place);
        let mut search = Search::new(name.to_vec());
        loop {
            self.budget.step()?;
            let marks = self.layers.marks(here)?;
            if !marks.is_metacopy {
                return Ok(here);
            }
            // Its data is below, whatever hides the other things that are there.
            search.show();
            if let Some(redirect) = &marks.redirect {
                search.follow(redirect)?;
            }
            match search.next(self, layer, &parents, &roots)? {
                Some((below, Found::File(place))) => (layer, here) = (below, place),
                _ => return Err(missing()),
            }
        }
    }

    /// Where each file is. Found by a walk over everything, which only an overlay with such files needs.
    fn names(&self) -> Result<Rc<Names>, FsError> {
        const EACH: u64 = 128;

        if let Some(names) = &self.data.borrow().names {
            return Ok(Rc::clone(names));
        }
        let trace = self.trace.take();
        let mut names = Names::new();
        let mut seen = HashSet::new();
        let mut waiting = vec![Inode(0)];
        let mut bytes = 0_u64;
        while let Some(directory) = waiting.pop() {
            if !seen.insert(directory) {
                continue;
            }
            let mut outcome = Ok(());
            // What cannot be listed has no file that could be read.
            let _ = self.visit(directory, &mut |name, layer, found, _| {
                let noted = match found {
                    Found::File(place) => file_inode(place).map(|inode| {
                        bytes = bytes.saturating_add(EACH).saturating_add(to_u64(name.len()));
                        names.entry(inode).or_insert_with(|| (directory, Box::from(name)));
                    }),
                    found => self.inode(directory, name, layer, found).map(|inode| waiting.extend(inode)),
                };
                if let Err(error) = noted {
                    outcome = Err(error);
                } else if bytes > self.limits.walk_bytes {
                    let what = "the memory for the files of one overlay (`walk_bytes`)";
                    outcome = Err(FsError::Limit { what, limit: self.limits.walk_bytes });
                }
                if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            outcome?;
        }
        self.trace.replace(trace);
        let names = Rc::new(names);
        self.data.borrow_mut().names = Some(Rc::clone(&names));
        Ok(names)
    }
}
