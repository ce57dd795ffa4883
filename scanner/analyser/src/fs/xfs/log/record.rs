//! Records: what one write to the log consists of.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::area::Area;
use super::format::{BASIC_BLOCK, CYCLE_SIZE, RecordHeader};
use super::{Halt, Ring};
use crate::volume::bytes::{Bytes, to_usize};

/// A record that was read whole, and whose checksum is right.
pub(super) struct Record {
    pub(super) header: RecordHeader,
    /// What the operations are in, without the cycle's marks.
    pub(super) data: Vec<u8>,
}

impl Record {
    /// Reads the record whose header is basic block `at` of the log, and which must end within `room` basic blocks.
    pub(super) fn read(ring: &Ring<'_>, at: u64, room: u64) -> Result<Self, Halt> {
        let area: &Area<'_> = &ring.area;
        let header = area.header(at, ring.uuid)?;
        let covered = header.header_blocks.saturating_mul(CYCLE_SIZE);
        if header.blocks() > room || header.len > covered {
            return Err(Halt::Log("a record is longer than its place"));
        }
        let content = area.read(at, header.blocks())?;
        let size = |blocks: u64| to_usize(blocks.saturating_mul(BASIC_BLOCK));
        let (headers, data) = content
            .split_at_checked(size(header.header_blocks))
            .ok_or(Halt::Log("a record is longer than the log"))?;
        // Kernels before checksums, and `mkfs`, left 0.
        if (header.crc != 0 || ring.has_crc) && !is_right(&header, headers, data)? {
            return Err(Halt::Log("the checksum of a record is wrong"));
        }
        let data = unpack(headers, data.to_vec())?;
        let len = to_usize(header.len);
        Ok(Self { header, data: data.get(..len).unwrap_or(&data).to_vec() })
    }
}

/// Whether `h_crc` is right (`xlog_cksum`): over the first header without the field itself, those of the further headers
/// that the data needs, and the data as it is on the disk.
fn is_right(header: &RecordHeader, headers: &[u8], data: &[u8]) -> Result<bool, Halt> {
    let field = RecordHeader::CRC_OFFSET;
    let behind = field.saturating_add(4);
    let bytes = Bytes(headers);
    let data = Bytes(data).get(0, to_usize(header.len))?;
    for size in RecordHeader::SIZES {
        let mut crc = crc32c::crc32c(bytes.get(0, field)?);
        crc = crc32c::crc32c_append(crc, &[0; 4]);
        crc = crc32c::crc32c_append(crc, bytes.get(behind, size.saturating_sub(behind))?);
        for index in 1..header.len.div_ceil(CYCLE_SIZE) {
            let at = to_usize(index.saturating_mul(BASIC_BLOCK));
            crc = crc32c::crc32c_append(crc, bytes.get(at, RecordHeader::EXTENDED_SIZE)?);
        }
        if crc32c::crc32c_append(crc, data) == header.crc {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Puts back the first four bytes of each basic block of data, which the headers keep (`xlog_unpack_data`).
fn unpack(headers: &[u8], mut data: Vec<u8>) -> Result<Vec<u8>, Halt> {
    let words_per_header = CYCLE_SIZE / BASIC_BLOCK;
    for (index, block) in (0_u64..).zip(data.chunks_exact_mut(to_usize(BASIC_BLOCK))) {
        let header = index.checked_div(words_per_header).unwrap_or(0);
        let word = to_usize(index.checked_rem(words_per_header).unwrap_or(0));
        let words = if header == 0 { RecordHeader::CYCLE_DATA } else { RecordHeader::EXTENDED_CYCLE_DATA };
        let at = to_usize(header.saturating_mul(BASIC_BLOCK))
            .saturating_add(words)
            .saturating_add(word.saturating_mul(4));
        let original: [u8; 4] = Bytes(headers).array(at)?;
        if let Some(start) = block.first_chunk_mut::<4>() {
            *start = original;
        }
    }
    Ok(data)
}
