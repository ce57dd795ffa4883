//! The disks of a target, open while something is done with them.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agentless_cache::{BlockSource, CachedVolume, Traffic};
use agentless_core::fs::{Directory, FsError};
use agentless_core::number::to_u64;
use agentless_core::report::StorageReport;
use agentless_core::source::{Disk, DiskState, Source};
use agentless_core::volume::FileVolume;
use agentless_sandbox::parent::SandboxError;
use futures_util::{FutureExt, StreamExt, stream};
use time::OffsetDateTime;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{Options, ScanError};
use crate::aws::{Changes, EbsDirect, Ec2};
use crate::chain;
use crate::kept::{Incremental, Recording};
use crate::target::SnapshotBlocks;
use crate::target::ebs::{self, EbsError, EbsTarget, Patience, Prepared};
use crate::target::{Leftover, SnapshotFailure, Snapshots, Target};

/// What is done with the disks of a target, or with its directory: most of all, an analyser is let loose on them.
pub trait Analysis: FnOnce(Source<'_>) -> Result<StorageReport, SandboxError> + Send + 'static {}

impl<F: FnOnce(Source<'_>) -> Result<StorageReport, SandboxError> + Send + 'static> Analysis for F {}

/// What was found on the disks of a target, and what that cost.
#[derive(Debug)]
pub struct Read {
    /// What was found.
    pub report: StorageReport,
    /// What AWS says of the target, under the names of properties in package lists.
    pub about: BTreeMap<&'static str, String>,
    /// The point in time that the disks show; none for those of this machine.
    pub time: Option<OffsetDateTime>,
    /// Bytes that were read of local disks, those read twice counted twice.
    pub local_bytes: Option<u64>,
    /// What each volume of a target in AWS cost, by its id.
    pub costs: BTreeMap<String, VolumeCost>,
}

/// What reading one volume cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeCost {
    /// The snapshot that was read; none for an archive of a function.
    pub snapshot: Option<String>,
    /// The size of a block in bytes.
    pub block_size: u64,
    /// Blocks that hold data.
    pub allocated_blocks: u64,
    /// Blocks that were fetched.
    pub fetched_blocks: u64,
    /// Bytes that were fetched.
    pub fetched_bytes: u64,
}

/// Analyses a target of this machine: an image or a device and further disks of the same machine, or a directory.
pub async fn with_local(
    target: &Target,
    path: &Path,
    more: &[PathBuf],
    options: &Options,
    analysis: impl Analysis,
) -> Result<Read, ScanError> {
    options.progress.step("reading");
    if !path.is_dir() {
        return Opened::local(path, more)?.analyse(target, &options.cancel, analysis).await;
    }
    let (path, limits) = (path.to_owned(), options.limits.clone());
    let read = blocking(&options.cancel, move || -> Result<_, FsError> {
        let directory = Directory::open(&path, &limits)?;
        Ok(analysis(Source::Directory(Box::new(directory))))
    });
    let report = read.await??.map_err(|source| not_analysed(target, source))?;
    Ok(Read { report, about: BTreeMap::new(), time: None, local_bytes: None, costs: BTreeMap::new() })
}

/// Analyses the disks of a target in AWS. Whatever becomes of it, the snapshots that were made for it are
/// deleted before this returns; those that could not be are returned beside the result. Only those that the next scan needs
/// are kept, if it is said where.
pub async fn with_remote<C: Ec2 + EbsDirect + Changes>(
    cloud: &Arc<C>,
    region: &str,
    snapshots: &Snapshots<C>,
    (target, ebs): (&Target, EbsTarget<'_>),
    options: &Options,
    analysis: impl Analysis,
) -> (Result<Read, ScanError>, Option<Leftover>) {
    let read = async {
        let look = |step: &str| options.progress.step(step);
        let patience = Patience { timeout: options.snapshot_timeout, cancel: &options.cancel, look: &look };
        let prepared = ebs::prepare(&**cloud, snapshots, ebs, patience).await;
        let prepared = prepared.map_err(|source| match source {
            EbsError::Snapshot(SnapshotFailure::Cancelled) => ScanError::Cancelled,
            source => ScanError::Ebs { target: target.to_string(), source },
        })?;
        options.progress.step("reading");
        let mut opened = Opened::remote(cloud, prepared, options).await?;
        let recordings = std::mem::take(&mut opened.recordings);
        let read = opened.analyse(target, &options.cancel, analysis).await?;
        for recording in recordings {
            let snapshot = recording.snapshot().to_owned();
            if let Some(replaced) = recording.keep().await {
                snapshots.release(&snapshot);
                for replaced in replaced {
                    snapshots.adopt(replaced);
                }
            }
        }
        Ok(read)
    };
    // A panic would be an error of this program, and no reason to leave a snapshot behind.
    let result = AssertUnwindSafe(read).catch_unwind().await.unwrap_or(Err(ScanError::Crashed));
    if snapshots.leftover(region, None).is_some() {
        options.progress.step("deleting snapshots");
    }
    (result, snapshots.delete_all(region).await)
}

/// A target whose disks are open.
#[derive(Debug)]
struct Opened {
    /// The root volume first.
    disks: Vec<Disk>,
    /// The point in time that they show; none for those of this machine.
    time: Option<OffsetDateTime>,
    meters: Vec<Meter>,
    /// What is to be kept for the next scan, if this one comes to its end.
    recordings: Vec<Arc<Recording>>,
}

/// What counts the reads of a disk.
#[derive(Debug)]
enum Meter {
    Local(Arc<FileVolume>),
    Remote { id: String, cost: VolumeCost, traffic: Arc<Traffic> },
}

impl Opened {
    /// Opens images and devices of this machine. Those behind the first are further disks of the same machine.
    fn local(path: &Path, more: &[PathBuf]) -> Result<Self, ScanError> {
        let mut opened = Self { disks: Vec::new(), time: None, meters: Vec::new(), recordings: Vec::new() };
        for path in std::iter::once(path).chain(more.iter().map(PathBuf::as_path)) {
            let file = Arc::new(FileVolume::open(path)?);
            opened.disks.push(Disk {
                id: path.display().to_string(),
                device: None,
                state: DiskState::Open(Arc::<FileVolume>::clone(&file)),
            });
            opened.meters.push(Meter::Local(file));
        }
        Ok(opened)
    }

    /// Opens the snapshots of a target. Only the end of the whole scan is an error; what cannot be opened costs itself
    /// alone.
    async fn remote<C: EbsDirect + Changes>(
        cloud: &Arc<C>,
        prepared: Vec<Prepared>,
        options: &Options,
    ) -> Result<Self, ScanError> {
        // The list as a whole is as old as its oldest part.
        let time = prepared.iter().filter_map(|volume| volume.snapshot.as_ref().ok()?.started).min();
        let memory = options.limits.block_cache_bytes / to_u64(prepared.len()).max(1);
        let volumes = prepared.into_iter().map(|volume| {
            let span = tracing::info_span!("volume", id = volume.id);
            open_volume(cloud, volume, memory, options).instrument(span)
        });
        let volumes: Vec<_> = stream::iter(volumes).buffered(options.limits.volumes_at_once).collect().await;
        let mut opened = Self { disks: Vec::new(), time, meters: Vec::new(), recordings: Vec::new() };
        for volume in volumes {
            let (disk, rest) = volume?;
            opened.disks.push(disk);
            if let Some((meter, recording)) = rest {
                opened.meters.push(meter);
                opened.recordings.extend(recording);
            }
        }
        Ok(opened)
    }

    /// Analyses the disks, on a thread where that may block, and says what it cost.
    async fn analyse(
        self,
        target: &Target,
        cancel: &CancellationToken,
        analysis: impl Analysis,
    ) -> Result<Read, ScanError> {
        let Self { disks, time, meters, recordings: _ } = self;
        let result = blocking(cancel, move || analysis(Source::Disks(&disks))).await?;
        let report = result.map_err(|source| not_analysed(target, source))?;
        let (mut local_bytes, mut costs) = (None, BTreeMap::new());
        for meter in meters {
            match meter {
                Meter::Local(file) => {
                    let sum: &mut u64 = local_bytes.get_or_insert_default();
                    *sum = sum.saturating_add(file.bytes_read());
                }
                Meter::Remote { id, mut cost, traffic } => {
                    (cost.fetched_blocks, cost.fetched_bytes) = (traffic.blocks(), traffic.bytes());
                    costs.insert(id, cost);
                }
            }
        }
        Ok(Read { report, about: BTreeMap::new(), time, local_bytes, costs })
    }
}

pub(super) fn not_analysed(target: &Target, source: SandboxError) -> ScanError {
    match source {
        SandboxError::Stopped => ScanError::Cancelled,
        SandboxError::Task { reason } => ScanError::Task { reason },
        source => ScanError::Analysis { target: target.to_string(), source },
    }
}

/// Opens one volume. Only the end of the whole scan is an error; everything else costs this volume alone.
async fn open_volume<C: EbsDirect + Changes>(
    cloud: &Arc<C>,
    Prepared { id, device, snapshot }: Prepared,
    memory: u64,
    options: &Options,
) -> Result<(Disk, Option<(Meter, Option<Arc<Recording>>)>), ScanError> {
    let unread =
        |id: String, device, reason| (Disk { id, device, state: DiskState::Unread { reason } }, None);
    let snapshot = match snapshot {
        Ok(snapshot) => snapshot.id,
        Err(failure) => return Ok(unread(id, device, chain(&failure))),
    };
    let blocks = tokio::select! {
        blocks = SnapshotBlocks::open(Arc::clone(cloud), snapshot.clone()) => blocks,
        () = options.cancel.cancelled() => return Err(ScanError::Cancelled),
    };
    let blocks = match blocks {
        Ok(blocks) => blocks,
        Err(error) => return Ok(unread(id, device, chain(&error))),
    };
    let traffic: Arc<Traffic> = Arc::default();
    options.progress.watch(Arc::clone(&traffic));
    let cost = VolumeCost {
        snapshot: Some(snapshot.clone()),
        block_size: u64::from(blocks.block_size()),
        allocated_blocks: blocks.allocated_blocks(),
        fetched_blocks: 0,
        fetched_bytes: 0,
    };
    let mut recording = None;
    let state = if cost.allocated_blocks == 0 {
        DiskState::Empty { size: blocks.size() }
    } else {
        let source = match &options.keeping {
            None => Incremental::plain(blocks),
            Some(keeping) => tokio::select! {
                source = Incremental::open(blocks, &**cloud, keeping, (&id, &snapshot)) => source,
                () = options.cancel.cancelled() => return Err(ScanError::Cancelled),
            },
        };
        recording = source.recording();
        let cache = options.cache(memory, &traffic);
        DiskState::Open(Arc::new(CachedVolume::new(source, cache, Handle::current())))
    };
    let meter = Meter::Remote { id: id.clone(), cost, traffic };
    Ok((Disk { id, device, state }, Some((meter, recording))))
}

/// Runs what blocks on a thread for it. When the user ends the scan, nobody waits for that thread any more: its reads
/// fail, and it ends by itself.
pub(super) async fn blocking<T: Send + 'static>(
    cancel: &CancellationToken,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ScanError> {
    let span = tracing::Span::current();
    tokio::select! {
        result = spawn_blocking(move || span.in_scope(work)) => result.map_err(|_| ScanError::Crashed),
        () = cancel.cancelled() => Err(ScanError::Cancelled),
    }
}
