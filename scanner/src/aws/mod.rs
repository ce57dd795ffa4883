//! Everything the scanner asks of AWS.
//!
//! A request leaves this module only through its sender, which takes a [`Call`] of the policy crate: what is not in
//! the table from which the role's policy is made cannot be sent, and a request under another request's name is refused
//! before it is signed. Every attempt is counted, and waits for its rate class.
//!
//! An [`Aws`] is one region of one account, in which things are scanned. [`Home`] is the scanner's own, where it has its
//! secrets, its life cycle and its reports; [`Accounts`] finds the way from there to the others.

mod accounts;
mod changes;
mod config;
mod download;
mod ebs;
mod ec2;
mod ecr;
mod error;
mod files;
mod gate;
mod home;
mod http;
pub mod inventory;
mod lambda;
mod lifecycle;
mod metadata;
mod pipeline;
mod rate;
mod reports;
mod role;
mod secrets;
mod sender;
#[cfg(test)]
mod testing;

use std::collections::BTreeMap;
use std::error::Error as StdError;

use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use scanner_policy::Call;

pub use accounts::{AccountSettings, Accounts, AccountsError, Delegate};
pub use changes::{ChangedPage, Changes};
pub use config::{ConnectError, Connection};
pub use download::{Download, DownloadError, Part};
pub use ebs::{BlockData, BlockPage, EbsDirect};
pub use ec2::{Attachment, Ec2, Image, Instance, Snapshot, SnapshotState, Tags, VolumeInfo};
pub use ecr::{Reference, Registry, Repository};
pub use error::{AwsError, RoleError};
pub use files::AwsFiles;
pub use home::Home;
pub use http::{AuthoritiesError, Http};
pub use lambda::{Code, Function, Lambda, Package};
pub use lifecycle::{Hook, Lifecycle, Outcome, ScalingGroup};
pub use metadata::{Identity, Metadata, MetadataError, TargetState};
pub use pipeline::{
    BY_PARAMETER, Group, GroupInstance, IMAGE_DATA_TYPE, ImageAws, ImageCloud, ImageSnapshot, MachineImage,
    Parameter, Refresh, Started, TemplateRef, TemplateVersion,
};
pub use rate::{Pace, Rates};
pub use reports::Bucket;
pub use secrets::Secrets;

use download::Downloader;
use sender::Sender;

/// A connection to one region of one account.
#[derive(Clone, Debug)]
pub struct Aws {
    ec2: aws_sdk_ec2::Client,
    ebs: aws_sdk_ebs::Client,
    ecr: aws_sdk_ecr::Client,
    lambda: aws_sdk_lambda::Client,
    downloader: Downloader,
    sender: Sender,
    region: String,
}

impl Aws {
    /// The region that requests go to.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// How many HTTP requests were sent, retries included, by the name of their action.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.sender.calls()
    }

    /// How fast requests are sent at the moment, and how often AWS found that too fast.
    pub fn paces(&self) -> Vec<Pace> {
        self.sender.paces()
    }

    /// Sends a request when its rate class allows, again if it fails for a passing reason, and turns a failure into what
    /// the user can do about it.
    async fn send<T, E, F>(&self, call: Call, request: impl FnMut() -> F) -> Result<T, AwsError>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        self.sender.send(call, request).await
    }

    /// As [`send`](Self::send), for callers that look into the service's own error.
    async fn send_raw<T, E, F>(
        &self,
        call: Call,
        request: impl FnMut() -> F,
    ) -> Result<T, SdkError<E, HttpResponse>>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        self.sender.send_raw(call, request).await
    }

    /// As [`send`](Self::send), for a request that must not be carried out twice: one attempt and no more.
    async fn send_once<T, E, F>(&self, call: Call, request: F) -> Result<T, AwsError>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        self.sender.send_once(call, request).await
    }
}

#[cfg(test)]
mod tests {
    use scanner_policy::actions;

    use super::testing::aws;
    use super::*;

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

    #[tokio::test(start_paused = true)]
    async fn what_was_throttled_is_sent_more_slowly() {
        let aws =
            aws([ec2_error(503, "RequestLimitExceeded"), ec2_error(503, "RequestLimitExceeded"), deleted()])
                .await;
        aws.delete_snapshot("snap-1").await.unwrap();
        let pace = |class| aws.paces().into_iter().find(|pace| pace.class == class).unwrap();
        assert_eq!(pace("mutating").throttled, 2);
        assert!(pace("mutating").current < 4.0, "{:?}", pace("mutating"));
        assert_eq!((pace("read").throttled, pace("read").configured), (0, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn what_keeps_failing_is_given_up_and_what_is_refused_is_not_repeated() {
        let answers = (0..9).map(|_| ec2_error(500, "InternalError"));
        let failing = aws(answers).await;
        assert!(matches!(failing.delete_snapshot("snap-1").await, Err(AwsError::Failed { .. })));
        assert_eq!(failing.calls().values().sum::<u64>(), 5);
        let refusing = aws([ec2_error(400, "IncorrectState")]).await;
        assert!(matches!(refusing.delete_snapshot("snap-1").await, Err(AwsError::Refused { .. })));
        assert_eq!(refusing.calls().values().sum::<u64>(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_snapshot_that_was_throttled_is_asked_for_once_but_slows_the_others_down() {
        let aws = aws([ec2_error(503, "RequestLimitExceeded")]).await;
        let error = aws.create_snapshot("vol-1", &Tags::new()).await.unwrap_err();
        assert!(matches!(error, AwsError::Throttled { .. }), "{error}");
        assert!(aws.paces().iter().any(|pace| pace.class == "mutating" && pace.throttled == 1));
    }

    #[tokio::test]
    async fn a_key_that_cannot_be_used_is_named_with_the_missing_permission() {
        for (status, body) in [
            (403, r#"{"__type":"AccessDeniedException","Message":"no","Reason":"DEPENDENCY_ACCESS_DENIED"}"#),
            (
                404,
                r#"{"__type":"ResourceNotFoundException","Message":"no","Reason":"DEPENDENCY_RESOURCE_NOT_FOUND"}"#,
            ),
            (400, r#"{"__type":"ValidationException","Message":"no","Reason":"INVALID_CUSTOMER_KEY"}"#),
            (403, r#"{"__type":"AccessDeniedException","Message":"not authorized to perform: kms:Decrypt"}"#),
        ] {
            let aws = aws([(status, body.to_owned())]).await;
            let error = aws.get_block("snap-1", 0, "token", 512).await.unwrap_err();
            assert!(matches!(error, AwsError::Key { permission: "kms:Decrypt", .. }), "{body}: {error}");
        }
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
        let borrowed = aws.send(actions::EC2_DESCRIBE_VOLUMES, || aws.ec2.describe_regions().send()).await;
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
