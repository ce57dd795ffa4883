//! The Auto Scaling group: made, changed, and told from those of others.

use std::time::Duration;

use scanner_policy::Region;

use super::super::tagging::Change;
use super::desired::{group_settings, not_launched_yet};
use super::lifecycle::wanted_hooks;
use super::rollout::remember;
use super::schema::Model;
use super::template::Launch;
use super::{Machines, Scanner, name_of};
use crate::aws::{AwsError, IAM_PROPAGATION, Kind, Pace, ScalingGroup, TemplateRef, retry};
use crate::sdk::{Context, Diagnostic, Saved};

impl<A: Machines> Scanner<A> {
    /// A group of that name must not be adopted. One that is on its way out is waited for.
    pub(super) async fn refuse_existing_group(
        &self,
        ctx: &Context,
        region: &Region,
        name: &str,
    ) -> Result<(), Diagnostic> {
        let summary = format!("Could not create scanner {name:?} in {region}");
        let what = format!("waiting until the Auto Scaling group {name:?} that is being deleted is gone");
        let mut pace = Pace::steady();
        loop {
            match self.aws.scaling_group(region, name).await {
                Err(error) => return Err(error.diagnostic(summary)),
                Ok(None) => return Ok(()),
                Ok(Some(group)) if group.is_leaving => pace.pause(ctx, &what).await?,
                Ok(Some(_)) => {
                    let detail = format!(
                        "There is an Auto Scaling group of that name already. Choose another name, or bring it under \
                         Terraform's control with `terraform import … {name}@{region}`."
                    );
                    return Err(Diagnostic::error(summary, detail).at("name"));
                }
            }
        }
    }

    /// Makes the group of a scanner that has its template, and saves what it is then.
    pub(super) async fn create_group(
        &self,
        ctx: &Context,
        region: &Region,
        plan: Model,
        template: &TemplateRef,
        state: &mut Saved<Model>,
    ) -> Result<(), Diagnostic> {
        let name = name_of(&plan);
        let tags = plan.tags_all.clone().unwrap_or_default();
        let settings = group_settings(&plan, Some(template.clone()), plan.desired_capacity.known());
        let hooks = wanted_hooks(&plan);
        let summary = || format!("Could not create Auto Scaling group {name:?} in {region}");
        let what = format!("waiting until EC2 Auto Scaling knows the instance profile of scanner {name:?}");
        let create = || self.aws.create_scaling_group(region, name, &settings, &tags, &hooks);
        match retry(ctx, IAM_PROPAGATION, &what, is_unpropagated, create).await? {
            // An answer that was lost makes the SDK ask again. What launches our new template is the group we made.
            Err(error)
                if error.kind() == Kind::AlreadyExists && self.launches(region, name, template).await => {}
            Err(error) if error.kind() == Kind::AlreadyExists => {
                return Err(error.diagnostic(summary()).at("name"));
            }
            answer => answer.map_err(|error| error.diagnostic(summary()))?,
        }
        remember(ctx, template);
        let made = Model { launch_template_version: template.version.as_str().into(), ..plan.clone() };
        state.save(made.clone());

        let mut pace = Pace::brisk();
        let what = format!("waiting until Auto Scaling group {name:?} is listed");
        let group = loop {
            match self.aws.scaling_group(region, name).await.map_err(|error| error.diagnostic(summary()))? {
                Some(group) => break group,
                None => pace.pause(ctx, &what).await?,
            }
        };
        state.save(Model { arn: group.arn.into(), ..made });
        Ok(())
    }

    /// Whether there is a group of that name that launches from `template`.
    async fn launches(&self, region: &Region, name: &str, template: &TemplateRef) -> bool {
        let group = self.aws.scaling_group(region, name).await;
        matches!(group, Ok(Some(group)) if group.launches(&template.id))
    }

    /// Sets group, hooks and tags as planned, and returns what the state then is. With a refresh to come from which there
    /// is a way back, the group goes on launching what it does.
    pub(super) async fn update_group(
        &self,
        ctx: &Context,
        region: &Region,
        prior: &Model,
        updated: &Model,
        launch: &Launch,
        state: &mut Saved<Model>,
    ) -> Result<Model, Diagnostic> {
        let name = name_of(updated);
        let failed =
            |error: AwsError| error.diagnostic(format!("Could not update scanner {name:?} in {region}"));
        // A desired capacity that the plan does not change may have been changed meanwhile, and is left alone.
        let desired =
            updated.desired_capacity.known().filter(|_| updated.desired_capacity != prior.desired_capacity);
        let template = (launch.is_new && !launch.stays).then(|| launch.template.clone());
        let settings = group_settings(updated, template, desired);
        let what = format!("waiting until EC2 Auto Scaling accepts the change of scanner {name:?}");
        let not_yet = |error: &AwsError| is_unpropagated(error) || is_busy(error);
        let update = retry(ctx, IAM_PROPAGATION, &what, not_yet, || {
            self.aws.update_scaling_group(region, name, &settings)
        });
        // Side by side, and each to its end: what was sent must not be forgotten because another call failed.
        let (group, hooks) = tokio::join!(update, self.put_hooks(ctx, region, prior, updated));
        group?.map_err(failed)?;
        let so_far = if launch.stays { not_launched_yet(prior, updated.clone()) } else { updated.clone() };
        let untagged = Model { tags: prior.tags.clone(), tags_all: prior.tags_all.clone(), ..so_far.clone() };
        if let Err(error) = hooks {
            // Whatever became of them, the next plan finds out.
            let (launch_hook, termination_hook) = (prior.launch_hook.clone(), prior.termination_hook.clone());
            state.save(Model { launch_hook, termination_hook, ..untagged });
            return Err(error);
        }
        state.save(untagged);

        let change = Change::between(&prior.tags_all, &updated.tags_all);
        if !change.is_empty() {
            let Change { set, remove } = change;
            let (of_group, of_template) = tokio::join!(
                self.aws.tag_scaling_group(region, name, &set, &remove),
                self.aws.tag_template(region, &launch.template.id, &set, &remove)
            );
            of_group.and(of_template).map_err(failed)?;
        }
        state.save(so_far.clone());
        Ok(so_far)
    }

    /// Sets the group's hooks of ours as planned. Others are left alone.
    async fn put_hooks(
        &self,
        ctx: &Context,
        region: &Region,
        prior: &Model,
        plan: &Model,
    ) -> Result<(), Diagnostic> {
        let name = name_of(plan);
        let failed = |error: AwsError| {
            error.diagnostic(format!("Could not set the lifecycle hooks of scanner {name:?} in {region}"))
        };
        let what = format!("waiting until EC2 Auto Scaling accepts the lifecycle hooks of scanner {name:?}");
        let (have, want) = (wanted_hooks(prior), wanted_hooks(plan));
        for hook in want.iter().filter(|hook| !have.contains(hook)) {
            let put = || self.aws.put_hook(region, name, hook);
            retry(ctx, CONTENTION, &what, is_busy, put).await?.map_err(failed)?;
        }
        for hook in have.iter().filter(|hook| want.iter().all(|other| other.name != hook.name)) {
            let delete = || self.aws.delete_hook(region, name, &hook.name);
            retry(ctx, CONTENTION, &what, is_busy, delete).await?.map_err(failed)?;
        }
        Ok(())
    }
}

/// How long another change of the group, such as one of our own side by side, may keep it from being changed.
const CONTENTION: Duration = Duration::from_mins(2);

/// Whether another change or a scaling activity is in the way (`ResourceContention`, `ScalingActivityInProgress`).
fn is_busy(error: &AwsError) -> bool {
    error.kind() == Kind::InUse
}

/// Whether the group of the scanner's name is the scanner's. A creation that failed half-way has a template, but no
/// group of which it knows; what launches something else then is somebody else's.
pub(super) fn is_ours(state: &Model, group: &ScalingGroup) -> bool {
    state.arn.is_known() || state.launch_template_id.as_str().is_some_and(|template| group.launches(template))
}

/// Whether the error says that the instance profile is not known, as it is for seconds after it was made.
pub(super) fn is_unpropagated(error: &AwsError) -> bool {
    error.kind() == Kind::Invalid && error.message().to_ascii_lowercase().contains("instance profile")
}
