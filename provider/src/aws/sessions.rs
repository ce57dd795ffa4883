//! [`Sessions`]: temporary credentials of a role.

use std::time::Duration;

use scanner_policy::Region;

use super::error::failed;
use super::{Answer, Aws, AwsError};
use crate::sdk::Secret;

/// What a session is asked for with (STS API Reference, `AssumeRole`).
#[derive(Clone, Debug, PartialEq)]
pub struct SessionRequest {
    /// The ARN of the role.
    pub role_arn: String,
    /// What CloudTrail shows.
    pub session_name: String,
    /// What the role's trust policy asks for.
    pub external_id: Option<String>,
    /// How long the session lasts. AWS's default is an hour.
    pub duration: Option<Duration>,
}

/// Temporary credentials.
#[derive(Clone, Debug)]
pub struct Session {
    /// The ARN of the assumed role with the name of the session.
    pub arn: String,
    /// The access key.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: Secret,
    /// Its session token.
    pub session_token: Secret,
    /// When they end, in seconds since 1970.
    pub expires: i64,
}

/// Roles that are taken on.
pub trait Sessions: Send + Sync + 'static {
    /// Takes a role on.
    fn assume_role(&self, region: &Region, request: &SessionRequest) -> impl Answer<Session>;
}

impl Sessions for Aws {
    async fn assume_role(&self, region: &Region, request: &SessionRequest) -> Result<Session, AwsError> {
        const OPERATION: &str = "sts:AssumeRole";
        let seconds = request.duration.and_then(|duration| i32::try_from(duration.as_secs()).ok());
        let answer = self
            .clients(region)
            .sts
            .assume_role()
            .role_arn(&request.role_arn)
            .role_session_name(&request.session_name)
            .set_external_id(request.external_id.clone())
            .set_duration_seconds(seconds)
            .send()
            .await
            .map_err(failed(OPERATION))?;
        let user = answer.assumed_role_user.ok_or_else(|| AwsError::malformed(OPERATION, "assumed role"))?;
        let credentials = answer.credentials.ok_or_else(|| AwsError::malformed(OPERATION, "credentials"))?;
        Ok(Session {
            arn: user.arn,
            access_key_id: credentials.access_key_id,
            secret_access_key: Secret::new(credentials.secret_access_key),
            session_token: Secret::new(credentials.session_token),
            expires: credentials.expiration.secs(),
        })
    }
}
