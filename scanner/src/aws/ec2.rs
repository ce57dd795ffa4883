//! The few EC2 requests of a scan, as a trait that tests can stand in for.

use std::collections::BTreeMap;

use aws_sdk_ec2::types;
use scanner_policy::{Call, actions};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Aws, AwsError};

/// What a scan needs of EC2.
pub trait Ec2: Send + Sync + 'static {
    /// Looks an instance up.
    fn instance(&self, id: &str) -> impl Future<Output = Result<Instance, AwsError>> + Send;

    /// The volumes attached to an instance.
    fn volumes_of(&self, instance: &str) -> impl Future<Output = Result<Vec<VolumeInfo>, AwsError>> + Send;

    /// Looks a volume up.
    fn volume(&self, id: &str) -> impl Future<Output = Result<VolumeInfo, AwsError>> + Send;

    /// Looks an image up.
    fn image(&self, id: &str) -> impl Future<Output = Result<Image, AwsError>> + Send;

    /// Starts a copy of a snapshot of this region. One attempt and no more, as for [`create_snapshot`](Self::create_snapshot).
    fn copy_snapshot(
        &self,
        snapshot: &str,
        tags: &Tags,
    ) -> impl Future<Output = Result<Snapshot, AwsError>> + Send;

    /// Starts a snapshot of a volume. One attempt and no more: a second one could make a second snapshot.
    fn create_snapshot(
        &self,
        volume: &str,
        tags: &Tags,
    ) -> impl Future<Output = Result<Snapshot, AwsError>> + Send;

    /// Looks snapshots up.
    fn snapshots(&self, ids: &[String]) -> impl Future<Output = Result<Vec<Snapshot>, AwsError>> + Send;

    /// The account's own snapshots that carry all of these tags.
    fn snapshots_tagged(&self, tags: &Tags) -> impl Future<Output = Result<Vec<Snapshot>, AwsError>> + Send;

    /// Deletes a snapshot.
    fn delete_snapshot(&self, id: &str) -> impl Future<Output = Result<(), AwsError>> + Send;
}

/// Tags by key.
pub type Tags = BTreeMap<String, String>;

/// What a scan needs to know of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// Its state in EC2's words, such as `running`.
    pub state: String,
    /// The device name of its root volume, such as `/dev/xvda`.
    pub root_device: Option<String>,
    /// Its tags.
    pub tags: Tags,
}

/// What a scan needs to know of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Image {
    /// Its id.
    pub id: String,
    /// Its state in EC2's words, such as `available`.
    pub state: String,
    /// The device name of its root volume, such as `/dev/xvda`.
    pub root_device: Option<String>,
    /// When it was made.
    pub created: Option<OffsetDateTime>,
    /// The snapshots that volumes are made of when it is started, with the device names of these.
    pub snapshots: Vec<(String, String)>,
    /// Its tags.
    pub tags: Tags,
}

/// What a scan needs to know of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VolumeInfo {
    /// Its id.
    pub id: String,
    /// Its tags.
    pub tags: Tags,
    /// What it is attached to: several instances for a volume with multi-attach.
    pub attachments: Vec<Attachment>,
}

/// One attachment of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attachment {
    /// The instance.
    pub instance: String,
    /// The device name there, such as `/dev/xvda`.
    pub device: String,
}

/// A snapshot's state at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Its id.
    pub id: String,
    /// How far it is.
    pub state: SnapshotState,
    /// The point in time that it shows.
    pub started: Option<OffsetDateTime>,
    /// Its tags.
    pub tags: Tags,
}

/// How far a snapshot is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnapshotState {
    /// Being copied.
    Pending {
        /// How much is copied, in EC2's words, such as `40%`.
        progress: String,
    },
    /// Ready to be read.
    Completed,
    /// It failed, or is in a state in which it cannot be read.
    Unusable {
        /// EC2's word for the state, and its message.
        reason: String,
    },
}

impl Ec2 for Aws {
    async fn instance(&self, id: &str) -> Result<Instance, AwsError> {
        let call = actions::EC2_DESCRIBE_INSTANCES;
        let request = self.ec2.describe_instances().instance_ids(id);
        let answer = self.send(call, || request.clone().send()).await?;
        let instance = answer
            .reservations()
            .iter()
            .flat_map(types::Reservation::instances)
            .find(|instance| instance.instance_id() == Some(id))
            .ok_or_else(|| AwsError::NotFound { call: call.name(), detail: format!("no instance {id}") })?;
        let state = instance.state().and_then(types::InstanceState::name);
        Ok(Instance {
            id: id.to_owned(),
            state: state.map_or("in an unknown state", types::InstanceStateName::as_str).to_owned(),
            root_device: instance.root_device_name().map(str::to_owned),
            tags: tags_of(instance.tags()),
        })
    }

    async fn volumes_of(&self, instance: &str) -> Result<Vec<VolumeInfo>, AwsError> {
        let attached = types::Filter::builder().name("attachment.instance-id").values(instance).build();
        let mut volumes = Vec::new();
        let mut page = None;
        loop {
            let request = self.ec2.describe_volumes().filters(attached.clone()).set_next_token(page);
            let answer = self.send(actions::EC2_DESCRIBE_VOLUMES, || request.clone().send()).await?;
            volumes.extend(answer.volumes().iter().filter_map(volume_info));
            page = next_page(answer.next_token());
            if page.is_none() {
                return Ok(volumes);
            }
        }
    }

    async fn volume(&self, id: &str) -> Result<VolumeInfo, AwsError> {
        let call = actions::EC2_DESCRIBE_VOLUMES;
        let request = self.ec2.describe_volumes().volume_ids(id);
        let answer = self.send(call, || request.clone().send()).await?;
        answer
            .volumes()
            .iter()
            .filter_map(volume_info)
            .find(|volume| volume.id == id)
            .ok_or_else(|| AwsError::NotFound { call: call.name(), detail: format!("no volume {id}") })
    }

    async fn image(&self, id: &str) -> Result<Image, AwsError> {
        let call = actions::EC2_DESCRIBE_IMAGES;
        let request = self.ec2.describe_images().image_ids(id);
        let answer = self.send(call, || request.clone().send()).await?;
        let image = answer
            .images()
            .iter()
            .find(|image| image.image_id() == Some(id))
            .ok_or_else(|| AwsError::NotFound { call: call.name(), detail: format!("no image {id}") })?;
        let snapshots = image.block_device_mappings().iter().filter_map(|mapping| {
            Some((mapping.device_name()?.to_owned(), mapping.ebs()?.snapshot_id()?.to_owned()))
        });
        Ok(Image {
            id: id.to_owned(),
            state: image.state().map_or("in an unknown state", types::ImageState::as_str).to_owned(),
            root_device: image.root_device_name().map(str::to_owned),
            created: image.creation_date().and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok()),
            snapshots: snapshots.collect(),
            tags: tags_of(image.tags()),
        })
    }

    async fn copy_snapshot(&self, snapshot: &str, tags: &Tags) -> Result<Snapshot, AwsError> {
        let call = actions::EC2_COPY_SNAPSHOT;
        let request = self
            .ec2
            .copy_snapshot()
            .source_region(&self.region)
            .source_snapshot_id(snapshot)
            .description(DESCRIPTION)
            .tag_specifications(on_snapshot(tags));
        // As below.
        let answer = Box::pin(self.send_once(call, request.send())).await?;
        let id = answer.snapshot_id().ok_or_else(|| names_no_snapshot(call))?;
        let state = SnapshotState::Pending { progress: String::new() };
        Ok(Snapshot { id: id.to_owned(), state, started: None, tags: tags.clone() })
    }

    async fn create_snapshot(&self, volume: &str, tags: &Tags) -> Result<Snapshot, AwsError> {
        let call = actions::EC2_CREATE_SNAPSHOT;
        let request = self
            .ec2
            .create_snapshot()
            .volume_id(volume)
            .description(DESCRIPTION)
            .tag_specifications(on_snapshot(tags));
        // The request has no idempotency token, so it must not be repeated when only the answer was lost.
        let answer = Box::pin(self.send_once(call, request.send())).await?;
        let id = answer.snapshot_id().ok_or_else(|| names_no_snapshot(call))?;
        Ok(Snapshot {
            id: id.to_owned(),
            state: state_of(answer.state(), answer.progress(), answer.state_message()),
            started: answer.start_time().and_then(time_of),
            tags: tags.clone(),
        })
    }

    async fn snapshots(&self, ids: &[String]) -> Result<Vec<Snapshot>, AwsError> {
        let request = self.ec2.describe_snapshots().set_snapshot_ids(Some(ids.to_vec()));
        let answer = self.send(actions::EC2_DESCRIBE_SNAPSHOTS, || request.clone().send()).await?;
        Ok(answer.snapshots().iter().filter_map(snapshot).collect())
    }

    async fn snapshots_tagged(&self, tags: &Tags) -> Result<Vec<Snapshot>, AwsError> {
        let filters: Vec<_> = tags
            .iter()
            .map(|(key, value)| types::Filter::builder().name(format!("tag:{key}")).values(value).build())
            .collect();
        let mut snapshots = Vec::new();
        let mut page = None;
        loop {
            let request = self
                .ec2
                .describe_snapshots()
                .owner_ids("self")
                .set_filters(Some(filters.clone()))
                .set_next_token(page);
            let answer = self.send(actions::EC2_DESCRIBE_SNAPSHOTS, || request.clone().send()).await?;
            snapshots.extend(answer.snapshots().iter().filter_map(snapshot));
            page = next_page(answer.next_token());
            if page.is_none() {
                return Ok(snapshots);
            }
        }
    }

    async fn delete_snapshot(&self, id: &str) -> Result<(), AwsError> {
        let request = self.ec2.delete_snapshot().snapshot_id(id);
        self.send(actions::EC2_DELETE_SNAPSHOT, || request.clone().send()).await.map(drop)
    }
}

/// What people see beside a snapshot that a scan made.
const DESCRIPTION: &str = "Made by agentless-scanner, which deletes it when the scan has ended.";

fn on_snapshot(tags: &Tags) -> types::TagSpecification {
    let pairs = tags.iter().map(|(key, value)| types::Tag::builder().key(key).value(value).build());
    types::TagSpecification::builder()
        .resource_type(types::ResourceType::Snapshot)
        .set_tags(Some(pairs.collect()))
        .build()
}

fn names_no_snapshot(call: Call) -> AwsError {
    AwsError::Response { call: call.name(), problem: "it names no snapshot".to_owned() }
}

/// Some services end their pages with an empty token instead of none.
pub(super) fn next_page(token: Option<&str>) -> Option<String> {
    token.filter(|token| !token.is_empty()).map(str::to_owned)
}

pub(super) fn volume_info(volume: &types::Volume) -> Option<VolumeInfo> {
    let attachments = volume.attachments().iter().filter_map(|attachment| {
        Some(Attachment {
            instance: attachment.instance_id()?.to_owned(),
            device: attachment.device()?.to_owned(),
        })
    });
    Some(VolumeInfo {
        id: volume.volume_id()?.to_owned(),
        tags: tags_of(volume.tags()),
        attachments: attachments.collect(),
    })
}

fn snapshot(snapshot: &types::Snapshot) -> Option<Snapshot> {
    Some(Snapshot {
        id: snapshot.snapshot_id()?.to_owned(),
        state: state_of(snapshot.state(), snapshot.progress(), snapshot.state_message()),
        started: snapshot.start_time().and_then(time_of),
        tags: tags_of(snapshot.tags()),
    })
}

fn state_of(
    state: Option<&types::SnapshotState>,
    progress: Option<&str>,
    message: Option<&str>,
) -> SnapshotState {
    match state {
        Some(types::SnapshotState::Completed) => SnapshotState::Completed,
        Some(types::SnapshotState::Pending) | None => {
            SnapshotState::Pending { progress: progress.unwrap_or_default().to_owned() }
        }
        Some(other) => {
            let reason = match message.filter(|message| !message.is_empty()) {
                Some(message) => format!("{}: {message}", other.as_str()),
                None => other.as_str().to_owned(),
            };
            SnapshotState::Unusable { reason }
        }
    }
}

pub(super) fn tags_of(tags: &[types::Tag]) -> Tags {
    tags.iter()
        .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned())))
        .collect()
}

pub(super) fn time_of(time: &aws_smithy_types::DateTime) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(time.secs()).ok()
}
