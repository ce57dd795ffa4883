//! Everything the scanner asks of AWS.
//!
//! A request leaves this module only through `Aws::send`, which takes a [`Call`] of the policy crate: what is not in
//! the table from which the role's policy is made cannot be sent, and a request under another request's name is refused
//! before it is signed. Every HTTP attempt is counted, every call waits for its rate class.

mod config;
mod download;
mod ebs;
mod ec2;
mod ecr;
mod error;
mod files;
mod gate;
mod identity;
pub mod inventory;
mod lambda;
mod rate;

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::sync::Arc;

use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use scanner_policy::Call;
use tokio::time::Instant;

pub use config::{ConnectError, Connection};
pub use download::{Download, DownloadError, Part};
pub use ebs::{BlockData, BlockPage, EbsDirect};
pub use ec2::{Attachment, Ec2, Image, Instance, Snapshot, SnapshotState, Tags, VolumeInfo};
pub use ecr::{Reference, Registry, Repository};
pub use error::AwsError;
pub use files::AwsFiles;
pub use identity::account;
pub use lambda::{Code, Function, Lambda, Package};

use download::Downloader;
use gate::{CALL, Gate};
use rate::RateLimiter;

/// A connection to one region of one account.
#[derive(Clone, Debug)]
pub struct Aws {
    ec2: aws_sdk_ec2::Client,
    ebs: aws_sdk_ebs::Client,
    ecr: aws_sdk_ecr::Client,
    lambda: aws_sdk_lambda::Client,
    downloader: Downloader,
    gate: Arc<Gate>,
    rates: Arc<RateLimiter>,
    region: String,
}

impl Aws {
    /// The region that requests go to.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// How many HTTP requests were sent, retries included, by the name of their action.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.gate.counts()
    }

    /// Sends one request when its rate class allows, and turns a failure into what the user can do about it.
    ///
    /// `request` is the SDK's future; it does nothing before this function polls it.
    async fn send<T, E, F>(&self, call: Call, request: F) -> Result<T, AwsError>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        self.send_raw(call, request).await.map_err(|error| AwsError::from_sdk(call, error))
    }

    /// As [`send`](Self::send), for callers that look into the service's own error.
    async fn send_raw<T, E, F>(&self, call: Call, request: F) -> Result<T, SdkError<E, HttpResponse>>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata,
    {
        self.rates.wait(call.rate_class()).await;
        let start = Instant::now();
        let result = CALL.scope(call, request).await;
        let milliseconds = start.elapsed().as_millis();
        match &result {
            Ok(_) => tracing::debug!(call = call.name(), milliseconds, "answered"),
            Err(error) => tracing::debug!(call = call.name(), milliseconds, code = error.code(), "failed"),
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Mutex, PoisonError};

    use aws_config::{BehaviorVersion, Region};
    use aws_credential_types::Credentials;
    use aws_smithy_runtime_api::client::http::{
        HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
    };
    use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
    use aws_smithy_types::body::SdkBody;
    use scanner_policy::actions;

    use super::*;

    /// Answers requests in order, without a network.
    #[derive(Clone, Debug, Default)]
    struct Script(Arc<Mutex<VecDeque<(u16, String)>>>);

    impl HttpConnector for Script {
        fn call(&self, _request: HttpRequest) -> HttpConnectorFuture {
            let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let (status, body) = answers.pop_front().unwrap_or((500, String::new()));
            HttpConnectorFuture::ready(Ok(HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body))))
        }
    }

    pub(super) async fn aws(answers: impl IntoIterator<Item = (u16, String)>) -> Aws {
        let script = Script(Arc::new(Mutex::new(answers.into_iter().collect())));
        let config = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
            .http_client(http_client_fn(move |_, _| SharedHttpConnector::new(script.clone())))
            .load()
            .await;
        Aws::from_config(&config).await.unwrap()
    }

    fn ec2_error(status: u16, code: &str) -> (u16, String) {
        let error = format!("<Error><Code>{code}</Code><Message>{code} it is</Message></Error>");
        (status, format!("<Response><Errors>{error}</Errors><RequestID>r</RequestID></Response>"))
    }

    fn deleted() -> (u16, String) {
        let answer =
            "<DeleteSnapshotResponse><requestId>r</requestId><return>true</return></DeleteSnapshotResponse>";
        (200, answer.to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn every_attempt_is_counted() {
        let aws =
            aws([ec2_error(503, "RequestLimitExceeded"), ec2_error(500, "InternalError"), deleted()]).await;
        aws.delete_snapshot("snap-1").await.unwrap();
        assert_eq!(aws.calls(), BTreeMap::from([("ec2:DeleteSnapshot".to_owned(), 3)]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_snapshot_is_asked_for_once() {
        let aws = aws([ec2_error(500, "InternalError"), ec2_error(500, "InternalError")]).await;
        let error = aws.create_snapshot("vol-1", &Tags::new()).await.unwrap_err();
        assert!(error.is_ambiguous(), "{error}");
        assert_eq!(aws.calls(), BTreeMap::from([("ec2:CreateSnapshot".to_owned(), 1)]));
    }

    #[tokio::test]
    async fn errors_of_both_services_are_understood() {
        let aws = aws([
            ec2_error(403, "UnauthorizedOperation"),
            (403, r#"{"__type":"AccessDeniedException","message":"no"}"#.to_owned()),
            (
                400,
                r#"{"__type":"ValidationException","Message":"old","Reason":"INVALID_BLOCK_TOKEN"}"#
                    .to_owned(),
            ),
        ])
        .await;
        let error = aws.instance("i-1").await.unwrap_err();
        assert!(matches!(error, AwsError::Denied { call: "ec2:DescribeInstances", .. }), "{error}");
        let error = aws.list_blocks("snap-1", None).await.unwrap_err();
        assert!(matches!(error, AwsError::Denied { call: "ebs:ListSnapshotBlocks", .. }), "{error}");
        let error = aws.get_block("snap-1", 0, "token", 512).await.unwrap_err();
        assert!(matches!(error, AwsError::Token { .. }), "{error}");
    }

    #[tokio::test]
    async fn what_is_not_in_the_policy_is_not_sent() {
        let aws = aws([]).await;
        let unlisted = aws.ec2.describe_regions().send().await.unwrap_err();
        assert!(error::innermost(&unlisted).contains("ec2:DescribeRegions"), "{unlisted:?}");
        let borrowed = aws.send(actions::EC2_DESCRIBE_VOLUMES, aws.ec2.describe_regions().send()).await;
        let borrowed = crate::chain(&borrowed.unwrap_err());
        assert!(borrowed.contains("under the name of ec2:DescribeVolumes"), "{borrowed}");
        assert!(aws.calls().is_empty());
    }

    #[tokio::test]
    async fn a_block_longer_than_a_block_is_refused() {
        let aws = aws([(200, "x".repeat(1000))]).await;
        let error = aws.get_block("snap-1", 0, "token", 512).await.unwrap_err();
        assert!(error.to_string().contains("longer than a block"), "{error}");
    }
}
