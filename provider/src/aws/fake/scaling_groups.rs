//! Auto Scaling groups.

use scanner_policy::Region;

use super::{ACCOUNT, FakeAws, missing, retag};
use crate::aws::{AwsError, GroupSettings, Hook, ScalingGroup, ScalingGroups, Tags};

impl ScalingGroups for FakeAws {
    async fn create_scaling_group(
        &self,
        region: &Region,
        name: &str,
        settings: &GroupSettings,
        tags: &Tags,
        hooks: &[Hook],
    ) -> Result<(), AwsError> {
        const OPERATION: &str = "autoscaling:CreateAutoScalingGroup";
        let mut world = self.call(OPERATION)?;
        if world.scaling_groups.contains_key(name) {
            return Err(AwsError::answered(OPERATION, "AlreadyExists", "there is one"));
        }
        let desired_capacity = settings.desired_capacity.or(Some(settings.min_size));
        let group = ScalingGroup {
            arn: format!(
                "arn:aws:autoscaling:{region}:{ACCOUNT}:autoScalingGroup:0:autoScalingGroupName/{name}"
            ),
            name: name.to_owned(),
            is_leaving: false,
            settings: GroupSettings { desired_capacity, ..settings.clone() },
            tags: tags.clone(),
            instances: 0,
        };
        world.hooks.insert(name.to_owned(), hooks.to_vec());
        world.scaling_groups.insert(name.to_owned(), group);
        world.lost_answer(OPERATION, "AlreadyExists")
    }

    async fn scaling_group(&self, _region: &Region, name: &str) -> Result<Option<ScalingGroup>, AwsError> {
        let mut world = self.call("autoscaling:DescribeAutoScalingGroups")?;
        if world.scaling_groups.get(name).is_some_and(|group| group.is_leaving) {
            match world.lingering.checked_sub(1) {
                Some(left) => world.lingering = left,
                None => _ = world.scaling_groups.remove(name),
            }
        }
        Ok(world.scaling_groups.get(name).cloned().map(|group| ScalingGroup {
            instances: group.settings.desired_capacity.unwrap_or_default().try_into().unwrap(),
            ..group
        }))
    }

    async fn update_scaling_group(
        &self,
        _region: &Region,
        name: &str,
        settings: &GroupSettings,
    ) -> Result<(), AwsError> {
        const OPERATION: &str = "autoscaling:UpdateAutoScalingGroup";
        let mut world = self.call(OPERATION)?;
        let group = world.scaling_groups.get_mut(name).ok_or_else(|| missing(OPERATION))?;
        let before = group.settings.clone();
        group.settings = GroupSettings {
            desired_capacity: settings.desired_capacity.or(before.desired_capacity),
            template: settings.template.clone().or(before.template),
            ..settings.clone()
        };
        Ok(())
    }

    async fn tag_scaling_group(
        &self,
        _region: &Region,
        name: &str,
        set: &Tags,
        remove: &[String],
    ) -> Result<(), AwsError> {
        const OPERATION: &str = "autoscaling:CreateOrUpdateTags";
        let mut world = self.call(OPERATION)?;
        let group = world.scaling_groups.get_mut(name).ok_or_else(|| missing(OPERATION))?;
        retag(&mut group.tags, set, remove);
        Ok(())
    }

    async fn delete_scaling_group(&self, _region: &Region, name: &str) -> Result<(), AwsError> {
        let mut world = self.call("autoscaling:DeleteAutoScalingGroup")?;
        if let Some(group) = world.scaling_groups.get_mut(name) {
            group.is_leaving = true;
        }
        Ok(())
    }
}
