//! Journals in every format that was ever written, made by hand: what `mkfs` makes today is tested against the kernel.

use std::sync::Arc;

use super::format::{block_type, incompat};
use super::*;
use crate::fs::ext4::checksum::crc32c;
use crate::fs::ext4::overlay::MAGIC;
use crate::volume::MemoryVolume;

const BLOCK: usize = 1024;
/// The number of blocks of a journal; the log is what follows the superblock.
const LENGTH: usize = 64;
const UUID: [u8; 16] = *b"0123456789abcdef";

/// Writes a journal.
struct Writer {
    image: Vec<u8>,
    features: u32,
    /// Where the next block goes.
    position: usize,
    sequence: u32,
}

impl Writer {
    fn new(features: u32, start: usize, sequence: u32) -> Self {
        let mut image = vec![0; LENGTH * BLOCK];
        image[..4].copy_from_slice(&MAGIC);
        for (at, number) in [
            (0x04, block_type::SUPERBLOCK_V2),
            (0x0c, u32::try_from(BLOCK).unwrap()),
            (0x10, u32::try_from(LENGTH).unwrap()),
            (0x14, 1),
            (0x18, sequence),
            (0x1c, u32::try_from(start).unwrap()),
            (0x28, features),
        ] {
            image[at..at + 4].copy_from_slice(&number.to_be_bytes());
        }
        image[0x30..0x40].copy_from_slice(&UUID);
        if features & (incompat::CSUM_V2 | incompat::CSUM_V3) != 0 {
            image[0x50] = 4;
            let checksum = crc32c(u32::MAX, &image[..BLOCK]);
            image[0xfc..0x100].copy_from_slice(&checksum.to_be_bytes());
        }
        Self { image, features, position: start, sequence }
    }

    fn seed() -> u32 {
        crc32c(u32::MAX, &UUID)
    }

    fn has(&self, feature: u32) -> bool {
        self.features & feature != 0
    }

    fn push(&mut self, block: &[u8]) {
        let at = self.position * BLOCK;
        self.image[at..at + BLOCK].copy_from_slice(block);
        self.position = if self.position + 1 == LENGTH { 1 } else { self.position + 1 };
    }

    fn header(&self, kind: u32) -> Vec<u8> {
        [&MAGIC[..], &kind.to_be_bytes(), &self.sequence.to_be_bytes()].concat()
    }

    /// Fills a block up, and puts a checksum at its end where the journal has them.
    fn push_with_tail(&mut self, mut block: Vec<u8>) {
        block.resize(BLOCK, 0);
        if self.has(incompat::CSUM_V2 | incompat::CSUM_V3) {
            let checksum = crc32c(Self::seed(), &block);
            block[BLOCK - 4..].copy_from_slice(&checksum.to_be_bytes());
        }
        self.push(&block);
    }

    /// A descriptor block and the blocks that it describes.
    fn write(&mut self, blocks: &[(u64, Vec<u8>)]) {
        let mut descriptor = self.header(block_type::DESCRIPTOR);
        for (index, (number, content)) in blocks.iter().enumerate() {
            let escape = u32::from(content.starts_with(&MAGIC));
            let same_uuid = if index == 0 { 0 } else { 2 };
            let last = if index + 1 == blocks.len() { 8 } else { 0 };
            let flags = escape | same_uuid | last;
            let checksum =
                crc32c(crc32c(Self::seed(), &self.sequence.to_be_bytes()), &Self::escaped(content));
            let (low, high) = (*number & 0xffff_ffff, *number >> 32);
            let [low, high] = [low, high].map(|half| u32::try_from(half).unwrap().to_be_bytes());
            descriptor.extend(low);
            if self.has(incompat::CSUM_V3) {
                descriptor.extend([flags.to_be_bytes(), high, checksum.to_be_bytes()].concat());
            } else {
                let half = if self.has(incompat::CSUM_V2) { checksum & 0xffff } else { 0 };
                descriptor.extend(u16::try_from(half).unwrap().to_be_bytes());
                descriptor.extend(u16::try_from(flags).unwrap().to_be_bytes());
                if self.has(incompat::WIDE) {
                    descriptor.extend(high);
                }
                if self.has(incompat::CSUM_V2) {
                    descriptor.extend([0, 0]);
                }
            }
            if same_uuid == 0 {
                descriptor.extend(UUID);
            }
        }
        self.push_with_tail(descriptor);
        for (_, content) in blocks {
            self.push(&Self::escaped(content));
        }
    }

    fn escaped(content: &[u8]) -> Vec<u8> {
        let mut content = content.to_vec();
        if content.starts_with(&MAGIC) {
            content[..4].fill(0);
        }
        content
    }

    fn revoke(&mut self, numbers: &[u64]) {
        let width = if self.has(incompat::WIDE) { 8 } else { 4 };
        let mut block = self.header(block_type::REVOKE);
        block.extend(u32::try_from(16 + numbers.len() * width).unwrap().to_be_bytes());
        for number in numbers {
            block.extend(&number.to_be_bytes()[8 - width..]);
        }
        self.push_with_tail(block);
    }

    fn commit(&mut self) {
        let mut block = self.header(block_type::COMMIT);
        block.resize(BLOCK, 0);
        if self.has(incompat::CSUM_V2 | incompat::CSUM_V3) {
            let checksum = crc32c(Self::seed(), &block);
            block[0x10..0x14].copy_from_slice(&checksum.to_be_bytes());
        }
        self.push(&block);
        self.sequence = self.sequence.wrapping_add(1);
    }
}

/// The number of a replaced block, and its content.
type Replaced = (u64, Result<Vec<u8>, FsError>);

/// What a replay says, and the blocks that it replaces with their content.
fn replayed(image: Vec<u8>) -> (Journal, Vec<Replaced>) {
    let limits = Limits::default();
    let block_size = u32::try_from(BLOCK).unwrap();
    let count = u64::try_from(image.len() / BLOCK).unwrap();
    let volume: Arc<dyn Volume> = Arc::new(MemoryVolume::new(image));
    let blocks = Blocks::new(volume, block_size, count, &limits);
    let (overlay, journal) = File::of_runs(&blocks, std::iter::once(0..count)).replay(&limits).unwrap();
    let mut found = Vec::new();
    let mut block = 0;
    while let Some(next) = overlay.next_from(block) {
        found.push((next, overlay.read(next, |at| blocks.raw(at))));
        block = next + 1;
    }
    (journal, found)
}

fn filled(byte: u8) -> Vec<u8> {
    vec![byte; BLOCK]
}

fn with_magic(byte: u8) -> Vec<u8> {
    [&MAGIC[..], &filled(byte)[4..]].concat()
}

const FORMATS: [u32; 6] = [
    incompat::REVOKE,
    incompat::REVOKE | incompat::WIDE,
    incompat::REVOKE | incompat::CSUM_V2,
    incompat::REVOKE | incompat::CSUM_V2 | incompat::WIDE,
    incompat::REVOKE | incompat::CSUM_V3,
    incompat::REVOKE | incompat::CSUM_V3 | incompat::WIDE,
];

#[test]
fn later_transactions_win_and_revoked_blocks_are_void() {
    for features in FORMATS {
        // Near the end of the log, and near the end of the sequence numbers: both wrap around.
        let mut writer = Writer::new(features, LENGTH - 5, u32::MAX);
        writer.write(&[(10, filled(1)), (11, with_magic(2)), (12, filled(3)), (13, filled(4))]);
        writer.commit();
        writer.write(&[(10, filled(5))]);
        writer.revoke(&[12, 13]);
        writer.commit();
        writer.write(&[(13, filled(6))]);
        writer.commit();
        let (journal, found) = replayed(writer.image);
        assert_eq!(journal, Journal::Replayed { transactions: 3 }, "{features:#x}");
        let found: Vec<_> = found.into_iter().map(|(block, content)| (block, content.unwrap())).collect();
        assert_eq!(found, [(10, filled(5)), (11, with_magic(2)), (13, filled(6))], "{features:#x}");
    }
}

#[test]
fn block_numbers_above_32_bits() {
    for features in FORMATS.into_iter().filter(|features| features & incompat::WIDE != 0) {
        let mut writer = Writer::new(features, 1, 7);
        writer.write(&[((3 << 32) + 1, filled(1)), ((3 << 32) + 2, filled(2)), (2, filled(3))]);
        writer.revoke(&[(3 << 32) + 2]);
        writer.commit();
        let numbers: Vec<_> = replayed(writer.image).1.into_iter().map(|(block, _)| block).collect();
        assert_eq!(numbers, [2, (3 << 32) + 1], "{features:#x}");
    }
}

#[test]
fn a_transaction_without_its_commit_record_never_happened() {
    for features in FORMATS {
        let mut writer = Writer::new(features, 1, 7);
        writer.write(&[(10, filled(1)), (11, filled(1))]);
        writer.commit();
        writer.write(&[(10, filled(2))]);
        writer.revoke(&[11]);
        let (journal, found) = replayed(writer.image);
        assert_eq!(journal, Journal::Replayed { transactions: 1 }, "{features:#x}");
        let found: Vec<_> = found.into_iter().map(|(block, content)| (block, content.unwrap())).collect();
        assert_eq!(found, [(10, filled(1)), (11, filled(1))], "{features:#x}");
    }
}

#[test]
fn what_is_left_of_an_earlier_lap_is_not_read() {
    let mut writer = Writer::new(incompat::CSUM_V3, 1, 7);
    writer.sequence = 9;
    writer.write(&[(10, filled(1))]);
    writer.commit();
    let (journal, found) = replayed(writer.image);
    assert_eq!((journal, found.len()), (Journal::Replayed { transactions: 0 }, 0));
}

#[test]
fn damaged_blocks_are_noticed_where_there_are_checksums() {
    for features in
        FORMATS.into_iter().filter(|features| features & (incompat::CSUM_V2 | incompat::CSUM_V3) != 0)
    {
        let mut writer = Writer::new(features, 1, 7);
        writer.write(&[(10, filled(1))]);
        writer.commit();
        let whole = writer.image;
        let damaged = |block: usize| {
            let mut image = whole.clone();
            image[block * BLOCK + 0x200] ^= 1;
            replayed(image)
        };
        // The superblock, the descriptor, the content, the commit record.
        let reason = "the checksum of the journal's superblock is wrong";
        assert_eq!(damaged(0).0, Journal::Ignored { reason });
        assert_eq!(damaged(1).0, Journal::Replayed { transactions: 0 });
        assert_eq!(damaged(3).0, Journal::Replayed { transactions: 0 });
        let (_, found) = damaged(2);
        assert_eq!(
            found[0].1.as_ref().unwrap_err().to_string(),
            "the journal's copy of block 10 is damaged: its checksum is wrong"
        );
    }
}

#[test]
fn what_cannot_be_replayed_says_why() {
    let reason_of = |image| match replayed(image).0 {
        Journal::Ignored { reason } => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        reason_of(Writer::new(0x40, 1, 7).image),
        "the journal has features that this version does not know"
    );
    assert_eq!(
        reason_of(Writer::new(incompat::ASYNC_COMMIT, 1, 7).image),
        "the journal has asynchronous commits with checksums of version 1"
    );
    assert_eq!(reason_of(vec![0; LENGTH * BLOCK]), "the journal has no superblock");
    let outside = Writer::new(0, 1, 7).image;
    let outside = [&outside[..0x1c], &200_u32.to_be_bytes(), &outside[0x20..]].concat();
    assert_eq!(reason_of(outside), "the journal's superblock contradicts itself");
}

#[test]
fn fast_commits_are_reported() {
    let mut writer = Writer::new(incompat::FAST_COMMIT, 1, 7);
    let area = LENGTH - 8;
    writer.image[0x54..0x58].copy_from_slice(&8_u32.to_be_bytes());
    writer.write(&[(10, filled(1))]);
    writer.commit();
    assert_eq!(replayed(writer.image.clone()).0, Journal::Replayed { transactions: 1 });

    // EXT4_FC_TAG_HEAD, its length, features, and the transaction that the commits belong to.
    let head = [&9_u16.to_le_bytes()[..], &8_u16.to_le_bytes(), &[0; 4], &8_u32.to_le_bytes()].concat();
    writer.image[area * BLOCK..][..head.len()].copy_from_slice(&head);
    let (journal, found) = replayed(writer.image);
    let reason = "fast commits after the last full transaction were not replayed";
    assert_eq!((journal, found.len()), (Journal::Ignored { reason }, 1));
}
