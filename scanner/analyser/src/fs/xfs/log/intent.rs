//! Intents: what the log promises to do in later transactions.
//!
//! A change that takes several transactions begins with an item that says what is still to be done; another one notes that
//! it was. What the machine stopped in between is done now. Most intents are about space that is to be freed, and about who
//! owns it: they change nothing that can be read. Those that do are changes of a file's extents.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::BTreeMap;

use super::Halt;
use super::buffer::set;
use super::format::item_type;
use super::inode::set_crc;
use super::transaction::Item;
use crate::fs::xfs::superblock::Superblock;
use crate::volume::bytes::{Bytes, to_u64, to_usize};

/// The intents that were not noted as done, by what they are and their number.
#[derive(Debug, Default)]
pub(super) struct Intents {
    open: BTreeMap<(u16, u64), Intent>,
    /// How many there have been.
    seen: u64,
}

#[derive(Debug)]
struct Intent {
    /// Its place in the order in which they were logged.
    order: u64,
    /// What it is about; `None` for what is not carried out here.
    change: Option<(u64, Remapping)>,
}

/// A change of the extents of a file, `xfs_map_extent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Remapping {
    extent: Extent,
    is_map: bool,
}

impl Intents {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Takes note of an item. All of these have their number at byte 8.
    pub(super) fn item(&mut self, kind: u16, item: &Item) -> Result<(), Halt> {
        /// `XFS_ATTRI_OP_FLAGS_PPTR_SET`: from here on the operations are on links to the parent directory, which have no
        /// name.
        const PPTR_SET: u32 = 4;

        let format = Bytes(item.description());
        let (opens, change) = match kind {
            item_type::BUI => (item_type::BUI, Remapping::parse(format)?),
            item_type::ATTRI if format.le32(24)? & 0xff >= PPTR_SET => return Ok(()),
            item_type::ATTRI | item_type::XMI => (kind, None),
            item_type::BUD | item_type::ATTRD | item_type::XMD => {
                // Each number is one more than that of its intent.
                self.open.remove(&(kind.saturating_sub(1), format.le64(8)?));
                return Ok(());
            }
            item_type::INODE | item_type::BUFFER | item_type::ICREATE => return Ok(()),
            other if item_type::UNREAD.contains(&other) => return Ok(()),
            _ => return Err(Halt::Log("the log has items that this version does not know")),
        };
        self.seen = self.seen.saturating_add(1);
        self.open.insert((opens, format.le64(8)?), Intent { order: self.seen, change });
        Ok(())
    }

    /// What is to be done, sorted by inode, and for each inode in order; and whether there is more that is not carried out
    /// here.
    pub(super) fn unfinished(self) -> (Vec<(u64, Remapping)>, bool) {
        let mut open: Vec<Intent> = self.open.into_values().collect();
        open.sort_unstable_by_key(|intent| (intent.change.map(|(owner, _)| owner), intent.order));
        let others = open.iter().any(|intent| intent.change.is_none());
        (open.into_iter().filter_map(|intent| intent.change).collect(), others)
    }
}

impl Remapping {
    /// From `xfs_bui_log_format`; `None` if it is about the fork of attributes or the realtime device.
    fn parse(format: Bytes<'_>) -> Result<Option<(u64, Self)>, Halt> {
        /// `XFS_BMAP_EXTENT_MAP`, `XFS_BMAP_EXTENT_UNMAP`
        const MAP: u32 = 1;
        const UNMAP: u32 = 2;
        /// `XFS_BMAP_EXTENT_UNWRITTEN`
        const UNWRITTEN: u32 = 1 << 30;
        /// `XFS_BMAP_EXTENT_ATTR_FORK`, `XFS_BMAP_EXTENT_REALTIME`
        const ELSEWHERE: u32 = 1 << 31 | 1 << 29;

        let flags = format.le32(44)?;
        let is_one = format.le32(4)? == 1;
        if !is_one || flags & ELSEWHERE != 0 || !matches!(flags & 0xff, MAP | UNMAP) {
            return Ok(None);
        }
        let extent = Extent {
            offset: format.le64(32)?,
            block: format.le64(24)?,
            count: u64::from(format.le32(40)?),
            is_unwritten: flags & UNWRITTEN != 0,
        };
        Ok(extent.is_possible().then_some((format.le64(16)?, Self { extent, is_map: flags & 0xff == MAP })))
    }
}

/// A run of blocks of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extent {
    /// The first block within the file.
    offset: u64,
    /// The first block of the filesystem.
    block: u64,
    count: u64,
    is_unwritten: bool,
}

impl Extent {
    /// `sizeof(struct xfs_bmbt_rec)`: two numbers of 64 bits, in which the fields follow each other: 1 bit, 54, 52 and 21.
    const SIZE: usize = 16;
    const COUNT_BITS: u32 = 21;
    const BLOCK_BITS: u32 = 52;
    const OFFSET_BITS: u32 = 54;

    /// Whether all fields fit.
    fn is_possible(self) -> bool {
        self.offset >> Self::OFFSET_BITS == 0
            && self.block >> Self::BLOCK_BITS == 0
            && self.count >> Self::COUNT_BITS == 0
            && self.count > 0
    }

    fn end(self) -> u64 {
        self.offset.saturating_add(self.count)
    }

    fn decode(record: [u8; Self::SIZE]) -> Self {
        let all = u128::from_be_bytes(record);
        let field = |shift: u32, bits: u32| {
            let above = u128::BITS.saturating_sub(bits);
            u64::try_from(all >> shift << above >> above).unwrap_or(0)
        };
        Self {
            is_unwritten: all >> 127 != 0,
            offset: field(73, Self::OFFSET_BITS),
            block: field(21, Self::BLOCK_BITS),
            count: field(0, Self::COUNT_BITS),
        }
    }

    fn encode(self) -> [u8; Self::SIZE] {
        let all = u128::from(self.is_unwritten) << 127
            | u128::from(self.offset) << 73
            | u128::from(self.block) << 21
            | u128::from(self.count);
        all.to_be_bytes()
    }

    /// Whether `next` goes on where this one ends, and both can be one.
    fn joins(self, next: Self) -> bool {
        self.end() == next.offset
            && self.block.saturating_add(self.count) == next.block
            && self.is_unwritten == next.is_unwritten
            && self.count.saturating_add(next.count) >> Self::COUNT_BITS == 0
    }
}

/// Carries out changes of the extents of an inode that has a list of them; others are left as they are.
pub(super) fn remap(
    inode: &mut [u8],
    changes: impl Iterator<Item = Remapping>,
    sb: &Superblock,
) -> Result<(), Halt> {
    /// `XFS_DINODE_FMT_EXTENTS`
    const LIST: u8 = 2;
    const NOT_DONE: Halt = Halt::Log("a change of a file's extents was not completed");

    let old = Bytes(inode);
    if !inode.starts_with(b"IN") || old.u8(4)? != 3 || old.u8(5)? != LIST {
        return Err(NOT_DONE);
    }
    let has_nrext64 = old.be64(120)? & 0x10 != 0;
    let count = if has_nrext64 { old.be64(24)? } else { u64::from(old.be32(76)?) };
    let area = usize::from(sb.inodesize).saturating_sub(176);
    let room = match usize::from(old.u8(82)?).saturating_mul(8) {
        0 => area,
        boundary => boundary.min(area),
    };
    let bytes = to_usize(count).saturating_mul(Extent::SIZE);
    if bytes > room {
        return Err(NOT_DONE);
    }
    let mut list: Vec<Extent> =
        old.get(176, bytes)?.as_chunks().0.iter().map(|&record| Extent::decode(record)).collect();
    for change in changes {
        list = change.apply(list).ok_or(NOT_DONE)?;
    }
    let encoded: Vec<u8> = list.iter().flat_map(|extent| extent.encode()).collect();
    if encoded.len() > room {
        return Err(NOT_DONE);
    }
    set(inode, 176, &encoded);
    let count = to_u64(list.len());
    if has_nrext64 {
        set(inode, 24, &count.to_be_bytes());
    } else {
        set(inode, 76, &u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
    }
    set_crc(inode)
}

impl Remapping {
    /// The list after this change; `None` if it contradicts the list.
    fn apply(self, list: Vec<Extent>) -> Option<Vec<Extent>> {
        let change = self.extent;
        let mut changed = Vec::new();
        let mut removed = 0_u64;
        for extent in list {
            let before = change.offset.clamp(extent.offset, extent.end());
            let behind = change.end().clamp(extent.offset, extent.end());
            removed = removed.saturating_add(behind.saturating_sub(before));
            let front = before.saturating_sub(extent.offset);
            if front > 0 {
                changed.push(Extent { count: front, ..extent });
            }
            let skipped = behind.saturating_sub(extent.offset);
            if behind < extent.end() {
                // What lies whole before or behind the change is one piece, not two.
                let rest = Extent {
                    offset: behind,
                    block: extent.block.saturating_add(skipped),
                    count: extent.end().saturating_sub(behind),
                    ..extent
                };
                changed.push(rest);
            }
        }
        let expected = if self.is_map { 0 } else { change.count };
        if removed != expected {
            return None;
        }
        if self.is_map {
            changed.push(change);
        }
        changed.sort_by_key(|extent| extent.offset);
        let mut joined: Vec<Extent> = Vec::new();
        for extent in changed {
            match joined.last_mut() {
                Some(previous) if previous.joins(extent) => {
                    previous.count = previous.count.saturating_add(extent.count);
                }
                _ => joined.push(extent),
            }
        }
        Some(joined)
    }
}
