//! What is refused: configurations that contradict themselves, and images that do not fit. EC2 Auto Scaling accepts the
//! latter, and then fails to launch anything.

use std::collections::BTreeSet;

use scanner_policy::Region;

use super::schema::Model;
use super::{Scanner, settings};
use crate::aws::{AwsError, Image, Kind, LaunchTemplates};
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
        let detail = format!("It is {state}. Wait until it is available, or choose another one.");
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
