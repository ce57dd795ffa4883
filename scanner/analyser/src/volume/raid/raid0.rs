//! RAID0: chunks in turn, in as many zones as the members have different sizes. `create_strip_zones` and
//! `raid0_make_request` of the kernel's `drivers/md/raid0.c`.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::Disk;
use super::superblock::Superblock;
use crate::volume::bytes::to_u64;
use crate::volume::mapped::{SMALLEST_CHUNK, Stripes, Target};
use crate::volume::{SliceVolume, Unreadable};

/// `RAID0_ORIG_LAYOUT`: the first chunk of a zone goes where counting from the start of the array leads, as before Linux
/// 3.14.
const ORIGINAL: u32 = 1;
/// `RAID0_ALT_MULTIZONE_LAYOUT`: each zone begins with its first member.
const ALTERNATE: u32 = 2;

/// The zones: the first one on all members, as long as the shortest, the next on those that are longer, and so on.
pub(super) fn targets(newest: &Superblock, disks: &[&Disk]) -> Result<Vec<(u64, Target)>, Unreadable> {
    let chunk = newest.chunk;
    if chunk < SMALLEST_CHUNK {
        return Err(Unreadable::damaged(format!("its chunks have {chunk} bytes")));
    }
    let sizes: Vec<u64> = disks
        .iter()
        .map(|disk| {
            let size = disk.superblock.data_size;
            size.saturating_sub(size.checked_rem(chunk).unwrap_or(0))
        })
        .collect();
    let mut ends: Vec<u64> = sizes.iter().copied().filter(|&size| size > 0).collect();
    ends.sort_unstable();
    ends.dedup();
    if ends.len() > 1 && !matches!(newest.raid0_layout, Some(ORIGINAL | ALTERNATE)) {
        // Linux does not start such an array either.
        return Err(Unreadable::unsupported(
            "a RAID0 array of members of different sizes that does not record its layout",
        ));
    }

    let mut targets = Vec::new();
    let (mut zone_start, mut start) = (0_u64, 0_u64);
    for end in ends {
        let depth = end.saturating_sub(start);
        let mut volumes = Vec::new();
        for (disk, &size) in disks.iter().zip(&sizes) {
            if size >= end {
                let data = disk.data(size)?;
                let part = SliceVolume::new(std::sync::Arc::new(data), start, depth);
                volumes.push(part.map_err(|_| Unreadable::damaged("a zone is outside of its member"))?);
            }
        }
        let count = to_u64(volumes.len());
        let first = match newest.raid0_layout {
            Some(ORIGINAL) => zone_start.checked_div(chunk).and_then(|chunks| chunks.checked_rem(count)),
            _ => None,
        };
        let length =
            depth.checked_mul(count).ok_or_else(|| Unreadable::damaged("it has more than 2^64 bytes"))?;
        if let Some(stripes) = Stripes::new(chunk, volumes, first.unwrap_or(0)) {
            targets.push((length, Target::Striped(stripes)));
        }
        zone_start = zone_start.saturating_add(length);
        start = end;
    }
    Ok(targets)
}
