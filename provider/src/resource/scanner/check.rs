//! What is refused: configurations that contradict themselves, and images that do not fit. EC2 Auto Scaling accepts the
//! latter, and then fails to launch anything.

use std::collections::BTreeSet;

use scanner_policy::Region;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::schema::Model;
use super::{Scanner, settings};
use crate::aws::{AwsError, Image, Kind, LaunchTemplates, TemplateRef};
use crate::sdk::{Context, Diagnostic, Path, Value};

impl<A: LaunchTemplates> Scanner<A> {
    /// Looks the image up and checks it against the plan, as far as that is known. `argument` is the one that names it.
    pub(super) async fn checked_image(
        &self,
        ctx: &Context,
        region: &Region,
        image_id: &str,
        plan: &Model,
        argument: &'static str,
    ) -> Result<Image, Diagnostic> {
        let (image, architectures) =
            tokio::join!(self.aws.image(region, image_id), self.architectures(ctx, region, plan));
        let image = image.map_err(|error| {
            error.diagnostic(format!("Could not read image {image_id} in {region}")).at(argument)
        })?;
        let Some(image) = image else {
            let summary = format!("There is no image {image_id} in {region}");
            let detail = "Images belong to one region. Copy it there, or share it with this account.";
            return Err(Diagnostic::error(summary, detail).at(argument));
        };
        fits(image_id, &image, architectures?.as_ref(), plan, argument)?;
        Ok(image)
    }

    /// Warns where the group goes on launching an image that is no longer there: instances that run do so until they are
    /// replaced, and then there are none. Whatever keeps this from being found out is no reason to refuse a plan.
    pub(super) async fn watch_image(&self, ctx: &Context, region: &Region, prior: &Model) {
        let warn = |summary: String, detail: String, argument| {
            ctx.report(Diagnostic::warning(summary, detail).at(argument));
        };
        let name = prior.name.as_str().unwrap_or_default();
        let effect = format!(
            "Scanner {name:?} cannot replace its instances, which end within a day. Instances that run go on until then."
        );
        let (image_id, argument) = match (prior.image_id.as_str(), prior.image_parameter.as_str()) {
            (Some(id), _) => (id.to_owned(), "image_id"),
            (None, Some(parameter)) => {
                let template = TemplateRef {
                    id: prior.launch_template_id.clone().unwrap_or_default(),
                    version: prior.launch_template_version.clone().unwrap_or_default(),
                };
                let todo = "Publish an image, so that the parameter has its id, or name one by image_id.";
                match self.aws.resolved_image(region, &template).await {
                    Ok(Some(id)) if id.starts_with("ami-") => (id, "image_parameter"),
                    Ok(_) => {
                        let summary = format!("The parameter {parameter} names no image");
                        return warn(summary, format!("{effect} {todo}"), "image_parameter");
                    }
                    Err(error) if matches!(error.kind(), Kind::Invalid | Kind::NotFound) => {
                        let summary = format!("The parameter {parameter} could not be read");
                        let detail = format!("EC2 says: {}\n\n{effect} {todo}", error.message());
                        return warn(summary, detail, "image_parameter");
                    }
                    Err(_) => return,
                }
            }
            (None, None) => return,
        };
        let todo = "Apply with an image that is there: `agentless-scanner image status` lists them.";
        match self.aws.image(region, &image_id).await {
            Ok(None) => warn(
                format!("The image {image_id} is gone"),
                format!("There is none of that id in {region}. {effect} {todo}"),
                argument,
            ),
            Ok(Some(image)) => {
                if let Some(state) = image.state.filter(|state| state != "available") {
                    let summary = format!("The image {image_id} is {state}");
                    warn(summary, format!("{effect} {todo}"), argument);
                }
            }
            Err(_) => {}
        }
    }

    /// The architectures of the instance type. `None` where they are not known: then nothing is checked against them.
    async fn architectures(
        &self,
        ctx: &Context,
        region: &Region,
        plan: &Model,
    ) -> Result<Option<BTreeSet<String>>, Diagnostic> {
        let Some(instance_type) = plan.instance_type.as_str() else { return Ok(None) };
        let failed = |error: AwsError| {
            error.diagnostic(format!("Could not read instance type {instance_type} in {region}"))
        };
        match self.aws.architectures(region, instance_type).await {
            Ok(Some(architectures)) => Ok(Some(architectures)),
            Ok(None) => {
                let summary = format!("There is no instance type {instance_type} in {region}");
                let detail =
                    "Choose one that the region has: `aws ec2 describe-instance-type-offerings` lists them.";
                Err(Diagnostic::error(summary, detail).at("instance_type"))
            }
            // Nothing else needs the permission, so its lack is no reason to refuse.
            Err(error) if error.kind() == Kind::AccessDenied => {
                let denied = failed(error);
                let summary = "Whether the image fits the instance type was not checked";
                ctx.report(Diagnostic::warning(summary, denied.detail).at("instance_type"));
                Ok(None)
            }
            Err(error) => Err(failed(error).at("instance_type")),
        }
    }
}

/// Whether instances of the planned type and volume can boot the image.
fn fits(
    image_id: &str,
    image: &Image,
    architectures: Option<&BTreeSet<String>>,
    plan: &Model,
    argument: &'static str,
) -> Result<(), Diagnostic> {
    if let Some(state) = image.state.as_deref().filter(|state| *state != "available") {
        let todo = if state == "disabled" { "Enable it" } else { "Wait until it is available" };
        let detail = format!("It is {state}. {todo}, or choose another one.");
        return Err(Diagnostic::error(format!("Image {image_id} is not available"), detail).at(argument));
    }
    if let (Some(built_for), Some(offered)) = (&image.architecture, architectures)
        && !offered.contains(built_for)
    {
        let instance_type = plan.instance_type.as_str().unwrap_or_default();
        let offered = offered.iter().map(String::as_str).collect::<Vec<_>>().join(" and ");
        let detail = format!(
            "Image {image_id} of {argument} is built for {built_for}, but instance_type {instance_type} is {offered}. Choose \
             an instance type of the image's architecture (t4g.medium is arm64, t3.medium is x86_64), or an image for \
             the instance type."
        );
        return Err(
            Diagnostic::error("The image does not run on the instance type", detail).at("instance_type")
        );
    }
    if let (Some(least), Some(size)) = (image.root_volume_size, plan.root_volume_size.get())
        && *size < least
    {
        let detail = format!("root_volume_size is {size} GiB, but that of image {image_id} is {least} GiB.");
        return Err(
            Diagnostic::error("The root volume is too small for the image", detail).at("root_volume_size")
        );
    }
    Ok(())
}

/// Warns of an image that its owner no longer wants to be used. EC2 launches it all the same.
pub(super) fn tell_deprecation(ctx: &Context, image_id: &str, image: &Image) {
    let time = image.deprecation_time.as_deref();
    let is_past = |time: &&str| {
        OffsetDateTime::parse(time, &Rfc3339).is_ok_and(|date| date <= OffsetDateTime::now_utc())
    };
    if let Some(time) = time.filter(is_past) {
        let detail = format!(
            "It has been deprecated since {time}, so it lacks the fixes of images that came after it. Instances start from it \
             all the same, until its owner disables or deregisters it. Choose a newer one."
        );
        let summary = format!("Image {image_id} is deprecated");
        ctx.report(Diagnostic::warning(summary, detail).at("image_id"));
    }
}

/// What is wrong with a configuration beyond single attributes.
pub(super) fn problems(config: &Model) -> Vec<Diagnostic> {
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
        let detail = "Set image_id, or image_parameter for the parameter of Systems Manager that has the id.";
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
