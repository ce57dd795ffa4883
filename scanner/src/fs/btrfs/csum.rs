//! Checksums of data, from the checksum tree.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::FsError;
use super::key::{Key, kind, object};
use super::storage::Storage;
use super::tree::Tree;
use crate::volume::bytes::{to_u64, to_usize};

/// The key of the checksums of the data at `logical`.
pub(super) fn key(logical: u64) -> Key {
    Key::new(object::EXTENT_CSUM, kind::EXTENT_CSUM, logical)
}

/// The checksums of `sectors` sectors of data from `logical` on, one after the other.
///
/// Data of which the tree has no checksum, although its file should have them, is damaged: so it is for the kernel.
pub(super) fn look_up(
    storage: &Storage,
    tree: &Tree,
    logical: u64,
    sectors: usize,
) -> Result<Vec<u8>, FsError> {
    let size = storage.checksum().size();
    let sector = to_u64(storage.sector_size());
    let wanted = sectors.saturating_mul(size);
    let mut found = Vec::with_capacity(wanted);
    let mut position = logical;
    let end = logical.saturating_add(sector.saturating_mul(to_u64(sectors)));
    // An item has the checksums of adjacent sectors; the first one may begin before `logical`.
    let first = tree.floor(storage, key(logical))?.map_or(key(logical), |item| item.key.max(key(0)));
    let last = key(end.saturating_sub(1));
    let mut items = tree.range(storage, first, last);
    while let Some(item) = items.next()? {
        let Some(skip) = position.checked_sub(item.key.offset) else { break };
        let skip = to_usize(skip.checked_div(sector).unwrap_or(0)).saturating_mul(size);
        let missing = wanted.saturating_sub(found.len());
        let part = item.data().get(skip..).unwrap_or_default();
        let part = part.get(..part.len().min(missing)).unwrap_or_default();
        found.extend_from_slice(part);
        let counted = to_u64(part.len().checked_div(size).unwrap_or(0));
        position = position.saturating_add(sector.saturating_mul(counted));
        if found.len() >= wanted {
            return Ok(found);
        }
    }
    Err(FsError::corrupt(format!("the Btrfs data at {position}"), "it has no checksum"))
}

/// Where the items may be that have the checksums of this data, for prefetching.
pub(super) fn keys(logical: u64, length: u64) -> (Key, Key) {
    (key(logical), key(logical.saturating_add(length.saturating_sub(1))))
}
