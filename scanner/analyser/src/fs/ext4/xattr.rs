//! Extended attributes: in the inode, in a block that inodes with equal attributes share, and large values in inodes of
//! their own. Names and offsets are those of the kernel's `ext4/attributes.rst`.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::borrow::Cow;
use std::ops::ControlFlow;

use super::blocks::{Structure, Verified};
use super::checksum::crc32c;
use super::inode::InodeRecord;
use super::{Ext4, FsError, map};
use crate::fs::{FileType, Inode, Xattr};
use crate::volume::bytes::{Bytes, to_usize};

/// `EXT4_XATTR_MAGIC`
const MAGIC: u32 = 0xea02_0000;
/// The length of `struct ext4_xattr_ibody_header`, which is the magic number.
const INODE_HEADER: usize = 4;
/// The length of `struct ext4_xattr_header`, at the beginning of a block.
const BLOCK_HEADER: usize = 32;
/// The length of `struct ext4_xattr_entry` without the name.
const ENTRY: usize = 16;
/// `XATTR_SIZE_MAX` of Linux: no larger value can be set or read.
const MOST: u32 = 64 << 10;

/// `EXT4_XATTR_INDEX_SYSTEM`: inline data.
const INDEX_SYSTEM: u8 = 7;

/// What a name begins with, by `e_name_index`. The kernel shows no others: access control lists have calls of their own, and
/// inline data and the key of an encrypted file are not for programs.
fn prefix(index: u8) -> Option<&'static [u8]> {
    match index {
        1 => Some(b"user."),
        4 => Some(b"trusted."),
        6 => Some(b"security."),
        10 => Some(b"gnu."),
        _ => None,
    }
}

/// Calls `visit` with each attribute of an inode: those in the inode first, as the kernel does.
pub(super) fn visit(
    ext4: &Ext4,
    inode: &InodeRecord,
    visit: &mut dyn FnMut(Xattr<'_>) -> ControlFlow<()>,
) -> Result<(), FsError> {
    if visit_entries(ext4, inode, in_inode(inode), visit)?.is_break() || inode.attribute_block == 0 {
        return Ok(());
    }
    let content = ext4.blocks.metadata(inode.attribute_block)?;
    check_block(ext4, inode, &content)?;
    let entries = Entries { list: content.get(BLOCK_HEADER..).unwrap_or_default(), values: &content, at: 0 };
    visit_entries(ext4, inode, entries, visit).map(drop)
}

/// The part of a small file or directory that is in the inode behind `i_block`, as the attribute `system.data`; empty if
/// there is none.
pub(super) fn inline_data(inode: &InodeRecord) -> Result<&[u8], FsError> {
    for entry in in_inode(inode) {
        let entry = entry.map_err(|problem| damaged(inode, problem))?;
        if entry.index == INDEX_SYSTEM && entry.name == b"data" {
            return match entry.value {
                Value::Here(value) => Ok(value),
                Value::Inode { .. } => Err(damaged(inode, "inline data is not in the inode")),
            };
        }
    }
    Ok(&[])
}

fn visit_entries(
    ext4: &Ext4,
    inode: &InodeRecord,
    entries: Entries<'_>,
    visit: &mut dyn FnMut(Xattr<'_>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, FsError> {
    let mut name = Vec::new();
    for entry in entries {
        ext4.blocks.budget().step()?;
        let entry = entry.map_err(|problem| damaged(inode, problem))?;
        let Some(prefix) = prefix(entry.index) else { continue };
        name.clear();
        name.extend_from_slice(prefix);
        name.extend_from_slice(entry.name);
        let value = match entry.value {
            Value::Here(value) => Cow::Borrowed(value),
            Value::Inode { number, size } => Cow::Owned(value_inode(ext4, inode, number, size)?),
        };
        if visit(Xattr { name: &name, value: &value }).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// The value that is the content of an inode (`ea_inode`), whose time of access is the value's checksum.
fn value_inode(ext4: &Ext4, inode: &InodeRecord, number: u32, size: u32) -> Result<Vec<u8>, FsError> {
    let holder = ext4.inode(Inode(u64::from(number)))?;
    if !holder.is_attribute_value()
        || holder.stat.file_type != FileType::Regular
        || holder.stat.size != u64::from(size)
        || holder.has_inline_data()
    {
        return Err(damaged(inode, &format!("inode {number} is not the value that it should be")));
    }
    ext4.blocks.budget().work(u64::from(size))?;
    let mut value = vec![0; to_usize(size)];
    map::read(&ext4.blocks, &holder, 0, &mut value, &ext4.limits)?;
    if crc32c(ext4.sb.checksum_seed, &value) != holder.atime {
        return Err(damaged(inode, &format!("the checksum of the value in inode {number} is wrong")));
    }
    Ok(value)
}

/// The entries within the inode.
fn in_inode(inode: &InodeRecord) -> Entries<'_> {
    let has_entries = Bytes(&inode.attributes).le32(0).is_ok_and(|magic| magic == MAGIC);
    let list = inode.attributes.get(INODE_HEADER..).filter(|_| has_entries).unwrap_or_default();
    Entries { list, values: list, at: 0 }
}

fn check_block(ext4: &Ext4, inode: &InodeRecord, content: &[u8]) -> Result<(), FsError> {
    let header = Bytes(content);
    // h_blocks: more than one never was implemented.
    if header.le32(0)? != MAGIC || header.le32(8)? != 1 {
        return Err(damaged(inode, "their block has no header"));
    }
    if ext4.sb.has_metadata_csum() {
        // h_checksum, at 16.
        let seed = crc32c(ext4.sb.checksum_seed, &inode.attribute_block.to_le_bytes());
        let is_right = || -> Result<bool, FsError> {
            let (before, after) = (header.get(0, 16)?, content.get(20..).unwrap_or_default());
            Ok(crc32c(crc32c(crc32c(seed, before), &[0; 4]), after) == header.le32(16)?)
        };
        let by = Verified { structure: Structure::Attributes, seed };
        if !ext4.blocks.verify(inode.attribute_block, by, is_right)? {
            return Err(damaged(inode, "the checksum of their block is wrong"));
        }
    }
    Ok(())
}

fn damaged(inode: &InodeRecord, problem: &str) -> FsError {
    FsError::corrupt(format!("the extended attributes of inode {}", inode.number), problem)
}

/// One attribute, as it is stored.
struct Entry<'a> {
    /// `e_name_index`
    index: u8,
    name: &'a [u8],
    value: Value<'a>,
}

enum Value<'a> {
    Here(&'a [u8]),
    Inode { number: u32, size: u32 },
}

/// The entries of a list, which ends with four bytes of zeros. Each takes at least 16 bytes of at most a block.
struct Entries<'a> {
    list: &'a [u8],
    /// What `e_value_offs` counts from the beginning of.
    values: &'a [u8],
    at: usize,
}

impl<'a> Entries<'a> {
    fn entry(&mut self) -> Result<Option<Entry<'a>>, &'static str> {
        const TRUNCATED: &str = "their list has no end";
        let list = Bytes(self.list);
        if list.le32(self.at).map_err(|_| TRUNCATED)? == 0 {
            return Ok(None);
        }
        let entry = Bytes(list.get(self.at, ENTRY).map_err(|_| TRUNCATED)?);
        let number = |at| entry.le32(at).map_err(|_| TRUNCATED);
        let name_len = usize::from(entry.u8(0).map_err(|_| TRUNCATED)?);
        let index = entry.u8(1).map_err(|_| TRUNCATED)?;
        let name = list.get(self.at.saturating_add(ENTRY), name_len).map_err(|_| TRUNCATED)?;
        self.at = self.at.saturating_add(ENTRY).saturating_add(name_len.next_multiple_of(4));

        let (inode, size) = (number(4)?, number(8)?);
        if size > MOST {
            return Err("a value is larger than any can be");
        }
        let value = if inode != 0 {
            Value::Inode { number: inode, size }
        } else if size == 0 {
            Value::Here(&[])
        } else {
            let offset = usize::from(entry.le16(2).map_err(|_| TRUNCATED)?);
            let value = Bytes(self.values).get(offset, to_usize(size));
            Value::Here(value.map_err(|_| "a value is not where its attribute says")?)
        };
        Ok(Some(Entry { index, name, value }))
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.list.is_empty() {
            return None;
        }
        let entry = self.entry().transpose();
        if !matches!(entry, Some(Ok(_))) {
            // The end, or damage behind which the next entry would be guessed.
            self.list = &[];
        }
        entry
    }
}
