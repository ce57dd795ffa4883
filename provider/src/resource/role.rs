//! `datadog_agentless_scanner_role`: the role of scanner instances, with exactly the permissions that a scan needs.

mod schema;

use std::collections::BTreeSet;
use std::sync::Arc;

use scanner_policy::{Permissions, PolicyDocument, Region};
use serde_json::Value as Json;

pub use super::iam::Reports;
pub use schema::Model;

use super::iam::{
    OwnPolicies, SESSION, create_role, delete_role, described, import_id, keep_if_equal, parsed, path_of,
    planned_policies, read_reports, read_set, union,
};
use super::identity::{self, Parts};
use super::place::{plan_region, region_of};
use super::tagging::{self, Change};
use crate::aws::{
    AwsError, IAM_PROPAGATION, Iam, Identity, InstanceProfile, Kind, ManagedPolicies, NewInstanceProfile,
    NewRole, retry,
};
use crate::config::Settings;
use crate::sdk::{
    Context, Diagnostic, Identity as ResourceIdentity, MoveSource, Resource, Saved, Schema, Value,
};

/// Manages the role, instance profile and policy of scanner instances.
#[derive(Debug)]
pub struct Role<A> {
    aws: Arc<A>,
    settings: Arc<Settings>,
}

impl<A> Role<A> {
    /// The resource over `aws`.
    pub fn new(aws: Arc<A>, settings: Arc<Settings>) -> Self {
        Self { aws, settings }
    }
}

impl<A: Identity + Iam + ManagedPolicies> Resource for Role<A> {
    const NAME: &'static str = "agentless_scanner_role";
    type Model = Model;

    fn schema() -> Schema {
        schema::schema()
    }

    fn validate(config: &Model) -> Vec<Diagnostic> {
        config.arguments().problems()
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
        planned.instance_profile_name = planned.name.clone();
        if prior.is_some_and(|prior| prior.instance_profile_arn.is_null()) {
            // Somebody removed it.
            planned.instance_profile_arn = Value::Unknown;
        }
        planned.policy = Value::Unknown;
        planned.assume_role_policy = Value::Unknown;
        planned.managed_policy_arns = Value::Unknown;
        if let Some(region) = region
            && planned.arguments().are_known()
        {
            planned.assume_role_policy = PolicyDocument::trust_ec2(&region).to_json().into();
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
            description: described("Scans what this account runs, for the agentless scanner."),
            trust_policy: plan.assume_role_policy.as_str().unwrap_or_default().to_owned(),
            permissions_boundary: plan.permissions_boundary.clone().known(),
            max_session_duration: plan.max_session_duration.unwrap_or(SESSION),
            tags: plan.tags_all.clone().unwrap_or_default(),
        };
        let arn = create_role(ctx, &*self.aws, &region, &role).await?.map_err(|error| {
            let diagnostic = error.diagnostic(format!("Could not create IAM role {name:?}"));
            if error.kind() == Kind::AlreadyExists { diagnostic.at("name") } else { diagnostic }
        })?;
        let made = Model { arn: arn.into(), instance_profile_arn: Value::Null, ..plan.clone() };
        state.save(made.clone());

        let policies = self.policies(&region, &made);
        let (path, tags) = (path_of(&made.path), made.tags_all.clone().unwrap_or_default());
        // Neither needs the other. Both are carried to their end, so that nothing is under way when one fails.
        let (put, profile) = tokio::join!(
            policies.put(ctx, &document, &tags, path, &Value::Null),
            self.settle_profile(ctx, &region, &made, None)
        );
        put?;
        state.save(Model { instance_profile_arn: profile?.into(), ..made });
        Ok(())
    }

    async fn read(&self, _ctx: &Context, state: Model) -> Result<Option<Model>, Diagnostic> {
        let region = region_of(&self.settings, &state.region)?;
        let name = name_of(&state).to_owned();
        let failed = |error: AwsError| error.diagnostic(format!("Could not read IAM role {name:?}"));
        let Some(role) = self.aws.role(&region, &name).await.map_err(failed)? else { return Ok(None) };
        let state = Model { arn: role.arn.clone().into(), ..state };
        let own = self.policies(&region, &state);
        let (found, profile) =
            tokio::try_join!(own.read(&state.managed_policy_arns), self.aws.instance_profile(&region, &name))
                .map_err(failed)?;
        let state = if state.policy.is_null() { imported(state, found.document.as_deref()) } else { state };
        let (tags, tags_all) = tagging::read(&self.settings, &state.tags, role.tags);
        Ok(Some(Model {
            id: role.name.as_str().into(),
            arn: role.arn.into(),
            name: role.name.as_str().into(),
            region: region.to_string().into(),
            path: role.path.into(),
            permissions_boundary: role.permissions_boundary.into(),
            max_session_duration: role.max_session_duration.into(),
            features: state.features,
            kms_key_arns: state.kms_key_arns,
            delegate_role_arns: state.delegate_role_arns,
            secret_arns: state.secret_arns,
            secret_kms_key_arns: state.secret_kms_key_arns,
            scaling_group_names: state.scaling_group_names,
            reports: state.reports,
            policy: keep_if_equal(state.policy, found.document),
            assume_role_policy: keep_if_equal(state.assume_role_policy, Some(role.trust_policy)),
            managed_policy_arns: found.managed.into(),
            foreign_policies: found.foreign.into(),
            // A profile that holds another role or none is as good as missing.
            instance_profile_arn: profile
                .filter(|profile| profile.roles == [role.name])
                .map(|profile| profile.arn)
                .into(),
            instance_profile_name: name.into(),
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

        // What grants too much goes first.
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
        if prior.assume_role_policy != plan.assume_role_policy {
            let trust = plan.assume_role_policy.as_str().unwrap_or_default();
            self.aws.put_trust_policy(&region, &name, trust).await.map_err(failed)?;
        }
        let (have, want) = (prior.settings(), plan.settings());
        want.put(&*self.aws, &region, &name, have).await.map_err(failed)?;
        let (old_tags, old_tags_all) = (prior.tags, prior.tags_all);
        let old_profile = prior.instance_profile_arn;
        state.save(Model {
            tags: old_tags,
            tags_all: old_tags_all.clone(),
            instance_profile_arn: old_profile,
            ..plan.clone()
        });

        let profile = self.aws.instance_profile(&region, &name).await.map_err(failed)?;
        let profile = self.settle_profile(ctx, &region, &plan, profile).await?;
        let tags = Change::between(&old_tags_all, &plan.tags_all);
        if !tags.is_empty() {
            self.aws.tag_role(&region, &name, &tags.set, &tags.remove).await.map_err(failed)?;
        }
        state.save(Model { instance_profile_arn: profile.into(), ..plan });
        Ok(())
    }

    async fn delete(&self, ctx: &Context, state: Model) -> Result<(), Diagnostic> {
        let region = region_of(&self.settings, &state.region)?;
        let name = name_of(&state);
        let failed = |error: AwsError| error.diagnostic(format!("Could not delete IAM role {name:?}"));
        let gone = |error: &AwsError| error.is_not_found();

        let profile = self.aws.instance_profile(&region, name).await.map_err(failed)?;
        match self.aws.profiles_of_role(&region, name).await {
            Err(error) if gone(&error) => {}
            profiles => {
                for profile in profiles.map_err(failed)? {
                    self.aws.remove_role_from_profile(&region, &profile, name).await.map_err(failed)?;
                }
            }
        }
        if profile.is_some_and(|profile| is_free_for(&profile, name)) {
            self.aws.delete_instance_profile(&region, name).await.map_err(failed)?;
        }
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

    fn move_from(source: &MoveSource) -> Result<Option<Model>, Diagnostic> {
        if !source.is("hashicorp/aws", "aws_iam_role") {
            return Ok(None);
        }
        let session = source.state.get("max_session_duration").and_then(Json::as_i64);
        Ok(Some(Model {
            id: source.text("name").into(),
            arn: source.text("arn").into(),
            name: source.text("name").into(),
            path: source.text("path").into(),
            permissions_boundary: source.text("permissions_boundary").into(),
            max_session_duration: session.and_then(|seconds| seconds.try_into().ok()).into(),
            tags: tagging::moved(source),
            ..Model::default()
        }))
    }

    async fn import(&self, _ctx: &Context, id: &str) -> Result<Model, Diagnostic> {
        let (name, region) = import_id(id);
        Ok(Model { id: name.into(), name: name.into(), region, ..Model::default() })
    }

    fn upgrade(from: i64, mut state: Json) -> Result<Json, Diagnostic> {
        match (from, state.as_object_mut()) {
            // Version 0 had one inline policy and no managed ones.
            (0, Some(attributes)) => {
                attributes.insert("managed_policy_arns".to_owned(), Json::Array(Vec::new()));
            }
            _ => {
                return Err(Diagnostic::bug(format_args!(
                    "There is no upgrade of a role from version {from}."
                )));
            }
        }
        Ok(state)
    }
}

impl<A: Identity + Iam + ManagedPolicies> Role<A> {
    /// What the role permits, and the managed policies that it takes; those are unknown where the role's name is.
    async fn permissions(
        &self,
        model: &Model,
        region: &Region,
    ) -> Result<(PolicyDocument, Value<BTreeSet<String>>), Diagnostic> {
        let account =
            self.aws.account(region).await.map_err(|error| {
                error.diagnostic("Could not learn the account that the role's policy is for")
            })?;
        let document = model.arguments().policy(region, account.clone())?;
        let managed = planned_policies(&document, region, &account, &model.path, &model.name)?;
        Ok((document, managed))
    }

    /// The plan with its policies, where they could not be planned.
    async fn complete(&self, plan: Model, region: &Region) -> Result<(Model, PolicyDocument), Diagnostic> {
        let (document, managed_policy_arns) = self.permissions(&plan, region).await?;
        let model = Model {
            id: plan.name.clone(),
            instance_profile_name: plan.name.clone(),
            region: region.to_string().into(),
            policy: document.to_json().into(),
            assume_role_policy: PolicyDocument::trust_ec2(region).to_json().into(),
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

    /// Whether the role is in the instance profile of its name.
    async fn holds_role(&self, region: &Region, name: &str) -> bool {
        let profile = self.aws.instance_profile(region, name).await;
        matches!(profile, Ok(Some(profile)) if profile.roles == [name])
    }

    /// Brings the instance profile, `found` or not, to hold the role and its tags. Returns its ARN.
    async fn settle_profile(
        &self,
        ctx: &Context,
        region: &Region,
        model: &Model,
        found: Option<InstanceProfile>,
    ) -> Result<String, Diagnostic> {
        let name = name_of(model);
        let failed =
            |error: AwsError| error.diagnostic(format!("Could not set up instance profile {name:?}"));
        let profile = if let Some(profile) = found {
            profile
        } else {
            let profile = NewInstanceProfile {
                name: name.to_owned(),
                path: path_of(&model.path).to_owned(),
                tags: model.tags_all.clone().unwrap_or_default(),
            };
            match self.aws.create_instance_profile(region, &profile).await {
                // An answer that was lost makes the SDK ask again, and a creation may have failed half-way before.
                Err(error) if error.kind() == Kind::AlreadyExists => {
                    match self.aws.instance_profile(region, name).await.map_err(failed)? {
                        Some(profile) if is_free_for(&profile, name) => profile,
                        _ => return Err(failed(error).at("name")),
                    }
                }
                answer => answer.map_err(failed)?,
            }
        };
        for other in profile.roles.iter().filter(|role| *role != name) {
            self.aws.remove_role_from_profile(region, name, other).await.map_err(failed)?;
        }
        if !profile.roles.iter().any(|role| role == name) {
            let what = format!("waiting until instance profile {name:?} is there");
            let answer = retry(ctx, IAM_PROPAGATION, &what, AwsError::is_not_found, || {
                self.aws.add_role_to_profile(region, name, name)
            });
            match answer.await? {
                // A profile holds one role. When the answer was lost and the SDK asked again, that is ours.
                Err(error) if error.kind() == Kind::Limit && self.holds_role(region, name).await => {}
                answer => answer.map_err(failed)?,
            }
        }
        let tags = Change::between(&profile.tags.into(), &model.tags_all);
        if !tags.is_empty() {
            self.aws.tag_profile(region, name, &tags.set, &tags.remove).await.map_err(failed)?;
        }
        Ok(profile.arn)
    }
}

/// Whether the profile of the role's own name is the role's: nobody else's role is in it.
fn is_free_for(profile: &InstanceProfile, role: &str) -> bool {
    profile.roles.iter().all(|name| name == role)
}

/// What only the configuration knows, read from the policy of a role that is being imported.
fn imported(state: Model, policy: Option<&str>) -> Model {
    let read = Permissions::of_document(&parsed(policy));
    Model {
        features: Value::Known(read.features.iter().map(|feature| feature.name().to_owned()).collect()),
        kms_key_arns: read_set(&read.kms_keys),
        delegate_role_arns: read_set(&read.service.delegate_roles),
        secret_arns: read_set(&read.service.secrets),
        secret_kms_key_arns: read_set(&read.service.secret_kms_keys),
        scaling_group_names: read_set(&read.service.scaling_groups),
        reports: read_reports(read.service.reports.as_ref()),
        ..state
    }
}

fn name_of(model: &Model) -> &str {
    model.name.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests;
