//! Launch templates, their versions, and images.

use std::collections::BTreeSet;

use scanner_policy::Region;

use super::{FakeAws, missing, retag};
use crate::aws::{AwsError, Image, LaunchTemplate, LaunchTemplates, Tags, TemplateContent, TemplateRef};

impl LaunchTemplates for FakeAws {
    async fn image(&self, _region: &Region, id: &str) -> Result<Option<Image>, AwsError> {
        let is_gone = self.call("ec2:DescribeImages")?.gone_images.contains(id);
        let root_volume_size = if id == "ami-large" { Some(100) } else { None };
        let architecture = if id == "ami-intel" { "x86_64" } else { "arm64" };
        let state = match id {
            "ami-pending" => "pending",
            "ami-disabled" => "disabled",
            _ => "available",
        };
        let deprecation_time = match id {
            "ami-deprecated" => Some("2025-01-01T00:00:00.000Z".to_owned()),
            _ => Some("2099-01-01T00:00:00.000Z".to_owned()),
        };
        let root_device_name = if id == "ami-device" { "/dev/xvda" } else { "/dev/sda1" };
        Ok((id != "ami-gone" && !is_gone).then(|| Image {
            root_device_name: root_device_name.to_owned(),
            root_volume_size,
            architecture: Some(architecture.to_owned()),
            state: Some(state.to_owned()),
            deprecation_time,
        }))
    }

    async fn architectures(
        &self,
        _region: &Region,
        instance_type: &str,
    ) -> Result<Option<BTreeSet<String>>, AwsError> {
        drop(self.call("ec2:DescribeInstanceTypes")?);
        let (family, _) = instance_type.split_once('.').unwrap_or_default();
        let architecture = if family.ends_with('g') { "arm64" } else { "x86_64" };
        Ok((family != "none").then(|| BTreeSet::from([architecture.to_owned()])))
    }

    async fn create_template(
        &self,
        _region: &Region,
        name: &str,
        content: &TemplateContent,
        tags: &Tags,
    ) -> Result<String, AwsError> {
        const OPERATION: &str = "ec2:CreateLaunchTemplate";
        let mut world = self.call(OPERATION)?;
        if world.templates.values().any(|(template, _)| template.name == name) {
            let code = "InvalidLaunchTemplateName.AlreadyExistsException";
            return Err(AwsError::answered(OPERATION, code, "there is one"));
        }
        let id = world.id("lt");
        let template = LaunchTemplate { id: id.clone(), name: name.to_owned(), tags: tags.clone() };
        world.templates.insert(id.clone(), (template, vec![content.clone()]));
        Ok(id)
    }

    async fn create_version(&self, _: &Region, id: &str, content: &TemplateContent) -> Result<i64, AwsError> {
        const OPERATION: &str = "ec2:CreateLaunchTemplateVersion";
        let mut world = self.call(OPERATION)?;
        let (_, versions) = world.templates.get_mut(id).ok_or_else(|| missing(OPERATION))?;
        versions.push(content.clone());
        Ok(i64::try_from(versions.len()).unwrap())
    }

    async fn put_default_version(&self, _region: &Region, _id: &str, _version: i64) -> Result<(), AwsError> {
        drop(self.call("ec2:ModifyLaunchTemplate")?);
        Ok(())
    }

    async fn template_named(&self, _region: &Region, name: &str) -> Result<Option<LaunchTemplate>, AwsError> {
        let world = self.call("ec2:DescribeLaunchTemplates")?;
        Ok(world
            .templates
            .values()
            .find(|(template, _)| template.name == name)
            .map(|(found, _)| found.clone()))
    }

    async fn content(&self, _: &Region, version: &TemplateRef) -> Result<Option<TemplateContent>, AwsError> {
        let world = self.call("ec2:DescribeLaunchTemplateVersions")?;
        let Some((_, versions)) = world.templates.get(&version.id) else { return Ok(None) };
        let number = version.version.parse().unwrap_or(versions.len());
        Ok(versions.get(number - 1).cloned())
    }

    async fn resolved_image(
        &self,
        region: &Region,
        version: &TemplateRef,
    ) -> Result<Option<String>, AwsError> {
        let content = self.content(region, version).await?;
        // A parameter's value is what its name ends in.
        Ok(content.map(|content| content.image_id.rsplit('/').next().unwrap_or_default().to_owned()))
    }

    async fn tag_template(
        &self,
        _: &Region,
        id: &str,
        set: &Tags,
        remove: &[String],
    ) -> Result<(), AwsError> {
        const OPERATION: &str = "ec2:CreateTags";
        let mut world = self.call(OPERATION)?;
        let (template, _) = world.templates.get_mut(id).ok_or_else(|| missing(OPERATION))?;
        retag(&mut template.tags, set, remove);
        Ok(())
    }

    async fn delete_template(&self, _region: &Region, id: &str) -> Result<(), AwsError> {
        self.call("ec2:DeleteLaunchTemplate")?.templates.remove(id);
        Ok(())
    }
}
