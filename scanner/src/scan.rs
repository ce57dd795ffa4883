//! One scan from its target to its report.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt, stream};
use time::OffsetDateTime;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::analyse;
use crate::aws::{EbsDirect, Ec2};
use crate::chain;
use crate::fs::{Directory, FsError, Tree};
use crate::limits::Limits;
use crate::progress::Progress;
use crate::report::{TargetReport, VolumeReport};
use crate::target::ebs::{self, EbsError, EbsTarget, Patience, Prepared};
use crate::target::{Leftover, SnapshotFailure, Snapshots, Target};
use crate::volume::bytes::to_u64;
use crate::volume::{
    BlockSource, CacheOptions, CachedVolume, FileVolume, SnapshotBlocks, Traffic, Volume, VolumeError,
};

/// How to scan.
#[derive(Clone, Debug)]
pub struct Options {
    /// What a disk may cost.
    pub limits: Limits,
    /// Blocks of one volume fetched at the same time.
    pub concurrency: NonZeroUsize,
    /// How long to wait for snapshots.
    pub snapshot_timeout: Duration,
    /// The time of the scan, for targets that have no time of their own.
    pub now: OffsetDateTime,
    /// Ends the scan. What it made is deleted before it returns.
    pub cancel: CancellationToken,
    /// Is told what happens.
    pub progress: Arc<Progress>,
}

/// A scan that came to its end.
#[derive(Debug)]
pub struct Scan {
    /// What was found.
    pub report: TargetReport,
    /// The point in time that the report shows.
    pub time: OffsetDateTime,
    /// The region of a target that is in AWS.
    pub region: Option<String>,
    /// What each volume of a target in AWS cost, by its id.
    pub costs: BTreeMap<String, VolumeCost>,
}

/// What reading one volume cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeCost {
    /// The snapshot that was read.
    pub snapshot: String,
    /// The device name on the instance.
    pub device: Option<String>,
    /// The size of a block in bytes.
    pub block_size: u64,
    /// Blocks that hold data.
    pub allocated_blocks: u64,
    /// Blocks that were fetched.
    pub fetched_blocks: u64,
    /// Bytes that were fetched.
    pub fetched_bytes: u64,
}

/// Why a scan has no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// The target in AWS gives nothing to read.
    #[error("{target} was not scanned")]
    Ebs {
        /// The target.
        target: String,
        /// Why.
        source: EbsError,
    },
    /// The image or device cannot be read.
    #[error(transparent)]
    Image(#[from] VolumeError),
    /// The directory cannot be read.
    #[error(transparent)]
    Directory(#[from] FsError),
    /// No filesystem of the target was read.
    #[error(
        "no filesystem was found on {target}: {reasons}. A target must be a whole disk or a filesystem that this version \
         reads (`agentless-scanner list` names them)"
    )]
    NoFilesystem {
        /// The target.
        target: String,
        /// What was found instead, place by place.
        reasons: String,
    },
    /// There are filesystems, and none has a package database.
    #[error(
        "no package database that this version reads was found on {target}{reasons}. Is it the root of a system? \
         `agentless-scanner list` shows where databases are looked for"
    )]
    NoPackages {
        /// The target.
        target: String,
        /// What was found instead, place by place, with a colon before it; or nothing.
        reasons: String,
    },
    /// The program itself failed.
    #[error("the analysis ended unexpectedly, which is an error of this program")]
    Crashed,
    /// The user ended the scan.
    #[error("the scan was cancelled")]
    Cancelled,
}

/// Volumes that are read at the same time.
const VOLUMES_AT_ONCE: usize = 4;
/// Bytes of blocks kept in memory, for all volumes that are read at the same time.
const CACHE_BYTES: u64 = 64 << 20;

/// Scans what is on this machine: an image, a device or a directory.
pub async fn local(path: &Path, target: &Target, options: &Options) -> Result<Scan, ScanError> {
    options.progress.step("reading");
    let (id, path, limits) = (target.to_string(), path.to_owned(), options.limits.clone());
    let is_directory = matches!(target, Target::Directory(_));
    let report = blocking(&options.cancel, move || -> Result<VolumeReport, ScanError> {
        if is_directory {
            let directory = Directory::open(&path, &limits)?;
            Ok(analyse::tree(&id, &Tree::new(Box::new(directory), limits)))
        } else {
            let disk: Arc<dyn Volume> = Arc::new(FileVolume::open(&path)?);
            Ok(analyse::disk(&id, &disk, &limits))
        }
    });
    let report = check(target, vec![report.await??])?;
    Ok(Scan { report, time: options.now, region: None, costs: BTreeMap::new() })
}

/// Scans what is in AWS. Whatever becomes of the scan, the snapshots that it made are deleted before this returns; those
/// that could not be are returned beside the result.
pub async fn remote<C: Ec2 + EbsDirect>(
    cloud: &Arc<C>,
    region: &str,
    snapshots: &Snapshots<C>,
    (target, ebs): (&Target, EbsTarget<'_>),
    options: &Options,
) -> (Result<Scan, ScanError>, Option<Leftover>) {
    // A panic would be an error of this program, and no reason to leave a snapshot behind.
    let work = AssertUnwindSafe(read_remote(cloud, snapshots, target, ebs, options)).catch_unwind();
    let result = work.await.unwrap_or(Err(ScanError::Crashed));
    options.progress.step("deleting snapshots");
    let leftover = snapshots.delete_all(region).await;
    let result = result.map(|scan| Scan { region: Some(region.to_owned()), ..scan });
    (result, leftover)
}

async fn read_remote<C: Ec2 + EbsDirect>(
    cloud: &Arc<C>,
    snapshots: &Snapshots<C>,
    target: &Target,
    ebs: EbsTarget<'_>,
    options: &Options,
) -> Result<Scan, ScanError> {
    let look = |step: &str| options.progress.step(step);
    let patience = Patience { timeout: options.snapshot_timeout, cancel: &options.cancel, look: &look };
    let prepared = ebs::prepare(&**cloud, snapshots, ebs, patience).await.map_err(|source| match source {
        EbsError::Snapshot(SnapshotFailure::Cancelled) => ScanError::Cancelled,
        source => ScanError::Ebs { target: target.to_string(), source },
    })?;
    // The list as a whole is as old as its oldest part.
    let time = prepared.iter().filter_map(|volume| volume.snapshot.as_ref().ok()?.started).min();

    options.progress.step("reading");
    let volumes = prepared.into_iter().map(|volume| read_volume(cloud, volume, options));
    let volumes: Vec<_> = stream::iter(volumes).buffered(VOLUMES_AT_ONCE).collect().await;
    let (mut reports, mut costs) = (Vec::new(), BTreeMap::new());
    for volume in volumes {
        let (report, cost) = volume?;
        costs.extend(cost.map(|cost| (report.id.clone(), cost)));
        reports.push(report);
    }
    Ok(Scan { report: check(target, reports)?, time: time.unwrap_or(options.now), region: None, costs })
}

/// Reads one volume. Only the end of the whole scan is an error; everything else costs this volume alone.
async fn read_volume<C: EbsDirect>(
    cloud: &Arc<C>,
    Prepared { id, device, snapshot }: Prepared,
    options: &Options,
) -> Result<(VolumeReport, Option<VolumeCost>), ScanError> {
    let snapshot = match snapshot {
        Ok(snapshot) => snapshot.id,
        Err(failure) => return Ok((VolumeReport::unread(id, None, chain(&failure)), None)),
    };
    let blocks = tokio::select! {
        blocks = SnapshotBlocks::open(Arc::clone(cloud), snapshot.clone()) => blocks,
        () = options.cancel.cancelled() => return Err(ScanError::Cancelled),
    };
    let blocks = match blocks {
        Ok(blocks) => blocks,
        Err(error) => return Ok((VolumeReport::unread(id, None, chain(&error)), None)),
    };
    let traffic: Arc<Traffic> = Arc::default();
    options.progress.watch(Arc::clone(&traffic));
    let mut cost = VolumeCost {
        snapshot,
        device,
        block_size: u64::from(blocks.block_size()),
        allocated_blocks: blocks.allocated_blocks(),
        fetched_blocks: 0,
        fetched_bytes: 0,
    };
    let size = blocks.size();
    if cost.allocated_blocks == 0 {
        return Ok((VolumeReport::empty(id, size), Some(cost)));
    }
    let cache = CacheOptions {
        concurrency: options.concurrency,
        memory: CACHE_BYTES / to_u64(VOLUMES_AT_ONCE),
        cancel: options.cancel.clone(),
        traffic: Arc::clone(&traffic),
    };
    let disk: Arc<dyn Volume> = Arc::new(CachedVolume::new(blocks, cache, Handle::current()));
    let limits = options.limits.clone();
    let name = id.clone();
    let report = match blocking(&options.cancel, move || analyse::disk(&name, &disk, &limits)).await {
        Err(ScanError::Crashed) => VolumeReport::unread(id, Some(size), chain(&ScanError::Crashed)),
        report => report?,
    };
    (cost.fetched_blocks, cost.fetched_bytes) = (traffic.blocks(), traffic.bytes());
    Ok((report, Some(cost)))
}

/// Runs what blocks on a thread for it. When the user ends the scan, nobody waits for that thread any more: its reads
/// fail, and it ends by itself.
async fn blocking<T: Send + 'static>(
    cancel: &CancellationToken,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ScanError> {
    let span = tracing::Span::current();
    tokio::select! {
        result = spawn_blocking(move || span.in_scope(work)) => result.map_err(|_| ScanError::Crashed),
        () = cancel.cancelled() => Err(ScanError::Cancelled),
    }
}

/// Whether there is anything to report on. A target without a filesystem, or without any package database, is most
/// likely not what the user meant.
fn check(target: &Target, volumes: Vec<VolumeReport>) -> Result<TargetReport, ScanError> {
    let report = TargetReport { target: target.to_string(), kind: target.kind(), volumes };
    let reasons: Vec<_> =
        report.unknowns().iter().map(|unknown| format!("{}: {}", unknown.place(), unknown.reason)).collect();
    let reasons = reasons.join("; ");
    let target = report.target.clone();
    if !report.volumes.iter().any(VolumeReport::is_readable) {
        return Err(ScanError::NoFilesystem { target, reasons });
    }
    if report.partitions().all(|(_, partition)| partition.findings.sources.is_empty()) {
        let reasons = if reasons.is_empty() { reasons } else { format!(": {reasons}") };
        return Err(ScanError::NoPackages { target, reasons });
    }
    Ok(report)
}
