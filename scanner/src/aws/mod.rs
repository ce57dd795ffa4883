//! Everything the scanner asks of AWS.
//!
//! A request leaves this module only through [`Aws::send`], which takes a [`Call`] of the policy crate: what is not in
//! the table from which the role's policy is made cannot be sent, and a request under another request's name is refused
//! before it is signed. Every HTTP attempt is counted, every call waits for its rate class.

mod config;
mod ebs;
mod ec2;
mod error;
mod gate;
mod rate;

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::sync::Arc;

use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use scanner_policy::Call;

pub use config::{ConnectError, Connection};
pub use ebs::{BlockData, BlockPage, EbsDirect};
pub use ec2::{Attachment, Ec2, Instance, Snapshot, SnapshotState, Tags, VolumeInfo};
pub use error::AwsError;

use gate::{CALL, Gate};
use rate::RateLimiter;

/// A connection to one region of one account.
#[derive(Clone, Debug)]
pub struct Aws {
    ec2: aws_sdk_ec2::Client,
    ebs: aws_sdk_ebs::Client,
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
        let result = CALL.scope(call, request).await;
        if let Err(error) = &result {
            tracing::debug!(call = call.name(), code = error.code(), "request failed");
        }
        result
    }
}
