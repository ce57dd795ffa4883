//! Where the log begins and ends.
//!
//! The log is written around and around. Each basic block carries the number of the lap, the cycle, in which it was written:
//! where the number falls is the head, behind the newest record. That record says where the tail is, the oldest one whose
//! changes may not all have reached their places. What a crash tore lies just before the head, because only so many records
//! are on their way at a time.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::area::Area;
use super::format::{BASIC_BLOCK, MAX_RECORD_V1, MAX_RECORD_V2, RECORDS_IN_FLIGHT, RecordHeader, flag};
use super::record::Record;
use super::{Halt, Ring};
use crate::volume::bytes::Bytes;

/// The part of the log that is to be replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Active {
    /// Basic block of the first record's header.
    pub(super) tail: u64,
    /// Basic block behind the last record.
    pub(super) head: u64,
    /// Basic blocks that a record has at most.
    pub(super) most_blocks: u64,
}

/// Finds what is to be replayed; `None` if the log was closed by an unmount, or never written.
pub(super) fn find(ring: &Ring<'_>) -> Result<Option<Active>, Halt> {
    let area = &ring.area;
    let Some(mut head) = find_head(ring)? else { return Ok(None) };
    let mut last = previous_header(area, head, area.blocks)?.ok_or(Halt::Log("the log has no record"))?;
    let mut header = area.header(last, ring.uuid)?;
    if is_unmount(area, last, &header, head)? {
        return Ok(None);
    }
    if let Some(torn) = find_torn(ring, head, header.tail.block())? {
        let back = area.distance(header.tail.block(), torn);
        last = previous_header(area, torn, back)?.ok_or(Halt::Log("the log's only record is torn"))?;
        head = torn;
        header = area.header(last, ring.uuid)?;
        if is_unmount(area, last, &header, head)? {
            return Ok(None);
        }
    }
    let tail = header.tail.block();
    if tail >= area.blocks {
        return Err(Halt::Log("the log's tail is behind its end"));
    }
    Ok((tail != head).then_some(Active { tail, head, most_blocks: header.most_blocks }))
}

/// The basic block behind the newest record, whole or torn (`xlog_find_head`); `None` in a log that was never written.
fn find_head(ring: &Ring<'_>) -> Result<Option<u64>, Halt> {
    let area = &ring.area;
    let newest = area.cycle(0)?;
    if newest == 0 {
        return Ok(None);
    }
    // What all of the log has that was not yet written in this lap: the cycle before, or 0.
    let oldest = area.cycle(area.blocks.saturating_sub(1))?;
    let (boundary, stale) = if oldest == newest {
        // The head is at the log's end, or in front of a hole that the last writes left before it.
        (area.blocks, oldest.wrapping_sub(1))
    } else {
        (first_of_cycle(area, oldest)?, oldest)
    };
    // Writes on their way do not end in order, so that there may be holes before the boundary.
    let record = if ring.has_logv2 { MAX_RECORD_V2 } else { MAX_RECORD_V1 } / BASIC_BLOCK;
    let reach = record.saturating_mul(RECORDS_IN_FLIGHT).min(area.blocks);
    let hole = if let Some(from) = boundary.checked_sub(reach) {
        find_cycle(area, from, boundary, stale)?
    } else {
        // The end of the log was written in the lap before.
        let wrapped = area.blocks.saturating_sub(reach.saturating_sub(boundary));
        let at_end =
            if oldest == 0 { None } else { find_cycle(area, wrapped, area.blocks, stale.wrapping_sub(1))? };
        match at_end {
            Some(hole) => Some(hole),
            None => find_cycle(area, 0, boundary, stale)?,
        }
    };
    let boundary = hole.unwrap_or(boundary);
    let head = match previous_header(area, boundary, record)? {
        // The newest record is not whole.
        Some(last) if area.after(last, area.header(last, ring.uuid)?.blocks()) != area.after(boundary, 0) => {
            last
        }
        Some(_) => boundary,
        None => return Err(Halt::Log("the log has no record before its head")),
    };
    Ok(Some(area.after(head, 0)))
}

/// The first basic block with this cycle, by halving: right if the blocks before all have another one.
fn first_of_cycle(area: &Area<'_>, cycle: u32) -> Result<u64, Halt> {
    let (mut before, mut found) = (0_u64, area.blocks.saturating_sub(1));
    while before.saturating_add(1) < found {
        let middle = before.midpoint(found);
        if area.cycle(middle)? == cycle {
            found = middle;
        } else {
            before = middle;
        }
    }
    Ok(found)
}

/// The first of these basic blocks that has this cycle.
fn find_cycle(area: &Area<'_>, from: u64, to: u64, cycle: u32) -> Result<Option<u64>, Halt> {
    for block in from..to {
        if area.cycle(block)? == cycle {
            return Ok(Some(block));
        }
    }
    Ok(None)
}

/// The last header before basic block `before`, at most `most` blocks back, around the log's beginning.
fn previous_header(area: &Area<'_>, before: u64, most: u64) -> Result<Option<u64>, Halt> {
    for back in 1..=most.min(area.blocks) {
        let block = area.before(before, back);
        if area.is_header(block)? {
            return Ok(Some(block));
        }
    }
    Ok(None)
}

/// The first header from basic block `from` on, before `head`.
pub(super) fn next_header(area: &Area<'_>, from: u64, head: u64) -> Result<Option<u64>, Halt> {
    for ahead in 0..area.distance(from, head) {
        let block = area.after(from, ahead);
        if area.is_header(block)? {
            return Ok(Some(block));
        }
    }
    Ok(None)
}

/// Whether the log ends with the record of an unmount: nothing is to be replayed (`xlog_check_unmount_rec`).
fn is_unmount(area: &Area<'_>, last: u64, header: &RecordHeader, head: u64) -> Result<bool, Halt> {
    if area.after(last, header.blocks()) != head || header.operations != 1 {
        return Ok(false);
    }
    let data = area.read(area.after(last, header.header_blocks), 1)?;
    // The cycle's mark is on the operation's first field, not on its flags.
    Ok(Bytes(&data).u8(9)? & flag::UNMOUNT != 0)
}

/// The first record before the head that was not written whole, of those that may have been on their way when the machine
/// stopped (`xlog_verify_head`).
fn find_torn(ring: &Ring<'_>, head: u64, tail: u64) -> Result<Option<u64>, Halt> {
    let area = &ring.area;
    let mut first = head;
    for _ in 0..RECORDS_IN_FLIGHT {
        match previous_header(area, first, area.distance(tail, first))? {
            Some(block) => first = block,
            None => break,
        }
    }
    let mut at = first;
    while at != head {
        let record = match Record::read(ring, at, area.distance(at, head)) {
            Ok(record) => record,
            Err(Halt::Log(_)) => return Ok(Some(at)),
            Err(fatal) => return Err(fatal),
        };
        at = area.after(at, record.header.blocks());
    }
    Ok(None)
}
