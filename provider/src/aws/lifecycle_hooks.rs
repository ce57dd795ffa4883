//! [`LifecycleHooks`]: where instances of an Auto Scaling group wait when they come or go.

use scanner_policy::Region;

use super::error::failed;
use super::{Answer, Aws, AwsError};

/// A lifecycle hook of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Hook {
    /// Its name, unique in the group.
    pub name: String,
    /// When instances wait, such as `autoscaling:EC2_INSTANCE_LAUNCHING`.
    pub transition: String,
    /// What becomes of an instance that nobody speaks for in time: `CONTINUE` or `ABANDON`.
    pub default_result: String,
    /// For how many seconds it waits.
    pub heartbeat_timeout: i32,
}

/// Lifecycle hooks of Auto Scaling groups.
pub trait LifecycleHooks: Send + Sync + 'static {
    /// All hooks of a group. There are none where there is no group.
    fn hooks(&self, region: &Region, group: &str) -> impl Answer<Vec<Hook>>;
    /// Makes a hook, or changes the one of its name.
    fn put_hook(&self, region: &Region, group: &str, hook: &Hook) -> impl Answer<()>;
    /// Removes a hook; instances that wait at it go on. That it is gone already is a success.
    fn delete_hook(&self, region: &Region, group: &str, name: &str) -> impl Answer<()>;
}

impl LifecycleHooks for Aws {
    async fn hooks(&self, region: &Region, group: &str) -> Result<Vec<Hook>, AwsError> {
        let request =
            self.clients(region).autoscaling.describe_lifecycle_hooks().auto_scaling_group_name(group);
        let answer = match request.send().await.map_err(failed("autoscaling:DescribeLifecycleHooks")) {
            Ok(answer) => answer,
            Err(error) if error.is_missing_group() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let hooks = answer.lifecycle_hooks.unwrap_or_default().into_iter().map(|hook| Hook {
            name: hook.lifecycle_hook_name.unwrap_or_default(),
            transition: hook.lifecycle_transition.unwrap_or_default(),
            default_result: hook.default_result.unwrap_or_default(),
            heartbeat_timeout: hook.heartbeat_timeout.unwrap_or_default(),
        });
        Ok(hooks.collect())
    }

    async fn put_hook(&self, region: &Region, group: &str, hook: &Hook) -> Result<(), AwsError> {
        let request = self.clients(region).autoscaling.put_lifecycle_hook().auto_scaling_group_name(group);
        let request = request
            .lifecycle_hook_name(&hook.name)
            .lifecycle_transition(&hook.transition)
            .default_result(&hook.default_result)
            .heartbeat_timeout(hook.heartbeat_timeout);
        request.send().await.map_err(failed("autoscaling:PutLifecycleHook"))?;
        Ok(())
    }

    async fn delete_hook(&self, region: &Region, group: &str, name: &str) -> Result<(), AwsError> {
        let request = self.clients(region).autoscaling.delete_lifecycle_hook().auto_scaling_group_name(group);
        let request = request.lifecycle_hook_name(name);
        match request.send().await.map_err(failed("autoscaling:DeleteLifecycleHook")) {
            // The service has no code of its own for a hook that is not there ("No Lifecycle Hook found …").
            Err(error) if error.is_missing_group() || error.message().contains("No Lifecycle Hook") => Ok(()),
            answer => answer.map(|_| ()),
        }
    }
}
