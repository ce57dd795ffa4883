//! What went wrong with a request, in terms of who must act.

use std::error::Error as StdError;
use std::sync::Arc;

use aws_credential_types::provider::error::CredentialsError;
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
    #[error("{call} is not allowed ({detail}): {}", permitted_by(call))]
    Denied {
        /// The missing action.
        call: &'static str,
        /// What AWS said.
        detail: String,
    },
    /// The credentials of the pipeline that runs a verb for images do not allow the action.
    #[error(
        "{call} is not allowed ({detail}): the policy of the pipeline's role must contain it for this resource, as \
         `agentless-scanner permissions --image-pipeline` prints it; what changes or deletes something covers only what \
         carries the tag {}={}",
        scanner_policy::tags::IMAGE,
        scanner_policy::tags::TRUE
    )]
    DeniedToPipeline {
        /// The missing action.
        call: &'static str,
        /// What AWS said.
        detail: String,
    },
    /// The key with which something is encrypted cannot be used.
    #[error(
        "{call} cannot use the KMS key ({detail}): the role's policy must contain {permission} for the key, the key's own \
         policy must let the role's account use it, and it must be neither disabled nor deleted"
    )]
    Key {
        /// The request.
        call: &'static str,
        /// The missing permission.
        permission: &'static str,
        /// What AWS said.
        detail: String,
    },
    /// A role that is needed could not be assumed. Nothing is done with another identity in its place.
    #[error(transparent)]
    Role(RoleError),
    /// There were no credentials to sign the request with.
    #[error(
        "{call} was not sent, as there were no credentials for it ({detail}): on an instance, its role must be attached \
         and the metadata service within reach"
    )]
    Unsigned {
        /// The request.
        call: &'static str,
        /// What the SDK said.
        detail: String,
    },
    /// There is no identity for the account.
    #[error(
        "there is no identity for the account {account}: name a delegate role of it in `accounts`, or, if it is the \
         scanner's own, set `scan_own_account`"
    )]
    NoRole {
        /// The account.
        account: String,
    },
    /// AWS does not know the credentials, or the signature made with them.
    #[error(
        "AWS rejected the credentials at {call} ({detail}): check the instance's role, or AWS_ACCESS_KEY_ID, \
         AWS_SECRET_ACCESS_KEY and AWS_PROFILE; `aws sts get-caller-identity` shows whose they are; a region that is not \
         enabled for the account rejects them too"
    )]
    Credentials {
        /// The request that was rejected.
        call: &'static str,
        /// What AWS said.
        detail: String,
    },
    /// The credentials, or the signature made with them, are too old.
    #[error(
        "the AWS credentials had expired at {call} ({detail}): sign in again if they are yours, and check that this \
         machine's clock is right"
    )]
    Expired {
        /// The request that was rejected.
        call: &'static str,
        /// What AWS said.
        detail: String,
    },
    /// Too many requests, even after the retries.
    #[error(
        "AWS kept throttling {call} ({detail}): try again later, or send less (--concurrency of a single scan, \
         `rate_limits` and `queue` of the service's configuration); others in the account share this limit"
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
    #[error("AWS failed to answer {call} ({detail}): try again later")]
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
        match self {
            Self::Role(RoleError::Failed { cause, .. }) => cause.is_passing(),
            Self::Throttled { .. } | Self::Unsigned { .. } => true,
            _ => self.is_ambiguous(),
        }
    }

    /// A refusal that is one of KMS, as the service tells it.
    pub(super) fn key(call: Call, refusal: &impl ProvideErrorMetadata) -> Self {
        let detail =
            detail_of(refusal.code(), refusal.message()).unwrap_or_else(|| "no reason given".to_owned());
        Self::Key { call: call.name(), permission: permission_for_key(call.name()), detail }
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
        match unsent(&error) {
            Some(Unsent::Role(role)) => return Self::Role(role.clone()),
            Some(Unsent::Credentials(error)) => return Self::Unsigned { call, detail: innermost(error) },
            None => {}
        }
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
        let detail = detail_of(code, message).unwrap_or_else(|| format!("HTTP status {status}"));
        // The codes are in "Error codes for the Amazon EC2 API", "Common errors" of the EBS direct APIs, and the references
        // of the APIs of Lambda, ECR, STS, Secrets Manager, S3 and Auto Scaling.
        match code.unwrap_or_default() {
            code if is_of_kms(code, message) => {
                Self::Key { call, permission: permission_for_key(call), detail }
            }
            "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException" | "AllAccessDisabled" => {
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
            // Of copies AWS says that some resource is exhausted: that of copies in progress.
            "ConcurrentSnapshotLimitExceeded"
            | "PendingSnapshotLimitExceeded"
            | "ResourceLimitExceeded"
            | "SnapshotCreationPerVolumeRateExceeded"
            | "SnapshotLimitExceeded" => Self::SnapshotLimit { call, detail },
            "ConcurrentTagAccess" => Self::Throttled { call, detail },
            code if is_throttle(code, status) => Self::Throttled { call, detail },
            "ResourceNotFoundException"
            | "RepositoryNotFoundException"
            | "LayersNotFoundException"
            | "NoSuchBucket" => Self::NotFound { call, detail },
            // Auto Scaling has one code for all that is wrong, and these words for an instance that waits for nothing.
            "ValidationError" if message.is_some_and(|text| text.contains("No active Lifecycle Action")) => {
                Self::NotFound { call, detail }
            }
            code if code.ends_with(".NotFound") || code.ends_with(".Malformed") => {
                Self::NotFound { call, detail }
            }
            _ if status >= 500 => Self::Failed { call, detail },
            _ => Self::Refused { call, detail },
        }
    }
}

/// Why a role could not be assumed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RoleError {
    /// STS did not give credentials for it.
    #[error("the role {role} could not be assumed, and nothing is done with another identity in its place")]
    Failed {
        /// The role's ARN.
        role: String,
        /// Why.
        #[source]
        cause: Arc<AwsError>,
    },
    /// No permission crosses partitions.
    #[error(
        "the role {role} is not in the partition {partition} of the scanner, which no permission can cross"
    )]
    Partition {
        /// The role's ARN.
        role: String,
        /// The scanner's own.
        partition: &'static str,
    },
}

/// Why a request was never sent.
pub(super) enum Unsent<'a> {
    /// The role with which it was to be signed could not be assumed.
    Role(&'a RoleError),
    /// There were no credentials.
    Credentials(&'a CredentialsError),
}

/// What kept a request from being signed, from within the SDK's error.
pub(super) fn unsent<'a>(error: &'a (dyn StdError + 'static)) -> Option<Unsent<'a>> {
    let mut credentials = None;
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(role) = error.downcast_ref::<RoleError>() {
            return Some(Unsent::Role(role));
        }
        credentials = credentials.or_else(|| error.downcast_ref::<CredentialsError>());
        next = error.source();
    }
    credentials.map(Unsent::Credentials)
}

/// Whether an answer means that requests come too fast.
pub(super) fn is_throttle(code: &str, status: u16) -> bool {
    matches!(
        code,
        "BandwidthLimitExceeded"
            | "EC2ThrottledException"
            | "RequestLimitExceeded"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "SlowDown"
            | "ThrottledException"
            | "Throttling"
            | "ThrottlingException"
            | "TooManyRequests"
            | "TooManyRequestsException"
    ) || status == 429
}

/// Whether it is KMS that refused, and the service only passes it on.
fn is_of_kms(code: &str, message: Option<&str>) -> bool {
    let is_denied = matches!(code, "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation");
    let names_kms = message.is_some_and(|text| text.contains("kms:") || text.contains("KMS"));
    // `DecryptionFailure`: Secrets Manager.
    code.starts_with("KMS")
        || code.starts_with("Kms")
        || code == "DecryptionFailure"
        || (is_denied && names_kms)
}

/// What a request needs of the key behind it.
fn permission_for_key(call: &str) -> &'static str {
    match call {
        "ec2:CopySnapshot" => "kms:CreateGrant",
        "s3:PutObject" => "kms:GenerateDataKey",
        _ => "kms:Decrypt",
    }
}

/// What must be so for a request to be allowed.
fn permitted_by(call: &str) -> String {
    let policy = format!("the policy of the scanner's role must contain {call}");
    match call.split_once(':').map(|(service, _)| service) {
        Some("sts") => format!(
            "{policy} for this role, and the role's trust policy must name the scanner's role, with the same external id \
             as `accounts` if it asks for one"
        ),
        Some("autoscaling") => format!("{policy} for its own Auto Scaling group"),
        Some("secretsmanager") => {
            format!("{policy} for this secret, and the secret's own policy must not forbid it")
        }
        Some("s3") => format!(
            "{policy} for this bucket and prefix, with the KMS key that is configured, and the bucket's own policy must \
             not forbid it"
        ),
        _ => format!(
            "{policy} for this resource; it covers only what is not opted out, and only snapshots that carry the tag \
             {}={}",
            scanner_policy::tags::SCANNER,
            scanner_policy::tags::TRUE
        ),
    }
}

fn detail_of(code: Option<&str>, message: Option<&str>) -> Option<String> {
    match (code, message) {
        (Some(code), Some(message)) if !message.is_empty() => Some(format!("{code}: {message}")),
        (Some(code), _) => Some(code.to_owned()),
        (None, message) => message.map(str::to_owned),
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
    fn a_key_that_is_denied_is_told_from_a_resource_that_is_denied() {
        let kms = "User: arn:aws:sts::1:assumed-role/a/b is not authorized to perform: kms:Decrypt on resource: key";
        for (call, code, message, permission) in [
            (
                "secretsmanager:GetSecretValue",
                "AccessDeniedException",
                "Access to KMS is not allowed",
                "kms:Decrypt",
            ),
            ("secretsmanager:GetSecretValue", "DecryptionFailure", "no", "kms:Decrypt"),
            ("ebs:GetSnapshotBlock", "AccessDeniedException", kms, "kms:Decrypt"),
            (
                "s3:PutObject",
                "AccessDenied",
                "not authorized to perform: kms:GenerateDataKey",
                "kms:GenerateDataKey",
            ),
            ("s3:PutObject", "KMS.DisabledException", "disabled", "kms:GenerateDataKey"),
        ] {
            let message = AwsError::from_answer(call, 403, Some(code), Some(message)).to_string();
            assert!(message.contains(&format!("must contain {permission} for the key")), "{message}");
        }
        let denied = AwsError::from_answer("s3:PutObject", 403, Some("AccessDenied"), Some("Access Denied"));
        assert!(denied.to_string().contains("must contain s3:PutObject for this bucket"), "{denied}");
    }

    #[test]
    fn a_refusal_says_whose_policy_is_to_be_looked_at() {
        for (call, expected) in [
            ("sts:AssumeRole", "the role's trust policy"),
            ("autoscaling:CompleteLifecycleAction", "its own Auto Scaling group"),
            ("secretsmanager:GetSecretValue", "for this secret"),
            ("ebs:GetSnapshotBlock", "DatadogAgentlessScanner=true"),
        ] {
            let message = AwsError::from_answer(call, 403, Some("AccessDenied"), None).to_string();
            assert!(message.contains(expected) && message.contains(call), "{message}");
        }
    }

    #[test]
    fn what_waits_for_nothing_is_not_there() {
        let message = "No active Lifecycle Action found with instance ID i-1";
        let gone = AwsError::from_answer(
            "autoscaling:CompleteLifecycleAction",
            400,
            Some("ValidationError"),
            Some(message),
        );
        assert!(matches!(gone, AwsError::NotFound { .. }), "{gone}");
    }

    #[test]
    fn only_answers_that_say_no_are_certain() {
        assert!(answer(500, None).is_ambiguous());
        assert!(!answer(503, Some("RequestLimitExceeded")).is_ambiguous());
        assert!(answer(503, Some("RequestLimitExceeded")).is_passing());
        assert!(!answer(403, Some("UnauthorizedOperation")).is_passing());
    }
}
