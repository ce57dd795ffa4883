//! Intents: what the log promises to do in later transactions.
//!
//! A change that takes several transactions begins with an item that says what is still to be done; another one notes that
//! it was. What the machine stopped in between is done now. Most intents are about space that is to be freed, and about who
//! owns it: they change nothing that can be read. Those that do are changes of a file's extents.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::BTreeMap;

use super::Halt;
use super::format::item_type;
use super::transaction::Item;
use crate::fs::xfs::fork::Extent;
use crate::volume::bytes::Bytes;

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
    pub(super) extent: Extent,
    /// Whether the file gets it, or loses it.
    pub(super) is_map: bool,
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
            logical: format.le64(32)?,
            start: format.le64(24)?,
            count: u64::from(format.le32(40)?),
            unwritten: flags & UNWRITTEN != 0,
        };
        Ok(extent.is_possible().then_some((format.le64(16)?, Self { extent, is_map: flags & 0xff == MAP })))
    }
}
