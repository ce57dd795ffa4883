//! [`Aws`]: the SDK's clients, one set a region, made when first needed.

use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::sync::{Mutex, PoisonError};

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use scanner_policy::{AccountId, Region};
use tokio::sync::OnceCell;

use super::error::failed;
use super::{Answer, AwsError};

/// How often the caller's identity is asked for in all. It is the first request of every command: what is wrong with
/// the network or an endpoint should be told soon.
const IDENTITY_ATTEMPTS: u32 = 3;

/// AWS itself, over the SDK.
pub struct Aws {
    config: SdkConfig,
    endpoints: Endpoints,
    regions: Mutex<HashMap<Region, Clients>>,
    account: OnceCell<AccountId>,
}

/// Where the services are, when not where the region says. An absent one follows `AWS_ENDPOINT_URL_…`, then AWS.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    /// EC2 Auto Scaling.
    pub autoscaling: Option<String>,
    /// EC2.
    pub ec2: Option<String>,
    /// IAM.
    pub iam: Option<String>,
    /// Secrets Manager.
    pub secretsmanager: Option<String>,
    /// STS.
    pub sts: Option<String>,
}

/// The clients of one region. Cheap to clone: each is a handle.
#[derive(Clone, Debug)]
pub(super) struct Clients {
    pub(super) autoscaling: aws_sdk_autoscaling::Client,
    pub(super) ec2: aws_sdk_ec2::Client,
    pub(super) iam: aws_sdk_iam::Client,
    pub(super) secretsmanager: aws_sdk_secretsmanager::Client,
    pub(super) sts: aws_sdk_sts::Client,
}

/// Who calls.
pub trait Identity: Send + Sync + 'static {
    /// The account of the credentials. Asked once.
    fn account(&self, region: &Region) -> impl Answer<AccountId>;
}

impl Aws {
    /// AWS with the credentials, retries and time limits of `config`; its region is not used.
    pub fn new(config: SdkConfig, endpoints: Endpoints) -> Self {
        Self { config, endpoints, regions: Mutex::default(), account: OnceCell::new() }
    }

    pub(super) fn clients(&self, region: &Region) -> Clients {
        // A panic while the lock is held cannot leave a map of handles in a bad state.
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        regions
            .entry(region.clone())
            .or_insert_with(|| Clients::new(&self.config, &self.endpoints, region))
            .clone()
    }
}

impl Clients {
    fn new(config: &SdkConfig, endpoints: &Endpoints, region: &Region) -> Self {
        let config = config.to_builder().region(aws_config::Region::new(region.as_str().to_owned())).build();
        macro_rules! client {
            ($sdk:ident, $endpoint:expr) => {{
                let mut config = $sdk::config::Builder::from(&config);
                if let Some(endpoint) = $endpoint {
                    config = config.endpoint_url(endpoint);
                }
                $sdk::Client::from_conf(config.build())
            }};
        }
        Self {
            autoscaling: client!(aws_sdk_autoscaling, &endpoints.autoscaling),
            ec2: client!(aws_sdk_ec2, &endpoints.ec2),
            iam: client!(aws_sdk_iam, &endpoints.iam),
            secretsmanager: client!(aws_sdk_secretsmanager, &endpoints.secretsmanager),
            sts: client!(aws_sdk_sts, &endpoints.sts),
        }
    }
}

impl Identity for Aws {
    async fn account(&self, region: &Region) -> Result<AccountId, AwsError> {
        const OPERATION: &str = "sts:GetCallerIdentity";
        let ask = || async {
            let retries = RetryConfig::standard().with_max_attempts(IDENTITY_ATTEMPTS);
            let settings = aws_sdk_sts::config::Config::builder().retry_config(retries);
            let request =
                self.clients(region).sts.get_caller_identity().customize().config_override(settings);
            let answer = request.send().await.map_err(failed(OPERATION))?;
            let account = answer.account().and_then(|account| account.parse().ok());
            account.ok_or_else(|| AwsError::malformed(OPERATION, "account id"))
        };
        self.account.get_or_try_init(ask).await.cloned()
    }
}

impl Debug for Aws {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Aws").field("endpoints", &self.endpoints).finish_non_exhaustive()
    }
}
