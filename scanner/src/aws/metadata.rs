//! What the instance that the scanner runs on knows of itself: the instance metadata service, version 2 only.

use std::time::Duration;

use aws_config::imds::client::Client;
use aws_config::imds::client::error::ImdsError;
use aws_config::provider_config::ProviderConfig;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use scanner_policy::{AccountId, Region};
use serde::Deserialize;

use super::http::Http;

/// The metadata service. It is where `AWS_EC2_METADATA_SERVICE_ENDPOINT` says, or else where every instance has it.
#[derive(Clone, Debug)]
pub struct Metadata {
    client: Client,
}

/// Who the instance is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account that it belongs to.
    pub account: AccountId,
    /// The region that it is in.
    pub region: Region,
    /// Its id.
    pub instance: String,
}

/// What its Auto Scaling group wants the instance to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetState {
    /// In service.
    InService,
    /// Gone: it is replaced, or the group is made smaller.
    Terminated,
    /// Something else, such as standby.
    Other(String),
}

/// Why the metadata service did not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// There is no answer.
    #[error(
        "the instance metadata service did not tell {what} ({detail}): it must be switched on, and be within reach of \
         this process (version 2, `http_put_response_hop_limit` of 2 in a container)"
    )]
    Unreachable {
        /// What was asked for.
        what: &'static str,
        /// What the SDK said.
        detail: String,
    },
    /// It answered with something else.
    #[error("the instance metadata service told {what} in a form that is not understood: {problem}")]
    Answer {
        /// What was asked for.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

/// A service that is there answers within milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const READ_TIMEOUT: Duration = Duration::from_secs(2);
/// One question with its attempts and its token.
const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_ATTEMPTS: u32 = 3;
/// More than any answer is long.
const LONGEST: usize = 64 * 1024;

const INSTANCE_ID: &str = "/latest/meta-data/instance-id";
const TARGET_STATE: &str = "/latest/meta-data/autoscaling/target-lifecycle-state";
const IDENTITY: &str = "/latest/dynamic/instance-identity/document";

/// The instance identity document, as far as it is needed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    account_id: String,
    region: String,
    instance_id: String,
}

impl Metadata {
    /// Sends no request.
    pub fn new(http: &Http) -> Self {
        Self::with_client(http.client())
    }

    fn with_client(http: SharedHttpClient) -> Self {
        let config = ProviderConfig::without_region().with_http_client(http);
        let client = Client::builder()
            .configure(&config)
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .operation_timeout(TIMEOUT)
            .max_attempts(MAX_ATTEMPTS)
            .build();
        Self { client }
    }

    /// The id of the instance.
    pub async fn instance_id(&self) -> Result<String, MetadataError> {
        let what = "the instance's id";
        let id = self.get(what, INSTANCE_ID).await?;
        id.and_then(instance_id)
            .ok_or_else(|| MetadataError::Answer { what, problem: "this is no id of an instance".to_owned() })
    }

    /// What the instance's group wants it to become; nothing where it is in none.
    pub async fn target_state(&self) -> Result<Option<TargetState>, MetadataError> {
        let state = self.get("the target lifecycle state", TARGET_STATE).await?;
        Ok(state.map(|state| match state.trim() {
            "InService" => TargetState::InService,
            "Terminated" => TargetState::Terminated,
            other => TargetState::Other(other.to_owned()),
        }))
    }

    /// Who the instance is.
    pub async fn identity(&self) -> Result<Identity, MetadataError> {
        let what = "the instance's identity";
        let problem = |problem: String| MetadataError::Answer { what, problem };
        let text = self.get(what, IDENTITY).await?.ok_or_else(|| problem("there is none".to_owned()))?;
        let document: Document = serde_json::from_str(&text).map_err(|error| problem(error.to_string()))?;
        Ok(Identity {
            account: document.account_id.parse().map_err(|error| problem(format!("{error}")))?,
            region: document.region.parse().map_err(|error| problem(format!("{error}")))?,
            instance: instance_id(document.instance_id)
                .ok_or_else(|| problem("it has no id of an instance".to_owned()))?,
        })
    }

    /// What is at a path; nothing where there is no such path.
    async fn get(&self, what: &'static str, path: &str) -> Result<Option<String>, MetadataError> {
        match self.client.get(path).await {
            Ok(text) if text.as_ref().len() <= LONGEST => Ok(Some(text.into())),
            Ok(_) => Err(MetadataError::Answer { what, problem: "it is far too long".to_owned() }),
            Err(ImdsError::ErrorResponse(answer)) if answer.response().status().as_u16() == 404 => Ok(None),
            Err(error) => Err(MetadataError::Unreachable { what, detail: crate::chain(&error) }),
        }
    }
}

fn instance_id(text: String) -> Option<String> {
    let id = text.strip_prefix("i-")?;
    let is_id = (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_id.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Script;
    use super::*;

    /// The answer to a request for a token, and one to that for the data.
    fn metadata(status: u16, text: &str) -> (Metadata, Script) {
        let script = Script::new([(200, "session".to_owned()), (status, text.to_owned())]);
        (Metadata::with_client(script.client()), script)
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_comes_first() {
        let (metadata, script) = metadata(200, "i-0123456789abcdef0");
        assert_eq!(metadata.instance_id().await.unwrap(), "i-0123456789abcdef0");
        let asked = script.asked();
        let [token, data] = &asked[..] else { panic!("{asked:?}") };
        assert_eq!((token.method.as_str(), data.method.as_str()), ("PUT", "GET"));
        assert_eq!(data.header("x-aws-ec2-metadata-token"), "session");
        assert!(data.uri.ends_with(INSTANCE_ID), "{}", data.uri);
    }

    #[tokio::test(start_paused = true)]
    async fn the_target_state_is_none_outside_a_group() {
        for (status, text, expected) in [
            (200, "InService", Some(TargetState::InService)),
            (200, "Terminated", Some(TargetState::Terminated)),
            (200, "Warmed:Stopped", Some(TargetState::Other("Warmed:Stopped".to_owned()))),
            (404, "not here", None),
        ] {
            assert_eq!(metadata(status, text).0.target_state().await.unwrap(), expected, "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_identity_is_read_from_the_document() {
        let document =
            r#"{"accountId":"111122223333","region":"eu-central-1","instanceId":"i-1","imageId":"ami-1"}"#;
        let identity = metadata(200, document).0.identity().await.unwrap();
        assert_eq!(
            (identity.account.as_str(), identity.region.as_str(), identity.instance.as_str()),
            ("111122223333", "eu-central-1", "i-1")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn nonsense_is_an_error() {
        for text in ["", "i-", "i-1\n2", "<html>", "i-../x"] {
            assert!(
                matches!(metadata(200, text).0.instance_id().await, Err(MetadataError::Answer { .. })),
                "{text}"
            );
        }
        for text in ["", "[]", "{}", r#"{"accountId":"1","region":"eu-central-1","instanceId":"i-1"}"#] {
            assert!(metadata(200, text).0.identity().await.is_err(), "{text}");
        }
        let (metadata, _) = metadata(500, "");
        let error = metadata.instance_id().await.unwrap_err();
        assert!(error.to_string().contains("must be switched on"), "{error}");
    }
}
