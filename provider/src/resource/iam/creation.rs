//! Making a role, and knowing it again when the answer was lost.

use std::time::Duration;

use scanner_policy::Region;
use tokio::time::Instant;
use uuid::Uuid;

use crate::aws::{AwsError, IAM_PROPAGATION, Iam, Kind, NewRole, Pace, retry};
use crate::sdk::{Context, Diagnostic};

/// For how long a role that IAM says exists is looked for: what was made a moment ago may not be found at once.
const SETTLING: Duration = Duration::from_secs(30);

/// A description that no other creation has. `CreateRole` takes no client token, so this is by what a role is known again.
pub(crate) fn described(text: &str) -> String {
    format!("{text} Managed by Terraform. Creation {}.", Uuid::new_v4().simple())
}

/// Makes a role, once the principals of its trust policy can be found. A role that the answer to an earlier attempt did
/// not tell of is taken for what it is: this one.
pub(crate) async fn create_role<A: Iam>(
    ctx: &Context,
    aws: &A,
    region: &Region,
    role: &NewRole,
) -> Result<Result<String, AwsError>, Diagnostic> {
    let what = "waiting until IAM finds the principals of the trust policy";
    let create = || aws.create_role(region, role);
    let error = match retry(ctx, IAM_PROPAGATION, what, is_missing_principal, create).await? {
        Err(error) => error,
        made => return Ok(made),
    };
    let may_be_there = error.kind() == Kind::AlreadyExists || error.leaves_doubt();
    if !may_be_there {
        return Ok(Err(error));
    }
    let end = Instant::now() + SETTLING;
    let mut pace = Pace::brisk();
    loop {
        match aws.role(region, &role.name).await {
            Ok(Some(found)) if found.description == role.description => return Ok(Ok(found.arn)),
            // IAM knows the name, but does not find the role yet.
            Ok(None) if error.kind() == Kind::AlreadyExists && Instant::now() < end => {
                pace.pause(ctx, "waiting until the role that IAM says exists is found").await?;
            }
            _ => return Ok(Err(error)),
        }
    }
}

/// Whether IAM refused a trust policy because it does not find a role that it names.
pub(crate) fn is_missing_principal(error: &AwsError) -> bool {
    error.kind() == Kind::Invalid && error.message().contains("Invalid principal")
}

/// The same for users.
pub(crate) fn missing_principal(error: &AwsError, role: &str) -> Diagnostic {
    Diagnostic::error(
        format!("A scanner role that role {role:?} is to trust does not exist"),
        format!(
            "{error}\n\nIAM refuses a trust policy that names a role which is not there. Make the scanner roles first, in \
             an apply of their account's configuration, and check account, path and name of each ARN."
        ),
    )
    .at("scanner_role_arns")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_creations_are_described_alike() {
        let one = described("Scans.");
        assert_ne!(one, described("Scans."));
        assert!(one.starts_with("Scans. Managed by Terraform. Creation "), "{one}");
    }
}
