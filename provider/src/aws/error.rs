//! [`AwsError`]: why AWS did not do what it was asked, and who can do something about it.

use std::error::Error;
use std::fmt::{self, Display};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_types::request_id::RequestId;

use crate::sdk::Diagnostic;

/// A request that AWS refused, or that did not reach it.
#[derive(Clone, Debug)]
pub struct AwsError {
    /// The operation as IAM writes it, such as `iam:CreateRole`.
    operation: &'static str,
    kind: Kind,
    code: Option<String>,
    message: String,
    request_id: Option<String>,
}

/// The kinds of [`AwsError`], by who must act.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// An administrator: the caller lacks a permission.
    AccessDenied,
    /// The user: the credentials are missing, wrong or expired.
    Credentials,
    /// Nobody: what was asked for is not there.
    NotFound,
    /// The user: there is one of that name already.
    AlreadyExists,
    /// Time, mostly: something still uses or changes the resource.
    InUse,
    /// An administrator: a quota of the account is used up.
    Limit,
    /// Time: too many requests, or AWS is not well.
    Unavailable,
    /// The network's owner: AWS could not be reached.
    Unreachable,
    /// The user: AWS does not accept the request as it is.
    Invalid,
}

impl AwsError {
    /// An error as AWS would answer it, for tests of what handles it.
    #[cfg(test)]
    pub(crate) fn answered(operation: &'static str, code: &str, message: &str) -> Self {
        Self {
            operation,
            kind: Kind::of_code(code),
            code: Some(code.to_owned()),
            message: message.to_owned(),
            request_id: Some("00000000-test".to_owned()),
        }
    }

    /// What an answer that is a success as a whole says of one thing that was not done.
    pub(crate) fn of_item(operation: &'static str, code: &str, message: String) -> Self {
        Self { operation, kind: Kind::of_code(code), code: Some(code.to_owned()), message, request_id: None }
    }

    /// The answer of AWS was of another form than its documentation says.
    pub(crate) fn malformed(operation: &'static str, missing: &str) -> Self {
        Self {
            operation,
            kind: Kind::Unavailable,
            code: None,
            message: format!("the answer has no {missing}"),
            request_id: None,
        }
    }

    /// Who must act.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What AWS said, without code and request id.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether something still uses or changes what was to be changed.
    pub fn is_in_use(&self) -> bool {
        self.kind == Kind::InUse
    }

    /// Whether what was asked for may have been done all the same: there was no answer of use.
    pub fn leaves_doubt(&self) -> bool {
        matches!(self.kind, Kind::Unavailable | Kind::Unreachable)
    }

    /// Whether the thing is not there.
    pub fn is_not_found(&self) -> bool {
        self.kind == Kind::NotFound
    }

    /// Whether the Auto Scaling group that was asked about is not there, or about to go. The service has no code of its
    /// own for that: it answers `ValidationError` with "… name not found" or "… is pending delete".
    pub(super) fn is_missing_group(&self) -> bool {
        let says = |words| self.kind == Kind::Invalid && self.message.contains(words);
        self.is_not_found() || says("not found") || says("pending delete")
    }

    /// The error as Terraform's users see it: what failed, why, and what to do.
    pub fn diagnostic(&self, summary: impl Into<String>) -> Diagnostic {
        Diagnostic::error(summary, format!("{self}\n\n{}", self.advice()))
    }

    fn advice(&self) -> String {
        match self.kind {
            Kind::AccessDenied => format!(
                "The credentials that Terraform uses lack the permission {}{}, or a permissions boundary or service \
                 control policy denies it. Ask the administrator of the account to allow it.",
                self.operation,
                also_needed(self.operation)
            ),
            Kind::Credentials => {
                "Check the provider's credentials: the arguments profile, access_key or assume_role, the AWS_… \
                 environment variables, or a login that has expired."
                    .to_owned()
            }
            Kind::NotFound => "It was deleted meanwhile, or never was in this account and region.".to_owned(),
            Kind::AlreadyExists => {
                "Choose another name, or bring the existing one under Terraform's control with `terraform import`."
                    .to_owned()
            }
            Kind::InUse => "Something else uses or changes it. Remove that first, or apply again later.".to_owned(),
            Kind::Limit => {
                "A quota of the account is used up. Remove what is not needed, or ask AWS to raise the quota."
                    .to_owned()
            }
            Kind::Unavailable => "AWS could not serve the request now. Apply again later.".to_owned(),
            Kind::Unreachable => {
                "AWS could not be reached. Check the network, proxies and the provider's endpoints; the region must \
                 exist and be enabled for the account."
                    .to_owned()
            }
            Kind::Invalid => "Correct the configuration as the message says.".to_owned(),
        }
    }
}

impl Display for AwsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, kind: _, code, message, request_id } = self;
        write!(formatter, "{operation}: ")?;
        if let Some(code) = code {
            write!(formatter, "{code}: ")?;
        }
        formatter.write_str(message)?;
        if let Some(request_id) = request_id {
            write!(formatter, " (request id {request_id})")?;
        }
        Ok(())
    }
}

impl Error for AwsError {}

/// Turns the SDK's error of `operation` into ours.
pub(super) fn failed<E>(operation: &'static str) -> impl FnOnce(SdkError<E, HttpResponse>) -> AwsError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    move |error| {
        let code = error.code().map(str::to_owned);
        let kind = match (&code, &error) {
            (Some(code), _) => Kind::of_code(code),
            (None, _) if caused_by_credentials(&error) => Kind::Credentials,
            (None, SdkError::DispatchFailure(_) | SdkError::TimeoutError(_)) => Kind::Unreachable,
            (None, _) => Kind::Unavailable,
        };
        AwsError {
            operation,
            kind,
            message: match error.message() {
                Some(message) => message.to_owned(),
                None if code.is_some() => "no further message".to_owned(),
                None => innermost(&error),
            },
            // EC2 has it in the body, the other services in a header.
            request_id: error.meta().request_id().or_else(|| error.request_id()).map(str::to_owned),
            code,
        }
    }
}

impl Kind {
    /// The kind of an error code, as the API references of EC2, EC2 Auto Scaling, IAM, Secrets Manager
    /// and STS list them.
    fn of_code(code: &str) -> Self {
        match code {
            "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" | "UnauthorizedAccess" => {
                Self::AccessDenied
            }
            "AuthFailure"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "IncompleteSignature"
            | "InvalidClientTokenId"
            | "MissingAuthenticationToken"
            | "OptInRequired"
            | "RequestExpired"
            | "SignatureDoesNotMatch"
            | "UnrecognizedClientException" => Self::Credentials,
            "AlreadyExists"
            | "AlreadyExistsFault"
            | "EntityAlreadyExists"
            | "FlowLogAlreadyExists"
            | "InvalidGroup.Duplicate"
            | "InvalidLaunchTemplateName.AlreadyExistsException"
            | "InvalidPermission.Duplicate"
            | "InvalidSubnet.Conflict"
            | "Resource.AlreadyAssociated"
            | "ResourceExistsException"
            | "RouteAlreadyExists" => Self::AlreadyExists,
            "ConcurrentModification"
            | "DeleteConflict"
            | "DependencyViolation"
            | "IncorrectState"
            | "InstanceRefreshInProgress"
            | "InstanceRefreshInProgressFault"
            | "InvalidIPAddress.InUse"
            | "ResourceContention"
            | "ResourceContentionFault"
            | "ResourceInUse"
            | "ResourceInUseFault"
            | "ScalingActivityInProgress"
            | "ScalingActivityInProgressFault" => Self::InUse,
            "Gateway.NotAttached" | "InvalidInstanceType" | "NatGatewayNotFound" | "NoSuchEntity" => {
                Self::NotFound
            }
            "InternalError"
            | "InternalFailure"
            | "InternalServiceError"
            | "RequestLimitExceeded"
            | "RequestThrottled"
            | "ServiceFailure"
            | "ServiceUnavailable"
            | "SlowDown"
            | "Throttling"
            | "ThrottlingException"
            | "Unavailable" => Self::Unavailable,
            // Such as InvalidGroup.NotFound or InvalidLaunchTemplateId.VersionNotFound.
            _ if code.ends_with("NotFound") || code.ends_with("NotFoundException") => Self::NotFound,
            _ if code.contains("LimitExceeded") => Self::Limit,
            _ => Self::Invalid,
        }
    }
}

/// The permissions that AWS checks for an operation besides that of its name, to go on a sentence ("Launch template
/// support" of EC2 Auto Scaling; "Granting a user permissions to pass a role" of IAM).
fn also_needed(operation: &str) -> &'static str {
    match operation {
        "autoscaling:CreateAutoScalingGroup" | "autoscaling:UpdateAutoScalingGroup" => {
            " or one that AWS checks with it (ec2:RunInstances, ec2:CreateTags, and iam:PassRole for the instances' role)"
        }
        "autoscaling:StartInstanceRefresh" => {
            " or one that AWS checks with it (ec2:RunInstances, ec2:CreateTags, iam:PassRole for the instances' role, and \
             cloudwatch:DescribeAlarms where alarms are named)"
        }
        "iam:AddRoleToInstanceProfile" => " or iam:PassRole for the role",
        _ => "",
    }
}

/// Whether the request was never sent because there were no credentials to sign it with.
fn caused_by_credentials(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<CredentialsError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The error and its causes. The SDK's outer layers say little ("dispatch failure"), the inner ones what it was.
fn innermost(error: &dyn Error) -> String {
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        cause = error.source();
    }
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_denied_names_the_permission() {
        let error = AwsError::answered("iam:CreateRole", "AccessDenied", "User x is not authorized");
        let diagnostic = error.diagnostic("Could not create IAM role \"scanner\"");
        assert_eq!(diagnostic.summary, "Could not create IAM role \"scanner\"");
        assert!(
            diagnostic.detail.starts_with(
                "iam:CreateRole: AccessDenied: User x is not authorized (request id 00000000-test)\n\n\
                 The credentials that Terraform uses lack the permission iam:CreateRole"
            ),
            "{}",
            diagnostic.detail
        );
    }

    #[test]
    fn access_denied_names_what_else_aws_checks() {
        let error =
            AwsError::answered("autoscaling:CreateAutoScalingGroup", "AccessDenied", "not authorized");
        let detail = error.diagnostic("Could not create").detail;
        assert!(detail.contains("permission autoscaling:CreateAutoScalingGroup or"), "{detail}");
        assert!(detail.contains("iam:PassRole"), "{detail}");
    }

    #[test]
    fn codes_tell_who_must_act() {
        for (code, kind) in [
            ("UnauthorizedOperation", Kind::AccessDenied),
            ("InvalidClientTokenId", Kind::Credentials),
            ("InvalidGroup.NotFound", Kind::NotFound),
            ("InvalidLaunchTemplateId.NotFound", Kind::NotFound),
            ("InvalidLaunchTemplateName.NotFoundException", Kind::NotFound),
            ("InvalidLaunchTemplateId.VersionNotFound", Kind::NotFound),
            ("AlreadyExists", Kind::AlreadyExists),
            ("DependencyViolation", Kind::InUse),
            ("RequestLimitExceeded", Kind::Unavailable),
            ("VcpuLimitExceeded", Kind::Limit),
            ("InvalidParameterValue", Kind::Invalid),
        ] {
            assert_eq!(Kind::of_code(code), kind, "{code}");
        }
    }
}
