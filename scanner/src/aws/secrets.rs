//! Secrets, read from Secrets Manager with the scanner's own identity.

use std::fmt;
use std::sync::Arc;

use aws_config::Region;
use scanner_policy::{SecretArn, actions};

use super::config::once;
use super::{AwsError, Home};

/// Where secrets are, as a trait that tests can stand in for.
pub trait Secrets: fmt::Debug + Send + Sync + 'static {
    /// The text of a secret, in the region that its ARN names.
    fn get(&self, secret: &SecretArn) -> impl Future<Output = Result<String, AwsError>> + Send;
}

impl Secrets for Arc<Home> {
    async fn get(&self, secret: &SecretArn) -> Result<String, AwsError> {
        let config = aws_sdk_secretsmanager::config::Builder::from(&self.config)
            .region(Region::new(secret.region().to_owned()))
            .interceptor(self.sender.interceptor())
            .retry_config(once());
        let client = aws_sdk_secretsmanager::Client::from_conf(config.build());
        let call = actions::SECRETSMANAGER_GET_SECRET_VALUE;
        let request = client.get_secret_value().secret_id(secret.as_str());
        let answer = self.sender.send(call, || request.clone().send()).await?;
        answer.secret_string().map(str::to_owned).ok_or_else(|| AwsError::Response {
            call: call.name(),
            problem: format!("{secret} holds bytes where a text is needed"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Script;
    use super::*;

    const SECRET: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:api-key-AbCdEf";

    async fn get(answer: (u16, &str)) -> (Result<String, AwsError>, Script) {
        let script = Script::new([(answer.0, answer.1.to_owned())]);
        let home = Arc::new(script.home().await);
        (home.get(&SECRET.parse().unwrap()).await, script)
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_is_read_in_its_own_region() {
        let (secret, script) = get((200, r#"{"SecretString":"the key"}"#)).await;
        assert_eq!(secret.unwrap(), "the key");
        let [asked] = &script.asked()[..] else { panic!() };
        assert!(asked.uri.contains("secretsmanager.eu-west-1.amazonaws.com"), "{}", asked.uri);
        assert!(asked.body.contains(SECRET), "{}", asked.body);
        assert_eq!(asked.signer(), "OWN");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_missing_is_named() {
        for (status, answer, expected) in [
            (
                400,
                r#"{"__type":"AccessDeniedException","Message":"no"}"#,
                "must contain secretsmanager:GetSecretValue",
            ),
            (
                400,
                r#"{"__type":"AccessDeniedException","Message":"Access to KMS is not allowed"}"#,
                "kms:Decrypt",
            ),
            (400, r#"{"__type":"DecryptionFailure","Message":"no"}"#, "kms:Decrypt"),
            (400, r#"{"__type":"ResourceNotFoundException","Message":"no"}"#, "found nothing"),
            (200, r#"{"SecretBinary":"AAAA"}"#, "holds bytes"),
        ] {
            let error = get((status, answer)).await.0.unwrap_err().to_string();
            assert!(error.contains(expected), "{answer}: {error}");
        }
    }
}
