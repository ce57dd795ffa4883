//! Right checksums for images that a fuzzer changed: without them no change of a node would get past its checksum.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::BTreeMap;

use crate::fs::btrfs::checksum::{ChecksumType, ROOM};
use crate::fs::btrfs::superblock;
use crate::volume::bytes::{Bytes, Truncated, to_u64, to_usize};

/// The length of a sector in the encoded form of [`SparseVolume`](crate::volume::SparseVolume), and that of its number.
const SECTOR: usize = 512;
const NUMBER: usize = 4;

/// An encoded image with the checksums of its superblock and of whatever looks like a node computed anew.
pub(super) fn with_right_checksums(encoded: &[u8]) -> Vec<u8> {
    let mut image = encoded.to_vec();
    let records = encoded.get(NUMBER..).unwrap_or_default().chunks_exact(NUMBER.saturating_add(SECTOR));
    let numbers = records.map(|record| Bytes(record).le32(0).map_or(0, u64::from));
    let place = |index: usize| {
        index.saturating_mul(NUMBER.saturating_add(SECTOR)).saturating_add(NUMBER).saturating_add(NUMBER)
    };
    let places: BTreeMap<u64, usize> =
        numbers.enumerate().map(|(index, number)| (number, place(index))).collect();

    let first = superblock::OFFSETS[0].checked_div(to_u64(SECTOR)).unwrap_or(0);
    let content = read(&image, &places, first, superblock::SIZE);
    let Ok((kind, uuid, node_size)) = describe(&content) else { return image };
    write(&mut image, &places, first, kind, &content);
    for &sector in places.keys().filter(|&&sector| sector != first) {
        let content = read(&image, &places, sector, node_size);
        if content.get(32..48) == Some(&uuid[..]) {
            write(&mut image, &places, sector, kind, &content);
        }
    }
    image
}

/// What the superblock says: the type of checksums, the UUID that nodes carry, and the size of a node.
fn describe(superblock: &[u8]) -> Result<(ChecksumType, [u8; 16], usize), Truncated> {
    let sb = Bytes(superblock);
    let kind = ChecksumType::from_number(sb.le16(196)?).unwrap_or(ChecksumType::Crc32c);
    Ok((kind, sb.array(32)?, to_usize(sb.le32(148)?).clamp(4096, 65536)))
}

fn read(image: &[u8], places: &BTreeMap<u64, usize>, first: u64, length: usize) -> Vec<u8> {
    let count = to_u64(length.checked_div(SECTOR).unwrap_or(0));
    let mut content = Vec::with_capacity(length);
    for number in first..first.saturating_add(count) {
        let sector = places.get(&number).and_then(|&at| Bytes(image).get(at, SECTOR).ok());
        content.extend_from_slice(sector.unwrap_or(&[0; SECTOR]));
    }
    content
}

fn write(image: &mut [u8], places: &BTreeMap<u64, usize>, first: u64, kind: ChecksumType, content: &[u8]) {
    let checksum = kind.compute(content.get(ROOM..).unwrap_or_default());
    let place = places.get(&first).and_then(|&at| image.get_mut(at..at.saturating_add(kind.size())));
    if let Some(place) = place {
        for (to, from) in place.iter_mut().zip(checksum) {
            *to = from;
        }
    }
}
