//! One scan from its target to its report.

mod disks;
mod function;
mod owned;
#[cfg(test)]
#[path = "../../analyser/src/storage/test_image.rs"]
#[expect(dead_code, reason = "the analyser's own tests need more of it")]
mod test_image;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use agentless_cache::{CacheOptions, Traffic};
use agentless_core::fs::FsError;
use agentless_core::volume::VolumeError;
use agentless_sandbox::parent::SandboxError;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

pub use disks::{Analysis, Read, VolumeCost, with_local, with_remote};
pub use function::with_function;
pub use owned::LeftOut;

use crate::kept::Keeping;
use crate::limits::Limits;
use crate::progress::Progress;
use crate::report::{StorageReport, TargetReport, TreeReport, VolumeState};
use crate::target::Target;
use crate::target::ebs::EbsError;
use crate::target::function::FunctionError;

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
    /// What is kept of volumes from one scan to the next; none if nothing is.
    pub keeping: Option<Keeping>,
}

impl Options {
    /// How one volume is fetched that may take this many bytes of memory.
    fn cache(&self, memory: u64, traffic: &Arc<Traffic>) -> CacheOptions {
        CacheOptions {
            concurrency: self.concurrency,
            memory,
            prefetched: self.limits.prefetched_blocks,
            hinted: self.limits.hinted_blocks,
            cancel: self.cancel.clone(),
            traffic: Arc::clone(traffic),
        }
    }
}

/// A scan that came to its end.
#[derive(Debug)]
pub struct Scan {
    /// What was found.
    pub report: TargetReport,
    /// What is not in it, as packages of the operating system brought it; none where all is in it.
    pub left_out: LeftOut,
    /// The point in time that the report shows.
    pub time: OffsetDateTime,
    /// The region of a target that is in AWS.
    pub region: Option<String>,
    /// Bytes that were read of local disks, those read twice counted twice.
    pub local_bytes: Option<u64>,
    /// What each volume of a target in AWS cost, by its id.
    pub costs: BTreeMap<String, VolumeCost>,
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
    /// The function gives nothing to read.
    #[error("{target} was not scanned")]
    Function {
        /// The target.
        target: String,
        /// Why.
        source: FunctionError,
    },
    /// What was read of a function is not its code.
    #[error("{target} was not scanned: what arrived of {id} does not have the SHA-256 that AWS gives for it")]
    Damaged {
        /// The target.
        target: String,
        /// The archive.
        id: String,
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
    /// There are filesystems, and none has a package database or a package.
    #[error(
        "no package database and no package that this version reads was found on {target}{reasons}. Is it the root of a system? \
         `agentless-scanner list` shows where databases are looked for"
    )]
    NoPackages {
        /// The target.
        target: String,
        /// What was found instead, place by place, with a colon before it; or nothing.
        reasons: String,
    },
    /// What was asked for is not there, or cannot be read.
    #[error("{reason}")]
    Task {
        /// What is wrong.
        reason: String,
    },
    /// The disks, or the process that reads them.
    #[error("{target} was not analysed")]
    Analysis {
        /// The target.
        target: String,
        /// Why.
        source: SandboxError,
    },
    /// The program itself failed.
    #[error("the analysis ended unexpectedly, which is an error of this program")]
    Crashed,
    /// The user ended the scan.
    #[error("the scan was cancelled")]
    Cancelled,
}

impl Scan {
    /// The scan of a target that was read, if there is anything to report on.
    pub fn new(
        target: &Target,
        region: Option<String>,
        read: Read,
        now: OffsetDateTime,
    ) -> Result<Self, ScanError> {
        let Read { report, about, time, local_bytes, costs } = read;
        let report = check(target, report, about)?;
        Ok(Self { report, left_out: Vec::new(), time: time.unwrap_or(now), region, local_bytes, costs })
    }

    /// Without the packages of languages that a package of the operating system brought.
    #[must_use]
    pub fn without_owned(mut self) -> Self {
        self.left_out = owned::leave_out(&mut self.report);
        self
    }
}

/// Whether there is anything to report on. A target without a filesystem, or with neither a package database nor a
/// package, is most likely not what the user meant.
fn check(
    target: &Target,
    storage: StorageReport,
    about: BTreeMap<&'static str, String>,
) -> Result<TargetReport, ScanError> {
    let report = TargetReport { target: target.to_string(), kind: target.kind(), about, storage };
    let unknowns = report.unknowns();
    let reasons: Vec<_> =
        unknowns.iter().map(|unknown| format!("{}: {}", unknown.text(), unknown.reason)).collect();
    let reasons = reasons.join("; ");
    let target = report.target.clone();
    let storage = &report.storage;
    if storage.volumes.iter().all(|volume| matches!(volume.state, VolumeState::Unread { .. })) {
        return Err(ScanError::Unreadable { target, reasons });
    }
    // A function may well consist of nothing but its own code.
    if matches!(report.kind, "function") {
        return Ok(report);
    }
    let reasons = if reasons.is_empty() { reasons } else { format!(": {reasons}") };
    if storage.filesystems.is_empty() {
        return Err(ScanError::NoFilesystem { target, reasons });
    }
    let is_empty = |tree: &TreeReport| tree.findings.sources.is_empty() && tree.findings.packages.is_empty();
    if storage.trees.iter().all(is_empty) {
        return Err(ScanError::NoPackages { target, reasons });
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use agentless_analyser::analyse;
    use agentless_core::source::Source;
    use agentless_core::task::Scope;
    use time::macros::datetime;
    use uuid::Uuid;

    use super::*;
    use crate::chain;
    use crate::target::ebs::EbsTarget;
    use crate::target::fake::{Cloud, Mishap};
    use crate::target::{Identity, Snapshots, TargetPlace};

    const STATUS: &str = "Package: bash\nStatus: install ok installed\nVersion: 5.2\nArchitecture: amd64\n\n";

    /// An ext4 filesystem with a package database.
    fn root_disk() -> Vec<u8> {
        disk(&[("etc/os-release", "ID=debian\nVERSION_ID=12\n"), ("var/lib/dpkg/status", STATUS)], "root")
    }

    /// An ext4 filesystem with these files.
    fn disk(files: &[(&str, &str)], label: &str) -> Vec<u8> {
        test_image::ext4(files, &["-L", label])
    }

    fn options() -> Options {
        Options {
            limits: Limits::default(),
            concurrency: NonZeroUsize::new(8).unwrap(),
            snapshot_timeout: Duration::from_mins(10),
            now: datetime!(2026-11-21 07:00:00 UTC),
            cancel: CancellationToken::new(),
            progress: Arc::default(),
            keeping: None,
        }
    }

    /// What the verb does with a target in AWS.
    async fn scan(cloud: &Arc<Cloud>, target: &Target, options: &Options) -> Result<Scan, ScanError> {
        let TargetPlace::Ebs(ebs) = target.place() else { panic!("{target}") };
        scan_part(cloud, (target, ebs), options).await
    }

    async fn scan_part(
        cloud: &Arc<Cloud>,
        (target, ebs): (&Target, EbsTarget<'_>),
        options: &Options,
    ) -> Result<Scan, ScanError> {
        let identity = Identity {
            scan: Uuid::from_u128(1),
            scanner: "cli@test".to_owned(),
            target: target.to_string(),
            expires: options.now,
        };
        let snapshots = Snapshots::new(Arc::clone(cloud), identity);
        let region = "eu-central-1";
        let (read, leftover) =
            with_remote(cloud, region, &snapshots, (target, ebs), options, analysis(target, options)).await;
        assert!(leftover.is_none(), "{leftover:?}");
        assert!(cloud.is_clean());
        Scan::new(target, Some(region.to_owned()), read?, options.now)
    }

    /// What it does with one of this machine.
    async fn scan_local(target: &Target, more: &[PathBuf]) -> Result<Scan, ScanError> {
        let options = options();
        let TargetPlace::Here(path) = target.place() else { panic!("{target}") };
        let read = with_local(target, path, more, &options, analysis(target, &options)).await?;
        Scan::new(target, None, read, options.now)
    }

    fn analysis(target: &Target, options: &Options) -> impl Analysis + use<> {
        let (id, limits) = (target.to_string(), options.limits.clone());
        move |source: Source<'_>| Ok(analyse::target(&id, source, Scope::default(), &limits))
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

        let storage = &scan.report.storage;
        let order: Vec<_> = storage.volumes.iter().map(|volume| &*volume.id).collect();
        assert_eq!(order, ["vol-b", "vol-a", "vol-c"]);
        let packages: Vec<_> = scan
            .report
            .packages()
            .map(|installed| (storage.place_of(installed.filesystem), &*installed.package.name))
            .collect();
        assert_eq!(packages, [("vol-b".to_owned(), "bash")]);
        let unknowns: Vec<_> =
            scan.report.unknowns().into_iter().map(|unknown| (unknown.place, unknown.reason)).collect();
        assert_eq!(unknowns.len(), 2, "{unknowns:?}");
        assert_eq!(unknowns[0].0, "vol-a");
        assert!(unknowns[0].1.contains("by which its owner opts out"), "{unknowns:?}");
        let nothing = "neither a partition table nor a filesystem was recognised".to_owned();
        assert_eq!(unknowns[1], ("vol-c".to_owned(), nothing));

        // The time is the snapshot's, and the figures are those of the volumes that were read.
        assert_eq!(scan.time, datetime!(2026-11-21 06:00:00 UTC));
        let cost = &scan.costs["vol-b"];
        assert_eq!((cost.block_size, storage.volumes[0].device.as_deref()), (512 << 10, Some("/dev/sda")));
        assert!(cost.fetched_blocks > 0 && cost.fetched_blocks <= cost.allocated_blocks, "{cost:?}");
        assert_eq!(cost.fetched_bytes, cost.fetched_blocks * (512 << 10));
    }

    #[tokio::test]
    async fn of_an_instance_the_root_volume_alone_can_be_read() {
        let cloud = Cloud::new(&["vol-1", "vol-2"]).content("vol-1", root_disk());
        let target = instance();
        let scan = scan_part(&cloud, (&target, EbsTarget::RootOf("i-1")), &options()).await.unwrap();
        let volumes: Vec<_> = scan.report.storage.volumes.iter().map(|volume| &*volume.id).collect();
        assert_eq!(volumes, ["vol-1"]);
        assert_eq!(cloud.created(), 1);
    }

    #[tokio::test]
    async fn an_empty_volume_is_no_gap() {
        let cloud = Cloud::new(&["vol-1", "vol-2"]).content("vol-1", root_disk());
        let scan = scan(&cloud, &instance(), &options()).await.unwrap();
        assert!(scan.report.unknowns().is_empty());
        assert_eq!(scan.report.storage.volumes[1].state, VolumeState::Empty);
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

    #[tokio::test]
    async fn the_owner_of_a_snapshot_opts_out_too() {
        let cloud = Cloud::new(&["vol-1"]).image(&[("/dev/sda", "vol-1")]).tag("snap-of-vol-1", "false");
        let target = Target::Snapshot("snap-of-vol-1".to_owned());
        let error = scan(&cloud, &target, &options()).await.unwrap_err();
        assert!(chain(&error).contains("snap-of-vol-1 must not be scanned"), "{}", chain(&error));
    }

    #[tokio::test]
    async fn a_disk_of_applications_needs_no_package_database() {
        let module = [("app/node_modules/left/package.json", r#"{"name": "left", "version": "1.0.0"}"#)];
        let cloud = Cloud::new(&["vol-1"]).content("vol-1", disk(&module, "data"));
        let scan = scan(&cloud, &Target::Volume("vol-1".to_owned()), &options()).await.unwrap();
        let names: Vec<_> = scan.report.packages().map(|installed| &*installed.package.name).collect();
        assert_eq!(names, ["left"]);
    }

    #[tokio::test]
    async fn an_image_is_read_by_copies_of_its_snapshots() {
        let cloud = Cloud::new(&["vol-1", "vol-2"])
            .content("vol-1", root_disk())
            .image(&[("/dev/sdb", "vol-2"), ("/dev/sda", "vol-1")]);
        let target = Target::MachineImage("ami-1".to_owned());
        let read = scan(&cloud, &target, &options()).await.unwrap();
        let volumes: Vec<_> = read.report.storage.volumes.iter().map(|volume| &*volume.id).collect();
        assert_eq!(volumes, ["snap-of-vol-1", "snap-of-vol-2"]);
        // Whenever it is scanned, it is what it was when it was made.
        assert_eq!(read.time, datetime!(2026-11-01 00:00:00 UTC));
        assert_eq!(read.report.packages().count(), 1);
        assert_eq!(cloud.created(), 2);

        let cloud = Cloud::new(&["vol-1"]).image(&[("/dev/sda", "vol-1")]).tag("ami-1", "false");
        let error = scan(&cloud, &target, &options()).await.unwrap_err();
        assert!(chain(&error).contains("ami-1 must not be scanned"), "{}", chain(&error));
        assert_eq!(cloud.created(), 0);
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
        let target = Target::Image(image.clone());
        let read = scan_local(&target, &[]).await.unwrap();
        assert_eq!(read.report.packages().count(), 1);

        let error = scan_local(&Target::Directory(folder.path().to_owned()), &[]).await.unwrap_err();
        assert!(error.to_string().starts_with("no package database"), "{error}");

        // Cut short, as by a copy that ran out of space.
        fs::OpenOptions::new().write(true).open(&image).unwrap().set_len(1 << 20).unwrap();
        let error = scan_local(&target, &[]).await.unwrap_err();
        assert!(error.to_string().starts_with("no filesystem was found"), "{error}");
    }

    #[tokio::test]
    async fn disks_of_one_machine_are_read_together() {
        let cloud = Cloud::new(&["vol-1", "vol-2"])
            .content(
                "vol-1",
                disk(
                    &[("etc/os-release", "ID=debian\n"), ("etc/fstab", "LABEL=var /var ext4"), ("var/x", "")],
                    "root",
                ),
            )
            .content("vol-2", disk(&[("lib/dpkg/status", STATUS)], "var"));
        let scan = scan(&cloud, &instance(), &options()).await.unwrap();
        assert_eq!(scan.report.unknowns(), []);
        let [tree] = &scan.report.storage.trees[..] else { panic!("{:?}", scan.report.storage) };
        assert_eq!(tree.findings.packages.len(), 1);
        let installed = scan.report.packages().next().unwrap();
        assert_eq!(scan.report.storage.place_of(installed.filesystem), "vol-2");
        assert_eq!(scan.costs.len(), 2);
    }
}
