//! Functions with those of their versions that are in use.

use std::collections::BTreeSet;

use agentless_service::target::Kind;

use super::{Found, Ground, Reason};
use crate::aws::inventory::{Function, Inventory, UNPUBLISHED};
use crate::aws::{AwsError, Tags};

/// Chooses among all functions. A single one that may not be looked at costs itself alone.
pub(super) async fn find(inventory: &impl Inventory, ground: &Ground<'_>) -> Result<Found, AwsError> {
    let mut found = Found::default();
    let (mut denial, mut may_look) = (None, false);
    for function in inventory.functions().await? {
        match look(inventory, ground, &function).await {
            Ok(Ok((tags, versions))) => {
                for version in versions {
                    let arn = format!("{}:{version}", function.arn);
                    found.targets.push(ground.target(Kind::Function, arn.clone(), &arn, &tags));
                }
            }
            Ok(Err(reason)) => found.skip(function.arn, reason),
            // Deleted since it was listed.
            Err(AwsError::NotFound { .. }) => {}
            Err(error @ AwsError::Denied { .. }) => {
                found.skip(function.arn, Reason::Denied(crate::chain(&error)));
                denial = Some(error);
                continue;
            }
            Err(error) => return Err(error),
        }
        may_look = true;
    }
    match denial {
        Some(error) if !may_look => Err(error),
        _ => Ok(found),
    }
}

/// The tags and the versions of a function that is to be scanned; otherwise why it is not.
///
/// In use are the unpublished version and what aliases point to. Who calls a published version by its number does not show
/// in any list.
async fn look(
    inventory: &impl Inventory,
    ground: &Ground<'_>,
    function: &Function,
) -> Result<Result<(Tags, BTreeSet<String>), Reason>, AwsError> {
    let tags = inventory.function_tags(&function.arn).await?;
    if let Some(reason) = ground.tags.objection(&tags) {
        return Ok(Err(reason));
    }
    let mut versions: BTreeSet<String> = [UNPUBLISHED.to_owned()].into();
    // Otherwise aliases have nothing else to point to.
    if !function.published.is_empty() {
        let aliased = inventory.aliased_versions(&function.arn).await?;
        versions.extend(aliased.intersection(&function.published).cloned());
    }
    Ok(Ok((tags, versions)))
}
