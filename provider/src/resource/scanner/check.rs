//! Whether the image fits the scanner: EC2 Auto Scaling accepts one that does not, and then fails to launch anything.

use std::collections::BTreeSet;

use scanner_policy::Region;

use super::schema::Model;
use super::{Scanner, name_of};
use crate::aws::{AwsError, Image, Kind, LaunchTemplates, RootVolume, TemplateContent, TemplateRef};
use crate::sdk::{Context, Diagnostic};

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
