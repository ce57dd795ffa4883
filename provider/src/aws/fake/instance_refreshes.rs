//! Instance refreshes: each look takes the one under way a step further, along what the test has arranged.

use std::collections::VecDeque;

use scanner_policy::Region;

use super::{FakeAws, missing};
use crate::aws::{AwsError, InstanceRefreshes, NewRefresh, Refresh, RefreshStatus, TemplateRef};

/// A refresh of a group, and what it was asked to do.
#[derive(Clone, Debug)]
pub(crate) struct FakeRefresh {
    pub(crate) group: String,
    pub(crate) asked: NewRefresh,
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

impl InstanceRefreshes for FakeAws {
    async fn start_refresh(&self, _: &Region, group: &str, refresh: &NewRefresh) -> Result<String, AwsError> {
        const OPERATION: &str = "autoscaling:StartInstanceRefresh";
        let mut world = self.call(OPERATION)?;
        if world.refreshes.iter().any(|other| other.group == group && other.refresh.is_active()) {
            return Err(AwsError::answered(OPERATION, "InstanceRefreshInProgress", "there is one"));
        }
        let settings =
            world.scaling_groups.get(group).map(|group| &group.settings).ok_or_else(|| missing(OPERATION))?;
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
            return Err(AwsError::answered(OPERATION, "ValidationError", "auto rollback is not possible"));
        }
        let id = world.id("refresh");
        let started = Refresh {
            id: id.clone(),
            status: RefreshStatus::Advancing,
            reason: None,
            percentage: 0,
            template: Some(refresh.template.clone()),
        };
        let started = FakeRefresh { group: group.to_owned(), asked: refresh.clone(), refresh: started };
        world.refreshes.push(started);
        if std::mem::take(&mut world.loses_refresh_answer) {
            return Err(AwsError::answered(OPERATION, "InstanceRefreshInProgress", "there is one"));
        }
        Ok(id)
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
