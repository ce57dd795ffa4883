//! Finding region and credentials: the usual chain of the AWS SDKs.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_types::SdkConfig;

use super::Aws;
use super::download::Downloader;
use super::http::Http;
use super::rate::Rates;
use super::sender::Sender;

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

/// Requests for the scanner's own credentials that fail for a passing reason are sent this often in all.
const MAX_ATTEMPTS: u32 = 5;
/// A host that does not answer within this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// One attempt, body excluded. A block of a snapshot takes well under a second.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
/// One attempt with the credentials that it may have to wait for.
const OPERATION_TIMEOUT: Duration = Duration::from_mins(2);

impl Aws {
    /// Finds region and credentials. Sends no request to what is scanned.
    pub async fn connect(connection: &Connection) -> Result<Self, ConnectError> {
        let http = Http::default();
        let config = load(connection, &http).await;
        Self::from_config(&config, http, &Rates::default()).await
    }

    pub(super) async fn from_config(
        config: &SdkConfig,
        http: Http,
        rates: &Rates,
    ) -> Result<Self, ConnectError> {
        check(config).await?;
        Ok(Self::of_place(config, region(config)?, http, rates))
    }

    /// A connection whose credentials were asked for before.
    pub(super) fn of_place(config: &SdkConfig, region: String, http: Http, rates: &Rates) -> Self {
        let sender = Sender::new(rates);
        let gate = || sender.interceptor();
        let ec2 = aws_sdk_ec2::config::Builder::from(config).interceptor(gate()).retry_config(once());
        let ebs = aws_sdk_ebs::config::Builder::from(config).interceptor(gate()).retry_config(once());
        let ecr = aws_sdk_ecr::config::Builder::from(config).interceptor(gate()).retry_config(once());
        let lambda = aws_sdk_lambda::config::Builder::from(config).interceptor(gate()).retry_config(once());
        Self {
            ec2: aws_sdk_ec2::Client::from_conf(ec2.build()),
            ebs: aws_sdk_ebs::Client::from_conf(ebs.build()),
            ecr: aws_sdk_ecr::Client::from_conf(ecr.build()),
            lambda: aws_sdk_lambda::Client::from_conf(lambda.build()),
            downloader: Downloader::new(http, config.endpoint_url()),
            sender,
            region,
        }
    }
}

/// What the environment, the shared configuration files and the instance's metadata say.
pub(super) async fn load(connection: &Connection, http: &Http) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
    if let Some(region) = &connection.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(profile) = &connection.profile {
        loader = loader.profile_name(profile);
    }
    loader
        .http_client(http.client())
        // For what finds the credentials. Requests are repeated by the sender.
        .retry_config(RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS))
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                .operation_timeout(OPERATION_TIMEOUT)
                .build(),
        )
        .load()
        .await
}

/// Asks for the credentials once, so that missing ones are one clear message and not the failure of some request.
pub(super) async fn check(config: &SdkConfig) -> Result<(), ConnectError> {
    region(config)?;
    match config.credentials_provider() {
        None => Err(ConnectError::NoCredentials(CredentialsError::not_loaded_no_source())),
        Some(provider) => provider.provide_credentials().await.map(drop).map_err(ConnectError::NoCredentials),
    }
}

pub(super) fn region(config: &SdkConfig) -> Result<String, ConnectError> {
    Ok(config.region().ok_or(ConnectError::NoRegion)?.to_string())
}

/// What is sent through the sender is repeated there, and nowhere else.
pub(super) fn once() -> RetryConfig {
    RetryConfig::disabled()
}
