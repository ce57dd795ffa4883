//! Right checksums for XFS images that were changed, in the encoded form of `SparseVolume`: without them hardly a change would
//! get past a checksum. Included by path, by fuzz targets and by the tests of hostile disks.

use std::collections::BTreeMap;

/// The length of a sector in the encoded form.
const SECTOR: usize = 512;
/// The length of the longest structure.
const MOST: usize = 64 << 10;

/// Makes the checksums right of everything that looks like a structure of metadata of version 5, and of all log records.
pub(crate) fn seal(encoded: &mut [u8]) {
    let sectors = Sectors::of(encoded);
    let Some(geometry) = sectors.content(encoded, 0, 512).and_then(|sb| Geometry::of(&sb)) else { return };
    for &number in sectors.0.keys() {
        let next = number.saturating_add(u32::try_from(geometry.block / SECTOR).unwrap_or(u32::MAX));
        let (start, next) = (sectors.sector(encoded, number), sectors.sector(encoded, next));
        let Some((length, field)) = geometry.checksum(number, start, next) else { continue };
        let Some(mut covered) = sectors.content(encoded, number, length) else { continue };
        covered[field..field + 4].fill(0);
        sectors.put(encoded, number, field, crc32c::crc32c(&covered));
    }
    for &number in sectors.0.keys() {
        if let Some(covered) = sectors.record(encoded, number) {
            sectors.put(encoded, number, 32, crc32c::crc32c(&covered));
        }
    }
}

/// The sizes of what has checksums, in bytes.
struct Geometry {
    /// Version 4 has checksums in its log only.
    is_v5: bool,
    uuid: [u8; 16],
    sector: usize,
    block: usize,
    directory_block: usize,
    inode: usize,
}

impl Geometry {
    fn of(sb: &[u8]) -> Option<Self> {
        if !sb.starts_with(b"XFSB") {
            return None;
        }
        let block = usize::try_from(be32(sb, 4)).ok()?.clamp(SECTOR, MOST);
        Some(Self {
            is_v5: be16(sb, 100) & 0xf == 5,
            uuid: sb[32..48].try_into().ok()?,
            sector: usize::from(be16(sb, 102)).clamp(SECTOR, 32 << 10),
            block,
            directory_block: block.checked_shl(sb[192].into()).map_or(MOST, |size| size.clamp(SECTOR, MOST)),
            inode: usize::from(be16(sb, 104)).clamp(SECTOR, 2048),
        })
    }

    /// How long the structure is that begins with this sector, and where in it its checksum is. `next` is the sector a block
    /// behind it.
    fn checksum(&self, number: u32, start: &[u8], next: &[u8]) -> Option<(usize, usize)> {
        if !self.is_v5 {
            return None;
        }
        // Nodes of directories and of attributes look the same, but may differ in length: where another follows sooner.
        let is_followed = next[32..48] == self.uuid;
        let node = if is_followed { self.block } else { self.directory_block };
        Some(match (&start[..4], &start[8..10]) {
            (b"XFSB", _) if number == 0 => (self.sector, 224),
            ([b'I', b'N', ..], _) => (self.inode, 100),
            (b"BMA3", _) => (self.block, 64),
            (b"XDB3" | b"XDD3" | b"XDF3", _) => (self.directory_block, 4),
            (b"XSLM" | b"XARM", _) | (_, [0x3b, 0xee]) => (self.block, 12),
            (_, [0x3d, 0xf1 | 0xff]) => (self.directory_block, 12),
            (_, [0x3e, 0xbe]) => (node, 12),
            _ => return None,
        })
    }
}

/// The sectors that an encoded image has, by their numbers: where their content begins.
struct Sectors(BTreeMap<u32, usize>);

impl Sectors {
    fn of(encoded: &[u8]) -> Self {
        let places = (4..encoded.len().saturating_sub(SECTOR + 3)).step_by(SECTOR + 4);
        Self(
            places
                .map(|at| (u32::from_le_bytes([0, 1, 2, 3].map(|byte| encoded[at + byte])), at + 4))
                .collect(),
        )
    }

    /// `length` bytes from a sector on; sectors that are not there are zeros, but for the first.
    fn content(&self, encoded: &[u8], number: u32, length: usize) -> Option<Vec<u8>> {
        self.0.get(&number)?;
        let count = u32::try_from(length.div_ceil(SECTOR)).ok()?;
        let sectors = (0..count).flat_map(|index| self.sector(encoded, number.saturating_add(index)));
        Some(sectors.copied().take(length).collect())
    }

    fn sector<'a>(&self, encoded: &'a [u8], number: u32) -> &'a [u8] {
        self.0.get(&number).map_or(&[0; SECTOR][..], |&at| &encoded[at..at + SECTOR])
    }

    /// What the checksum of the log record covers that begins with this sector; `None` if none does.
    fn record(&self, encoded: &[u8], number: u32) -> Option<Vec<u8>> {
        let header = self.sector(encoded, number);
        // Where there is no checksum none is needed.
        if !header.starts_with(&[0xfe, 0xed, 0xba, 0xbe]) || header[32..36] == [0; 4] {
            return None;
        }
        let (length, size) = (be32(header, 12).min(256 << 10), be32(header, 320).min(256 << 10));
        let headers = if be32(header, 8) == 2 { size.div_ceil(32 << 10).max(1) } else { 1 };
        let sector = |index: u32| self.sector(encoded, number.saturating_add(index));
        let mut covered = [&header[..32], &[0; 4], &header[36..328]].concat();
        for index in 1..length.div_ceil(32 << 10) {
            covered.extend_from_slice(&sector(index)[..260]);
        }
        let data = (0..length.div_ceil(512)).flat_map(|index| sector(headers + index));
        covered.extend(data.take(usize::try_from(length).ok()?));
        Some(covered)
    }

    fn put(&self, encoded: &mut [u8], number: u32, field: usize, crc: u32) {
        if let Some(&at) = self.0.get(&number) {
            encoded[at + field..][..4].copy_from_slice(&crc.to_le_bytes());
        }
    }
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([0, 1, 2, 3].map(|byte| bytes[at + byte]))
}
