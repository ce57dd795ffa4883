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

/// The trees with the checksums of data: the tree logs', if there are any, then the checksum tree.
pub(super) type Trees = Vec<Tree>;

/// The checksums of `sectors` sectors of data from `logical` on, one after the other.
///
/// Data of which no tree has a checksum, although its file should have one, is damaged: so it is for the kernel.
pub(super) fn look_up(
    storage: &Storage,
    trees: &[Tree],
    logical: u64,
    sectors: usize,
) -> Result<Vec<u8>, FsError> {
    let mut found = vec![0; sectors.saturating_mul(storage.checksum().size())];
    let mut missing = vec![true; sectors];
    for tree in trees {
        fill(storage, tree, logical, &mut found, &mut missing)?;
        if !missing.contains(&true) {
            return Ok(found);
        }
    }
    let first = missing.iter().position(|&missing| missing).unwrap_or(0);
    let position = logical.saturating_add(to_u64(first.saturating_mul(storage.sector_size())));
    Err(FsError::corrupt(format!("the Btrfs data at {position}"), "it has no checksum"))
}

/// Puts what one tree has of the checksums that are missing to their places.
fn fill(
    storage: &Storage,
    tree: &Tree,
    logical: u64,
    found: &mut [u8],
    missing: &mut [bool],
) -> Result<(), FsError> {
    let size = storage.checksum().size();
    let sector = to_u64(storage.sector_size());
    let end = logical.saturating_add(sector.saturating_mul(to_u64(missing.len())));
    // An item has the checksums of adjacent sectors; the first one may begin before `logical`.
    let before = tree.floor(storage, key(logical))?.map(|item| item.key);
    let first = before.filter(|&before| before > key(0)).unwrap_or_else(|| key(0));
    let mut items = tree.range(storage, first, key(end.saturating_sub(1)));
    while let Some(item) = items.next()? {
        let begins = item.key.offset;
        let in_sectors = |bytes: u64| to_usize(bytes.checked_div(sector).unwrap_or(0));
        let hidden = in_sectors(logical.saturating_sub(begins));
        let at = in_sectors(begins.saturating_sub(logical));
        let recorded = item.data().chunks_exact(size).skip(hidden);
        let places = found.chunks_exact_mut(size).zip(missing.iter_mut()).skip(at);
        for (recorded, (place, missing)) in recorded.zip(places) {
            if *missing {
                place.copy_from_slice(recorded);
                *missing = false;
            }
        }
    }
    Ok(())
}

/// Where the items may be that have the checksums of this data, for prefetching.
pub(super) fn keys(logical: u64, length: u64) -> (Key, Key) {
    (key(logical), key(logical.saturating_add(length.saturating_sub(1))))
}
