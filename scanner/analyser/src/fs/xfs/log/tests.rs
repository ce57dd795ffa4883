//! Logs made by hand: what no kernel at hand writes, and what a crash or somebody with bad intentions makes of them.

use super::*;
use crate::fs::Inode;
use crate::fs::xfs::crc;
use crate::fs::xfs::fork::{Extent, Format};
use crate::fs::xfs::inode::InodeRecord;
use crate::fs::xfs::map;
use crate::volume::MemoryVolume;
use crate::volume::bytes::to_u64;

/// The log's place in the images of these tests, in basic blocks: 128 blocks of 4 KiB from block 256 on.
const START: usize = 256 * 8;
const BLOCKS: usize = 128 * 8;
/// Where the inode of these tests is, in basic blocks.
const INODE: usize = 64 * 8;
const UUID: &[u8; 16] = b"a uuid of its ow";

/// An image with a log.
struct Image {
    bytes: Vec<u8>,
    has_crc: bool,
    /// The basic block of the log where the next record goes, and the lap.
    next: usize,
    cycle: u32,
    /// What records say of the tail.
    tail: u64,
}

impl Image {
    /// A filesystem of version 5 or 4 with 512 blocks. The log was written up to basic block `next` of a lap.
    fn new(version: u8, next: usize, cycle: u32) -> Self {
        let has_crc = version == 5;
        let mut bytes = vec![0; 512 * 4096];
        let mut set = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        set(0, b"XFSB");
        set(4, &4096_u32.to_be_bytes());
        set(8, &512_u64.to_be_bytes());
        set(32, UUID);
        set(48, &256_u64.to_be_bytes());
        set(84, &512_u32.to_be_bytes());
        set(88, &1_u32.to_be_bytes());
        set(96, &128_u32.to_be_bytes());
        set(100, &(0xb4a0 | u16::from(version)).to_be_bytes());
        set(102, &512_u16.to_be_bytes());
        set(104, &512_u16.to_be_bytes());
        set(120, &[12, 9, 9, 3, 9]);
        let crc = crc::crc(&bytes[..512], 224).unwrap();
        bytes[224..228].copy_from_slice(&crc.to_le_bytes());
        let mut image = Self { bytes, has_crc, next, cycle, tail: u64::from(cycle) << 32 | to_u64(next) };
        for block in 0..BLOCKS {
            let cycle = if block < next { cycle } else { cycle - 1 };
            image.log(block)[..4].copy_from_slice(&cycle.to_be_bytes());
        }
        // A record before, so that there is one wherever the search comes to.
        if next > 0 {
            image.next = next - 2;
            image.record(&[operation(9, 0, &[0; 64])]);
        }
        image
    }

    /// A basic block of the log.
    fn log(&mut self, block: usize) -> &mut [u8] {
        let at = (START + block % BLOCKS) * 512;
        &mut self.bytes[at..at + 512]
    }

    /// Writes a record with these operations, and returns its first basic block.
    fn record(&mut self, operations: &[Vec<u8>]) -> usize {
        let at = self.next;
        let (cycle, next) = (self.cycle, self.next);
        let number = u32::try_from(operations.len()).unwrap();
        let data = operations.concat();
        let headers = data.len().div_ceil(32 << 10).max(1);
        let mut content = vec![0; headers * 512];
        let mut put = |at: usize, field: &[u8]| content[at..at + field.len()].copy_from_slice(field);
        put(0, &[0xfe, 0xed, 0xba, 0xbe]);
        put(4, &cycle.to_be_bytes());
        put(8, &2_u32.to_be_bytes());
        put(12, &u32::try_from(data.len()).unwrap().to_be_bytes());
        put(16, &(u64::from(cycle) << 32 | to_u64(next)).to_be_bytes());
        put(24, &self.tail.to_be_bytes());
        put(40, &number.to_be_bytes());
        put(300, &1_u32.to_be_bytes());
        put(304, UUID);
        put(320, &u32::try_from(headers * (32 << 10)).unwrap().to_be_bytes());
        for header in 1..headers {
            put(header * 512, &cycle.to_be_bytes());
        }
        let mut packed = data.clone();
        packed.resize(data.len().next_multiple_of(512), 0);
        for (index, block) in packed.as_chunks_mut::<512>().0.iter_mut().enumerate() {
            let (header, word) = (index / 64, index % 64);
            put(header * 512 + if header == 0 { 44 } else { 4 } + word * 4, &block[..4]);
            let lap = u32::from(self.next + headers + index >= BLOCKS);
            block[..4].copy_from_slice(&(cycle + lap).to_be_bytes());
        }
        if self.has_crc {
            let mut covered = content[..328].to_vec();
            for header in 1..headers {
                covered.extend(&content[header * 512..][..260]);
            }
            covered.extend(&packed[..data.len()]);
            let crc = crc32c::crc32c(&covered);
            content[32..36].copy_from_slice(&crc.to_le_bytes());
        }
        content.extend(packed);
        for (index, block) in content.as_chunks::<512>().0.iter().enumerate() {
            self.log(at + index).copy_from_slice(block);
        }
        self.next = at + content.len() / 512;
        if self.next >= BLOCKS {
            self.next -= BLOCKS;
            self.cycle += 1;
        }
        at
    }

    fn replay(&self) -> (Overlay, Journal) {
        self.replay_within(&Limits::default())
    }

    fn replay_within(&self, limits: &Limits) -> (Overlay, Journal) {
        let volume: Arc<dyn Volume> = Arc::new(MemoryVolume::new(self.bytes.clone()));
        let sb = Superblock::parse(&self.bytes[..4096]).unwrap();
        let (overlay, _, journal) = recover(&volume, &sb, limits, &Budget::new(limits)).unwrap();
        (overlay, journal)
    }

    /// Basic blocks as they are after the replay, and what was done about the log.
    fn replayed(&self, block: usize, count: usize) -> (Vec<u8>, Journal) {
        let (overlay, journal) = self.replay();
        let mut content = self.bytes[block * 512..(block + count) * 512].to_vec();
        overlay.apply(to_u64(block * 512), &mut content);
        (content, journal)
    }

    /// Puts an inode in its place.
    fn put_inode(&mut self, version: u8, lsn: u64) {
        let inode = &mut self.bytes[INODE * 512..(INODE + 1) * 512];
        inode[..2].copy_from_slice(b"IN");
        inode[4] = version;
        inode[96..100].fill(0xff);
        inode[112..120].copy_from_slice(&lsn.to_be_bytes());
    }
}

fn operation(tid: u32, flags: u8, content: &[u8]) -> Vec<u8> {
    let len = u32::try_from(content.len()).unwrap();
    [&tid.to_be_bytes()[..], &len.to_be_bytes(), &[0x69, flags, 0, 0], content].concat()
}

/// A whole transaction, as operations.
fn transaction(tid: u32, items: &[Vec<Vec<u8>>]) -> Vec<Vec<u8>> {
    let mut header = 0x5452_414e_u32.to_le_bytes().to_vec();
    header.resize(16, 0);
    let regions = items.iter().flatten().map(|region| operation(tid, 0, region));
    let begin = [operation(tid, format::flag::START, &[]), operation(tid, 0, &header)];
    begin.into_iter().chain(regions).chain([operation(tid, format::flag::COMMIT, &[])]).collect()
}

/// A buffer item that changes chunks of 128 bytes, each to one value.
fn buffer(block: usize, blocks: u16, flags: u16, chunks: &[(u32, u8)]) -> Vec<Vec<u8>> {
    let map = chunks.iter().fold(0_u32, |map, (chunk, _)| map | 1 << chunk);
    let format = [
        &0x123c_u16.to_le_bytes()[..],
        &u16::try_from(chunks.len() + 1).unwrap().to_le_bytes(),
        &flags.to_le_bytes(),
        &blocks.to_le_bytes(),
        &to_u64(block).to_le_bytes(),
        &1_u32.to_le_bytes(),
        &map.to_le_bytes(),
    ];
    [format.concat()].into_iter().chain(chunks.iter().map(|&(_, value)| vec![value; 128])).collect()
}

/// An inode item with the fields of a regular file, and one fork.
fn inode(version: u8, fields: u32, fork: &[u8]) -> Vec<Vec<u8>> {
    let mut format = [0; 56];
    let mut put = |at: usize, field: &[u8]| format[at..at + field.len()].copy_from_slice(field);
    put(0, &0x123b_u16.to_le_bytes());
    put(2, &3_u16.to_le_bytes());
    put(4, &(fields | 1).to_le_bytes());
    put(40, &to_u64(INODE).to_le_bytes());
    put(48, &8_u32.to_le_bytes());
    let mut core = vec![0; if version == 3 { 176 } else { 96 }];
    let mut put = |at: usize, field: &[u8]| core[at..at + field.len()].copy_from_slice(field);
    put(0, b"NI");
    put(2, &0o100_644_u16.to_le_bytes());
    put(4, &[version, 2]);
    put(8, &0x0102_0304_u32.to_le_bytes());
    put(40, &0x1112_1314_u32.to_le_bytes());
    put(44, &0x2122_2324_u32.to_le_bytes());
    put(56, &0x3132_3334_3536_3738_u64.to_le_bytes());
    put(76, &0x4142_4344_u32.to_le_bytes());
    put(80, &0x5152_u16.to_le_bytes());
    vec![format.to_vec(), core, fork.to_vec()]
}

/// A block of metadata of no known type.
const BLOCK: usize = 100 * 8;
/// `XFS_BLFT_DIR_DATA_BUF`
const DIRECTORY: u16 = 11 << 11;

#[test]
fn a_log_that_was_never_written_or_was_closed_is_clean() {
    let mut image = Image::new(5, 0, 1);
    assert_eq!(image.replay().1, Journal::Clean);
    image.record(&[operation(1, format::flag::UNMOUNT, &[0; 8])]);
    assert_eq!(image.replay().1, Journal::Clean);
    image.bytes[START * 512..(START + BLOCKS) * 512].fill(0);
    assert_eq!(image.replay().1, Journal::Clean);
}

#[test]
fn chunks_are_applied_in_the_order_of_the_transactions() {
    for version in [4, 5] {
        let mut image = Image::new(version, 0, 1);
        image.record(&transaction(1, &[buffer(BLOCK, 8, DIRECTORY, &[(0, 1), (3, 2)])]));
        image.record(&transaction(2, &[buffer(BLOCK, 8, DIRECTORY, &[(3, 3), (4, 4)])]));
        let (content, journal) = image.replayed(BLOCK, 8);
        assert_eq!(journal, Journal::Replayed { transactions: 2 });
        let found: Vec<u8> = content.chunks(128).map(|chunk| chunk[127]).take(6).collect();
        assert_eq!(found, [1, 0, 0, 3, 4, 0]);
    }
}

#[test]
fn what_was_not_committed_or_is_torn_never_happened() {
    let mut image = Image::new(5, 0, 1);
    image.record(&transaction(1, &[buffer(BLOCK, 8, DIRECTORY, &[(0, 1)])]));
    let mut open = transaction(2, &[buffer(BLOCK, 8, DIRECTORY, &[(0, 2)])]);
    open.pop();
    image.record(&open);
    let before = image.bytes.clone();
    let torn = image.record(&transaction(3, &[buffer(BLOCK, 8, DIRECTORY, &[(0, 3)])]));
    for damage in 0..3 {
        let mut image = Image { bytes: image.bytes.clone(), ..image };
        match damage {
            // The second of two sectors was not written, or the first, or one in the middle has other content.
            0 => {
                let at = (START + torn + 1) * 512;
                image.bytes[at..at + 512].copy_from_slice(&before[at..at + 512]);
            }
            1 => {
                let at = (START + torn) * 512;
                image.bytes[at..at + 512].copy_from_slice(&before[at..at + 512]);
            }
            _ => image.log(torn + 1)[100] ^= 1,
        }
        let (content, journal) = image.replayed(BLOCK, 1);
        assert_eq!((content[0], journal), (1, Journal::Replayed { transactions: 1 }), "{damage}");
    }
}

#[test]
fn a_transaction_goes_on_in_other_records_and_around_the_end() {
    for next in [BLOCKS - 2, BLOCKS - 3, BLOCKS - 5, 7] {
        let mut image = Image::new(5, next, 5);
        let mut operations = transaction(1, &[buffer(BLOCK, 8, DIRECTORY, &[(0, 1), (9, 2)])]);
        // The first chunk is in two records.
        let chunk = operations.remove(3);
        let behind = operations.split_off(3);
        operations.push(operation(1, format::flag::CONTINUE, &chunk[12..50]));
        image.record(&operations);
        let rest = operation(1, format::flag::WAS_CONTINUED | format::flag::END, &chunk[50..]);
        image.record(&[vec![rest], behind].concat());
        let (content, journal) = image.replayed(BLOCK, 8);
        assert_eq!(journal, Journal::Replayed { transactions: 1 }, "{next}");
        assert_eq!((content[127], content[128], content[9 * 128]), (1, 0, 2));
    }
}

#[test]
fn records_longer_than_32_kib_have_more_headers() {
    let mut image = Image::new(5, BLOCKS - 30, 5);
    let items: Vec<_> =
        (0..300).map(|index| buffer(BLOCK + index % 16 * 8, 8, DIRECTORY, &[(0, 7)])).collect();
    image.record(&transaction(1, &items));
    let (content, journal) = image.replayed(BLOCK + 15 * 8, 8);
    assert_eq!((content[0], journal), (7, Journal::Replayed { transactions: 1 }));
}

#[test]
fn buffers_that_are_freed_are_not_replayed_until_they_are_used_again() {
    const CANCEL: u16 = 2;
    let mut image = Image::new(5, 0, 1);
    image.record(&transaction(1, &[buffer(BLOCK, 8, DIRECTORY, &[(0, 1)])]));
    image.record(&transaction(2, &[buffer(BLOCK, 8, CANCEL, &[])]));
    assert!(image.replay().0.is_empty());
    image.record(&transaction(3, &[buffer(BLOCK, 8, DIRECTORY, &[(1, 3)])]));
    let (content, _) = image.replayed(BLOCK, 8);
    assert_eq!((content[0], content[128]), (0, 3));
    image.record(&transaction(4, &[buffer(BLOCK, 8, CANCEL, &[])]));
    assert!(image.replay().0.is_empty());
}

#[test]
fn metadata_that_is_newer_on_the_disk_stays_and_what_changes_gets_its_checksum() {
    for (lsn, expected) in [(u64::from(u32::MAX) << 32, 0), (1, 5), (0, 5)] {
        let mut image = Image::new(5, 0, 1);
        let block = &mut image.bytes[BLOCK * 512..(BLOCK + 8) * 512];
        block[..4].copy_from_slice(b"XDD3");
        block[16..24].copy_from_slice(&lsn.to_be_bytes());
        block[24..40].copy_from_slice(UUID);
        image.record(&transaction(1, &[buffer(BLOCK, 8, DIRECTORY, &[(2, 5)])]));
        let (content, _) = image.replayed(BLOCK, 8);
        assert_eq!(content[256], expected, "{lsn}");
        assert_eq!(crc::is_right(&content, 4).unwrap(), expected != 0);
    }
}

#[test]
fn inodes_are_turned_into_the_byte_order_of_the_disk() {
    for (fs_version, version, fork_at) in [(4, 2, 100), (5, 3, 176)] {
        let mut image = Image::new(fs_version, 0, 1);
        image.put_inode(version, 0);
        image.record(&transaction(1, &[inode(version, 0x4, &[0xaa; 16])]));
        let (content, journal) = image.replayed(INODE, 1);
        assert_eq!(journal, Journal::Replayed { transactions: 1 });
        assert_eq!(content[..6], [b'I', b'N', 0x81, 0xa4, version, 2]);
        assert_eq!(content[8..12], [1, 2, 3, 4]);
        assert_eq!(content[40..48], [0x11, 0x12, 0x13, 0x14, 0x21, 0x22, 0x23, 0x24]);
        assert_eq!(content[56..64], [0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38]);
        assert_eq!(content[76..82], [0x41, 0x42, 0x43, 0x44, 0x51, 0x52]);
        assert_eq!(content[96..100], [0xff; 4], "the link of the list of unlinked inodes");
        assert_eq!(content[fork_at..fork_at + 17], [[0xaa; 16].as_slice(), &[0]].concat());
        assert!(version != 3 || crc::is_right(&content, 100).unwrap());
    }
}

#[test]
fn inodes_that_are_newer_on_the_disk_stay() {
    let mut image = Image::new(5, 0, 1);
    image.put_inode(3, u64::MAX >> 1);
    image.record(&transaction(1, &[inode(3, 0x4, &[0xaa; 16])]));
    assert!(image.replay().0.is_empty());

    let mut image = Image::new(4, 0, 1);
    image.put_inode(2, 0);
    // The inode on the disk was written more often.
    image.bytes[INODE * 512 + 30..INODE * 512 + 32].copy_from_slice(&7_u16.to_be_bytes());
    image.record(&transaction(1, &[inode(2, 0x4, &[0xaa; 16])]));
    assert!(image.replay().0.is_empty());
}

#[test]
fn the_root_of_a_tree_of_extents_is_packed_into_the_inode() {
    for (fs_version, version, fork_at, header) in [(4, 2, 100, 24), (5, 3, 176, 72)] {
        let mut image = Image::new(fs_version, 0, 1);
        image.put_inode(version, 0);
        // A block of level 1 with two records and no space for more.
        let mut root = vec![0; header + 32];
        root[4..8].copy_from_slice(&[0, 1, 0, 2]);
        for (index, byte) in (1..=4).enumerate() {
            root[header + index * 8..][..8].fill(byte);
        }
        image.record(&transaction(1, &[inode(version, 0x8, &root)]));
        let (content, _) = image.replayed(INODE, 1);
        let fork = &content[fork_at..];
        let pointers = 4 + (fork.len() - 4) / 16 * 8;
        assert_eq!(fork[..4], [0, 1, 0, 2]);
        assert_eq!((&fork[4..20], fork[20]), (&[[1; 8], [2; 8]].concat()[..], 0));
        assert_eq!(fork[pointers..pointers + 16], [[3; 8], [4; 8]].concat());
    }
}

#[test]
fn damage_in_the_middle_leaves_what_is_before() {
    let mut image = Image::new(5, 0, 1);
    for tid in 1..=40 {
        image.record(&transaction(tid, &[buffer(BLOCK, 8, DIRECTORY, &[(0, u8::try_from(tid).unwrap())])]));
    }
    assert_eq!(image.replayed(BLOCK, 1).1, Journal::Replayed { transactions: 40 });
    // Records have two basic blocks here: this is the sixth one's data.
    image.log(11)[77] ^= 1;
    let (content, journal) = image.replayed(BLOCK, 1);
    assert_eq!(content[0], 5);
    assert_eq!(journal, Journal::Partial { transactions: 5, reason: "the checksum of a record is wrong" });
}

#[test]
fn an_item_that_cannot_be_applied_costs_itself() {
    let mut image = Image::new(5, 0, 1);
    let beyond = buffer(1 << 40, 8, DIRECTORY, &[(0, 1)]);
    let items = [inode(3, 0x4, &[0xaa; 16]), beyond, buffer(BLOCK, 8, DIRECTORY, &[(0, 1)])];
    image.record(&transaction(1, &items));
    let (content, journal) = image.replayed(BLOCK, 1);
    assert_eq!(content[0], 1);
    let reason = "the log changes a block behind the filesystem's end";
    assert_eq!(journal, Journal::Partial { transactions: 1, reason });
}

#[test]
fn what_the_log_keeps_in_memory_is_bounded() {
    let mut image = Image::new(5, 0, 1);
    image.record(&transaction(1, &[buffer(BLOCK, 8, DIRECTORY, &[(0, 1)])]));
    let items: Vec<_> = (0..40).map(|index| buffer(BLOCK + index * 8, 8, DIRECTORY, &[(0, 2)])).collect();
    image.record(&transaction(2, &items));
    for (limits, reason) in [
        (
            Limits { log_bytes: 3000, ..Limits::default() },
            "the log's open transactions are larger than the limit",
        ),
        (Limits { log_bytes: 80_000, ..Limits::default() }, "what the log changes is larger than the limit"),
        (Limits { journal_blocks: 20, ..Limits::default() }, "the log changes more blocks than the limit"),
    ] {
        let (_, journal) = image.replay_within(&limits);
        assert!(matches!(journal, Journal::Partial { reason: found, .. } if found == reason), "{journal:?}");
    }
}

/// A few bytes of a log can ask for much: each item for a whole chunk of inodes, or a buffer of 64 KiB.
#[test]
fn items_pay_for_what_they_change_and_not_for_what_they_take() {
    let numbers = [0_u32, 64, 64, 512, 8, 0].map(u32::to_be_bytes).concat();
    let chunk = vec![[&0x123f_u16.to_le_bytes()[..], &1_u16.to_le_bytes(), &numbers].concat()];
    for item in [chunk, buffer(BLOCK, 128, DIRECTORY, &[])] {
        let mut image = Image::new(5, 0, 1);
        image.record(&transaction(1, &vec![item; 200]));
        let volume: Arc<dyn Volume> = Arc::new(MemoryVolume::new(image.bytes.clone()));
        let sb = Superblock::parse(&image.bytes[..4096]).unwrap();
        let outcome = |steps| {
            let limits = Limits { steps, ..Limits::default() };
            recover(&volume, &sb, &limits, &Budget::new(&limits))
        };
        assert!(matches!(outcome(10_000), Err(FsError::Limit { .. })));
        assert_eq!(outcome(1_000_000).unwrap().2, Journal::Replayed { transactions: 1 });
    }
}

#[test]
fn a_map_of_a_buffer_that_is_longer_than_any_buffer_is_refused() {
    let mut image = Image::new(5, 0, 1);
    let mut item = buffer(BLOCK, 8, DIRECTORY, &[(0, 1)]);
    item[0][16..20].copy_from_slice(&18_u32.to_le_bytes());
    item[0].resize(20 + 18 * 4, 0xff);
    image.record(&transaction(1, &[item]));
    let reason = "the map of a buffer is longer than any buffer's";
    assert_eq!(image.replay().1, Journal::Partial { transactions: 1, reason });
}

#[test]
fn blocks_of_a_tree_of_extents_change_their_owner() {
    const TREE: usize = 200;
    let mut image = Image::new(5, 0, 1);
    image.put_inode(3, 0);
    // A node with two leaves, all of another inode.
    for (block, level, pointers) in [(TREE, 1_u16, [201_u64, 202]), (201, 0, [0; 2]), (202, 0, [0; 2])] {
        let block = &mut image.bytes[block * 4096..][..4096];
        block[..4].copy_from_slice(b"BMA3");
        block[4..6].copy_from_slice(&level.to_be_bytes());
        block[6..8].copy_from_slice(&2_u16.to_be_bytes());
        block[56..64].copy_from_slice(&77_u64.to_be_bytes());
        for (index, pointer) in pointers.into_iter().enumerate() {
            block[72 + (4096 - 72) / 16 * 8 + index * 8..][..8].copy_from_slice(&pointer.to_be_bytes());
        }
    }
    let mut root = vec![0; 72 + 16];
    root[4..8].copy_from_slice(&[0, 2, 0, 1]);
    root[80..88].copy_from_slice(&to_u64(TREE).to_be_bytes());
    let mut owned = inode(3, 0x208, &root);
    owned[0][16..24].copy_from_slice(&512_u64.to_le_bytes());
    owned[1][5] = 3;
    image.record(&transaction(1, &[owned]));
    for block in [TREE, 201, 202] {
        let (content, journal) = image.replayed(block * 8, 8);
        assert_eq!(journal, Journal::Replayed { transactions: 1 });
        assert_eq!(content[56..64], 512_u64.to_be_bytes());
        assert!(crc::is_right(&content, 64).unwrap());
    }
    // One that has the same leaf twice: with more levels, nodes that all lead to one are a tree of billions.
    let second = TREE * 4096 + 72 + (4096 - 72) / 16 * 8 + 8;
    let reason = "a tree of extents that changes its owner is damaged";
    let damaged = Journal::Partial { transactions: 1, reason };
    image.bytes[second..second + 8].copy_from_slice(&201_u64.to_be_bytes());
    assert_eq!(image.replay().1, damaged);
    image.bytes[second..second + 8].copy_from_slice(&202_u64.to_be_bytes());
    // One that leads to something else.
    image.bytes[202 * 4096..202 * 4096 + 4].copy_from_slice(b"XXXX");
    assert_eq!(image.replay().1, damaged);
}

#[test]
fn new_inodes_are_made() {
    let mut image = Image::new(5, 0, 1);
    let numbers = [0_u32, 64, 64, 512, 8, 0x0102_0304].map(u32::to_be_bytes).concat();
    let format = [&0x123f_u16.to_le_bytes()[..], &1_u16.to_le_bytes(), &numbers].concat();
    image.record(&transaction(1, &[vec![format], inode(3, 0x4, &[0xaa; 16])]));
    for index in [0, 1, 63] {
        let (content, journal) = image.replayed(INODE + index, 1);
        assert_eq!(journal, Journal::Replayed { transactions: 1 });
        assert_eq!(content[..4], if index == 0 { [b'I', b'N', 0x81, 0xa4] } else { [b'I', b'N', 0, 0] });
        // The item that changes the first has neither its number nor the UUID.
        let number = if index == 0 { 0 } else { 512 + to_u64(index) };
        assert_eq!(content[152..160], number.to_be_bytes());
        assert_eq!(&content[160..176], if index == 0 { &[0; 16] } else { UUID });
        assert!(crc::is_right(&content, 100).unwrap());
    }
    // Freed again: the place is somebody else's by now.
    image.record(&transaction(2, &[buffer(INODE, 32, 2, &[])]));
    assert!(image.replayed(INODE + 1, 1).0.iter().all(|&byte| byte == 0));
}

/// An intent to change a file's extents, or the note that it was done.
fn intent(kind: u16, id: u64, inode: u64, block: u64, offset: u64, count: u32, flags: u32) -> Vec<Vec<u8>> {
    let fields = [
        &kind.to_le_bytes()[..],
        &1_u16.to_le_bytes(),
        &1_u32.to_le_bytes(),
        &id.to_le_bytes(),
        &inode.to_le_bytes(),
        &block.to_le_bytes(),
        &offset.to_le_bytes(),
        &count.to_le_bytes(),
        &flags.to_le_bytes(),
    ];
    vec![fields.concat()]
}

#[test]
fn changes_of_extents_that_were_promised_are_carried_out() {
    const MAP: u32 = 1;
    const UNMAP: u32 = 2;
    let number = to_u64(INODE / 8 * 8);
    let mut image = Image::new(5, 0, 1);
    image.put_inode(3, 0);
    // Blocks 10 to 19 of the file are blocks 200 to 209 of the filesystem; five in the middle become 300 to 304.
    let extent = |offset: u128, block: u128, count: u128| (offset << 73 | block << 21 | count).to_be_bytes();
    let mut changed = inode(3, 0x4, &extent(10, 200, 10));
    changed[1][76..80].copy_from_slice(&1_u32.to_le_bytes());
    let intents = [
        changed,
        intent(0x1244, 1, number, 400, 50, 1, MAP),
        intent(0x1244, 2, number, 203, 13, 5, UNMAP),
        intent(0x1244, 3, number, 300, 13, 5, MAP),
    ];
    image.record(&transaction(1, &intents));
    image.record(&transaction(2, &[intent(0x1245, 1, 0, 0, 0, 0, 0)]));
    let (content, journal) = image.replayed(INODE, 1);
    assert_eq!(journal, Journal::Replayed { transactions: 2 });
    assert_eq!(content[76..80], [0, 0, 0, 3]);
    let expected = [extent(10, 200, 3), extent(13, 300, 5), extent(18, 208, 2)].concat();
    assert_eq!(content[176..176 + 48], expected);
    assert!(crc::is_right(&content, 100).unwrap());

    // One that contradicts what is there.
    image.record(&transaction(3, &[intent(0x1244, 4, number, 300, 12, 1, MAP)]));
    let reason = "a change of a file's extents was not completed";
    assert_eq!(image.replay().1, Journal::Partial { transactions: 3, reason });
}

#[test]
fn a_list_of_extents_that_has_no_room_in_the_inode_is_kept_in_memory() {
    let number = to_u64(INODE);
    let mut image = Image::new(5, 0, 1);
    image.put_inode(3, 0);
    // As many extents as the inode has room for, each of one block and with a hole behind it, and one more.
    let extent = |logical, start, count| Extent { logical, start, count, unwritten: false };
    let list: Vec<_> = (0..21).map(|index| extent(index * 2, 200 + index * 2, 1)).collect();
    let mut changed = inode(3, 0x4, &list.iter().flat_map(|extent| extent.encode()).collect::<Vec<_>>());
    changed[1][76..80].copy_from_slice(&21_u32.to_le_bytes());
    changed[1][80..82].fill(0);
    changed[1][152..160].copy_from_slice(&number.to_le_bytes());
    changed[1][160..176].copy_from_slice(UUID);
    image.record(&transaction(1, &[changed, intent(0x1244, 1, number, 300, 11, 1, 1)]));

    let replayed = |image: &Image, limits: &Limits| {
        let volume: Arc<dyn Volume> = Arc::new(MemoryVolume::new(image.bytes.clone()));
        let sb = Superblock::parse(&image.bytes[..4096]).unwrap();
        let budget = Budget::new(limits);
        let (overlay, remappings, journal) = recover(&volume, &sb, limits, &budget).unwrap();
        let mut blocks = Blocks::new(volume, sb, overlay, limits, budget);
        let journal = remappings.carry_out(&mut blocks, journal).unwrap();
        let extents = |record: InodeRecord| {
            assert_eq!(record.data.format, Format::Extents);
            map::extents::<FsError>(&blocks, number, &record.data, || Ok(())).unwrap()
        };
        (InodeRecord::read(&blocks, Inode(number)).map(extents).unwrap_or_default(), journal)
    };
    let mut expected = list.clone();
    expected.insert(6, extent(11, 300, 1));
    let all = Journal::Replayed { transactions: 1 };
    assert_eq!(replayed(&image, &Limits::default()), (expected.clone(), all));

    // What it takes in memory is paid for: the extents of a file are read only as far as that goes.
    let least = |log_bytes| Limits { log_bytes, ..Limits::default() };
    let enough =
        (0..10_000).map(|units| units * 64).find(|&bytes| replayed(&image, &least(bytes)).1 == all).unwrap();
    assert!(enough > 21 * to_u64(Extent::SIZE));
    let reason = "a file whose extents the log changes has more of them than the limit";
    assert_eq!(
        replayed(&image, &least(enough - 64)),
        (list.clone(), Journal::Partial { transactions: 1, reason })
    );

    // One of several that contradicts what is there: none of them is carried out.
    image.record(&transaction(2, &[intent(0x1244, 2, number, 301, 12, 1, 1)]));
    let reason = "a change of a file's extents was not completed";
    assert_eq!(replayed(&image, &Limits::default()), (list, Journal::Partial { transactions: 2, reason }));
}

#[test]
fn changes_of_attributes_that_were_promised_are_reported() {
    let mut image = Image::new(5, 0, 1);
    let set = |flags: u32| {
        let mut item = intent(0x1246, 1, 0, 0, 0, 0, 0);
        item[0][24..28].copy_from_slice(&flags.to_le_bytes());
        item
    };
    image.record(&transaction(1, &[set(4)]));
    assert_eq!(image.replay().1, Journal::Replayed { transactions: 1 });
    image.record(&transaction(2, &[set(1)]));
    assert!(matches!(image.replay().1, Journal::Partial { transactions: 2, .. }));
    image.record(&transaction(3, &[intent(0x1247, 1, 0, 0, 0, 0, 0)]));
    assert_eq!(image.replay().1, Journal::Replayed { transactions: 3 });
}
