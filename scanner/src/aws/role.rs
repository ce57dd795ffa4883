//! The credentials of a delegate role, from STS.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use scanner_policy::{ExternalId, RoleArn, actions};
use tokio::sync::Mutex;

use super::error::RoleError;
use super::sender::Sender;
use super::{AwsError, Home};

/// Credentials are renewed this long before they end.
pub(super) const RENEWAL: Duration = Duration::from_mins(5);
/// The longest name of a session ("IAM and AWS STS quotas").
const SESSION_NAME: usize = 64;

/// Becomes one role, and stays it: credentials are kept until they are about to end.
///
/// Where that fails there is an error, and never another identity.
#[derive(Debug)]
pub(super) struct RoleProvider {
    sts: aws_sdk_sts::Client,
    sender: Sender,
    role: RoleArn,
    external_id: Option<ExternalId>,
    session: String,
    /// Held while they are asked for, so that those who need them at the same time ask once.
    kept: Mutex<Option<Credentials>>,
}

impl RoleProvider {
    pub(super) fn new(home: &Home, role: RoleArn, external_id: Option<ExternalId>, scanner: &str) -> Self {
        Self {
            sts: home.sts(),
            sender: home.sender.clone(),
            role,
            external_id,
            session: session_name(scanner),
            kept: Mutex::default(),
        }
    }

    async fn credentials(&self) -> Result<Credentials, RoleError> {
        let mut kept = self.kept.lock().await;
        let left = kept.as_ref().and_then(Credentials::expiry).map(left);
        if let Some(credentials) = kept.as_ref().filter(|_| left > Some(RENEWAL)) {
            return Ok(credentials.clone());
        }
        match self.assume().await {
            Ok(credentials) => Ok(kept.insert(credentials).clone()),
            Err(error) => match kept.as_ref() {
                // They are good for minutes, and STS may be back in one.
                Some(credentials) if error.is_passing() && left > Some(Duration::ZERO) => {
                    let role = self.role.as_str();
                    tracing::warn!(role, %error, "the role's credentials could not be renewed yet");
                    Ok(credentials.clone())
                }
                _ => Err(RoleError::Failed { role: self.role.to_string(), cause: Arc::new(error) }),
            },
        }
    }

    async fn assume(&self) -> Result<Credentials, AwsError> {
        let call = actions::STS_ASSUME_ROLE;
        let request = self
            .sts
            .assume_role()
            .role_arn(self.role.as_str())
            .role_session_name(&self.session)
            .set_external_id(self.external_id.as_ref().map(ToString::to_string));
        let answer = self.sender.send(call, || request.clone().send()).await?;
        let incomplete =
            |problem: &str| AwsError::Response { call: call.name(), problem: problem.to_owned() };
        let credentials = answer.credentials().ok_or_else(|| incomplete("it lacks the credentials"))?;
        let expiry = SystemTime::try_from(*credentials.expiration())
            .map_err(|_| incomplete("the time at which the credentials end is none"))?;
        tracing::debug!(role = self.role.as_str(), "assumed");
        Ok(Credentials::builder()
            .access_key_id(credentials.access_key_id())
            .secret_access_key(credentials.secret_access_key())
            .session_token(credentials.session_token())
            .expiry(expiry)
            .account_id(self.role.account())
            .provider_name("DelegateRole")
            .build())
    }
}

impl ProvideCredentials for RoleProvider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            self.credentials().await.map_err(CredentialsError::provider_error)
        })
    }
}

/// The time until then.
fn left(expiry: SystemTime) -> Duration {
    expiry.duration_since(SystemTime::now()).unwrap_or_default()
}

/// What stands in CloudTrail for what is done with the role.
fn session_name(scanner: &str) -> String {
    let valid = |c: char| if c.is_ascii_alphanumeric() || "_+=,.@-".contains(c) { c } else { '-' };
    "agentless-scanner-".chars().chain(scanner.chars().map(valid)).take(SESSION_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_have_the_scanners_name_as_sts_takes_it() {
        assert_eq!(session_name("eu-1.a_b"), "agentless-scanner-eu-1.a_b");
        assert_eq!(session_name("a b/ü"), "agentless-scanner-a-b--");
        assert_eq!(session_name(&"x".repeat(100)).len(), 64);
    }
}
