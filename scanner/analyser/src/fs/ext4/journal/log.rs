//! The transactions in the journal's log.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::HashMap;

use super::File;
use super::format::{Format, HEADER, Tag, block_type, incompat};
use crate::fs::FsError;
use crate::fs::ext4::overlay::{MAGIC, Overlay, Replacement};
use crate::limits::Limits;
use crate::volume::bytes::{Bytes, to_usize};

/// A block that a transaction wrote.
struct Written {
    /// Its place in the filesystem.
    block: u64,
    replacement: Replacement,
}

/// What the committed transactions of the log say.
pub(super) struct Log {
    pub(super) transactions: u64,
    /// Oldest first.
    written: Vec<Written>,
    /// For each revoked block the last transaction that revoked it.
    revoked: HashMap<u64, u32>,
    /// Whether fast commits follow the last transaction.
    pub(super) fast_commits: bool,
}

impl Log {
    /// Reads the log from its start to the first block that does not continue it. That is where the machine stopped
    /// writing: a transaction without a valid commit record never happened.
    pub(super) fn read(format: &Format, file: &File<'_>, limits: &Limits) -> Result<Self, FsError> {
        let mut log =
            Self { transactions: 0, written: Vec::new(), revoked: HashMap::new(), fast_commits: false };
        let mut open = Transaction { sequence: format.sequence, written: Vec::new(), revoked: Vec::new() };
        let mut position = format.start;
        // One lap at most.
        let mut left = format.end.saturating_sub(format.first);
        while let Some(remaining) = left.checked_sub(1) {
            left = remaining;
            let Some(block) = file.read(position)? else { break };
            position = format.after(position);
            let bytes = Bytes(&block);
            if bytes.array(0)? != MAGIC || bytes.be32(8)? != open.sequence {
                break;
            }
            match bytes.be32(4)? {
                block_type::DESCRIPTOR => {
                    let Some(tags) = tags(format, &block) else { break };
                    for tag in tags {
                        let Some(at) = file.at(position) else { break };
                        open.written.push(written(&tag, at, open.sequence));
                        position = format.after(position);
                        left = left.saturating_sub(1);
                    }
                }
                block_type::REVOKE => {
                    if !open.revoke(format, &block)? {
                        break;
                    }
                }
                block_type::COMMIT if format.commit_is_right(&block)? => {
                    log.commit(&mut open);
                }
                _ => break,
            }
            let most = limits.journal_blocks;
            let tags = log.written.len().saturating_add(open.written.len());
            let revokes = log.revoked.len().saturating_add(open.revoked.len());
            if tags.saturating_add(revokes) > to_usize(most) {
                return Err(FsError::Limit {
                    what: "the number of blocks in the journal (`journal_blocks`)",
                    limit: most,
                });
            }
        }
        if format.has(incompat::FAST_COMMIT) {
            log.fast_commits = has_fast_commits(format, file, open.sequence)?;
        }
        Ok(log)
    }

    /// Adds a transaction whose commit record was found, and makes `open` the next one.
    fn commit(&mut self, open: &mut Transaction) {
        self.transactions = self.transactions.saturating_add(1);
        self.written.append(&mut open.written);
        for block in open.revoked.drain(..) {
            self.revoked.insert(block, open.sequence);
        }
        open.sequence = open.sequence.wrapping_add(1);
    }

    /// The blocks as the last transaction left them. A revoked block was freed and may have become data, which is not
    /// journalled: older copies of it are void. Copies that later transactions wrote are not.
    pub(super) fn overlay(self, format: &Format) -> Overlay {
        let mut overlay = Overlay::new(format.seed);
        for Written { block, replacement } in self.written {
            let is_void =
                self.revoked.get(&block).is_some_and(|&revoked| !is_later(replacement.sequence, revoked));
            if !is_void {
                overlay.insert(block, replacement);
            }
        }
        overlay
    }
}

/// Whether a sequence number comes after another one: they wrap around.
fn is_later(sequence: u32, than: u32) -> bool {
    sequence.wrapping_sub(than).cast_signed() > 0
}

/// A transaction whose commit record was not yet found.
struct Transaction {
    sequence: u32,
    written: Vec<Written>,
    revoked: Vec<u64>,
}

impl Transaction {
    /// Adds the numbers of a revoke block; `false` if it is damaged.
    fn revoke(&mut self, format: &Format, block: &[u8]) -> Result<bool, FsError> {
        let Some(content) = format.checked(block) else { return Ok(false) };
        let bytes = Bytes(content);
        // r_count: the bytes used, with the 16 of the header.
        let used = to_usize(bytes.be32(HEADER)?);
        let Some(records) = content.get(16..used) else { return Ok(false) };
        if format.has(incompat::WIDE) {
            for record in records.as_chunks::<8>().0 {
                self.revoked.push(u64::from_be_bytes(*record));
            }
        } else {
            for record in records.as_chunks::<4>().0 {
                self.revoked.push(u64::from(u32::from_be_bytes(*record)));
            }
        }
        Ok(true)
    }
}

/// The tags of a descriptor block, one for each of the blocks that follow it; `None` if its checksum is wrong.
fn tags(format: &Format, block: &[u8]) -> Option<Vec<Tag>> {
    let content = format.checked(block)?;
    let mut tags = Vec::new();
    let mut at = HEADER;
    while let Ok(tag) = Tag::parse(format, content, at) {
        at = at.saturating_add(tag.length);
        let is_last = tag.flags & Tag::LAST != 0;
        tags.push(tag);
        if is_last {
            break;
        }
    }
    Some(tags)
}

/// The block that `tag` describes, whose content is in block `at` of the volume.
fn written(tag: &Tag, at: u64, sequence: u32) -> Written {
    let escaped = tag.flags & Tag::ESCAPE != 0;
    Written { block: tag.block, replacement: Replacement { at, escaped, sequence, checksum: tag.checksum } }
}

/// Whether the fast-commit area, behind the log, has changes on top of the last full transaction: it begins with
/// `EXT4_FC_TAG_HEAD` and the number of the transaction that was running. Little-endian, unlike everything else.
fn has_fast_commits(format: &Format, file: &File<'_>, running: u32) -> Result<bool, FsError> {
    const HEAD: u16 = 9;
    let Some(block) = file.read(format.end)? else { return Ok(false) };
    let bytes = Bytes(&block);
    Ok(bytes.le16(0)? == HEAD && bytes.le32(8)? == running)
}
