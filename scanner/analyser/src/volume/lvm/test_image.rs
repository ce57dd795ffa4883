//! Physical volumes in memory, with metadata from any text and every checksum right: for tests of what the tools do not
//! write.

use std::fmt::Write as _;

use super::checksum::crc;

pub(super) const SECTOR: usize = 512;
/// Where the metadata area begins, and its size.
pub(super) const AREA: usize = 4096;
pub(super) const AREA_SIZE: usize = 60 << 10;

/// A physical volume with this character as its identifier, 32 times. The text begins at `text_start` of the metadata
/// area, and goes round its end.
pub(super) fn disk(id: u8, text: &[u8], text_start: usize, size: usize) -> Vec<u8> {
    let mut disk = vec![0; size.max(AREA + AREA_SIZE)];
    label(&mut disk, id, size);
    let ring = AREA_SIZE - SECTOR;
    for (index, &byte) in text.iter().enumerate() {
        disk[AREA + SECTOR + (text_start - SECTOR + index) % ring] = byte;
    }
    let header = &mut disk[AREA..AREA + SECTOR];
    header[4..20].copy_from_slice(b" LVM2 x[5A%r0N*>");
    header[20..24].copy_from_slice(&1_u32.to_le_bytes());
    for (at, value) in [(24, AREA), (32, AREA_SIZE), (40, text_start), (48, text.len())] {
        header[at..at + 8].copy_from_slice(&u64::try_from(value).unwrap().to_le_bytes());
    }
    header[56..60].copy_from_slice(&crc(&[text]).to_le_bytes());
    seal_area(header);
    disk
}

fn label(disk: &mut [u8], id: u8, size: usize) {
    // In the second sector, as the tools put it.
    let label = &mut disk[SECTOR..2 * SECTOR];
    label[..8].copy_from_slice(b"LABELONE");
    label[8] = 1;
    label[20] = 32;
    label[24..32].copy_from_slice(b"LVM2 001");
    label[32..64].fill(id);
    for (at, value) in [(64, size), (72, 1 << 20), (104, AREA), (112, AREA_SIZE)] {
        label[at..at + 8].copy_from_slice(&u64::try_from(value).unwrap().to_le_bytes());
    }
    seal_label(label);
}

/// Makes the checksum of a label right.
pub(super) fn seal_label(label: &mut [u8]) {
    let sum = crc(&[&label[20..SECTOR]]);
    label[16..20].copy_from_slice(&sum.to_le_bytes());
}

/// Makes the checksum of a metadata area's header right.
pub(super) fn seal_area(header: &mut [u8]) {
    let sum = crc(&[&header[4..SECTOR]]);
    header[..4].copy_from_slice(&sum.to_le_bytes());
}

/// The text of a group on one physical volume with these logical volumes, each a name and its segments.
pub(super) fn group(id: u8, volumes: &[(&str, &[&str])]) -> String {
    let id = char::from(id).to_string().repeat(32);
    let mut text = format!(
        "vg {{ id = \"{id}\" seqno = 1 extent_size = 8 physical_volumes {{ pv0 {{ id = \"{id}\" pe_start = 128 \
         pe_count = 100 }} }} logical_volumes {{ "
    );
    for (name, segments) in volumes {
        write!(text, "{name} {{ status = [\"VISIBLE\"] segment_count = {} ", segments.len()).unwrap();
        for (number, segment) in segments.iter().enumerate() {
            write!(text, "segment{} {{ {segment} }} ", number + 1).unwrap();
        }
        text += "} ";
    }
    text + "} }\ncontents = \"Text Format Volume Group\"\nversion = 1\n\0"
}
