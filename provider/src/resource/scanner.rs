//! `datadog_agentless_scanner`: a launch template and the Auto Scaling group that keeps replacing its instances.

mod desired;
mod observe;
mod schema;
mod user_data;

use std::sync::Arc;

use scanner_policy::Region;

pub use schema::{Hardening, Model, ScannerSettings};

use self::desired::{complete, content, group_settings, left_alone, needs_version, user_data};
use self::observe::{observe_content, observe_group};
use super::identity::{self, Parts};
use super::place::{parse_import_id, plan_region, region_of};
use super::tagging::{self, Change};
use crate::aws::{
    AwsError, IAM_PROPAGATION, Kind, LaunchTemplates, Pace, ScalingGroup, ScalingGroups, TemplateContent,
    TemplateRef, retry,
};
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

impl<A: LaunchTemplates + ScalingGroups> Resource for Scanner<A> {
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
        self.refuse_existing_group(ctx, &region, name).await?;
        let template = self.create_template(&region, &plan).await?;
        let nothing_yet = Model { arn: Value::Null, launch_template_version: Value::Null, ..plan };
        let with_template = Model { launch_template_id: template.id.as_str().into(), ..nothing_yet };
        state.save(with_template.clone());
        self.create_group(ctx, &region, with_template, &template, state).await
    }

    async fn read(&self, _ctx: &Context, state: Model) -> Result<Option<Model>, Diagnostic> {
        let region = region_of(&self.settings, &state.region)?;
        let name = name_of(&state).to_owned();
        let failed =
            |error: AwsError| error.diagnostic(format!("Could not read scanner {name:?} in {region}"));
        let template = self.aws.template_named(&region, &name).await.map_err(failed)?;
        let group = self.aws.scaling_group(&region, &name).await.map_err(failed)?;
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
            // Neither a group without a template nor one whose version is gone launches what it should.
            let content = match &group.settings.template {
                Some(in_use) => self.aws.content(&region, in_use).await.map_err(failed)?,
                None => None,
            };
            model.launch_template_version = match group.settings.template.clone() {
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
            (model.tags, model.tags_all) = tagging::read(&self.settings, &model.tags, own_tags);
        }
        Ok(Some(model))
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

        let template = match (prior.launch_template_id.as_str(), prior.launch_template_version.as_str()) {
            (Some(id), Some(version)) if !needs_version(&prior, &plan) => {
                TemplateRef { id: id.to_owned(), version: version.to_owned() }
            }
            (Some(id), _) => {
                let content = self.content(&region, &plan).await?;
                let number = self.aws.create_version(&region, id, &content).await.map_err(failed)?;
                self.aws.put_default_version(&region, id, number).await.map_err(failed)?;
                TemplateRef { id: id.to_owned(), version: number.to_string() }
            }
            (None, _) => self.create_template(&region, &plan).await?,
        };
        if prior.arn.is_null() {
            let with_template =
                Model { arn: Value::Null, launch_template_id: template.id.as_str().into(), ..plan };
            self.refuse_existing_group(ctx, &region, &name).await?;
            return self.create_group(ctx, &region, with_template, &template, state).await;
        }

        // A desired capacity that the plan does not change may have been changed meanwhile, and is left alone.
        let desired =
            plan.desired_capacity.known().filter(|_| plan.desired_capacity != prior.desired_capacity);
        let settings = group_settings(&plan, template.clone(), desired);
        let what = format!("waiting until EC2 Auto Scaling knows the instance profile of scanner {name:?}");
        retry(ctx, IAM_PROPAGATION, &what, is_unpropagated, || {
            self.aws.update_scaling_group(&region, &name, &settings)
        })
        .await?
        .map_err(failed)?;
        let updated = Model {
            launch_template_id: template.id.as_str().into(),
            launch_template_version: template.version.into(),
            ..plan
        };
        state.save(Model { tags: prior.tags, tags_all: prior.tags_all.clone(), ..updated.clone() });

        let change = Change::between(&prior.tags_all, &updated.tags_all);
        if !change.is_empty() {
            let Change { set, remove } = change;
            self.aws.tag_scaling_group(&region, &name, &set, &remove).await.map_err(failed)?;
            self.aws.tag_template(&region, &template.id, &set, &remove).await.map_err(failed)?;
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

impl<A: LaunchTemplates + ScalingGroups> Scanner<A> {
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

    async fn create_template(&self, region: &Region, plan: &Model) -> Result<TemplateRef, Diagnostic> {
        let name = name_of(plan);
        let content = self.content(region, plan).await?;
        let tags = plan.tags_all.clone().unwrap_or_default();
        let id = self.aws.create_template(region, name, &content, &tags).await.map_err(|error| {
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
        let settings = group_settings(&plan, template.clone(), plan.desired_capacity.known());
        let summary = || format!("Could not create Auto Scaling group {name:?} in {region}");
        let what = format!("waiting until EC2 Auto Scaling knows the instance profile of scanner {name:?}");
        let create = || self.aws.create_scaling_group(region, name, &settings, &tags);
        match retry(ctx, IAM_PROPAGATION, &what, is_unpropagated, create).await? {
            // An answer that was lost makes the SDK ask again. What launches our new template is the group we made.
            Err(error)
                if error.kind() == Kind::AlreadyExists && self.launches(region, name, template).await => {}
            Err(error) if error.kind() == Kind::AlreadyExists => {
                return Err(error.diagnostic(summary()).at("name"));
            }
            answer => answer.map_err(|error| error.diagnostic(summary()))?,
        }
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
    async fn content(&self, region: &Region, plan: &Model) -> Result<TemplateContent, Diagnostic> {
        let image_id = plan.image_id.as_str().unwrap_or_default();
        let image = self.aws.image(region, image_id).await.map_err(|error| {
            error.diagnostic(format!("Could not read image {image_id} in {region}")).at("image_id")
        })?;
        let Some(image) = image else {
            return Err(Diagnostic::error(
                format!("There is no image {image_id} in {region}"),
                "Images belong to one region. Copy it there, or share it with this account.",
            )
            .at("image_id"));
        };
        // EC2 Auto Scaling would take it, and then fail to launch anything.
        if let (Some(least), Some(size)) = (image.root_volume_size, plan.root_volume_size.get())
            && *size < least
        {
            let detail =
                format!("root_volume_size is {size} GiB, but that of image {image_id} is {least} GiB.");
            return Err(Diagnostic::error("The root volume is too small for the image", detail)
                .at("root_volume_size"));
        }
        Ok(content(plan, image))
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
