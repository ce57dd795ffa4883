//! Inode handles: inodes are numbered within their subvolume, so a handle says which subvolume is meant, too.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::HashMap;
use std::sync::Arc;

use super::FsError;
use super::root::Subvolume;
use crate::fs::Inode;
use crate::volume::bytes::{to_u64, to_usize};

/// The lower bits of a handle are the inode's number; the upper ones say where it is.
const NUMBER_BITS: u32 = 48;
const NUMBER: u64 = (1 << NUMBER_BITS) - 1;
/// How many places there can be.
const PLACES: usize = 1 << (64 - NUMBER_BITS);

/// What an inode's number is to be understood in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// The subvolume with this number.
    Subvolume(u64),
    /// The empty directory that stands in this one where a subvolume was when a snapshot was made.
    EmptyDirectoryIn(Inode),
}

/// The places that were met so far, and the subvolumes that are open.
#[derive(Debug, Default)]
pub(super) struct Handles {
    places: Vec<Place>,
    numbers: HashMap<Place, u64>,
    pub(super) open: HashMap<u64, Arc<Subvolume>>,
}

impl Handles {
    /// The handle of an inode.
    pub(super) fn inode(&mut self, place: Place, objectid: u64) -> Result<Inode, FsError> {
        if objectid > NUMBER {
            return Err(FsError::Unsupported { feature: format!("the Btrfs inode number {objectid}") });
        }
        let number = if let Some(&number) = self.numbers.get(&place) {
            number
        } else {
            if self.places.len() >= PLACES {
                let limit = to_u64(PLACES);
                return Err(FsError::Limit { what: "the number of Btrfs subvolumes", limit });
            }
            let number = to_u64(self.places.len());
            self.places.push(place);
            self.numbers.insert(place, number);
            number
        };
        Ok(Inode(number << NUMBER_BITS | objectid))
    }

    /// What a handle means.
    pub(super) fn resolve(&self, inode: Inode) -> Result<(Place, u64), FsError> {
        let place = self.places.get(to_usize(inode.0 >> NUMBER_BITS));
        let place = place.ok_or(FsError::Invalid { problem: "not an inode of this filesystem" })?;
        Ok((*place, inode.0 & NUMBER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_tell_subvolumes_apart() {
        let mut handles = Handles::default();
        let first = handles.inode(Place::Subvolume(5), 256).unwrap();
        let second = handles.inode(Place::Subvolume(256), 256).unwrap();
        assert_ne!(first, second);
        assert_eq!(handles.inode(Place::Subvolume(5), 256).unwrap(), first);
        assert_eq!(handles.resolve(second).unwrap(), (Place::Subvolume(256), 256));
        assert!(handles.resolve(Inode(u64::MAX)).is_err());
        assert!(handles.inode(Place::Subvolume(5), 1 << 48).is_err());
    }

    #[test]
    fn there_are_only_so_many_places() {
        let mut handles = Handles::default();
        for id in 0..to_u64(PLACES) {
            handles.inode(Place::Subvolume(id), NUMBER).unwrap();
        }
        assert!(matches!(handles.inode(Place::Subvolume(u64::MAX), 1), Err(FsError::Limit { .. })));
        assert_eq!(handles.inode(Place::Subvolume(7), NUMBER).unwrap().0 >> NUMBER_BITS, 7);
    }
}
