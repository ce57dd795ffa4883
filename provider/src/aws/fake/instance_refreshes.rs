//! Instance refreshes: each look takes the one under way a step further, along what the test has arranged.

use std::collections::VecDeque;

use scanner_policy::Region;

use super::{FakeAws, World, missing};
use crate::aws::{AwsError, InstanceRefreshes, NewRefresh, Refresh, RefreshStatus, TemplateRef};

/// A refresh of a group, and what it was asked to do.
#[derive(Clone, Debug)]
pub(crate) struct FakeRefresh {
    pub(crate) group: String,
    /// Nothing for a rotation.
    pub(crate) asked: Option<NewRefresh>,
    pub(crate) refresh: Refresh,
}

/// How refreshes go from now on.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    /// The statuses after the first, one a look; the last is the end.
    pub(crate) steps: VecDeque<RefreshStatus>,
    /// What is said with the end.
    pub(crate) reason: Option<String>,
}

impl Default for Course {
    fn default() -> Self {
        Self { steps: [RefreshStatus::Advancing, RefreshStatus::Successful].into(), reason: None }
    }
}

const START: &str = "autoscaling:StartInstanceRefresh";

impl World {
    fn is_refreshing(&self, group: &str) -> bool {
        self.refreshes.iter().any(|other| other.group == group && other.refresh.is_active())
    }

    fn begin(&mut self, group: &str, asked: Option<&NewRefresh>) -> Result<String, AwsError> {
        let id = self.id("refresh");
        let refresh = Refresh {
            id: id.clone(),
            status: RefreshStatus::Advancing,
            reason: None,
            percentage: 0,
            template: asked.map(|asked| asked.template.clone()),
        };
        self.refreshes.push(FakeRefresh { group: group.to_owned(), asked: asked.cloned(), refresh });
        self.lost_answer(START, "InstanceRefreshInProgress")?;
        Ok(id)
    }
}

impl InstanceRefreshes for FakeAws {
    async fn start_refresh(&self, _: &Region, group: &str, refresh: &NewRefresh) -> Result<String, AwsError> {
        let mut world = self.call(START)?;
        if world.is_refreshing(group) {
            return Err(AwsError::answered(START, "InstanceRefreshInProgress", "there is one"));
        }
        let settings =
            world.scaling_groups.get(group).map(|group| &group.settings).ok_or_else(|| missing(START))?;
        let from = settings.template.clone().unwrap_or_default();
        let by_parameter = |template: &TemplateRef| {
            let (_, versions) = &world.templates[&template.id];
            let number = template.version.parse::<usize>().unwrap();
            versions[number - 1].image_id.starts_with("resolve:ssm:")
        };
        if refresh.auto_rollback
            && (from.version.parse::<u64>().is_err()
                || by_parameter(&from)
                || by_parameter(&refresh.template))
        {
            return Err(AwsError::answered(START, "ValidationError", "auto rollback is not possible"));
        }
        world.begin(group, Some(refresh))
    }

    async fn start_rotation(&self, _: &Region, group: &str) -> Result<String, AwsError> {
        let mut world = self.call(START)?;
        if world.is_refreshing(group) {
            return Err(AwsError::answered(START, "InstanceRefreshInProgress", "there is one"));
        }
        if !world.scaling_groups.contains_key(group) {
            return Err(missing(START));
        }
        world.begin(group, None)
    }

    async fn refresh(&self, region: &Region, group: &str, id: &str) -> Result<Option<Refresh>, AwsError> {
        let latest = self.latest_refresh(region, group).await?;
        Ok(latest.filter(|refresh| refresh.id == id))
    }

    async fn latest_refresh(&self, _region: &Region, group: &str) -> Result<Option<Refresh>, AwsError> {
        let mut world = self.call("autoscaling:DescribeInstanceRefreshes")?;
        let course = world.course.clone();
        let Some(position) = world.refreshes.iter().rposition(|refresh| refresh.group == group) else {
            return Ok(None);
        };
        if world.refreshes[position].refresh.is_active()
            && let Some(status) = world.course.steps.pop_front()
        {
            let refresh = &mut world.refreshes[position].refresh;
            refresh.status = status;
            let (ended, template) = (!refresh.is_active(), refresh.template.clone());
            if ended {
                refresh.reason = course.reason;
                world.course = Course::default();
            }
            if status == RefreshStatus::Successful
                && template.is_some()
                && let Some(group) = world.scaling_groups.get_mut(group)
            {
                group.settings.template = template;
            }
        }
        Ok(Some(world.refreshes[position].refresh.clone()))
    }

    async fn cancel_refresh(&self, _region: &Region, group: &str) -> Result<(), AwsError> {
        let mut world = self.call("autoscaling:CancelInstanceRefresh")?;
        if let Some(active) = world.refreshes.iter_mut().rfind(|refresh| refresh.group == group) {
            active.refresh.status = RefreshStatus::Leaving;
            world.course.steps = [RefreshStatus::Cancelled].into();
        }
        Ok(())
    }
}
