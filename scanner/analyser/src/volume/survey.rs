//! Visits every volume that is made of others, and counts what it read.
//!
//! What [`fs::survey`](crate::fs::survey) is for filesystems: what the fuzz targets and the mutation tests run.

use std::sync::Arc;

use super::bytes::to_usize;
use super::{SliceVolume, SparseVolume, Volume, lvm, raid};
use crate::fs::FsError;
use crate::fs::survey::{Survey, small_limits};

/// Reads the volume groups and the arrays that are on two disks: the halves of what `encoded` describes, as
/// [`SparseVolume::decode`] reads it.
pub fn encoded_members(encoded: &[u8]) -> Result<Survey, FsError> {
    let limits = small_limits();
    let whole: Arc<dyn Volume> = Arc::new(SparseVolume::decode(encoded));
    let half = (whole.size() / 1024).saturating_mul(512);
    let (mut physical, mut arrays) = (Vec::new(), Vec::new());
    for start in [0, half] {
        let disk: Arc<dyn Volume> = Arc::new(SliceVolume::new(Arc::clone(&whole), start, half)?);
        physical.extend(lvm::PhysicalVolume::read(&disk, &limits)?.map(|pv| (pv, Arc::clone(&disk))));
        arrays.extend(raid::Member::read(&disk)?.map(|member| (member, disk)));
    }
    let groups = lvm::assemble(physical, &limits);
    let mut survey = Survey::default();
    for volume in groups.into_iter().flat_map(|group| group.logical_volumes) {
        visit(volume.volume.ok().as_deref(), &mut survey);
    }
    for array in raid::assemble(arrays) {
        visit(array.volume.ok().as_deref(), &mut survey);
    }
    Ok(survey)
}

/// Reads the volume group that a text describes, on disks of zeros.
pub fn volume_group(text: &[u8]) -> Result<Survey, FsError> {
    // All the sectors that an encoding may have, none of them with content.
    let disk: Arc<dyn Volume> = Arc::new(SparseVolume::decode(&u32::MAX.to_le_bytes()));
    let mut survey = Survey::default();
    for volume in lvm::assemble_text(text, &disk, &small_limits())?.logical_volumes {
        visit(volume.volume.ok().as_deref(), &mut survey);
    }
    Ok(survey)
}

/// Reads the start, the middle and the end of a volume, if there is one.
fn visit(volume: Option<&dyn Volume>, survey: &mut Survey) {
    const PART: u64 = 20_000;
    let Some(volume) = volume else {
        survey.problems = survey.problems.saturating_add(1);
        return;
    };
    let size = volume.size();
    let length = size.min(PART);
    let mut part = vec![0; to_usize(length)];
    volume.prefetch(std::slice::from_ref(&(0..size)));
    for offset in [0, size / 2, size].map(|offset| offset.min(size.saturating_sub(length))) {
        match volume.read_at(offset, &mut part) {
            Ok(()) => survey.bytes = survey.bytes.saturating_add(length),
            Err(_) => survey.problems = survey.problems.saturating_add(1),
        }
    }
}

/// Numbers for mutation tests, the same in every run: each call gives one below its argument.
#[cfg(test)]
pub(super) fn numbers() -> impl FnMut(usize) -> usize {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % below
    }
}
