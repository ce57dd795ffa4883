//! The role's policy: made from the arguments, and read back on import.

use std::collections::BTreeSet;

use scanner_policy::{AccountId, Feature, KmsKeyArn, PolicyDocument, PolicyError, Region, Scope};
use serde_json::Value as Json;

use super::Model;
use crate::sdk::{Diagnostic, Path, Value};

/// The policy that `model` should have.
pub(super) fn render(
    model: &Model,
    region: &Region,
    account: AccountId,
) -> Result<PolicyDocument, Diagnostic> {
    let features: Vec<Feature> =
        model.features.get().into_iter().flatten().filter_map(|name| Feature::from_name(name)).collect();
    let keys: Result<Vec<KmsKeyArn>, _> =
        model.kms_key_arns.get().into_iter().flatten().map(|arn| arn.parse()).collect();
    let kms_keys =
        keys.map_err(|error| Diagnostic::caused_by("Invalid KMS key", &error).at("kms_key_arns"))?;
    let scope = Scope { region: region.clone(), account, kms_keys };
    PolicyDocument::for_scanner(&scope, &features).map_err(|error| {
        let path = if error == PolicyError::NoFeature { "features" } else { "kms_key_arns" };
        Diagnostic::caused_by("The role's policy cannot be made", &error).at(Path::from(path))
    })
}

/// What only the configuration knows, read from the policy of a role that is being imported.
pub(super) fn imported(state: Model, policy: Option<&str>) -> Model {
    let policy: Json = policy.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let statements = policy.get("Statement").and_then(Json::as_array).cloned().unwrap_or_default();
    let resources = statements
        .iter()
        .filter(|statement| {
            statement.get("Action").is_some_and(|action| action.to_string().contains("\"kms:Decrypt\""))
        })
        .filter_map(|statement| statement.get("Resource"))
        .flat_map(|resource| resource.as_array().cloned().unwrap_or_else(|| vec![resource.clone()]));
    let keys: BTreeSet<String> = resources
        .filter_map(|arn| arn.as_str().map(str::to_owned))
        .filter(|arn| arn.parse::<KmsKeyArn>().is_ok())
        .collect();
    Model {
        features: BTreeSet::from([Feature::Hosts.name().to_owned()]).into(),
        kms_key_arns: if keys.is_empty() { Value::Null } else { keys.into() },
        ..state
    }
}

/// `before` when `now` says the same in other words.
pub(super) fn keep_if_equal(before: Value<String>, now: Option<String>) -> Value<String> {
    let parsed = |text: &str| serde_json::from_str::<Json>(text).ok();
    match (before.as_str().and_then(parsed), now.as_deref().and_then(parsed)) {
        (Some(before_json), Some(now_json)) if before_json == now_json => before,
        _ => now.into(),
    }
}
