//! What a file holds.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::compress::{Compression, Decompressor};
use super::extent::{CompressedExtent, Content, FileExtent, INLINE_DATA};
use super::key::{Key, kind};
use super::storage::Storage;
use super::tree::{Item, Tree};
use super::{FsError, checksum_tree};
use crate::volume::bytes::{to_u64, to_usize};

/// How many decompressed extents are kept, of at most 128 KiB each, so that reading a file in small parts decompresses
/// each of them once.
const KEPT: usize = 8;
/// How many sectors are read and verified together: bounds the memory that their checksums take.
const WINDOW: usize = 256;

/// Reads files. Keeps what was decompressed last.
#[derive(Debug, Default)]
pub(super) struct FileReader {
    decompressor: RefCell<Decompressor>,
    kept: RefCell<VecDeque<(CompressedExtent, Arc<[u8]>)>>,
}

/// A file, and the trees that say what it holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) storage: &'a Storage,
    pub(super) tree: &'a Tree,
    /// None for a file whose data has no checksums.
    pub(super) checksums: Option<&'a [Tree]>,
    pub(super) objectid: u64,
}

impl FileReader {
    /// Reads the bytes of a file from `offset` on, which the caller has bounded by the file's size.
    pub(super) fn read(&self, source: Source<'_>, offset: u64, dst: &mut [u8]) -> Result<(), FsError> {
        let mut position = offset;
        let mut rest = dst;
        let end = offset.saturating_add(to_u64(rest.len()));
        let mut extents = source.extents(offset, end)?;
        while !rest.is_empty() {
            let next = extents.next()?;
            let begins = next.as_ref().map_or(end, |(extent, _)| extent.start);
            // What no extent describes is a hole.
            let hole = to_usize(begins.saturating_sub(position)).min(rest.len());
            let (part, remaining) = rest.split_at_mut(hole);
            source.storage.budget().bytes(to_u64(hole))?;
            part.fill(0);
            position = position.saturating_add(to_u64(hole));
            rest = remaining;
            let Some((extent, item)) = next else { break };
            let length = to_usize(extent.end().saturating_sub(position)).min(rest.len());
            let (part, remaining) = rest.split_at_mut(length);
            if !part.is_empty() {
                let skip = position.saturating_sub(extent.start);
                self.read_extent(source, &extent, &item, skip, part)?;
            }
            position = position.saturating_add(to_u64(length));
            rest = remaining;
        }
        Ok(())
    }

    /// Reads within one extent, from `skip` bytes into it.
    fn read_extent(
        &self,
        source: Source<'_>,
        extent: &FileExtent,
        item: &Item,
        skip: u64,
        dst: &mut [u8],
    ) -> Result<(), FsError> {
        let copy = |content: &[u8], from: u64, dst: &mut [u8]| {
            let content = content.get(to_usize(from)..).unwrap_or_default();
            let (head, tail) = dst.split_at_mut(content.len().min(dst.len()));
            head.copy_from_slice(content.get(..head.len()).unwrap_or_default());
            tail.fill(0);
        };
        match extent.content {
            Content::Zeros => {
                source.storage.budget().bytes(to_u64(dst.len()))?;
                dst.fill(0);
            }
            Content::Inline { compression } => {
                let data = item.data().get(INLINE_DATA..).unwrap_or_default();
                if compression == Compression::None {
                    copy(data, skip, dst);
                } else {
                    let content = self.decompress(source, compression, data, extent.length)?;
                    copy(&content, skip, dst);
                }
            }
            Content::Plain { logical } => source.read_plain(logical.saturating_add(skip), dst)?,
            Content::Compressed { extent, skip: hidden } => {
                let content = self.decompressed(source, extent)?;
                copy(&content, hidden.saturating_add(skip), dst);
            }
        }
        Ok(())
    }

    /// The content of a compressed extent.
    fn decompressed(&self, source: Source<'_>, extent: CompressedExtent) -> Result<Arc<[u8]>, FsError> {
        if let Some((_, content)) = self.kept.borrow().iter().find(|(kept, _)| *kept == extent) {
            return Ok(Arc::clone(content));
        }
        let mut compressed = vec![0; to_usize(extent.disk_bytes)];
        source.read_sectors(extent.logical, &mut compressed)?;
        let content: Arc<[u8]> =
            self.decompress(source, extent.compression, &compressed, extent.ram_bytes)?.into();
        let mut kept = self.kept.borrow_mut();
        kept.push_back((extent, Arc::clone(&content)));
        if kept.len() > KEPT {
            kept.pop_front();
        }
        Ok(content)
    }

    fn decompress(
        &self,
        source: Source<'_>,
        compression: Compression,
        data: &[u8],
        length: u64,
    ) -> Result<Vec<u8>, FsError> {
        let budget = source.storage.budget();
        budget.bytes(length)?;
        let sector_size = source.storage.sector_size();
        let mut decompressor = self.decompressor.borrow_mut();
        decompressor.run(compression, data, to_usize(length), sector_size, budget).map_err(|problem| {
            // A spent budget stays spent.
            budget.step().err().unwrap_or_else(|| {
                FsError::corrupt(format!("a compressed extent of Btrfs inode {}", source.objectid), problem)
            })
        })
    }
}

impl<'a> Source<'a> {
    /// The extents of which a part is between two places of the file.
    fn extents(self, start: u64, end: u64) -> Result<Extents<'a>, FsError> {
        let key = |offset| Key::new(self.objectid, kind::EXTENT_DATA, offset);
        let first = self.tree.floor(self.storage, key(start))?;
        let first = first.map(|item| item.key).filter(|&first| first > key(0)).unwrap_or_else(|| key(0));
        let items = self.tree.range(self.storage, first, key(end.saturating_sub(1)));
        Ok(Extents { items, sector_size: self.storage.sector_size(), start, end: 0 })
    }

    /// Where these bytes of the file are on the volumes, for prefetching: logical addresses of whole sectors.
    pub(super) fn places(self, bytes: &Range<u64>) -> Result<Vec<Range<u64>>, FsError> {
        let sector_size = to_u64(self.storage.sector_size()).max(1);
        let mut places = Vec::new();
        let mut extents = self.extents(bytes.start, bytes.end)?;
        while let Some((extent, _)) = extents.next()? {
            match extent.content {
                Content::Zeros | Content::Inline { .. } => {}
                Content::Plain { logical } => {
                    let skip = bytes.start.saturating_sub(extent.start);
                    let skip = skip.saturating_sub(skip.checked_rem(sector_size).unwrap_or(0));
                    let length = extent.length.min(bytes.end.saturating_sub(extent.start));
                    let length = length.next_multiple_of(sector_size);
                    places.push(logical.saturating_add(skip)..logical.saturating_add(length));
                }
                Content::Compressed { extent, .. } => {
                    places.push(extent.logical..extent.logical.saturating_add(extent.disk_bytes));
                }
            }
        }
        Ok(places)
    }

    /// Reads data that is not compressed.
    fn read_plain(self, logical: u64, dst: &mut [u8]) -> Result<(), FsError> {
        let sector_size = self.storage.sector_size();
        let inside = to_usize(logical.checked_rem(to_u64(sector_size)).unwrap_or(0));
        let mut position = logical.saturating_sub(to_u64(inside));
        let mut rest = dst;
        if inside > 0 {
            let length = sector_size.saturating_sub(inside).min(rest.len());
            let (part, remaining) = rest.split_at_mut(length);
            self.read_part_of_sector(position, inside, part)?;
            position = position.saturating_add(to_u64(sector_size));
            rest = remaining;
        }
        let tail = rest.len().checked_rem(sector_size).unwrap_or(0);
        let (whole, tail) = rest.split_at_mut(rest.len().saturating_sub(tail));
        self.read_sectors(position, whole)?;
        if !tail.is_empty() {
            self.read_part_of_sector(position.saturating_add(to_u64(whole.len())), 0, tail)?;
        }
        Ok(())
    }

    fn read_part_of_sector(self, logical: u64, from: usize, dst: &mut [u8]) -> Result<(), FsError> {
        let mut sector = vec![0; self.storage.sector_size()];
        self.read_sectors(logical, &mut sector)?;
        if let Some(part) = sector.get(from..from.saturating_add(dst.len())) {
            dst.copy_from_slice(part);
        }
        Ok(())
    }

    fn read_sectors(self, logical: u64, dst: &mut [u8]) -> Result<(), FsError> {
        let window = self.storage.sector_size().saturating_mul(WINDOW);
        let mut position = logical;
        for part in dst.chunks_mut(window) {
            let sectors = part.len().checked_div(self.storage.sector_size()).unwrap_or(0);
            let checksums =
                self.checksums.map(|trees| checksum_tree::look_up(self.storage, trees, position, sectors));
            self.storage.data(position, part, checksums.transpose()?.as_deref())?;
            position = position.saturating_add(to_u64(part.len()));
        }
        Ok(())
    }
}

/// The extents of a file in their order.
struct Extents<'a> {
    items: super::tree::Items<'a>,
    sector_size: usize,
    /// Extents that end before it are left out.
    start: u64,
    /// Where the last one ended.
    end: u64,
}

impl Extents<'_> {
    fn next(&mut self) -> Result<Option<(FileExtent, Item)>, FsError> {
        while let Some(item) = self.items.next()? {
            let extent = FileExtent::parse(&item, self.sector_size)?;
            if extent.start < self.end {
                let Key { objectid, offset, .. } = item.key;
                return Err(FsError::corrupt(
                    format!("the Btrfs extent at {offset} of inode {objectid}"),
                    "it overlaps the one before",
                ));
            }
            self.end = extent.end();
            if self.end > self.start {
                return Ok(Some((extent, item)));
            }
        }
        Ok(None)
    }
}
