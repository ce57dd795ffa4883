//! `datadog_agentless_scanner_role`: the role of scanner instances, with exactly the permissions that a scan needs.

mod policy;
mod schema;

use std::collections::BTreeSet;
use std::sync::Arc;

use scanner_policy::{PolicyDocument, Region};
use serde_json::Value as Json;

pub use schema::Model;

use self::policy::{imported, keep_if_equal, render};
use super::identity::{self, Parts};
use super::place::{plan_region, region_of};
use super::tagging::{self, Change};
use crate::aws::{
    AwsError, IAM_PROPAGATION, Iam, Identity, InstanceProfile, Kind, NewInstanceProfile, NewRole, retry,
};
use crate::config::Settings;
use crate::sdk::{
    Context, Diagnostic, Identity as ResourceIdentity, MoveSource, Resource, Saved, Schema, Value,
};

/// The name of the one inline policy.
const POLICY_NAME: &str = "agentless-scanner";

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

impl<A: Identity + Iam> Resource for Role<A> {
    const NAME: &'static str = "agentless_scanner_role";
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
        planned.instance_profile_name = planned.name.clone();
        if prior.is_some_and(|prior| prior.instance_profile_arn.is_null()) {
            // Somebody removed it.
            planned.instance_profile_arn = Value::Unknown;
        }
        match region {
            Some(region) if planned.features.is_known() && !planned.kms_key_arns.is_unknown() => {
                let account = self.aws.account(&region).await.map_err(|error| {
                    error.diagnostic("Could not learn the account that the role's policy is for")
                })?;
                planned.policy = render(planned, &region, account)?.to_json().into();
                planned.assume_role_policy = PolicyDocument::trust_ec2(&region).to_json().into();
            }
            _ => {
                planned.policy = Value::Unknown;
                planned.assume_role_policy = Value::Unknown;
            }
        }
        Ok(())
    }

    async fn create(&self, ctx: &Context, plan: Model, state: &mut Saved<Model>) -> Result<(), Diagnostic> {
        let region = region_of(&self.settings, &plan.region)?;
        let plan = self.complete(plan, &region).await?;
        let name = name_of(&plan);
        let role = NewRole {
            name: name.to_owned(),
            path: path_of(&plan),
            description: "Scans volumes of this account. Managed by Terraform.".to_owned(),
            trust_policy: plan.assume_role_policy.as_str().unwrap_or_default().to_owned(),
            permissions_boundary: plan.permissions_boundary.clone().known(),
            max_session_duration: plan.max_session_duration.unwrap_or(3_600),
            tags: plan.tags_all.clone().unwrap_or_default(),
        };
        let arn = self.aws.create_role(&region, &role).await.map_err(|error| {
            let diagnostic = error.diagnostic(format!("Could not create IAM role {name:?}"));
            if error.kind() == Kind::AlreadyExists { diagnostic.at("name") } else { diagnostic }
        })?;
        let made = Model { arn: arn.into(), instance_profile_arn: Value::Null, ..plan.clone() };
        state.save(made.clone());

        self.put_policy(ctx, &region, &made).await?;
        let profile = self.settle_profile(ctx, &region, &made, None).await?;
        state.save(Model { instance_profile_arn: profile.into(), ..made });
        Ok(())
    }

    async fn read(&self, _ctx: &Context, state: Model) -> Result<Option<Model>, Diagnostic> {
        let region = region_of(&self.settings, &state.region)?;
        let name = name_of(&state).to_owned();
        let failed = |error: AwsError| error.diagnostic(format!("Could not read IAM role {name:?}"));
        let Some(role) = self.aws.role(&region, &name).await.map_err(failed)? else { return Ok(None) };
        let mut inline = self.aws.inline_policies(&region, &name).await.map_err(failed)?;
        let attached = self.aws.attached_policies(&region, &name).await.map_err(failed)?;
        let profile = self.aws.instance_profile(&region, &name).await.map_err(failed)?;

        let policy = inline.remove(POLICY_NAME);
        let state = if state.policy.is_null() { imported(state, policy.as_deref()) } else { state };
        let foreign = inline.into_keys().map(|name| format!("inline:{name}")).chain(attached).collect();
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
            policy: keep_if_equal(state.policy, policy),
            assume_role_policy: keep_if_equal(state.assume_role_policy, Some(role.trust_policy)),
            foreign_policies: Value::Known(foreign),
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
        let plan = self.complete(plan, &region).await?;
        let name = name_of(&plan).to_owned();
        let failed = |error: AwsError| error.diagnostic(format!("Could not update IAM role {name:?}"));

        // What grants too much goes first.
        self.remove_policies(&region, &name, &[POLICY_NAME]).await.map_err(failed)?;
        if prior.policy != plan.policy {
            self.put_policy(ctx, &region, &plan).await?;
        }
        if prior.assume_role_policy != plan.assume_role_policy {
            let trust = plan.assume_role_policy.as_str().unwrap_or_default();
            self.aws.put_trust_policy(&region, &name, trust).await.map_err(failed)?;
        }
        if prior.permissions_boundary != plan.permissions_boundary {
            let boundary = plan.permissions_boundary.as_str();
            self.aws.put_permissions_boundary(&region, &name, boundary).await.map_err(failed)?;
        }
        if prior.max_session_duration != plan.max_session_duration {
            let seconds = plan.max_session_duration.unwrap_or(3_600);
            self.aws.put_max_session_duration(&region, &name, seconds).await.map_err(failed)?;
        }
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
        match self.remove_policies(&region, name, &[]).await {
            Err(error) if gone(&error) => {}
            answer => answer.map_err(failed)?,
        }
        // IAM may still count what was just taken away.
        let what = format!("waiting until nothing uses IAM role {name:?} any more");
        let in_use = |error: &AwsError| error.kind() == Kind::InUse;
        let answer =
            retry(ctx, IAM_PROPAGATION, &what, in_use, || self.aws.delete_role(&region, name)).await?;
        answer.map_err(failed)
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
        // A role's name may itself contain an @.
        let (name, region) = match id.rsplit_once('@') {
            Some((name, region)) if !name.is_empty() && region.parse::<Region>().is_ok() => {
                (name, region.into())
            }
            _ => (id, Value::Null),
        };
        Ok(Model { id: name.into(), name: name.into(), region, ..Model::default() })
    }
}

impl<A: Identity + Iam> Role<A> {
    /// The plan with its policies, where they could not be planned.
    async fn complete(&self, plan: Model, region: &Region) -> Result<Model, Diagnostic> {
        let account =
            self.aws.account(region).await.map_err(|error| {
                error.diagnostic("Could not learn the account that the role's policy is for")
            })?;
        let policy = render(&plan, region, account)?.to_json();
        Ok(Model {
            id: plan.name.clone(),
            instance_profile_name: plan.name.clone(),
            region: region.to_string().into(),
            policy: policy.into(),
            assume_role_policy: PolicyDocument::trust_ec2(region).to_json().into(),
            foreign_policies: Value::Known(BTreeSet::new()),
            ..plan
        })
    }

    async fn put_policy(&self, ctx: &Context, region: &Region, model: &Model) -> Result<(), Diagnostic> {
        let (name, policy) = (name_of(model), model.policy.as_str().unwrap_or_default());
        let what = format!("waiting until IAM role {name:?} is there");
        retry(ctx, IAM_PROPAGATION, &what, AwsError::is_not_found, || {
            self.aws.put_inline_policy(region, name, POLICY_NAME, policy)
        })
        .await?
        .map_err(|error| error.diagnostic(format!("Could not set the policy of IAM role {name:?}")))
    }

    /// Whether the role is in the instance profile of its name.
    async fn holds_role(&self, region: &Region, name: &str) -> bool {
        let profile = self.aws.instance_profile(region, name).await;
        matches!(profile, Ok(Some(profile)) if profile.roles == [name])
    }

    /// Takes every policy but those named in `keep` from the role.
    async fn remove_policies(&self, region: &Region, role: &str, keep: &[&str]) -> Result<(), AwsError> {
        for arn in self.aws.attached_policies(region, role).await? {
            self.aws.detach_policy(region, role, &arn).await?;
        }
        for policy in self.aws.inline_policies(region, role).await?.into_keys() {
            if !keep.contains(&policy.as_str()) {
                self.aws.delete_inline_policy(region, role, &policy).await?;
            }
        }
        Ok(())
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
                path: path_of(model),
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

fn path_of(model: &Model) -> String {
    model.path.as_str().unwrap_or("/").to_owned()
}

fn name_of(model: &Model) -> &str {
    model.name.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests;
