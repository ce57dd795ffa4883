//! Finding region and credentials: the usual chain of the AWS SDKs.

use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_types::SdkConfig;

use super::Aws;
use super::download::Downloader;
use super::gate::{Gate, GateInterceptor};
use super::rate::RateLimiter;

/// What the user says about the connection. Everything absent comes from the environment, the shared configuration
/// files or the instance's metadata, in this order, as with every AWS tool.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Connection {
    /// The region.
    pub region: Option<String>,
    /// The profile of the shared configuration files.
    pub profile: Option<String>,
}

/// Why no request could even be tried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No region anywhere.
    #[error(
        "no AWS region is known: give --region, set AWS_REGION, or set `region` in the profile of ~/.aws/config; on an \
         EC2 instance the metadata service must be reachable"
    )]
    NoRegion,
    /// No credentials anywhere, or none that can be used.
    #[error(
        "no usable AWS credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, choose a profile with \
         --profile or AWS_PROFILE (and sign in again if it uses single sign-on), or run on an instance that has a role"
    )]
    NoCredentials(#[source] CredentialsError),
}

/// Requests that fail for a passing reason are sent this often in all.
const MAX_ATTEMPTS: u32 = 5;
/// A host that does not answer within this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// One attempt, body excluded. A block of a snapshot takes well under a second.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
/// One request with all its attempts.
const OPERATION_TIMEOUT: Duration = Duration::from_mins(2);

impl Aws {
    /// Finds region and credentials. Sends no request to what is scanned.
    pub async fn connect(connection: &Connection) -> Result<Self, ConnectError> {
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
        if let Some(region) = &connection.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(profile) = &connection.profile {
            loader = loader.profile_name(profile);
        }
        let config = loader
            .retry_config(RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS))
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT_TIMEOUT)
                    .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                    .operation_timeout(OPERATION_TIMEOUT)
                    .build(),
            )
            .load()
            .await;
        Self::from_config(&config).await
    }

    pub(super) async fn from_config(config: &SdkConfig) -> Result<Self, ConnectError> {
        let region = config.region().ok_or(ConnectError::NoRegion)?.to_string();
        // Asked for once here, so that missing credentials are one clear message and not the failure of some request.
        match config.credentials_provider() {
            None => {
                return Err(ConnectError::NoCredentials(CredentialsError::not_loaded_no_source()));
            }
            Some(provider) => provider.provide_credentials().await.map_err(ConnectError::NoCredentials)?,
        };
        let gate = Arc::new(Gate::default());
        let interceptor = GateInterceptor(Arc::clone(&gate));
        let ec2 = aws_sdk_ec2::config::Builder::from(config).interceptor(interceptor.clone()).build();
        let ebs = aws_sdk_ebs::config::Builder::from(config).interceptor(interceptor.clone()).build();
        let ecr = aws_sdk_ecr::config::Builder::from(config).interceptor(interceptor.clone()).build();
        let lambda = aws_sdk_lambda::config::Builder::from(config).interceptor(interceptor).build();
        Ok(Self {
            ec2: aws_sdk_ec2::Client::from_conf(ec2),
            ebs: aws_sdk_ebs::Client::from_conf(ebs),
            ecr: aws_sdk_ecr::Client::from_conf(ecr),
            lambda: aws_sdk_lambda::Client::from_conf(lambda),
            downloader: Downloader::new(config.endpoint_url()),
            gate,
            rates: Arc::new(RateLimiter::new()),
            region,
        })
    }
}
