//! What a report is about, as the intake names it.

use super::proto::{Duration, SbomEntity, SourceType, Timestamp};
use crate::report::{Report, Subject};
use crate::target::{Kind, Target};

/// One entity, without its list.
#[derive(Clone, Debug)]
pub(super) struct Entity(pub(super) SbomEntity);

impl Entity {
    /// The target itself, or a container on it.
    pub(super) fn of(report: &Report, subject: &Subject, host: &str) -> Self {
        let mut entity = Self::of_target(report, host);
        if let Subject::Container { image } = subject {
            let (tag, digest) = parts(image);
            entity.0.kind = SourceType::ContainerImageLayers.into();
            entity.0.id.clone_from(image);
            entity.0.in_use = true;
            entity.0.repo_tags = tag.into_iter().collect();
            entity.0.repo_digests = digest.into_iter().collect();
        }
        entity
    }

    pub(super) fn of_target(report: &Report, host: &str) -> Self {
        let target = &report.target;
        let generated = report.started + report.duration;
        let nanos = i32::try_from(generated.nanosecond()).unwrap_or_default();
        Self(SbomEntity {
            kind: kind(target.kind).into(),
            id: id(target),
            generated_at: Some(Timestamp { seconds: generated.unix_timestamp(), nanos }),
            in_use: !matches!(target.kind, Kind::Image | Kind::Snapshot),
            generation_duration: Some(Duration {
                seconds: i64::try_from(report.duration.as_secs()).unwrap_or(i64::MAX),
                nanos: i32::try_from(report.duration.subsec_nanos()).unwrap_or_default(),
            }),
            dd_tags: tags(target, host),
            ..SbomEntity::default()
        })
    }

    /// What tells it from all others.
    pub(super) fn key(&self) -> String {
        format!("{:?}/{}", self.0.kind(), self.0.id)
    }
}

/// A volume or a snapshot, which only a task asks for, is a host's file system.
const fn kind(kind: Kind) -> SourceType {
    match kind {
        Kind::Instance | Kind::Volume | Kind::Snapshot => SourceType::HostFileSystem,
        Kind::Image => SourceType::HostImage,
        Kind::Function => SourceType::ServerlessFunction,
    }
}

/// The unpublished version of a function goes by the function's own ARN.
fn id(target: &Target) -> String {
    target.id.strip_suffix(":$LATEST").unwrap_or(&target.id).to_owned()
}

fn tags(target: &Target, host: &str) -> Vec<String> {
    let own = target.tags.iter().map(|(key, value)| match value.as_str() {
        "" => key.clone(),
        value => format!("{key}:{value}"),
    });
    let mut tags = vec![
        format!("account_id:{}", target.place.account),
        format!("agentless_scanner_host:{host}"),
        format!("region:{}", target.place.region),
    ];
    tags.extend(own);
    tags
}

/// The tag of an image's reference, and repository with digest.
fn parts(reference: &str) -> (Option<String>, Option<String>) {
    let (name, digest) = match reference.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (reference, None),
    };
    // A colon before the last slash is that of a registry's port.
    let start = name.rfind('/').map_or(0, |slash| slash.saturating_add(1));
    let tag = name.get(start..).and_then(|last| last.split_once(':')).map(|(_, tag)| tag);
    let cut = tag.map_or(0, |tag| tag.len().saturating_add(1));
    let repository = name.get(..name.len().saturating_sub(cut)).unwrap_or(name);
    (tag.map(str::to_owned), digest.map(|digest| format!("{repository}@{digest}")))
}

#[cfg(test)]
mod tests {
    #[test]
    fn references_have_tags_and_digests() {
        let parts = |text| {
            let (tag, digest) = super::parts(text);
            (tag.unwrap_or_default(), digest.unwrap_or_default())
        };
        let is = |tag: &str, digest: &str| (tag.to_owned(), digest.to_owned());
        assert_eq!(parts("nginx"), is("", ""));
        assert_eq!(parts("host:5000/nginx"), is("", ""));
        assert_eq!(parts("host:5000/nginx:1.25@sha256:ab"), is("1.25", "host:5000/nginx@sha256:ab"));
        assert_eq!(parts("nginx@sha256:ab"), is("", "nginx@sha256:ab"));
        assert_eq!(parts(""), is("", ""));
    }
}
