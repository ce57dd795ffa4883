//! Items that make new inodes.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::Halt;
use super::buffer::set;
use super::format::BASIC_BLOCK;
use super::inode::{MAGIC, set_crc};
use super::replay::Run;
use super::transaction::Item;
use crate::fs::xfs::superblock::Superblock;
use crate::volume::bytes::Bytes;

/// An item that makes a chunk of inodes, `xfs_icreate_log`.
#[derive(Debug)]
pub(super) struct Icreate {
    /// The chunk.
    pub(super) run: Run,
    first_inode: u64,
    /// `icl_gen`, the generation that all of them get.
    generation: u32,
}

impl Icreate {
    /// `XFS_INODES_PER_CHUNK`
    const MOST_INODES: u64 = 64;

    pub(super) fn parse(item: &Item, sb: &Superblock) -> Result<Self, Halt> {
        let format = Bytes(item.description());
        let [group, block] = [u64::from(format.be32(4)?), u64::from(format.be32(8)?)];
        let [count, size, length] = [format.be32(12)?, format.be32(16)?, format.be32(20)?].map(u64::from);
        let bytes = count.saturating_mul(size);
        let start = length
            .checked_sub(1)
            .and_then(|more| sb.ag_block_offset(group, block.checked_add(more)?))
            .and_then(|_| sb.ag_block_offset(group, block));
        let is_right = size == u64::from(sb.inodesize)
            && count <= Self::MOST_INODES
            && bytes == length.saturating_mul(u64::from(sb.blocksize));
        let (Some(start), true) = (start, is_right) else {
            return Err(Halt::Log("an item that makes inodes is wrong"));
        };
        let first_inode = group
            .checked_shl(sb.agino_bits())
            .zip(block.checked_shl(u32::from(sb.inopblog)))
            .and_then(|(group, block)| group.checked_add(block));
        Ok(Self {
            run: Run { start: start / BASIC_BLOCK, blocks: bytes / BASIC_BLOCK },
            first_inode: first_inode.ok_or(Halt::Log("an item that makes inodes is wrong"))?,
            generation: format.be32(24)?,
        })
    }

    /// The inodes, all unused (`xfs_ialloc_inode_init`).
    pub(super) fn content(&self, sb: &Superblock) -> Result<Vec<u8>, Halt> {
        let size = usize::from(sb.inodesize);
        let mut content = vec![0; self.run.bytes()];
        for (inode, number) in content.chunks_exact_mut(size).zip(self.first_inode..) {
            set(inode, 0, &MAGIC);
            set(inode, 4, &[if sb.has_crc() { 3 } else { 2 }]);
            set(inode, 92, &self.generation.to_be_bytes());
            // di_next_unlinked: NULLAGINO
            set(inode, 96, &[0xff; 4]);
            if sb.has_crc() {
                set(inode, 152, &number.to_be_bytes());
                set(inode, 160, &sb.meta_uuid);
                set_crc(inode)?;
            }
        }
        Ok(content)
    }
}
