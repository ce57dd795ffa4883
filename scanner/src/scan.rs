//! One scan from its target to its report.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt, stream};
use time::OffsetDateTime;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

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
    /// Bytes that were read of a local disk, those read twice counted twice.
    pub local_bytes: Option<u64>,
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
    /// None of the target's volumes could be read.
    #[error("{target} could not be read: {reasons}")]
    Unreadable {
        /// The target.
        target: String,
        /// Why, volume by volume.
        reasons: String,
    },
    /// No filesystem of the target was read.
    #[error(
        "no filesystem was found on {target}{reasons}. A target must be a whole disk or a filesystem that this version \
         reads (`agentless-scanner list` names them)"
    )]
    NoFilesystem {
        /// The target.
        target: String,
        /// What was found instead, place by place, with a colon before it; or nothing.
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
    let read = blocking(&options.cancel, move || -> Result<(VolumeReport, Option<u64>), ScanError> {
        if is_directory {
            let directory = Directory::open(&path, &limits)?;
            Ok((analyse::tree(&id, &Tree::new(Rc::new(directory), limits)), None))
        } else {
            let file = Arc::new(FileVolume::open(&path)?);
            let disk: Arc<dyn Volume> = Arc::<FileVolume>::clone(&file);
            Ok((analyse::disk(&id, &disk, &limits), Some(file.bytes_read())))
        }
    });
    let (report, local_bytes) = read.await??;
    let report = check(target, vec![report])?;
    Ok(Scan { report, time: options.now, region: None, local_bytes, costs: BTreeMap::new() })
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
    if snapshots.leftover(region, None).is_some() {
        options.progress.step("deleting snapshots");
    }
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
    let volumes = prepared.into_iter().map(|volume| {
        let span = tracing::info_span!("volume", id = volume.id);
        read_volume(cloud, volume, options).instrument(span)
    });
    let volumes: Vec<_> = stream::iter(volumes).buffered(VOLUMES_AT_ONCE).collect().await;
    let (mut reports, mut costs) = (Vec::new(), BTreeMap::new());
    for volume in volumes {
        let (report, cost) = volume?;
        costs.extend(cost.map(|cost| (report.id.clone(), cost)));
        reports.push(report);
    }
    Ok(Scan {
        report: check(target, reports)?,
        time: time.unwrap_or(options.now),
        region: None,
        local_bytes: None,
        costs,
    })
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
    if report.volumes.iter().all(|volume| volume.layout.is_none()) {
        return Err(ScanError::Unreadable { target, reasons });
    }
    let reasons = if reasons.is_empty() { reasons } else { format!(": {reasons}") };
    if !report.volumes.iter().any(VolumeReport::is_readable) {
        return Err(ScanError::NoFilesystem { target, reasons });
    }
    if report.partitions().all(|(_, partition)| partition.findings.sources.is_empty()) {
        return Err(ScanError::NoPackages { target, reasons });
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use time::macros::datetime;
    use uuid::Uuid;

    use super::*;
    use crate::target::Identity;
    use crate::target::fake::{Cloud, Mishap};

    /// An ext4 filesystem with a package database, made by `mke2fs`.
    fn root_disk() -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let (root, image) = (folder.path().join("root"), folder.path().join("disk.img"));
        fs::create_dir_all(root.join("var/lib/dpkg")).unwrap();
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::write(root.join("etc/os-release"), "ID=debian\nVERSION_ID=12\n").unwrap();
        let status = "Package: bash\nStatus: install ok installed\nVersion: 5.2\nArchitecture: amd64\n\n";
        fs::write(root.join("var/lib/dpkg/status"), status).unwrap();
        // On Debian, /usr/sbin is not on the path of who is not root.
        let made = ["mke2fs", "/usr/sbin/mke2fs"].iter().any(|program| {
            let arguments = ["-q", "-t", "ext4", "-d"];
            let status = Command::new(program).args(arguments).args([&root, &image]).arg("16m").status();
            status.is_ok_and(|status| status.success())
        });
        assert!(made, "mke2fs makes the disk of this test (Debian and Ubuntu: apt-get install e2fsprogs)");
        fs::read(image).unwrap()
    }

    fn options() -> Options {
        Options {
            limits: Limits::default(),
            concurrency: NonZeroUsize::new(8).unwrap(),
            snapshot_timeout: Duration::from_mins(10),
            now: datetime!(2026-11-21 07:00:00 UTC),
            cancel: CancellationToken::new(),
            progress: Arc::default(),
        }
    }

    async fn scan(cloud: &Arc<Cloud>, target: &Target, options: &Options) -> Result<Scan, ScanError> {
        let identity = Identity {
            scan: Uuid::from_u128(1),
            scanner: "cli@test".to_owned(),
            target: target.to_string(),
            expires: options.now,
        };
        let snapshots = Snapshots::new(Arc::clone(cloud), identity);
        let ebs = target.place().unwrap();
        let (result, leftover) = remote(cloud, "eu-central-1", &snapshots, (target, ebs), options).await;
        assert!(leftover.is_none(), "{leftover:?}");
        assert!(cloud.is_clean());
        result
    }

    fn instance() -> Target {
        Target::Instance("i-1".to_owned())
    }

    #[tokio::test]
    async fn an_instance_is_read_volume_by_volume() {
        let cloud = Cloud::new(&["vol-b", "vol-a", "vol-c"])
            .content("vol-b", root_disk())
            .content("vol-c", vec![0x55; 1 << 20])
            .tag("vol-a", "false");
        let scan = scan(&cloud, &instance(), &options()).await.unwrap();

        let order: Vec<_> = scan.report.volumes.iter().map(|volume| &*volume.id).collect();
        assert_eq!(order, ["vol-b", "vol-a", "vol-c"]);
        let packages: Vec<_> = scan
            .report
            .packages()
            .map(|installed| (&*installed.volume.id, &*installed.package.name))
            .collect();
        assert_eq!(packages, [("vol-b", "bash")]);
        let unknowns: Vec<_> =
            scan.report.unknowns().into_iter().map(|unknown| (unknown.volume, unknown.reason)).collect();
        assert_eq!(unknowns.len(), 2, "{unknowns:?}");
        assert_eq!(unknowns[0].0, "vol-a");
        assert!(unknowns[0].1.contains("by which its owner opts out"), "{unknowns:?}");
        let nothing = "neither a partition table nor a filesystem was recognised".to_owned();
        assert_eq!(unknowns[1], ("vol-c".to_owned(), nothing));

        // The time is the snapshot's, and the figures are those of the volumes that were read.
        assert_eq!(scan.time, datetime!(2026-11-21 06:00:00 UTC));
        let cost = &scan.costs["vol-b"];
        assert_eq!((cost.block_size, cost.device.as_deref()), (512 << 10, Some("/dev/sda")));
        assert!(cost.fetched_blocks > 0 && cost.fetched_blocks <= cost.allocated_blocks, "{cost:?}");
        assert_eq!(cost.fetched_bytes, cost.fetched_blocks * (512 << 10));
    }

    #[tokio::test]
    async fn an_empty_volume_is_no_gap() {
        let cloud = Cloud::new(&["vol-1", "vol-2"]).content("vol-1", root_disk());
        let scan = scan(&cloud, &instance(), &options()).await.unwrap();
        assert!(scan.report.unknowns().is_empty());
        assert_eq!(scan.report.volumes[1].layout.as_deref(), Some("empty"));
    }

    #[tokio::test]
    async fn a_disk_without_a_filesystem_is_an_error_that_leaves_nothing() {
        let cloud = Cloud::new(&["vol-1"]).content("vol-1", vec![0xa5; 2 << 20]);
        let error = scan(&cloud, &Target::Volume("vol-1".to_owned()), &options()).await.unwrap_err();
        assert!(error.to_string().starts_with("no filesystem was found on vol-1"), "{error}");
        assert_eq!(cloud.created(), 1);
    }

    #[tokio::test]
    async fn who_opts_out_is_not_scanned() {
        for tagged in ["i-1", "vol-1"] {
            let cloud = Cloud::new(&["vol-1"]).tag(tagged, "false");
            let error = scan(&cloud, &instance(), &options()).await.unwrap_err();
            assert!(chain(&error).contains(&format!("{tagged} must not be scanned")), "{}", chain(&error));
            assert_eq!(cloud.created(), 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_volume_whose_snapshot_fails_costs_only_itself() {
        let cloud =
            Cloud::new(&["vol-1", "vol-2"]).content("vol-2", root_disk()).with(&[Mishap::SnapshotFails]);
        let scan = scan(&cloud, &instance(), &options()).await.unwrap();
        assert_eq!(scan.report.packages().count(), 1);
        assert!(scan.report.unknowns()[0].reason.contains("cannot be read (error: no key)"));
    }

    #[tokio::test]
    async fn a_cancelled_scan_deletes_its_snapshots() {
        let cloud = Cloud::new(&["vol-1"]).pending_for(Duration::from_hours(1));
        let (target, options) = (instance(), options());
        let (result, ()) = tokio::join!(scan(&cloud, &target, &options), async {
            tokio::task::yield_now().await;
            options.cancel.cancel();
        });
        assert!(matches!(result, Err(ScanError::Cancelled)), "{result:?}");
    }

    #[tokio::test]
    async fn an_image_and_a_directory_are_read_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("disk.img");
        fs::write(&image, root_disk()).unwrap();
        let read = local(&image, &Target::Image(image.clone()), &options()).await.unwrap();
        assert_eq!(read.report.packages().count(), 1);

        let error =
            local(folder.path(), &Target::Directory(folder.path().to_owned()), &options()).await.unwrap_err();
        assert!(error.to_string().starts_with("no package database"), "{error}");

        // Cut short, as by a copy that ran out of space.
        fs::OpenOptions::new().write(true).open(&image).unwrap().set_len(1 << 20).unwrap();
        let error = local(&image, &Target::Image(image.clone()), &options()).await.unwrap_err();
        assert!(error.to_string().starts_with("no filesystem was found"), "{error}");
    }
}
