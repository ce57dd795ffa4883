//! `datadog_agentless_scanner_delegate_role`: the role in a scanned account that exactly the given scanners may take on.

mod schema;

use std::collections::BTreeSet;
use std::sync::Arc;

use scanner_policy::{Permissions, PolicyDocument, Region, Trust};

pub use schema::Model;

use super::iam::{
    OwnPolicies, SESSION, create_role, delete_role, described, import_id, is_missing_principal,
    keep_if_equal, missing_principal, parsed, path_of, planned_policies, read_set, region_list,
    trust_scanners, union,
};
use super::identity::{self, Parts};
use super::place::{plan_region, region_of};
use super::tagging::{self, Change};
use crate::aws::{AwsError, IAM_PROPAGATION, Iam, Identity, Kind, ManagedPolicies, NewRole, retry};
use crate::config::Settings;
use crate::sdk::{Context, Diagnostic, Identity as ResourceIdentity, Resource, Saved, Schema, Value};

/// Manages the role and its policies.
#[derive(Debug)]
pub struct DelegateRole<A> {
    aws: Arc<A>,
    settings: Arc<Settings>,
}

impl<A> DelegateRole<A> {
    /// The resource over `aws`.
    pub fn new(aws: Arc<A>, settings: Arc<Settings>) -> Self {
        Self { aws, settings }
    }
}

impl<A: Identity + Iam + ManagedPolicies> Resource for DelegateRole<A> {
    const NAME: &'static str = "agentless_scanner_delegate_role";
    type Model = Model;

    fn schema() -> Schema {
        schema::schema()
    }

    async fn plan(
        &self,
        ctx: &Context,
        prior: Option<&Model>,
        config: &Model,
        planned: &mut Model,
    ) -> Result<(), Diagnostic> {
        let prior_region = prior.map(|prior| &prior.region);
        let region = plan_region(ctx, &self.settings, prior_region, &config.region, &mut planned.region)?;
        planned.tags_all = tagging::plan(&self.settings, &planned.tags);
        planned.foreign_policies = Value::Known(BTreeSet::new());
        planned.id = planned.name.clone();
        planned.policy = Value::Unknown;
        planned.assume_role_policy = Value::Unknown;
        planned.managed_policy_arns = Value::Unknown;
        let Some(region) = region else { return Ok(()) };
        if !planned.scanner_role_arns.is_unknown() && !planned.external_id.is_unknown() {
            planned.assume_role_policy = trust(planned, &region)?.into();
        }
        if planned.arguments().are_known() && !planned.regions.is_unknown() {
            let (document, managed) = self.permissions(planned, &region).await?;
            planned.policy = document.to_json().into();
            planned.managed_policy_arns = managed;
        }
        Ok(())
    }

    async fn create(&self, ctx: &Context, plan: Model, state: &mut Saved<Model>) -> Result<(), Diagnostic> {
        let region = region_of(&self.settings, &plan.region)?;
        let (plan, document) = self.complete(plan, &region).await?;
        let name = name_of(&plan);
        let role = NewRole {
            name: name.to_owned(),
            path: path_of(&plan.path).to_owned(),
            description: described("Lets agentless scanners of other accounts scan what this account runs."),
            trust_policy: plan.assume_role_policy.as_str().unwrap_or_default().to_owned(),
            permissions_boundary: plan.permissions_boundary.clone().known(),
            max_session_duration: plan.max_session_duration.unwrap_or(SESSION),
            tags: plan.tags_all.clone().unwrap_or_default(),
        };
        let arn =
            create_role(ctx, &*self.aws, &region, &role).await?.map_err(|error| match error.kind() {
                _ if is_missing_principal(&error) => missing_principal(&error, name),
                Kind::AlreadyExists => {
                    error.diagnostic(format!("Could not create IAM role {name:?}")).at("name")
                }
                _ => error.diagnostic(format!("Could not create IAM role {name:?}")),
            })?;
        let made = Model { arn: arn.into(), ..plan };
        state.save(made.clone());
        let tags = made.tags_all.clone().unwrap_or_default();
        self.policies(&region, &made).put(ctx, &document, &tags, path_of(&made.path), &Value::Null).await
    }

    async fn read(&self, _ctx: &Context, state: Model) -> Result<Option<Model>, Diagnostic> {
        let region = region_of(&self.settings, &state.region)?;
        let name = name_of(&state).to_owned();
        let failed = |error: AwsError| error.diagnostic(format!("Could not read IAM role {name:?}"));
        let Some(role) = self.aws.role(&region, &name).await.map_err(failed)? else { return Ok(None) };
        let state = Model { arn: role.arn.clone().into(), ..state };
        let found = self.policies(&region, &state).read(&state.managed_policy_arns).await.map_err(failed)?;
        let state = if state.policy.is_null() {
            imported(state, found.document.as_deref(), &role.trust_policy, &region)
        } else {
            state
        };
        let (tags, tags_all) = tagging::read(&self.settings, &state.tags, role.tags);
        Ok(Some(Model {
            id: role.name.as_str().into(),
            arn: role.arn.into(),
            name: role.name.into(),
            region: region.to_string().into(),
            regions: state.regions,
            path: role.path.into(),
            permissions_boundary: role.permissions_boundary.into(),
            max_session_duration: role.max_session_duration.into(),
            scanner_role_arns: state.scanner_role_arns,
            external_id: state.external_id,
            features: state.features,
            kms_key_arns: state.kms_key_arns,
            policy: keep_if_equal(state.policy, found.document),
            assume_role_policy: keep_if_equal(state.assume_role_policy, Some(role.trust_policy)),
            managed_policy_arns: found.managed.into(),
            foreign_policies: found.foreign.into(),
            tags,
            tags_all,
            timeouts: state.timeouts,
        }))
    }

    async fn update(
        &self,
        ctx: &Context,
        prior: Model,
        plan: Model,
        state: &mut Saved<Model>,
    ) -> Result<(), Diagnostic> {
        let region = region_of(&self.settings, &plan.region)?;
        let (plan, document) = self.complete(plan, &region).await?;
        let name = name_of(&plan).to_owned();
        let failed = |error: AwsError| error.diagnostic(format!("Could not update IAM role {name:?}"));

        // What grants too much goes first: to whom, then what.
        if prior.assume_role_policy != plan.assume_role_policy {
            let trust = plan.assume_role_policy.as_str().unwrap_or_default();
            let what = "waiting until IAM finds the principals of the trust policy";
            let put = || self.aws.put_trust_policy(&region, &name, trust);
            retry(ctx, IAM_PROPAGATION, what, is_missing_principal, put).await?.map_err(|error| {
                if is_missing_principal(&error) { missing_principal(&error, &name) } else { failed(error) }
            })?;
        }
        let own = self.policies(&region, &plan);
        own.remove_foreign().await.map_err(failed)?;
        let managed = union(&prior.managed_policy_arns, &plan.managed_policy_arns);
        let has_managed = managed.get().is_some_and(|managed| !managed.is_empty());
        if prior.policy != plan.policy
            || prior.managed_policy_arns != plan.managed_policy_arns
            || (has_managed && prior.tags_all != plan.tags_all)
        {
            // What is about to exist must be found again when this fails half-way.
            state.save(Model { managed_policy_arns: managed.clone(), ..prior.clone() });
            let tags = plan.tags_all.clone().unwrap_or_default();
            own.put(ctx, &document, &tags, path_of(&plan.path), &managed).await?;
        }
        let (have, want) = (prior.settings(), plan.settings());
        want.put(&*self.aws, &region, &name, have).await.map_err(failed)?;
        let tags = Change::between(&prior.tags_all, &plan.tags_all);
        state.save(Model { tags: prior.tags, tags_all: prior.tags_all, ..plan.clone() });
        if !tags.is_empty() {
            self.aws.tag_role(&region, &name, &tags.set, &tags.remove).await.map_err(failed)?;
        }
        state.save(plan);
        Ok(())
    }

    async fn delete(&self, ctx: &Context, state: Model) -> Result<(), Diagnostic> {
        let region = region_of(&self.settings, &state.region)?;
        let name = name_of(&state);
        self.policies(&region, &state).remove_all(ctx, &state.managed_policy_arns).await?;
        delete_role(ctx, &*self.aws, &region, name).await
    }

    fn identity() -> Option<ResourceIdentity<Model>> {
        Some(identity::by_name(
            |model: &Model| Parts { arn: &model.arn, region: &model.region, name: &model.name },
            |name, region| Model { id: name.clone(), name, region, ..Model::default() },
            "The name of the role.",
        ))
    }

    async fn import(&self, _ctx: &Context, id: &str) -> Result<Model, Diagnostic> {
        let (name, region) = import_id(id);
        Ok(Model { id: name.into(), name: name.into(), region, ..Model::default() })
    }
}

impl<A: Identity + Iam + ManagedPolicies> DelegateRole<A> {
    /// What the role permits, and the managed policies that it takes; those are unknown where the role's name is.
    async fn permissions(
        &self,
        model: &Model,
        region: &Region,
    ) -> Result<(PolicyDocument, Value<BTreeSet<String>>), Diagnostic> {
        let regions = region_list(&model.regions, region)?;
        let account =
            self.aws.account(region).await.map_err(|error| {
                error.diagnostic("Could not learn the account that the role's policy is for")
            })?;
        let document = model.arguments().policy(regions, account.clone())?;
        let managed = planned_policies(&document, region, &account, &model.path, &model.name)?;
        Ok((document, managed))
    }

    /// The plan with its policies, where they could not be planned.
    async fn complete(&self, plan: Model, region: &Region) -> Result<(Model, PolicyDocument), Diagnostic> {
        let (document, managed_policy_arns) = self.permissions(&plan, region).await?;
        let model = Model {
            id: plan.name.clone(),
            region: region.to_string().into(),
            policy: document.to_json().into(),
            assume_role_policy: trust(&plan, region)?.into(),
            managed_policy_arns,
            foreign_policies: Value::Known(BTreeSet::new()),
            ..plan
        };
        Ok((model, document))
    }

    fn policies<'a>(&'a self, region: &'a Region, model: &'a Model) -> OwnPolicies<'a, A> {
        let role_arn = model.arn.as_str().unwrap_or_default();
        OwnPolicies { aws: &*self.aws, region, role: name_of(model), role_arn }
    }
}

fn trust(model: &Model, region: &Region) -> Result<String, Diagnostic> {
    Ok(trust_scanners(&model.scanner_role_arns, &model.external_id, region)?.to_json())
}

/// What only the configuration knows, read from the documents of a role that is being imported.
fn imported(state: Model, policy: Option<&str>, trust: &str, region: &Region) -> Model {
    let read = Permissions::of_document(&parsed(policy));
    let trust = Trust::of_document(&parsed(Some(trust)));
    let regions = if read.regions == [region.clone()] { Value::Null } else { read_set(&read.regions) };
    Model {
        features: Value::Known(read.features.iter().map(|feature| feature.name().to_owned()).collect()),
        kms_key_arns: read_set(&read.kms_keys),
        regions,
        scanner_role_arns: read_set(&trust.scanner_roles),
        external_id: trust.external_id.as_ref().map(ToString::to_string).into(),
        ..state
    }
}

fn name_of(model: &Model) -> &str {
    model.name.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests;
