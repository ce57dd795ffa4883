//! Package lists as objects of an S3 bucket.

use agentless_service::report::Report;
use agentless_service::sink::document::documents;
use agentless_service::sink::{Payload, SendError, Sink};
use futures_util::future::BoxFuture;
use time::OffsetDateTime;

use crate::aws::{ReportBucket, ReportError, ReportObject};

/// Puts `<prefix><account>/<region>/<kind>/<target>/<list>.cdx.json` into a bucket, and for a failed scan
/// `<target>.failed.json`. That of an earlier scan stays when a later one succeeds: the scanner cannot delete there.
#[derive(Clone, Debug)]
pub struct S3 {
    bucket: ReportBucket,
    prefix: String,
}

impl S3 {
    /// Objects under this prefix, which ends in a slash or is empty.
    pub fn new(bucket: ReportBucket, prefix: String) -> Self {
        Self { bucket, prefix }
    }
}

impl Sink for S3 {
    fn name(&self) -> &'static str {
        "s3"
    }

    fn render(&self, report: &Report, _now: OffsetDateTime) -> Vec<Payload> {
        let payloads = documents(report).into_iter().map(|document| Payload {
            key: format!("{}{}", self.prefix, document.path),
            content_type: document.content_type.to_owned(),
            headers: document.labels.into_iter().map(|(label, value)| (label.to_owned(), value)).collect(),
            note: String::new(),
            body: document.body,
        });
        payloads.collect()
    }

    fn send<'a>(&'a self, payload: &'a Payload) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(async move {
            let object = ReportObject {
                key: &payload.key,
                content_type: &payload.content_type,
                metadata: &payload.headers,
                body: payload.body.clone(),
            };
            self.bucket.put(object).await.map_err(|error| match error {
                ReportError::Object(reason) => SendError::refused(reason),
                ReportError::Bucket(reason) => SendError::misconfigured(reason),
                ReportError::Passing(reason) => SendError::passing(reason),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use agentless_service::report::Outcome;
    use agentless_service::target::{Kind, Place, Target};
    use aws_config::{BehaviorVersion, SdkConfig};

    use super::*;

    #[test]
    fn objects_are_by_account_region_kind_and_target() {
        let config = SdkConfig::builder().behavior_version(BehaviorVersion::v2026_01_12()).build();
        let sink = S3::new(ReportBucket::new(&config, "reports".to_owned(), None, None), "sbom/".to_owned());
        let report = Report {
            target: Target {
                arn: "arn:aws:ec2:eu-central-1:111111111111:instance/i-1".to_owned(),
                place: Place { account: "111111111111".to_owned(), region: "eu-central-1".to_owned() },
                kind: Kind::Instance,
                id: "i-1".to_owned(),
                tags: BTreeMap::new(),
            },
            scan: uuid::Uuid::nil(),
            scanner: "scanner".to_owned(),
            started: OffsetDateTime::UNIX_EPOCH,
            duration: Duration::from_secs(1),
            outcome: Outcome::Failed("denied".to_owned()),
        };
        let payload = sink.render(&report, OffsetDateTime::UNIX_EPOCH).remove(0);
        assert_eq!(payload.key, "sbom/111111111111/eu-central-1/instance/i-1/i-1.failed.json");
        assert_eq!(payload.content_type, "application/json");
        assert!(payload.headers.contains(&("target".to_owned(), report.target.arn)));
    }
}
