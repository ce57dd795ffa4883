//! The owner of the blocks of a tree of extents: it changes where two files exchanged their content.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::BTreeSet;

use super::Halt;
use super::buffer::set;
use super::format::BASIC_BLOCK;
use super::inode::pointers_at;
use super::replay::{Run, SecondPass};
use crate::fs::xfs::crc;
use crate::volume::bytes::Bytes;

/// `XFS_BM_MAXLEVELS` is less in every filesystem.
const MOST_LEVELS: u16 = 16;
/// `sizeof(struct xfs_bmdr_block)`, what the root has before its keys.
const ROOT_HEADER: usize = 4;
/// `XFS_BTREE_LBLOCK_CRC_LEN`, what other blocks have.
const HEADER: usize = 72;
/// Where they have their owner and their checksum.
const OWNER: usize = 56;
const CRC: usize = 64;
const DAMAGED: Halt = Halt::Log("a tree of extents that changes its owner is damaged");

impl SecondPass<'_> {
    /// Makes inode `owner` the owner of all blocks below this root (`xfs_bmbt_change_owner`).
    pub(super) fn change_owner(&mut self, owner: u64, root: &[u8]) -> Result<(), Halt> {
        let level = Bytes(root).be16(0)?;
        if level > MOST_LEVELS {
            return Err(DAMAGED);
        }
        // A tree has each block once.
        let mut visited = BTreeSet::new();
        let mut waiting = children(root, ROOT_HEADER, level, Bytes(root).be16(2)?)?;
        while let Some((level, fsblock)) = waiting.pop() {
            let offset = self.sb.fsblock_offset(fsblock, 1).ok_or(DAMAGED)?;
            if !visited.insert(fsblock) {
                return Err(DAMAGED);
            }
            let blocks = u64::from(self.sb.blocksize) / BASIC_BLOCK;
            let run = Run { start: offset / BASIC_BLOCK, blocks };
            let mut block = self.read(run)?;
            if !block.starts_with(b"BMA3") || Bytes(&block).be16(4)? != level {
                return Err(DAMAGED);
            }
            if level > 0 {
                waiting.extend(children(&block, HEADER, level, Bytes(&block).be16(6)?)?);
            }
            set(&mut block, OWNER, &owner.to_be_bytes());
            let crc = crc::crc(&block, CRC)?;
            set(&mut block, CRC, &crc.to_le_bytes());
            self.replace(run.start, &block)?;
        }
        Ok(())
    }
}

/// The children of a node of this level, each with its own: the pointers are behind the keys, which begin at `at`.
fn children(node: &[u8], at: usize, level: u16, count: u16) -> Result<Vec<(u16, u64)>, Halt> {
    let below = level.checked_sub(1).ok_or(DAMAGED)?;
    let pointers = Bytes(node).get(pointers_at(node, at), usize::from(count).saturating_mul(8))?;
    Ok(pointers.as_chunks::<8>().0.iter().map(|&pointer| (below, u64::from_be_bytes(pointer))).collect())
}
