//! Whose credentials the usual chain finds.

use aws_config::{BehaviorVersion, Region};
use scanner_policy::AccountId;

use super::{AwsError, Connection};

/// The request, which needs no permission: no policy has it, and none can deny it ("`GetCallerIdentity`" in the API reference of
/// STS).
const GET_CALLER_IDENTITY: &str = "sts:GetCallerIdentity";

/// The account of the credentials with which [`Aws::connect`](super::Aws::connect) would connect.
pub async fn account(connection: &Connection) -> Result<AccountId, AwsError> {
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
    if let Some(region) = &connection.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(profile) = &connection.profile {
        loader = loader.profile_name(profile);
    }
    let sts = aws_sdk_sts::Client::new(&loader.load().await);
    let answer = sts.get_caller_identity().send().await;
    let answer = answer.map_err(|error| AwsError::from_named(GET_CALLER_IDENTITY, error))?;
    answer.account().and_then(|account| account.parse().ok()).ok_or_else(|| AwsError::Response {
        call: GET_CALLER_IDENTITY,
        problem: "it names no account".to_owned(),
    })
}
