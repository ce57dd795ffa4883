//! Blocks that the journal replaces.
//!
//! The overlay knows where in the journal a block's newest content is, and reads it when it is asked for: a replayed
//! journal costs memory by its tags, not by its blocks, and blocks that nobody reads are not fetched.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::BTreeMap;

use super::FsError;
use super::checksum::crc32c;

/// `JBD2_MAGIC_NUMBER`, big-endian on disk.
pub(super) const MAGIC: [u8; 4] = 0xc03b_3998_u32.to_be_bytes();

/// Where the journal has the content of a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Replacement {
    /// The block of the volume that holds the content.
    pub(super) at: u64,
    /// The content begins with the journal's magic number, which was zeroed in the journal.
    pub(super) escaped: bool,
    /// `h_sequence` of the transaction, which is part of the checksum.
    pub(super) sequence: u32,
    pub(super) checksum: TagChecksum,
}

/// What the tag records of a block's content.
#[derive(Clone, Copy, Debug)]
pub(super) enum TagChecksum {
    /// Nothing: journals without checksums, or with those of version 1.
    None,
    /// Version 2: the lower half of a CRC-32C.
    Low(u16),
    /// Version 3: a CRC-32C.
    Full(u32),
}

/// The replaced blocks of a filesystem; empty after a clean unmount.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    replacements: BTreeMap<u64, Replacement>,
    /// What the journal's checksums start with.
    seed: u32,
}

impl Overlay {
    pub(super) fn new(seed: u32) -> Self {
        Self { replacements: BTreeMap::new(), seed }
    }

    /// Replaces `block`, also where an earlier transaction did.
    pub(super) fn insert(&mut self, block: u64, replacement: Replacement) {
        self.replacements.insert(block, replacement);
    }

    /// The first replaced block that is not before `block`.
    pub(super) fn next_from(&self, block: u64) -> Option<u64> {
        self.replacements.range(block..).next().map(|(&next, _)| next)
    }

    /// Where the content of `block` is, if it is replaced.
    pub(super) fn location(&self, block: u64) -> Option<u64> {
        self.replacements.get(&block).map(|replacement| replacement.at)
    }

    /// The content of a replaced block. `raw` reads a block of the journal.
    pub(super) fn read(
        &self,
        block: u64,
        raw: impl FnOnce(u64) -> Result<Vec<u8>, FsError>,
    ) -> Result<Vec<u8>, FsError> {
        let Some(replacement) = self.replacements.get(&block) else {
            return Err(FsError::Invalid { problem: "a block that the journal does not hold" });
        };
        let mut content = raw(replacement.at)?;
        let computed = || crc32c(crc32c(self.seed, &replacement.sequence.to_be_bytes()), &content);
        let right = match replacement.checksum {
            TagChecksum::None => true,
            TagChecksum::Low(recorded) => computed() & 0xffff == u32::from(recorded),
            TagChecksum::Full(recorded) => computed() == recorded,
        };
        if !right {
            return Err(FsError::corrupt(
                format!("the journal's copy of block {block}"),
                "its checksum is wrong",
            ));
        }
        if let (true, Some(start)) = (replacement.escaped, content.get_mut(..MAGIC.len())) {
            start.copy_from_slice(&MAGIC);
        }
        Ok(content)
    }
}
