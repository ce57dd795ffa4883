//! Lifecycle hooks.

use scanner_policy::Region;

use super::FakeAws;
use crate::aws::{AwsError, Hook, LifecycleHooks};

impl LifecycleHooks for FakeAws {
    async fn hooks(&self, _region: &Region, group: &str) -> Result<Vec<Hook>, AwsError> {
        let world = self.call("autoscaling:DescribeLifecycleHooks")?;
        Ok(world.hooks.get(group).cloned().unwrap_or_default())
    }

    async fn put_hook(&self, _region: &Region, group: &str, hook: &Hook) -> Result<(), AwsError> {
        let mut world = self.call("autoscaling:PutLifecycleHook")?;
        let hooks = world.hooks.entry(group.to_owned()).or_default();
        hooks.retain(|other| other.name != hook.name);
        hooks.push(hook.clone());
        Ok(())
    }

    async fn delete_hook(&self, _region: &Region, group: &str, name: &str) -> Result<(), AwsError> {
        let mut world = self.call("autoscaling:DeleteLifecycleHook")?;
        world.hooks.entry(group.to_owned()).or_default().retain(|hook| hook.name != name);
        Ok(())
    }
}
