//! Analyses whole machines, and has the scanner take what comes of it.
//!
//! What [`fs::survey`](crate::fs::survey) is for filesystems: what the fuzz targets and the mutation tests run.

use std::sync::Arc;

use agentless_core::task::Scope;
use agentless_sandbox::protocol::assembly::Assembly;
use agentless_sandbox::protocol::fit::fit;
use agentless_sandbox::protocol::frame::WireError;
use agentless_sandbox::protocol::part::parts;

use super::target;
use crate::contain::Panicked;
use crate::fs::{FsError, survey};
use crate::limits::Limits;
use crate::report::StorageReport;
use crate::storage::{Disk, DiskState, Source};
use crate::volume::SparseVolume;
use crate::volume::bytes::{Bytes, to_usize};

/// Analyses the machine whose disks `encoded` describes, as [`encoded_disks`] does. The body of a fuzz target.
///
/// # Errors
///
/// [`FsError::Invalid`] if no filesystem was read.
///
/// # Panics
///
/// If there was a panic, though [`target`] contains it, or if the scanner would not take the report: it is what a fuzzer looks
/// for.
pub fn encoded_machine(encoded: &[u8]) -> Result<StorageReport, FsError> {
    let disks = encoded_disks(encoded);
    let limits = small_limits();
    let report = target("machine", Source::Disks(&disks), Scope::default(), &limits);
    let panicked = Panicked.to_string();
    assert!(!report.unknowns().iter().any(|unknown| unknown.reason.contains(&panicked)), "{panicked}");
    let arrived = send(report.clone(), &disks, &limits);
    assert!(arrived.is_ok(), "the scanner does not take the report: {arrived:?}");
    if report.filesystems.is_empty() {
        return Err(FsError::Invalid { problem: "none of the disks has a filesystem" });
    }
    Ok(report)
}

/// The disks that `encoded` describes: of each the length in bytes as 32 bits, little-endian, and so many bytes for
/// [`SparseVolume::decode`].
pub fn encoded_disks(encoded: &[u8]) -> Vec<Disk> {
    const MOST_DISKS: usize = 8;

    let mut disks = Vec::new();
    let mut rest = encoded;
    while let Ok(length) = Bytes(rest).le32(0)
        && disks.len() < MOST_DISKS
    {
        let (disk, behind) =
            rest.get(4..).unwrap_or_default().split_at(to_usize(length).min(rest.len().saturating_sub(4)));
        let state = DiskState::Open(Arc::new(SparseVolume::decode(disk)));
        disks.push(Disk { id: disks.len().to_string(), device: Some("/dev/sdb".to_owned()), state });
        rest = behind;
    }
    disks
}

/// Limits so small that the worst machine is done within a second.
pub fn small_limits() -> Limits {
    Limits { devices: 64, filesystems: 8, mounts: 16, ..survey::small_limits() }
}

/// What the scanner has of a report.
fn send(mut report: StorageReport, disks: &[Disk], limits: &Limits) -> Result<StorageReport, WireError> {
    fit(&mut report, limits);
    let mut assembly = Assembly::new("machine", &Source::Disks(disks), limits);
    parts(report).try_for_each(|part| assembly.add(part))?;
    assembly.finish()
}
