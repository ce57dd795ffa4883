//! `datadog_agentless_scanner`: a launch template and the Auto Scaling group that keeps replacing its instances.

mod check;
mod desired;
mod lifecycle;
mod observe;
mod rollout;
mod schema;
mod settings;
mod user_data;

use std::sync::Arc;

use scanner_policy::Region;

pub use lifecycle::{Hook, InstanceRefresh};
pub use schema::{Hardening, Model};
pub use settings::{Account, DatadogSink, HttpsSink, RateLimits, S3Sink, ScannerSettings, Sinks};

use self::desired::{
    complete, content, group_settings, left_alone, needs_refresh, needs_version, not_launched_yet, user_data,
};
use self::lifecycle::{new_refresh, observe_hooks, wanted_hooks};
use self::observe::{observe_content, observe_group};
use self::rollout::{failure, is_trusted, remember};
use super::place::{parse_import_id, plan_region, region_of};
use super::tagging::{self, Change};
use crate::aws::{
    AwsError, DEFAULT_ROOT_DEVICE, IAM_PROPAGATION, InstanceRefreshes, Kind, LaunchTemplates, LifecycleHooks,
    Pace, Refresh, RefreshStatus, ScalingGroup, ScalingGroups, TemplateContent, TemplateRef, retry,
};
use crate::config::Settings;
use crate::sdk::{Context, Diagnostic, Path, Resource, Saved, Schema, Value};

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
        // A bound that is not given is its default, 1; one that is not known yet is checked when it is.
        let bound = |value: &Value<i32>| if value.is_unknown() { None } else { Some((*value).unwrap_or(1)) };
        let (min, max) = (bound(&config.min_size), bound(&config.max_size));
        let mut problems = Vec::new();
        if let (Some(min), Some(max)) = (min, max)
            && min > max
        {
            let default = if config.max_size.is_null() { ", its default" } else { "" };
            let detail = format!("min_size is {min}, but max_size is {max}{default}.");
            problems.push(Diagnostic::error("min_size is larger than max_size", detail).at("min_size"));
        }
        if let Some(desired) = config.desired_capacity.get()
            && (min.is_some_and(|min| *desired < min) || max.is_some_and(|max| *desired > max))
        {
            let detail = format!(
                "desired_capacity is {desired}, but must lie between min_size and max_size; each is 1 by default."
            );
            let summary = "desired_capacity is out of bounds";
            problems.push(Diagnostic::error(summary, detail).at("desired_capacity"));
        }
        let by_parameter = config.image_parameter.is_known();
        if by_parameter && config.image_id.is_known() {
            let detail = "image_id and image_parameter name the image in two ways. Keep one of them.";
            problems.push(Diagnostic::error("The image is named twice", detail).at("image_parameter"));
        } else if config.image_id.is_null() && config.image_parameter.is_null() {
            let detail =
                "Set image_id, or image_parameter for the parameter of Systems Manager that has the id.";
            problems.push(Diagnostic::error("No image is named", detail).at("image_id"));
        }
        let rolls_back = config.instance_refresh.get().and_then(|refresh| refresh.auto_rollback.get());
        if by_parameter && rolls_back == Some(&true) {
            let detail = "EC2 Auto Scaling refuses automatic rollback for a group whose image is given by a parameter: it \
                          could not know which image to go back to. Name the image by image_id, or leave \
                          auto_rollback out.";
            let path = Path::from("instance_refresh").attribute("auto_rollback");
            let summary = "Rollback is not possible with image_parameter";
            problems.push(Diagnostic::error(summary, detail).at(path));
        }
        if let Some(settings) = config.settings.get() {
            problems.extend(settings::problems(settings));
        }
        problems
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
        if let (true, Some(region), Some(image_id)) = (is_launched_anew, &region, planned.image_id.as_str()) {
            self.checked_image(ctx, region, image_id, planned, "image_id").await?;
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

        let makes_version = prior.launch_template_id.is_null() || needs_version(&prior, &plan);
        let template = if makes_version {
            let content = self.content(ctx, &region, &plan).await?;
            let template = match prior.launch_template_id.as_str() {
                Some(id) => {
                    let number = self.aws.create_version(&region, id, &content).await.map_err(failed)?;
                    TemplateRef { id: id.to_owned(), version: number.to_string() }
                }
                None => self.create_template(&region, &plan, &content).await?,
            };
            self.launchable(ctx, &region, &plan, template, content).await?
        } else {
            let of = |value: &Value<String>| value.clone().unwrap_or_default();
            TemplateRef { id: of(&prior.launch_template_id), version: of(&prior.launch_template_version) }
        };
        if prior.arn.is_null() {
            let with_template =
                Model { arn: Value::Null, launch_template_id: template.id.as_str().into(), ..plan };
            self.refuse_existing_group(ctx, &region, &name).await?;
            return self.create_group(ctx, &region, with_template, &template, state).await;
        }

        let (mut refreshes, mut stays) = (false, false);
        if makes_version {
            let was_cancelled = self.end_refresh(ctx, &region, &name).await?;
            let group = self.aws.scaling_group(&region, &name).await.map_err(failed)?;
            let has_instances = group.as_ref().is_some_and(|group| group.instances > 0);
            refreshes = has_instances && (was_cancelled || needs_refresh(&prior, &plan));
            // With a refresh the group takes the new version over when it has succeeded, and keeps the old one otherwise.
            let in_use = group.and_then(|group| group.settings.template);
            if let Some(in_use) = in_use.filter(|in_use| is_trusted(ctx, &prior, in_use)) {
                stays = refreshes;
                remember(ctx, &in_use);
            }
            remember(ctx, &template);
        }
        let updated = Model {
            launch_template_id: template.id.as_str().into(),
            launch_template_version: template.version.as_str().into(),
            ..plan
        };
        // A desired capacity that the plan does not change may have been changed meanwhile, and is left alone.
        let desired =
            updated.desired_capacity.known().filter(|_| updated.desired_capacity != prior.desired_capacity);
        let settings = group_settings(&updated, (makes_version && !stays).then(|| template.clone()), desired);
        let what = format!("waiting until EC2 Auto Scaling knows the instance profile of scanner {name:?}");
        let update = retry(ctx, IAM_PROPAGATION, &what, is_unpropagated, || {
            self.aws.update_scaling_group(&region, &name, &settings)
        });
        // Side by side, and each to its end: what was sent must not be forgotten because another call failed.
        let (group, hooks) = tokio::join!(update, self.put_hooks(&region, &name, &prior, &updated));
        group?.map_err(failed)?;
        let so_far = if stays { not_launched_yet(&prior, updated.clone()) } else { updated.clone() };
        let untagged = Model { tags: prior.tags.clone(), tags_all: prior.tags_all.clone(), ..so_far.clone() };
        if let Err(error) = hooks {
            // Whatever became of them, the next plan finds out.
            state.save(Model {
                launch_hook: prior.launch_hook,
                termination_hook: prior.termination_hook,
                ..untagged
            });
            return Err(failed(error));
        }
        state.save(untagged);

        let change = Change::between(&prior.tags_all, &updated.tags_all);
        if !change.is_empty() {
            let Change { set, remove } = change;
            let (group, of_template) = tokio::join!(
                self.aws.tag_scaling_group(&region, &name, &set, &remove),
                self.aws.tag_template(&region, &template.id, &set, &remove)
            );
            group.and(of_template).map_err(failed)?;
        }
        state.save(so_far);
        if refreshes {
            let can_roll_back = stays && prior.image_parameter.is_null() && updated.image_parameter.is_null();
            let refresh = new_refresh(&updated, template.clone(), can_roll_back);
            let id = self.start_refresh(ctx, &region, &name, &refresh).await?;
            // From now on this is what the group is on its way to, as a plan sees it as well.
            state.save(updated.clone());
            let waits = updated.instance_refresh.get().is_none_or(|refresh| refresh.wait.unwrap_or(true));
            if waits {
                let ended = self.ended_refresh(ctx, &region, &name, &id).await?;
                if let Some(failure) = failure(&ended, &region, &name) {
                    if let Some(actual) = self.observed(&region, updated).await? {
                        state.save(actual);
                    }
                    return Err(failure);
                }
            }
        }
        if makes_version && let Ok(number) = template.version.parse() {
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
        let busy = |error: &AwsError| error.kind() == Kind::InUse;

        let group = self.aws.scaling_group(&region, name).await.map_err(failed)?;
        if group.is_some_and(|group| is_ours(&state, &group)) {
            retry(ctx, ctx.remaining(), &what, busy, || self.aws.delete_scaling_group(&region, name))
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

    async fn import(&self, _ctx: &Context, id: &str) -> Result<Model, Diagnostic> {
        let (name, region) = parse_import_id(id)?;
        Ok(Model { id: name.as_str().into(), name: name.into(), region, ..Model::default() })
    }
}

impl<A: Machines> Scanner<A> {
    /// What there is of the scanner that `state` says there was.
    async fn observed(&self, region: &Region, state: Model) -> Result<Option<Model>, Diagnostic> {
        let name = name_of(&state).to_owned();
        let failed =
            |error: AwsError| error.diagnostic(format!("Could not read scanner {name:?} in {region}"));
        let (template, group, hooks, refresh) = tokio::try_join!(
            self.aws.template_named(region, &name),
            self.aws.scaling_group(region, &name),
            self.aws.hooks(region, &name),
            self.aws.latest_refresh(region, &name),
        )
        .map_err(failed)?;
        // A refresh that succeeded between the two answers has changed what the group launches.
        let group = match (group, &refresh) {
            (Some(group), Some(refresh))
                if refresh.status == RefreshStatus::Successful
                    && refresh.template != group.settings.template =>
            {
                self.aws.scaling_group(region, &name).await.map_err(failed)?
            }
            (group, _) => group,
        };
        let is_imported = state.arn.is_null() && state.launch_template_id.is_null();
        let group = group.filter(|group| !group.is_leaving && (is_imported || is_ours(&state, group)));
        if template.is_none() && group.is_none() {
            return Ok(None);
        }
        let mut model = Model {
            id: name.as_str().into(),
            name: name.as_str().into(),
            region: region.to_string().into(),
            arn: group.as_ref().map(|group| group.arn.clone()).into(),
            launch_template_id: template.as_ref().map(|template| template.id.clone()).into(),
            hardening: state.hardening.clone().unwrap_or_default().into(),
            ..state
        };
        if let Some(group) = group {
            // While a refresh is under way, what it leads to counts.
            let under_way = refresh.as_ref().and_then(Refresh::heads_for).cloned();
            let in_use = under_way.or_else(|| group.settings.template.clone());
            // Neither a group without a template nor one whose version is gone launches what it should.
            let content = match &in_use {
                Some(in_use) => self.aws.content(region, in_use).await.map_err(failed)?,
                None => None,
            };
            model.launch_template_version = match in_use {
                Some(TemplateRef { id, version }) if content.is_some() => {
                    // Another template than ours is a deviation, which the version shows.
                    if template.is_some_and(|template| template.id == id) {
                        version.into()
                    } else {
                        format!("{id}:{version}").into()
                    }
                }
                _ => Value::Null,
            };
            if let Some(content) = content {
                observe_content(&mut model, content);
            }
            let own_tags = group.tags.clone();
            observe_group(&mut model, group.settings);
            observe_hooks(&mut model, &hooks);
            (model.tags, model.tags_all) = tagging::read(&self.settings, &model.tags, own_tags);
        }
        // AWS does not know how a refresh that nobody has started yet is to go.
        if model.instance_refresh.is_null() {
            model.instance_refresh = InstanceRefresh::default_for(model.image_parameter.is_known()).into();
        }
        Ok(Some(model))
    }

    /// Sets the group's hooks of ours as planned. Others are left alone.
    async fn put_hooks(
        &self,
        region: &Region,
        name: &str,
        prior: &Model,
        plan: &Model,
    ) -> Result<(), AwsError> {
        let (have, want) = (wanted_hooks(prior), wanted_hooks(plan));
        for hook in want.iter().filter(|hook| !have.contains(hook)) {
            self.aws.put_hook(region, name, hook).await?;
        }
        for hook in have.iter().filter(|hook| want.iter().all(|other| other.name != hook.name)) {
            self.aws.delete_hook(region, name, &hook.name).await?;
        }
        Ok(())
    }

    /// A group of that name must not be adopted. One that is on its way out is waited for.
    async fn refuse_existing_group(
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

    async fn create_template(
        &self,
        region: &Region,
        plan: &Model,
        content: &TemplateContent,
    ) -> Result<TemplateRef, Diagnostic> {
        let name = name_of(plan);
        let tags = plan.tags_all.clone().unwrap_or_default();
        let id = self.aws.create_template(region, name, content, &tags).await.map_err(|error| {
            let summary = format!("Could not create launch template {name:?} in {region}");
            let diagnostic = error.diagnostic(summary);
            if error.kind() == Kind::AlreadyExists { diagnostic.at("name") } else { diagnostic }
        })?;
        Ok(TemplateRef { id, version: "1".to_owned() })
    }

    /// Makes the group of a scanner that has its template, and saves what it is then.
    async fn create_group(
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

    /// What the launch template is to say. Looks the image up for the name of its root device.
    async fn content(
        &self,
        ctx: &Context,
        region: &Region,
        plan: &Model,
    ) -> Result<TemplateContent, Diagnostic> {
        let root_device_name = match plan.image_id.as_str() {
            Some(id) => self.checked_image(ctx, region, id, plan, "image_id").await?.root_device_name,
            // Which image the parameter names is told by the template; see `check_parameter`.
            None => DEFAULT_ROOT_DEVICE.to_owned(),
        };
        Ok(content(plan, root_device_name))
    }
}

/// Whether the group of the scanner's name is the scanner's. A creation that failed half-way has a template, but no
/// group of which it knows; what launches something else then is somebody else's.
fn is_ours(state: &Model, group: &ScalingGroup) -> bool {
    state.arn.is_known() || state.launch_template_id.as_str().is_some_and(|template| group.launches(template))
}

/// Whether the error says that the instance profile is not known, as it is for seconds after it was made.
fn is_unpropagated(error: &AwsError) -> bool {
    error.kind() == Kind::Invalid && error.message().to_ascii_lowercase().contains("instance profile")
}

fn name_of(model: &Model) -> &str {
    model.name.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests;
