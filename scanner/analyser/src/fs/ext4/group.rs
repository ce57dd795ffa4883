//! Group descriptors: where each group's inode table is. Read one block at a time, when an inode of theirs is asked for.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::blocks::Blocks;
use super::superblock::{self, Superblock};
use super::{FsError, feature};
use crate::volume::bytes::{Bytes, to_usize};

/// The first block of the inode table of `group` (`bg_inode_table`).
pub(super) fn inode_table(blocks: &Blocks, sb: &Superblock, group: u32) -> Result<u64, FsError> {
    let desc_size = u32::from(sb.desc_size);
    let content = blocks.metadata(descriptor_block(sb, group))?;
    let index = group.checked_rem(descriptors_per_block(sb)).unwrap_or(0);
    let offset = to_usize(index).saturating_mul(to_usize(desc_size));
    let descriptor = Bytes(&content).get(offset, usize::from(sb.desc_size))?;
    if !sb.descriptor_checksum_is_right(group, descriptor)? {
        return Err(FsError::corrupt(
            format!("the descriptor of block group {group}"),
            "its checksum is wrong",
        ));
    }
    let low = u64::from(Bytes(descriptor).le32(0x8)?);
    let high = if desc_size >= 64 { u64::from(Bytes(descriptor).le32(0x28)?) } else { 0 };
    Ok(low | (high << 32))
}

fn descriptors_per_block(sb: &Superblock) -> u32 {
    sb.block_size.checked_div(u32::from(sb.desc_size)).unwrap_or(1).max(1)
}

/// The block that holds the descriptor of `group`.
pub(super) fn descriptor_block(sb: &Superblock, group: u32) -> u64 {
    let per_block = descriptors_per_block(sb);
    let table_block = group.checked_div(per_block).unwrap_or(0);
    let with_superblock = superblock::OFFSET.checked_div(u64::from(sb.block_size)).unwrap_or(0);
    if sb.incompat & feature::META_BG == 0 || table_block < sb.first_meta_bg {
        return with_superblock.saturating_add(1).saturating_add(u64::from(table_block));
    }
    // With meta_bg they are in the first group that they describe, behind its copy of the superblock if it has one.
    let group = u64::from(table_block).saturating_mul(u64::from(per_block));
    let mut offset = u64::from(has_superblock(sb, group));
    if group == 0 && sb.block_size == 1024 && sb.first_data_block == 0 {
        // Such a filesystem has its superblock in block 1, though its groups begin at block 0.
        offset = offset.saturating_add(1);
    }
    let first_block =
        group.saturating_mul(u64::from(sb.blocks_per_group)).saturating_add(u64::from(sb.first_data_block));
    first_block.saturating_add(offset)
}

/// Whether a group begins with a copy of the superblock.
fn has_superblock(sb: &Superblock, group: u64) -> bool {
    if group == 0 {
        return true;
    }
    if sb.compat & feature::COMPAT_SPARSE_SUPER2 != 0 {
        return sb.backup_bgs.iter().any(|&backup| u64::from(backup) == group);
    }
    if sb.ro_compat & feature::RO_COMPAT_SPARSE_SUPER == 0 {
        return true;
    }
    group == 1 || [3, 5, 7].into_iter().any(|base| is_power_of(base, group))
}

fn is_power_of(base: u64, number: u64) -> bool {
    let mut power = base;
    while power < number {
        power = power.saturating_mul(base);
    }
    power == number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparse_superblocks_are_in_powers_of_three_five_and_seven() {
        let found: Vec<_> =
            (2..130).filter(|&group| [3, 5, 7].into_iter().any(|base| is_power_of(base, group))).collect();
        assert_eq!(found, [3, 5, 7, 9, 25, 27, 49, 81, 125]);
    }
}
