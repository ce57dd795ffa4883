//! Package lists as objects of an S3 bucket.

use agentless_service::report::Report;
use agentless_service::sink::document::documents;
use agentless_service::sink::{Payload, SendError, Sink};
use futures_util::future::BoxFuture;
use time::OffsetDateTime;

use crate::aws::{AwsError, Bucket};

/// Puts `<prefix><account>/<region>/<kind>/<target>/<list>.cdx.json` into a bucket, and for a failed scan
/// `<target>.failed.json`. That of an earlier scan stays when a later one succeeds: the scanner cannot delete there.
#[derive(Clone, Debug)]
pub(super) struct S3 {
    bucket: Bucket,
}

impl S3 {
    /// Objects of this bucket, under its prefix.
    pub(super) fn new(bucket: Bucket) -> Self {
        Self { bucket }
    }
}

impl Sink for S3 {
    fn name(&self) -> &'static str {
        "s3"
    }

    fn render(&self, report: &Report, _now: OffsetDateTime) -> Vec<Payload> {
        let payloads = documents(report).into_iter().map(|document| Payload {
            key: document.path,
            content_type: document.content_type.to_owned(),
            headers: document.labels.into_iter().map(|(label, value)| (label.to_owned(), value)).collect(),
            note: String::new(),
            body: document.body,
        });
        payloads.collect()
    }

    fn send<'a>(&'a self, payload: &'a Payload) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(async move {
            let Payload { key, content_type, headers, body, .. } = payload;
            let put = Box::pin(self.bucket.put(key, content_type, headers, body.clone())).await;
            put.map_err(|error| sorted(&error))
        })
    }
}

/// What is to be done about an error.
fn sorted(error: &AwsError) -> SendError {
    let reason = crate::chain(error);
    match error {
        error if error.is_passing() => SendError::passing(reason),
        AwsError::Refused { .. } => SendError::refused(reason),
        // The bucket, the key or the role: other objects would fare no better.
        _ => SendError::misconfigured(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_sorted_by_what_is_to_be_done() {
        let (call, detail) = ("s3:PutObject", String::new);
        for (error, is_about_payload) in [
            (AwsError::Denied { call, detail: detail() }, Some(false)),
            (AwsError::NotFound { call, detail: detail() }, Some(false)),
            (AwsError::Refused { call, detail: detail() }, Some(true)),
            (AwsError::Throttled { call, detail: detail() }, None),
            (AwsError::Failed { call, detail: detail() }, None),
        ] {
            let found = match sorted(&error) {
                SendError::Permanent { is_about_payload, .. } => Some(is_about_payload),
                SendError::Passing { .. } => None,
            };
            assert_eq!(found, is_about_payload, "{error}");
        }
    }
}
