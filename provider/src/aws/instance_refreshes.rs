//! [`InstanceRefreshes`]: replacing the instances of an Auto Scaling group by ones of another configuration.

use std::collections::BTreeSet;
use std::fmt;

use aws_sdk_autoscaling::operation::describe_instance_refreshes::builders::DescribeInstanceRefreshesFluentBuilder;
use aws_sdk_autoscaling::operation::start_instance_refresh::builders::StartInstanceRefreshFluentBuilder;
use aws_sdk_autoscaling::types::{
    AlarmSpecification, DesiredConfiguration, InstanceRefreshStatus, LaunchTemplateSpecification,
    RefreshPreferences, RefreshStrategy,
};
use scanner_policy::Region;

use super::error::failed;
use super::{Answer, Aws, AwsError, TemplateRef};

/// How the instances of a group are to be replaced.
#[derive(Clone, Debug)]
pub struct NewRefresh {
    /// What they are to be launched from. The group itself takes it over when the refresh has succeeded.
    pub template: TemplateRef,
    /// Whether a failure or an alarm puts everything back as it was.
    pub auto_rollback: bool,
    /// For how many seconds the refresh watches the new instances before it has succeeded.
    pub bake_time: i32,
    /// Alarms of `CloudWatch`, by name, that let the refresh fail.
    pub alarms: BTreeSet<String>,
    /// For how many seconds a new instance is not of use yet; none is the group's default.
    pub instance_warmup: Option<i32>,
    /// Whether instances stay that already are as they should be.
    pub skip_matching: bool,
    /// How much of the desired capacity stays in service meanwhile, in percent.
    pub min_healthy_percentage: i32,
    /// How much there may be meanwhile, in percent.
    pub max_healthy_percentage: i32,
}

/// An instance refresh, as EC2 Auto Scaling has it.
#[derive(Clone, Debug)]
pub struct Refresh {
    /// Its id.
    pub id: String,
    /// How far it is.
    pub status: RefreshStatus,
    /// Why it is so, in the words of EC2 Auto Scaling.
    pub reason: Option<String>,
    /// How much of it is done, in percent.
    pub percentage: i32,
    /// What instances are launched from, where it changes that.
    pub template: Option<TemplateRef>,
}

/// How far an instance refresh is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RefreshStatus {
    /// It replaces instances, is about to, or watches the new ones.
    Advancing,
    /// It is being cancelled or rolled back.
    Leaving,
    /// The group launches what was wanted, and all instances are such.
    Successful,
    /// It failed; instances may be of either kind.
    Failed,
    /// It was cancelled; instances may be of either kind.
    Cancelled,
    /// It failed, and everything is as it was before.
    RolledBack,
    /// It failed, and so did the way back.
    RollbackFailed,
}

impl fmt::Display for RefreshStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Advancing => "in progress",
            Self::Leaving => "being cancelled or rolled back",
            Self::Successful => "successful",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::RolledBack => "rolled back",
            Self::RollbackFailed => "failed, and so did its rollback",
        })
    }
}

impl Refresh {
    /// Whether it is under way, so that no other one can start.
    pub fn is_active(&self) -> bool {
        matches!(self.status, RefreshStatus::Advancing | RefreshStatus::Leaving)
    }

    /// What it is making the group launch, as long as it is.
    pub fn heads_for(&self) -> Option<&TemplateRef> {
        self.template.as_ref().filter(|_| self.status == RefreshStatus::Advancing)
    }
}

/// Instance refreshes of Auto Scaling groups. A group has at most one under way.
pub trait InstanceRefreshes: Send + Sync + 'static {
    /// Starts to replace the instances of a group, and returns the id of the refresh.
    fn start_refresh(&self, region: &Region, group: &str, refresh: &NewRefresh) -> impl Answer<String>;
    /// Starts to replace all instances of a group by ones of what it launches already, as its maintenance policy says, and
    /// returns the id of the refresh.
    fn start_rotation(&self, region: &Region, group: &str) -> impl Answer<String>;
    /// Looks a refresh up.
    fn refresh(&self, region: &Region, group: &str, id: &str) -> impl Answer<Option<Refresh>>;
    /// The newest refresh of a group. There is none where there is no group.
    fn latest_refresh(&self, region: &Region, group: &str) -> impl Answer<Option<Refresh>>;
    /// Stops the refresh that is under way; what it has replaced stays. That there is none is a success.
    fn cancel_refresh(&self, region: &Region, group: &str) -> impl Answer<()>;
}

impl InstanceRefreshes for Aws {
    async fn start_refresh(
        &self,
        region: &Region,
        group: &str,
        refresh: &NewRefresh,
    ) -> Result<String, AwsError> {
        let TemplateRef { id, version } = &refresh.template;
        let template = LaunchTemplateSpecification::builder().launch_template_id(id).version(version).build();
        let mut preferences = RefreshPreferences::builder()
            .min_healthy_percentage(refresh.min_healthy_percentage)
            .max_healthy_percentage(refresh.max_healthy_percentage)
            .auto_rollback(refresh.auto_rollback)
            .skip_matching(refresh.skip_matching)
            .set_instance_warmup(refresh.instance_warmup);
        if refresh.bake_time > 0 {
            preferences = preferences.bake_time(refresh.bake_time);
        }
        if !refresh.alarms.is_empty() {
            let alarms = Some(refresh.alarms.iter().cloned().collect());
            let alarms = AlarmSpecification::builder().set_alarms(alarms).build();
            preferences = preferences.alarm_specification(alarms);
        }
        let request =
            self.clients(region).autoscaling.start_instance_refresh().auto_scaling_group_name(group);
        let desired = DesiredConfiguration::builder().launch_template(template).build();
        let request = request.strategy(RefreshStrategy::Rolling).desired_configuration(desired);
        started(request.preferences(preferences.build())).await
    }

    async fn start_rotation(&self, region: &Region, group: &str) -> Result<String, AwsError> {
        started(self.clients(region).autoscaling.start_instance_refresh().auto_scaling_group_name(group))
            .await
    }

    async fn refresh(&self, region: &Region, group: &str, id: &str) -> Result<Option<Refresh>, AwsError> {
        let request = self.clients(region).autoscaling.describe_instance_refreshes();
        first(request.auto_scaling_group_name(group).instance_refresh_ids(id)).await
    }

    async fn latest_refresh(&self, region: &Region, group: &str) -> Result<Option<Refresh>, AwsError> {
        let request = self.clients(region).autoscaling.describe_instance_refreshes();
        first(request.auto_scaling_group_name(group).max_records(1)).await
    }

    async fn cancel_refresh(&self, region: &Region, group: &str) -> Result<(), AwsError> {
        let request =
            self.clients(region).autoscaling.cancel_instance_refresh().auto_scaling_group_name(group);
        match request.send().await.map_err(failed("autoscaling:CancelInstanceRefresh")) {
            Err(error) if error.is_not_found() => Ok(()),
            answer => answer.map(|_| ()),
        }
    }
}

async fn started(request: StartInstanceRefreshFluentBuilder) -> Result<String, AwsError> {
    const OPERATION: &str = "autoscaling:StartInstanceRefresh";
    let answer = request.send().await.map_err(failed(OPERATION))?;
    answer.instance_refresh_id.ok_or_else(|| AwsError::malformed(OPERATION, "instance refresh id"))
}

/// The first of the answer: EC2 Auto Scaling lists the newest first.
async fn first(request: DescribeInstanceRefreshesFluentBuilder) -> Result<Option<Refresh>, AwsError> {
    let answer = match request.send().await.map_err(failed("autoscaling:DescribeInstanceRefreshes")) {
        Ok(answer) => answer,
        Err(error) if error.is_missing_group() => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(answer.instance_refreshes.unwrap_or_default().into_iter().next().map(from_sdk))
}

fn from_sdk(refresh: aws_sdk_autoscaling::types::InstanceRefresh) -> Refresh {
    let template = refresh.desired_configuration.and_then(|desired| desired.launch_template);
    Refresh {
        id: refresh.instance_refresh_id.unwrap_or_default(),
        status: refresh.status.as_ref().map_or(RefreshStatus::Advancing, status),
        reason: refresh.status_reason,
        percentage: refresh.percentage_complete.unwrap_or_default(),
        template: template.map(|template| TemplateRef {
            id: template.launch_template_id.unwrap_or_default(),
            version: template.version.unwrap_or_else(|| "$Default".to_owned()),
        }),
    }
}

fn status(status: &InstanceRefreshStatus) -> RefreshStatus {
    match status {
        InstanceRefreshStatus::Cancelling | InstanceRefreshStatus::RollbackInProgress => {
            RefreshStatus::Leaving
        }
        InstanceRefreshStatus::Successful => RefreshStatus::Successful,
        InstanceRefreshStatus::Failed => RefreshStatus::Failed,
        InstanceRefreshStatus::Cancelled => RefreshStatus::Cancelled,
        InstanceRefreshStatus::RollbackSuccessful => RefreshStatus::RolledBack,
        InstanceRefreshStatus::RollbackFailed => RefreshStatus::RollbackFailed,
        // Pending, InProgress, Baking, and what later versions of the service may add: it has not ended.
        _ => RefreshStatus::Advancing,
    }
}
