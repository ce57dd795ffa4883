//! Instances, volumes, images and snapshots of EC2 as snapshots that can be read.

use std::time::Duration;

use futures_util::future::join_all;
use scanner_policy::tags;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::snapshots::{Origin, SnapshotFailure, Snapshots};
use crate::aws::{AwsError, Ec2, Image, Instance, Snapshot, SnapshotState, Tags, VolumeInfo};

/// What of EC2 to scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EbsTarget<'a> {
    /// All volumes of an instance.
    Instance(&'a str),
    /// The root volume of an instance.
    RootOf(&'a str),
    /// One volume.
    Volume(&'a str),
    /// A snapshot that exists. It is not the scan's own, and is not deleted.
    Snapshot(&'a str),
    /// An Amazon Machine Image: copies of its snapshots.
    Image(&'a str),
}

/// A volume with a snapshot of it, or with the reason why there is none.
#[derive(Debug)]
pub struct Prepared {
    /// What to call it: the volume, or the snapshot that the user named.
    pub id: String,
    /// The device name on the instance, such as `/dev/xvda`.
    pub device: Option<String>,
    /// The snapshot, ready to be read.
    pub snapshot: Result<Ready, SnapshotFailure>,
}

/// A snapshot that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Its id.
    pub id: String,
    /// The point in time that it shows.
    pub started: Option<OffsetDateTime>,
}

/// Why a target gives nothing to read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EbsError {
    /// What the target consists of could not be found out.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// None of its volumes has a snapshot.
    #[error(transparent)]
    Snapshot(#[from] SnapshotFailure),
    /// There are no volumes.
    #[error("{id} is {state} and has no EBS volumes, and only EBS volumes can be scanned")]
    NoVolumes {
        /// The instance or image.
        id: String,
        /// Its state, in EC2's words.
        state: String,
    },
    /// Only the root volume was asked for, and it is none of EBS.
    #[error("the root volume of {id} is no EBS volume, and only EBS volumes can be scanned")]
    NoRoot {
        /// The instance.
        id: String,
    },
}

/// How long to wait for snapshots, and who may end the waiting.
#[derive(Clone, Copy)]
pub struct Patience<'a> {
    /// The time for all of them.
    pub timeout: Duration,
    /// Ends the scan.
    pub cancel: &'a CancellationToken,
    /// Is told what is being waited for.
    pub look: Look<'a>,
}

/// Takes the current step.
pub type Look<'a> = &'a (dyn Fn(&str) + Sync);

impl std::fmt::Debug for Patience<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Patience").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// Finds the volumes of a target, and makes a snapshot of each that can be read when this returns.
///
/// A volume that is opted out, or whose snapshot fails, is returned with the reason; if that is so for all of them it is
/// an error. The caller deletes what `snapshots` made, also after an error.
pub async fn prepare<C: Ec2>(
    ec2: &C,
    snapshots: &Snapshots<C>,
    target: EbsTarget<'_>,
    patience: Patience<'_>,
) -> Result<Vec<Prepared>, EbsError> {
    let started: Vec<(String, Option<String>, Result<Snapshot, SnapshotFailure>)> = match target {
        EbsTarget::Snapshot(id) => {
            (patience.look)("looking the snapshot up");
            let found = ec2.snapshots(&[id.to_owned()]).await?.into_iter().find(|found| found.id == id);
            let found = found.ok_or_else(|| AwsError::NotFound {
                call: scanner_policy::actions::EC2_DESCRIBE_SNAPSHOTS.name(),
                detail: format!("no snapshot {id}"),
            })?;
            if is_opted_out(&found.tags) {
                return Err(SnapshotFailure::OptedOut { id: id.to_owned() }.into());
            }
            if found.state == SnapshotState::Completed {
                let snapshot = Ok(Ready { id: found.id, started: found.started });
                return Ok(vec![Prepared { id: id.to_owned(), device: None, snapshot }]);
            }
            vec![(id.to_owned(), None, Ok(found))]
        }
        EbsTarget::Volume(id) => {
            (patience.look)("looking the volume up");
            let volume = ec2.volume(id).await?;
            let device = volume.attachments.first().map(|attachment| attachment.device.clone());
            start(snapshots, vec![(volume, device)], patience).await
        }
        EbsTarget::Instance(id) | EbsTarget::RootOf(id) => {
            (patience.look)("looking the instance up");
            let instance = ec2.instance(id).await?;
            if is_opted_out(&instance.tags) {
                return Err(SnapshotFailure::OptedOut { id: id.to_owned() }.into());
            }
            let mut volumes = in_order(&instance, ec2.volumes_of(id).await?);
            if volumes.is_empty() {
                return Err(EbsError::NoVolumes { id: id.to_owned(), state: instance.state });
            }
            if matches!(target, EbsTarget::RootOf(_)) {
                volumes.retain(|(_, device)| device.is_some() && *device == instance.root_device);
                if volumes.is_empty() {
                    return Err(EbsError::NoRoot { id: id.to_owned() });
                }
            }
            start(snapshots, volumes, patience).await
        }
        EbsTarget::Image(id) => {
            (patience.look)("looking the image up");
            let image = ec2.image(id).await?;
            if is_opted_out(&image.tags) {
                return Err(SnapshotFailure::OptedOut { id: id.to_owned() }.into());
            }
            if image.snapshots.is_empty() {
                return Err(EbsError::NoVolumes { id: id.to_owned(), state: image.state });
            }
            copy(snapshots, image, patience).await
        }
    };
    finish(snapshots, started, patience).await
}

/// Starts all snapshots at once, so that they show nearly the same moment.
async fn start<C: Ec2>(
    snapshots: &Snapshots<C>,
    volumes: Vec<(VolumeInfo, Option<String>)>,
    patience: Patience<'_>,
) -> Vec<(String, Option<String>, Result<Snapshot, SnapshotFailure>)> {
    (patience.look)("starting snapshots");
    join_all(volumes.into_iter().map(async |(volume, device)| {
        let snapshot = if is_opted_out(&volume.tags) {
            Err(SnapshotFailure::OptedOut { id: volume.id.clone() })
        } else {
            snapshots.create(Origin::Volume(&volume.id), patience.cancel).await
        };
        (volume.id, device, snapshot)
    }))
    .await
}

/// Starts the copies of an image's snapshots, the root volume's first. IAM refuses those whose owner opted out. They show
/// what the image was when it was made, whenever they are.
async fn copy<C: Ec2>(
    snapshots: &Snapshots<C>,
    image: Image,
    patience: Patience<'_>,
) -> Vec<(String, Option<String>, Result<Snapshot, SnapshotFailure>)> {
    (patience.look)("starting copies of snapshots");
    let Image { root_device, created, snapshots: mut of_image, .. } = image;
    of_image.sort_by_key(|(device, _)| (Some(device) != root_device.as_ref(), device.clone()));
    join_all(of_image.into_iter().map(async |(device, snapshot)| {
        let copy = snapshots.create(Origin::Snapshot(&snapshot), patience.cancel).await;
        (snapshot, Some(device), copy.map(|copy| Snapshot { started: created, ..copy }))
    }))
    .await
}

/// Waits for those that were started.
async fn finish<C: Ec2>(
    snapshots: &Snapshots<C>,
    started: Vec<(String, Option<String>, Result<Snapshot, SnapshotFailure>)>,
    patience: Patience<'_>,
) -> Result<Vec<Prepared>, EbsError> {
    if patience.cancel.is_cancelled() {
        return Err(SnapshotFailure::Cancelled.into());
    }
    let ids: Vec<_> =
        started.iter().filter_map(|(_, _, snapshot)| Some(snapshot.as_ref().ok()?.id.clone())).collect();
    let mut failures = snapshots.wait(&ids, patience).await?;
    let mut prepared: Vec<_> = started
        .into_iter()
        .map(|(id, device, snapshot)| {
            let snapshot = snapshot.and_then(|Snapshot { id, started, .. }| match failures.remove(&id) {
                Some(failure) => Err(failure),
                None => Ok(Ready { id, started }),
            });
            Prepared { id, device, snapshot }
        })
        .collect();
    if prepared.iter().all(|volume| volume.snapshot.is_err())
        && let Some(Prepared { snapshot: Err(failure), .. }) = prepared.drain(..).next()
    {
        return Err(failure.into());
    }
    Ok(prepared)
}

/// Whether the owner of something wants it left alone.
pub(crate) fn is_opted_out(of: &Tags) -> bool {
    of.get(tags::SCANNER).is_some_and(|value| value == tags::FALSE)
}

/// The volumes of an instance with their device names there, the root volume first.
fn in_order(instance: &Instance, volumes: Vec<VolumeInfo>) -> Vec<(VolumeInfo, Option<String>)> {
    let mut volumes: Vec<_> = volumes
        .into_iter()
        .map(|volume| {
            let here = volume.attachments.iter().find(|attachment| attachment.instance == instance.id);
            let device = here.map(|attachment| attachment.device.clone());
            (volume, device)
        })
        .collect();
    volumes.sort_by_key(|(volume, device)| {
        let is_root = device.is_some() && *device == instance.root_device;
        (!is_root, device.clone(), volume.id.clone())
    });
    volumes
}
