//! `datadog_agentless_scanner`: a launch template and the Auto Scaling group that keeps replacing its instances.

mod check;
mod desired;
mod group;
mod lifecycle;
mod observe;
mod rollout;
mod schema;
mod settings;
mod template;
mod user_data;

use std::sync::Arc;

pub use lifecycle::{Hook, InstanceRefresh};
pub use schema::{Hardening, Model};
pub use settings::{
    Account, DatadogSink, FilesSink, Hosts, HttpsSink, Images, Queue, RateLimits, S3Sink, ScannerSettings,
    Sinks, Spool, Status, Tasks,
};

use self::desired::{complete, left_alone, needs_refresh, needs_version, user_data};
use self::group::is_ours;
use super::identity::{self, Parts};
use super::place::{parse_import_id, plan_region, region_of};
use super::tagging;
use crate::aws::{AwsError, InstanceRefreshes, LaunchTemplates, LifecycleHooks, Pace, ScalingGroups, retry};
use crate::config::Settings;
use crate::sdk::{Context, Diagnostic, Identity as ResourceIdentity, Resource, Saved, Schema, Value};

/// Manages one scanner.
#[derive(Debug)]
pub struct Scanner<A> {
    aws: Arc<A>,
    settings: Arc<Settings>,
}

impl<A> Scanner<A> {
    /// The resource over `aws`.
    pub fn new(aws: Arc<A>, settings: Arc<Settings>) -> Self {
        Self { aws, settings }
    }
}

/// What of AWS a scanner is made of.
pub trait Machines: LaunchTemplates + ScalingGroups + LifecycleHooks + InstanceRefreshes {}

impl<A: LaunchTemplates + ScalingGroups + LifecycleHooks + InstanceRefreshes> Machines for A {}

impl<A: Machines> Resource for Scanner<A> {
    const NAME: &'static str = "agentless_scanner";
    type Model = Model;

    fn schema() -> Schema {
        schema::schema()
    }

    fn validate(config: &Model) -> Vec<Diagnostic> {
        check::problems(config)
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
        planned.id = planned.name.clone();
        planned.tags_all = tagging::plan(&self.settings, &planned.tags);
        planned.hardening = Hardening::required().into();
        planned.user_data = match &region {
            Some(region) => user_data(planned, region)?,
            None => Value::Unknown,
        };
        let by_parameter = &planned.image_parameter;
        if let Value::Known(refresh) = &mut planned.instance_refresh
            && config.instance_refresh.get().is_none_or(|config| config.auto_rollback.is_null())
        {
            refresh.auto_rollback =
                if by_parameter.is_unknown() { Value::Unknown } else { by_parameter.is_null().into() };
        }
        let is_launched_anew = prior.is_none_or(|prior| needs_refresh(prior, planned));
        if is_launched_anew && planned.image_parameter.is_known() {
            let detail = "With image_parameter every new instance boots the image that the parameter then names. EC2 Auto \
                          Scaling cannot go back to an earlier one when a refresh fails; with image_id it does.";
            let summary = "Automatic rollback is not available";
            ctx.report(Diagnostic::warning(summary, detail).at("image_parameter"));
        }
        if let (true, Some(region), Some(settings)) = (is_launched_anew, &region, planned.settings.get()) {
            for warning in settings::warnings(settings, region) {
                ctx.report(warning);
            }
        }
        if let (true, Some(region), Some(image_id)) = (is_launched_anew, &region, planned.image_id.as_str()) {
            let image = self.checked_image(ctx, region, image_id, planned, "image_id").await?;
            check::tell_deprecation(ctx, image_id, &image);
        }
        if let (false, Some(region), Some(prior)) = (is_launched_anew, &region, prior) {
            self.watch_image(ctx, region, prior).await;
        }
        if config.desired_capacity.is_null() {
            planned.desired_capacity = left_alone(prior, planned);
        }
        if let Some(prior) = prior {
            if prior.arn.is_null() {
                planned.arn = Value::Unknown;
            }
            if prior.launch_template_id.is_null() {
                planned.launch_template_id = Value::Unknown;
            }
            planned.launch_template_version = if needs_version(prior, planned) {
                Value::Unknown
            } else {
                prior.launch_template_version.clone()
            };
        }
        Ok(())
    }

    async fn create(&self, ctx: &Context, plan: Model, state: &mut Saved<Model>) -> Result<(), Diagnostic> {
        let region = region_of(&self.settings, &plan.region)?;
        let plan = complete(plan, &region)?;
        let name = name_of(&plan);
        // Before anything is made, so that a refusal leaves no launch template behind.
        let (no_group, content) =
            tokio::join!(self.refuse_existing_group(ctx, &region, name), self.content(ctx, &region, &plan));
        no_group?;
        let content = content?;
        let template = self.create_template(&region, &plan, &content).await?;
        let nothing_yet = Model { arn: Value::Null, launch_template_version: Value::Null, ..plan };
        let with_template = Model { launch_template_id: template.id.as_str().into(), ..nothing_yet };
        state.save(with_template.clone());
        let template = self.launchable(ctx, &region, &with_template, template, content).await?;
        self.create_group(ctx, &region, with_template, &template, state).await
    }

    async fn read(&self, _ctx: &Context, state: Model) -> Result<Option<Model>, Diagnostic> {
        let region = region_of(&self.settings, &state.region)?;
        self.observed(&region, state).await
    }

    async fn update(
        &self,
        ctx: &Context,
        prior: Model,
        plan: Model,
        state: &mut Saved<Model>,
    ) -> Result<(), Diagnostic> {
        let region = region_of(&self.settings, &plan.region)?;
        let plan = complete(plan, &region)?;
        let name = name_of(&plan).to_owned();
        let failed =
            |error: AwsError| error.diagnostic(format!("Could not update scanner {name:?} in {region}"));

        let launch = self.next_launch(ctx, &region, &prior, &plan).await?;
        let template = &launch.template;
        if prior.arn.is_null() {
            let with_template =
                Model { arn: Value::Null, launch_template_id: template.id.as_str().into(), ..plan };
            self.refuse_existing_group(ctx, &region, &name).await?;
            return self.create_group(ctx, &region, with_template, template, state).await;
        }
        let updated = Model {
            launch_template_id: template.id.as_str().into(),
            launch_template_version: template.version.as_str().into(),
            ..plan
        };
        let so_far = self.update_group(ctx, &region, &prior, &updated, &launch, state).await?;
        if launch.refreshes {
            self.replace_instances(ctx, &region, &so_far, &updated, &launch, state).await?;
        }
        if launch.is_new
            && let Ok(number) = template.version.parse()
        {
            self.aws.put_default_version(&region, &template.id, number).await.map_err(failed)?;
        }
        state.save(updated);
        Ok(())
    }

    async fn delete(&self, ctx: &Context, state: Model) -> Result<(), Diagnostic> {
        let region = region_of(&self.settings, &state.region)?;
        let name = name_of(&state);
        let failed =
            |error: AwsError| error.diagnostic(format!("Could not delete scanner {name:?} in {region}"));
        let what = format!("waiting until the instances of scanner {name:?} in {region} are gone");

        let group = self.aws.scaling_group(&region, name).await.map_err(failed)?;
        if group.is_some_and(|group| is_ours(&state, &group)) {
            retry(ctx, ctx.remaining(), &what, AwsError::is_in_use, || {
                self.aws.delete_scaling_group(&region, name)
            })
            .await?
            .map_err(failed)?;
            let mut pace = Pace::steady();
            while self.aws.scaling_group(&region, name).await.map_err(failed)?.is_some() {
                pace.pause(ctx, &what).await?;
            }
        }
        if let Some(template) = state.launch_template_id.as_str() {
            self.aws.delete_template(&region, template).await.map_err(failed)?;
        }
        Ok(())
    }

    fn identity() -> Option<ResourceIdentity<Model>> {
        Some(identity::by_name(
            |model: &Model| Parts { arn: &model.arn, region: &model.region, name: &model.name },
            |name, region| Model { id: name.clone(), name, region, ..Model::default() },
            "The name of the Auto Scaling group.",
        ))
    }

    async fn import(&self, _ctx: &Context, id: &str) -> Result<Model, Diagnostic> {
        let (name, region) = parse_import_id(id)?;
        Ok(Model { id: name.as_str().into(), name: name.into(), region, ..Model::default() })
    }
}

fn name_of(model: &Model) -> &str {
    model.name.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests;
