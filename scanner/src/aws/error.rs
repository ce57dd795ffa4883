//! What went wrong with a request, in terms of who must act.

use std::error::Error as StdError;

use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use scanner_policy::Call;

/// Why AWS did not do what it was asked.
///
/// AWS's own message stands in `detail`: it names ids and ARNs that nothing else knows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AwsError {
    /// The credentials do not allow the action.
    #[error(
        "{call} is not allowed ({detail}): the policy of the scanner's role must contain {call} for this resource; it \
         covers only what is not opted out, and only snapshots that carry the tag {}={}",
        scanner_policy::tags::SCANNER,
        scanner_policy::tags::TRUE
    )]
    Denied {
        /// The missing action.
        call: &'static str,
        /// What AWS said.
        detail: String,
    },
    /// AWS does not know the credentials, or the signature made with them.
    #[error(
        "AWS rejected the credentials at {call} ({detail}): check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and \
         AWS_PROFILE; `aws sts get-caller-identity` shows whose they are"
    )]
    Credentials {
        /// The request that was rejected.
        call: &'static str,
        /// What AWS said.
        detail: String,
    },
    /// The credentials, or the signature made with them, are too old.
    #[error(
        "the AWS credentials had expired at {call} ({detail}): sign in again, and check that this machine's clock is right"
    )]
    Expired {
        /// The request that was rejected.
        call: &'static str,
        /// What AWS said.
        detail: String,
    },
    /// Too many requests, even after the retries.
    #[error(
        "AWS kept throttling {call} ({detail}): scan again later, or with a lower --concurrency; others in the account \
         share this limit"
    )]
    Throttled {
        /// The request that was throttled.
        call: &'static str,
        /// What AWS said.
        detail: String,
    },
    /// As many snapshots are in progress, or exist, as the account may have.
    #[error(
        "AWS has as many snapshots of this account in progress as it allows at {call} ({detail}): scan again later, or ask \
         AWS for more under Service Quotas"
    )]
    SnapshotLimit {
        /// The request.
        call: &'static str,
        /// What AWS said.
        detail: String,
    },
    /// What the request names does not exist.
    #[error("{call} found nothing ({detail}): check the id, the region and the account")]
    NotFound {
        /// The request.
        call: &'static str,
        /// What AWS said.
        detail: String,
    },
    /// The token with which a block or a page is asked for is no longer valid.
    #[error("{call} no longer accepts the token ({detail})")]
    Token {
        /// The request.
        call: &'static str,
        /// What AWS said.
        detail: String,
    },
    /// AWS refused the request for another reason.
    #[error("AWS refused {call} ({detail})")]
    Refused {
        /// The request.
        call: &'static str,
        /// What AWS said.
        detail: String,
    },
    /// AWS failed, even after the retries. Whether the request was carried out is not known.
    #[error("AWS failed to answer {call} ({detail}): scan again later")]
    Failed {
        /// The request.
        call: &'static str,
        /// What AWS said.
        detail: String,
    },
    /// No answer arrived, even after the retries. Whether the request was carried out is not known.
    #[error("no answer to {call}: check the network, proxies, and AWS_ENDPOINT_URL if it is set")]
    Unreachable {
        /// The request.
        call: &'static str,
        /// What the SDK said.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The answer lacks something that it always has, or the connection broke within it.
    #[error("the answer to {call} is incomplete: {problem}")]
    Response {
        /// The request.
        call: &'static str,
        /// What is wrong with the answer.
        problem: String,
    },
}

impl AwsError {
    /// Whether AWS may have carried the request out although it failed here.
    pub fn is_ambiguous(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Unreachable { .. } | Self::Response { .. })
    }

    /// Whether the same request may succeed a little later.
    pub fn is_passing(&self) -> bool {
        self.is_ambiguous() || matches!(self, Self::Throttled { .. })
    }

    /// Whether no further snapshot is made before others are complete, deleted, or just older.
    pub fn is_snapshot_limit(&self) -> bool {
        matches!(self, Self::SnapshotLimit { .. })
    }

    pub(super) fn from_sdk<E>(call: Call, error: SdkError<E, HttpResponse>) -> Self
    where
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let call = call.name();
        if let SdkError::ServiceError(answer) = &error {
            let status = answer.raw().status().as_u16();
            let (code, message) = (answer.err().code(), answer.err().message());
            return Self::from_answer(call, status, code, message);
        }
        if let SdkError::ResponseError(_) = &error {
            return Self::Response { call, problem: innermost(&error) };
        }
        Self::Unreachable { call, source: Box::new(error) }
    }

    fn from_answer(call: &'static str, status: u16, code: Option<&str>, message: Option<&str>) -> Self {
        let detail = match (code, message) {
            (Some(code), Some(message)) if !message.is_empty() => format!("{code}: {message}"),
            (Some(code), _) => code.to_owned(),
            (None, Some(message)) => message.to_owned(),
            (None, None) => format!("HTTP status {status}"),
        };
        // The codes are in "Error codes for the Amazon EC2 API", "Common errors" of the EBS direct APIs, and the references of the Lambda and
        // ECR APIs.
        match code.unwrap_or_default() {
            "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException" => {
                Self::Denied { call, detail }
            }
            "AuthFailure"
            | "IncompleteSignature"
            | "InvalidAccessKeyId"
            | "InvalidClientTokenId"
            | "MissingAuthenticationToken"
            | "OptInRequired"
            | "SignatureDoesNotMatch"
            | "UnrecognizedClientException"
            | "InvalidSignatureException" => Self::Credentials { call, detail },
            "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => Self::Expired { call, detail },
            "RequestLimitExceeded"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "Throttling"
            | "ThrottlingException"
            | "TooManyRequestsException" => Self::Throttled { call, detail },
            // Of copies AWS says that some resource is exhausted: that of copies in progress.
            "ConcurrentSnapshotLimitExceeded"
            | "PendingSnapshotLimitExceeded"
            | "ResourceLimitExceeded"
            | "SnapshotCreationPerVolumeRateExceeded"
            | "SnapshotLimitExceeded" => Self::SnapshotLimit { call, detail },
            "ResourceNotFoundException" | "RepositoryNotFoundException" | "LayersNotFoundException" => {
                Self::NotFound { call, detail }
            }
            code if code.ends_with(".NotFound") || code.ends_with(".Malformed") => {
                Self::NotFound { call, detail }
            }
            _ if status >= 500 => Self::Failed { call, detail },
            _ if status == 429 => Self::Throttled { call, detail },
            _ => Self::Refused { call, detail },
        }
    }
}

/// The last message of an error's chain: the SDK's outer ones say only that something failed.
pub(super) fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, code: Option<&str>) -> AwsError {
        AwsError::from_answer("ec2:CreateSnapshot", status, code, Some("what AWS says"))
    }

    #[test]
    fn each_answer_becomes_what_the_user_can_do() {
        for (status, code, expected) in [
            (403, "UnauthorizedOperation", "is not allowed"),
            (403, "AccessDeniedException", "is not allowed"),
            (401, "AuthFailure", "rejected the credentials"),
            (400, "RequestExpired", "had expired"),
            (503, "RequestLimitExceeded", "kept throttling"),
            (400, "InvalidInstanceID.NotFound", "check the id, the region"),
            (400, "InvalidInstanceID.Malformed", "check the id, the region"),
            (404, "ResourceNotFoundException", "check the id, the region"),
            (400, "IncorrectState", "refused"),
            (400, "ConcurrentSnapshotLimitExceeded", "as it allows"),
            (400, "PendingSnapshotLimitExceeded", "as it allows"),
            (400, "SnapshotCreationPerVolumeRateExceeded", "as it allows"),
            (500, "InternalError", "failed to answer"),
        ] {
            let message = answer(status, Some(code)).to_string();
            assert!(message.contains(expected), "{code}: {message}");
            assert!(message.contains("ec2:CreateSnapshot"), "{message}");
            assert!(message.contains("what AWS says"), "{message}");
        }
        let message = AwsError::from_answer("ec2:CreateSnapshot", 502, None, None).to_string();
        assert!(message.contains("HTTP status 502"), "{message}");
    }

    #[test]
    fn only_answers_that_say_no_are_certain() {
        assert!(answer(500, None).is_ambiguous());
        assert!(!answer(503, Some("RequestLimitExceeded")).is_ambiguous());
        assert!(answer(503, Some("RequestLimitExceeded")).is_passing());
        assert!(!answer(403, Some("UnauthorizedOperation")).is_passing());
    }
}
