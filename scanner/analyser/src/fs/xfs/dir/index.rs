//! Looking up one name through a directory's index: `struct xfs_dir2_leaf`.
//!
//! For a scan that looks up exact paths, and for one that looks up each name of a directory of many thousand, that is the
//! difference between reading a directory once and reading it for each name.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::data::DataBlock;
use super::{FREE_OFFSET, FsError, INDEX_OFFSET, InodeRecord, Search, block_count, damaged};
use crate::fs::Inode;
use crate::fs::xfs::blocks::Blocks;
use crate::fs::xfs::da::{self, Entries, Index};

/// `XFS_DIR2_LEAF1_MAGIC`, `XFS_DIR2_LEAFN_MAGIC`: the only leaf, and one below nodes.
const V4_LEAVES: [u16; 2] = [0xd2f1, 0xd2ff];
/// `XFS_DIR3_LEAF1_MAGIC`, `XFS_DIR3_LEAFN_MAGIC`
const V5_LEAVES: [u16; 2] = [0x3df1, 0x3dff];
/// `XFS_DIR2_NULL_DATAPTR`: the entry was removed.
const REMOVED: u32 = 0;

/// Looks for a name.
pub(super) fn lookup(
    blocks: &Blocks,
    dir: &InodeRecord,
    search: &mut Search<'_>,
) -> Result<Option<Inode>, FsError> {
    let index = Index {
        blocks,
        owner: dir.number,
        fork: &dir.data,
        unit: 1 << blocks.sb.dirblklog,
        first: INDEX_OFFSET >> blocks.sb.blocklog,
        end: FREE_OFFSET >> blocks.sb.blocklog,
    };
    let mut lookup = Lookup { blocks, dir, data_blocks: block_count(blocks, dir), search };
    let found = match index.root()? {
        Some(root) => lookup.in_tree(&index, root)?,
        None => lookup.in_only_block()?,
    };
    Ok(found.or(lookup.search.similar))
}

struct Lookup<'a, 'n> {
    blocks: &'a Blocks,
    dir: &'a InodeRecord,
    /// How many blocks with entries the directory has.
    data_blocks: u64,
    search: &'a mut Search<'n>,
}

impl Lookup<'_, '_> {
    fn in_only_block(&mut self) -> Result<Option<Inode>, FsError> {
        let block = DataBlock::load(self.blocks, self.dir, 0)?;
        let block = block.ok_or_else(|| damaged(self.dir, "it has no blocks"))?;
        let entries = Entries::all(block.index());
        self.among(entries).map(|found| match found {
            Among::Found(inode) => Some(inode),
            Among::NotFound | Among::EndsWithHash => None,
        })
    }

    fn in_tree(&mut self, index: &Index<'_>, root: da::Block) -> Result<Option<Inode>, FsError> {
        let (leaves, at) = if self.blocks.sb.has_crc() { (V5_LEAVES, 64) } else { (V4_LEAVES, 16) };
        let mut leaf = index.leaf_of(root, self.search.hash())?;
        let start = leaf.as_ref().map_or(0, |leaf| leaf.at);
        while let Some(block) = leaf {
            if !leaves.contains(&block.magic) {
                return Err(index.damaged("a leaf has another magic number"));
            }
            let entries =
                Entries::new(&block, at).ok_or_else(|| index.damaged("a leaf has too many entries"))?;
            match self.among(entries)? {
                Among::Found(inode) => return Ok(Some(inode)),
                Among::NotFound => return Ok(None),
                Among::EndsWithHash => leaf = index.next(&block, start)?,
            }
        }
        Ok(None)
    }

    /// Looks at the entries with the name's hash.
    fn among(&mut self, entries: Entries<'_>) -> Result<Among, FsError> {
        let hash = self.search.hash();
        let mut index = entries.first_not_below(hash);
        while let (Some(found), Some(address)) = (entries.hash(index), entries.value(index)) {
            self.blocks.budget.step()?;
            if found != hash {
                return Ok(Among::NotFound);
            }
            if address != REMOVED
                && let Some(inode) = self.at(address)?
            {
                return Ok(Among::Found(inode));
            }
            index = index.saturating_add(1);
        }
        Ok(Among::EndsWithHash)
    }

    /// The inode of the entry at `address`, in units of 8 bytes, if it has the very name.
    fn at(&mut self, address: u32) -> Result<Option<Inode>, FsError> {
        let offset = u64::from(address).saturating_mul(8);
        let size = u64::from(self.blocks.sb.dirblksize());
        let number = offset.checked_div(size).unwrap_or(0);
        if number >= self.data_blocks {
            return Err(damaged(self.dir, "its index leads behind its end"));
        }
        let block = DataBlock::load(self.blocks, self.dir, number)?
            .ok_or_else(|| damaged(self.dir, "its index leads to a hole"))?;
        let within = usize::try_from(offset.checked_rem(size).unwrap_or(0)).unwrap_or(usize::MAX);
        let entry = block.entry(self.blocks, within).map_err(|problem| damaged(self.dir, problem))?;
        Ok(self.search.compare(entry))
    }
}

/// What one leaf says.
enum Among {
    Found(Inode),
    NotFound,
    /// It ends with the hash that was looked for, or before it: the next one may go on.
    EndsWithHash,
}
