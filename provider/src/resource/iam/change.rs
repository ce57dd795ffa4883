//! Changing and deleting a role, the same for every kind of role.

use std::collections::BTreeSet;

use scanner_policy::{AccountId, PolicyDocument, Region};

use super::{expected_policies, path_of, role_arn};
use crate::aws::{AwsError, IAM_PROPAGATION, Iam, retry};
use crate::sdk::{Context, Diagnostic, Value};

/// For how long a session may last when nothing else is said, in seconds (`MaxSessionDuration` of `CreateRole`).
pub(crate) const SESSION: i32 = 3_600;

/// What a role has beside its documents.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Settings<'a> {
    pub(crate) permissions_boundary: &'a Value<String>,
    pub(crate) max_session_duration: &'a Value<i32>,
}

impl Settings<'_> {
    /// Brings the role from `prior` to these.
    pub(crate) async fn put<A: Iam>(
        self,
        aws: &A,
        region: &Region,
        role: &str,
        prior: Settings<'_>,
    ) -> Result<(), AwsError> {
        if prior.permissions_boundary != self.permissions_boundary {
            aws.put_permissions_boundary(region, role, self.permissions_boundary.as_str()).await?;
        }
        if prior.max_session_duration != self.max_session_duration {
            let seconds = self.max_session_duration.unwrap_or(SESSION);
            aws.put_max_session_duration(region, role, seconds).await?;
        }
        Ok(())
    }
}

/// The managed policies that a role of this name and path takes for `document`; unknown where their ARNs are.
pub(crate) fn planned_policies(
    document: &PolicyDocument,
    region: &Region,
    account: &AccountId,
    path: &Value<String>,
    name: &Value<String>,
) -> Result<Value<BTreeSet<String>>, Diagnostic> {
    let arn = role_arn(region, account, path_of(path), name.as_str().unwrap_or("role"));
    let managed = expected_policies(document, &arn)?;
    let is_told = managed.is_empty() || (name.is_known() && path.is_known());
    Ok(if is_told { managed.into() } else { Value::Unknown })
}

/// Deletes a role from which everything was taken.
pub(crate) async fn delete_role<A: Iam>(
    ctx: &Context,
    aws: &A,
    region: &Region,
    name: &str,
) -> Result<(), Diagnostic> {
    // IAM may still count what was just taken away.
    let what = format!("waiting until nothing uses IAM role {name:?} any more");
    retry(ctx, IAM_PROPAGATION, &what, AwsError::is_in_use, || aws.delete_role(region, name))
        .await?
        .map_err(|error| error.diagnostic(format!("Could not delete IAM role {name:?}")))
}
