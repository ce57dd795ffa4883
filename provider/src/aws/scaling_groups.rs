//! [`ScalingGroups`]: Auto Scaling groups.

use std::collections::BTreeSet;

use aws_sdk_autoscaling::types::{
    InstanceMaintenancePolicy, LaunchTemplateSpecification, LifecycleHookSpecification, Tag,
};
use scanner_policy::Region;

use super::error::failed;
use super::{Answer, Aws, AwsError, Hook, Tags, TemplateRef, without_reserved};

/// What a group is told to be.
#[derive(Clone, Debug, Default)]
pub struct GroupSettings {
    /// What it launches. None where the group launches by other means, such as a mix of instance types; in an update,
    /// none leaves it as it is.
    pub template: Option<TemplateRef>,
    /// Where it launches.
    pub subnet_ids: BTreeSet<String>,
    /// The fewest instances.
    pub min_size: i32,
    /// The most instances.
    pub max_size: i32,
    /// How many instances it should have now; none leaves that to the group.
    pub desired_capacity: Option<i32>,
    /// After how many seconds it replaces an instance.
    pub max_instance_lifetime: i32,
    /// For how many seconds a new instance does not count as being of use yet.
    pub default_instance_warmup: i32,
    /// For how many seconds after its launch an instance is not replaced for its health.
    pub health_check_grace_period: i32,
    /// How much of the desired capacity must stay in service while instances are replaced, in percent.
    pub min_healthy_percentage: i32,
    /// How much there may be meanwhile, in percent.
    pub max_healthy_percentage: i32,
}

/// A group, as EC2 Auto Scaling has it.
#[derive(Clone, Debug, Default)]
pub struct ScalingGroup {
    /// Its ARN.
    pub arn: String,
    /// Its name, unique in the region.
    pub name: String,
    /// Whether it is being deleted.
    pub is_leaving: bool,
    /// Its settings.
    pub settings: GroupSettings,
    /// Its tags, which its instances get as well.
    pub tags: Tags,
    /// How many instances it has, in whatever state.
    pub instances: usize,
}

impl ScalingGroup {
    /// Whether it launches a version of the template with this id.
    pub fn launches(&self, template: &str) -> bool {
        self.settings.template.as_ref().is_some_and(|in_use| in_use.id == template)
    }
}

/// Auto Scaling groups.
pub trait ScalingGroups: Send + Sync + 'static {
    /// Makes a group. Its first instances already wait at `hooks`.
    fn create_scaling_group(
        &self,
        region: &Region,
        name: &str,
        settings: &GroupSettings,
        tags: &Tags,
        hooks: &[Hook],
    ) -> impl Answer<()>;
    /// Looks a group up.
    fn scaling_group(&self, region: &Region, name: &str) -> impl Answer<Option<ScalingGroup>>;
    /// Changes a group's settings. Its instances stay until they are replaced.
    fn update_scaling_group(&self, region: &Region, name: &str, settings: &GroupSettings) -> impl Answer<()>;
    /// Sets tags of a group and removes others by key. Instances that run keep what they have.
    fn tag_scaling_group(
        &self,
        region: &Region,
        name: &str,
        set: &Tags,
        remove: &[String],
    ) -> impl Answer<()>;
    /// Starts to remove a group and its instances. That it is gone already is a success.
    fn delete_scaling_group(&self, region: &Region, name: &str) -> impl Answer<()>;
}

impl ScalingGroups for Aws {
    async fn create_scaling_group(
        &self,
        region: &Region,
        name: &str,
        settings: &GroupSettings,
        tags: &Tags,
        hooks: &[Hook],
    ) -> Result<(), AwsError> {
        let hooks = hooks.iter().map(|hook| {
            LifecycleHookSpecification::builder()
                .lifecycle_hook_name(&hook.name)
                .lifecycle_transition(&hook.transition)
                .default_result(&hook.default_result)
                .heartbeat_timeout(hook.heartbeat_timeout)
                .build()
        });
        self.clients(region)
            .autoscaling
            .create_auto_scaling_group()
            .set_lifecycle_hook_specification_list((hooks.len() > 0).then(|| hooks.collect()))
            .auto_scaling_group_name(name)
            .set_launch_template(template(settings))
            .vpc_zone_identifier(subnets(settings))
            .min_size(settings.min_size)
            .max_size(settings.max_size)
            .set_desired_capacity(settings.desired_capacity)
            .max_instance_lifetime(settings.max_instance_lifetime)
            .default_instance_warmup(settings.default_instance_warmup)
            .health_check_grace_period(settings.health_check_grace_period)
            .instance_maintenance_policy(maintenance(settings))
            .set_tags(Some(to_sdk(name, tags)))
            .send()
            .await
            .map_err(failed("autoscaling:CreateAutoScalingGroup"))?;
        Ok(())
    }

    async fn scaling_group(&self, region: &Region, name: &str) -> Result<Option<ScalingGroup>, AwsError> {
        let request = self.clients(region).autoscaling.describe_auto_scaling_groups();
        let request = request.auto_scaling_group_names(name);
        let answer = request.send().await.map_err(failed("autoscaling:DescribeAutoScalingGroups"))?;
        Ok(answer.auto_scaling_groups.unwrap_or_default().into_iter().next().map(from_sdk))
    }

    async fn update_scaling_group(
        &self,
        region: &Region,
        name: &str,
        settings: &GroupSettings,
    ) -> Result<(), AwsError> {
        self.clients(region)
            .autoscaling
            .update_auto_scaling_group()
            .auto_scaling_group_name(name)
            .set_launch_template(template(settings))
            .vpc_zone_identifier(subnets(settings))
            .min_size(settings.min_size)
            .max_size(settings.max_size)
            .set_desired_capacity(settings.desired_capacity)
            .max_instance_lifetime(settings.max_instance_lifetime)
            .default_instance_warmup(settings.default_instance_warmup)
            .health_check_grace_period(settings.health_check_grace_period)
            .instance_maintenance_policy(maintenance(settings))
            .send()
            .await
            .map_err(failed("autoscaling:UpdateAutoScalingGroup"))?;
        Ok(())
    }

    async fn tag_scaling_group(
        &self,
        region: &Region,
        name: &str,
        set: &Tags,
        remove: &[String],
    ) -> Result<(), AwsError> {
        let autoscaling = self.clients(region).autoscaling;
        if !remove.is_empty() {
            let keys = remove.iter().map(|key| tag(name, key).build()).collect();
            let request = autoscaling.delete_tags().set_tags(Some(keys));
            request.send().await.map_err(failed("autoscaling:DeleteTags"))?;
        }
        if !set.is_empty() {
            let request = autoscaling.create_or_update_tags().set_tags(Some(to_sdk(name, set)));
            request.send().await.map_err(failed("autoscaling:CreateOrUpdateTags"))?;
        }
        Ok(())
    }

    async fn delete_scaling_group(&self, region: &Region, name: &str) -> Result<(), AwsError> {
        let request =
            self.clients(region).autoscaling.delete_auto_scaling_group().auto_scaling_group_name(name);
        match request.force_delete(true).send().await.map_err(failed("autoscaling:DeleteAutoScalingGroup")) {
            // One that is about to go was asked to by an earlier attempt.
            Err(error) if error.is_missing_group() => Ok(()),
            answer => answer.map(|_| ()),
        }
    }
}

fn template(settings: &GroupSettings) -> Option<LaunchTemplateSpecification> {
    let TemplateRef { id, version } = settings.template.as_ref()?;
    Some(LaunchTemplateSpecification::builder().launch_template_id(id).version(version).build())
}

fn subnets(settings: &GroupSettings) -> String {
    settings.subnet_ids.iter().map(String::as_str).collect::<Vec<_>>().join(",")
}

fn maintenance(settings: &GroupSettings) -> InstanceMaintenancePolicy {
    InstanceMaintenancePolicy::builder()
        .min_healthy_percentage(settings.min_healthy_percentage)
        .max_healthy_percentage(settings.max_healthy_percentage)
        .build()
}

fn tag(group: &str, key: &str) -> aws_sdk_autoscaling::types::builders::TagBuilder {
    Tag::builder().resource_type("auto-scaling-group").resource_id(group).key(key)
}

fn to_sdk(group: &str, tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| tag(group, key).value(value).propagate_at_launch(true).build()).collect()
}

fn from_sdk(group: aws_sdk_autoscaling::types::AutoScalingGroup) -> ScalingGroup {
    let template = group.launch_template.map(|template| TemplateRef {
        id: template.launch_template_id.unwrap_or_default(),
        // EC2 Auto Scaling takes the template's default version where none is named.
        version: template.version.unwrap_or_else(|| "$Default".to_owned()),
    });
    let subnets = group.vpc_zone_identifier.unwrap_or_default();
    let maintenance = group.instance_maintenance_policy;
    let tags = group.tags.unwrap_or_default().into_iter();
    ScalingGroup {
        arn: group.auto_scaling_group_arn.unwrap_or_default(),
        name: group.auto_scaling_group_name.unwrap_or_default(),
        is_leaving: group.status.is_some(),
        settings: GroupSettings {
            template,
            subnet_ids: subnets
                .split(',')
                .map(str::trim)
                .filter(|id| !id.is_empty())
                .map(str::to_owned)
                .collect(),
            min_size: group.min_size.unwrap_or_default(),
            max_size: group.max_size.unwrap_or_default(),
            desired_capacity: group.desired_capacity,
            max_instance_lifetime: group.max_instance_lifetime.unwrap_or_default(),
            default_instance_warmup: group.default_instance_warmup.unwrap_or_default(),
            health_check_grace_period: group.health_check_grace_period.unwrap_or_default(),
            min_healthy_percentage: maintenance
                .as_ref()
                .and_then(|m| m.min_healthy_percentage)
                .unwrap_or_default(),
            max_healthy_percentage: maintenance.and_then(|m| m.max_healthy_percentage).unwrap_or_default(),
        },
        instances: group.instances.map_or(0, |instances| instances.len()),
        tags: without_reserved(tags.filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default())))),
    }
}
