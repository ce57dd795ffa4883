//! The launch template and its versions.

use scanner_policy::Region;

use super::desired::{content, needs_refresh, needs_version};
use super::rollout::{is_trusted, remember};
use super::schema::Model;
use super::{Machines, Scanner, name_of};
use crate::aws::{AwsError, DEFAULT_ROOT_DEVICE, Kind, RootVolume, TemplateContent, TemplateRef};
use crate::sdk::{Context, Diagnostic, Value};

/// What an update makes a scanner launch, and how it gets there.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    /// The version.
    pub(super) template: TemplateRef,
    /// Whether it was made now.
    pub(super) is_new: bool,
    /// Whether instances that run are to be replaced.
    pub(super) refreshes: bool,
    /// Whether the group meanwhile goes on with what it launches, which is also where a failure leads back to.
    pub(super) stays: bool,
}

impl<A: Machines> Scanner<A> {
    /// Makes a new version where the plan needs one, and room for it.
    pub(super) async fn next_launch(
        &self,
        ctx: &Context,
        region: &Region,
        prior: &Model,
        plan: &Model,
    ) -> Result<Launch, Diagnostic> {
        let name = name_of(plan);
        let failed =
            |error: AwsError| error.diagnostic(format!("Could not update scanner {name:?} in {region}"));
        if !needs_version(prior, plan) {
            let of = |value: &Value<String>| value.clone().unwrap_or_default();
            let template = TemplateRef {
                id: of(&prior.launch_template_id),
                version: of(&prior.launch_template_version),
            };
            return Ok(Launch { template, is_new: false, refreshes: false, stays: false });
        }
        let content = self.content(ctx, region, plan).await?;
        let made = match prior.launch_template_id.as_str() {
            Some(id) => {
                let number = self.aws.create_version(region, id, &content).await.map_err(failed)?;
                TemplateRef { id: id.to_owned(), version: number.to_string() }
            }
            None => self.create_template(region, plan, &content).await?,
        };
        let template = self.launchable(ctx, region, plan, made, content).await?;
        let mut launch = Launch { template, is_new: true, refreshes: false, stays: false };
        if prior.arn.is_null() {
            return Ok(launch);
        }
        let was_cancelled = self.end_refresh(ctx, region, name).await?;
        let group = self.aws.scaling_group(region, name).await.map_err(failed)?;
        let has_instances = group.as_ref().is_some_and(|group| group.instances > 0);
        launch.refreshes = has_instances && (was_cancelled || needs_refresh(prior, plan));
        let in_use = group.and_then(|group| group.settings.template);
        if let Some(in_use) = in_use.filter(|in_use| is_trusted(ctx, prior, in_use)) {
            launch.stays = launch.refreshes;
            remember(ctx, &in_use);
        }
        remember(ctx, &launch.template);
        Ok(launch)
    }

    pub(super) async fn create_template(
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

    /// What the launch template is to say. Looks the image up for the name of its root device.
    pub(super) async fn content(
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
    /// Checks the image that `template` names by a parameter, before anything is launched from it. Only the template
    /// tells which image that is; where its root device has another name than `content` says, a further version is made
    /// that names it so, or the root volume would be the image's own, encrypted or not. The version to launch.
    pub(super) async fn launchable(
        &self,
        ctx: &Context,
        region: &Region,
        plan: &Model,
        template: TemplateRef,
        content: TemplateContent,
    ) -> Result<TemplateRef, Diagnostic> {
        const ARGUMENT: &str = "image_parameter";
        let Some(parameter) = plan.image_parameter.as_str() else { return Ok(template) };
        let failed = |error: AwsError| {
            let name = name_of(plan);
            error
                .diagnostic(format!("Could not prepare the image of scanner {name:?} in {region}"))
                .at(ARGUMENT)
        };
        let image_id = self.aws.resolved_image(region, &template).await.map_err(failed)?;
        let Some(image_id) = image_id.filter(|id| id.starts_with("ami-")) else {
            let summary = format!("The parameter {parameter} names no image");
            let detail = "Its value must be the id of an AMI, such as ami-0123456789abcdef0.";
            return Err(Diagnostic::error(summary, detail).at(ARGUMENT));
        };
        let image = self.checked_image(ctx, region, &image_id, plan, ARGUMENT).await?;
        if image.root_device_name == content.root_volume.device_name {
            return Ok(template);
        }
        let root_volume = RootVolume { device_name: image.root_device_name, ..content.root_volume };
        let content = TemplateContent { root_volume, ..content };
        let number = self.aws.create_version(region, &template.id, &content).await.map_err(failed)?;
        Ok(TemplateRef { version: number.to_string(), ..template })
    }
}
