//! What the scanner tells its Auto Scaling group about the instance that it runs on: that it is ready, that it is still
//! working, that it may go.

use std::fmt;
use std::sync::Arc;

use scanner_policy::{ScalingGroupName, actions};

use super::config::once;
use super::{AwsError, Home};

/// The life cycle of the scanner's own instance, as a trait that tests can stand in for.
pub trait Lifecycle: fmt::Debug + Send + Sync + 'static {
    /// Says how the action that a hook waits for ended. True if the hook waited for it.
    fn complete(&self, hook: &Hook, outcome: Outcome) -> impl Future<Output = Result<bool, AwsError>> + Send;

    /// Asks for another period of the hook's timeout. True if the hook waits.
    fn heartbeat(&self, hook: &Hook) -> impl Future<Output = Result<bool, AwsError>> + Send;
}

/// The name of a lifecycle hook of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook(pub String);

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How an action ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A launched instance is in service; one that is to end may do so.
    Continue,
    /// A launched instance is replaced; one that is to end does so at once.
    Abandon,
}

impl Outcome {
    /// As Auto Scaling writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Continue => "CONTINUE",
            Self::Abandon => "ABANDON",
        }
    }
}

/// One instance of an Auto Scaling group in the scanner's own account and region.
#[derive(Clone, Debug)]
pub struct ScalingGroup {
    home: Arc<Home>,
    client: aws_sdk_autoscaling::Client,
    group: ScalingGroupName,
    instance: String,
}

impl ScalingGroup {
    /// `instance` is the id of the instance that this process runs on.
    pub fn new(home: Arc<Home>, group: ScalingGroupName, instance: String) -> Self {
        let config = aws_sdk_autoscaling::config::Builder::from(&home.config)
            .interceptor(home.sender.interceptor())
            .retry_config(once());
        let client = aws_sdk_autoscaling::Client::from_conf(config.build());
        Self { home, client, group, instance }
    }
}

impl Lifecycle for ScalingGroup {
    async fn complete(&self, hook: &Hook, outcome: Outcome) -> Result<bool, AwsError> {
        let request = self
            .client
            .complete_lifecycle_action()
            .auto_scaling_group_name(self.group.as_str())
            .lifecycle_hook_name(&hook.0)
            .instance_id(&self.instance)
            .lifecycle_action_result(outcome.name());
        let call = actions::AUTOSCALING_COMPLETE_LIFECYCLE_ACTION;
        waited(self.home.sender.send(call, || request.clone().send()).await)
    }

    async fn heartbeat(&self, hook: &Hook) -> Result<bool, AwsError> {
        let request = self
            .client
            .record_lifecycle_action_heartbeat()
            .auto_scaling_group_name(self.group.as_str())
            .lifecycle_hook_name(&hook.0)
            .instance_id(&self.instance);
        let call = actions::AUTOSCALING_RECORD_LIFECYCLE_ACTION_HEARTBEAT;
        waited(self.home.sender.send(call, || request.clone().send()).await)
    }
}

/// That nothing waits is no failure: the time of the hook was over, the action was completed by a request whose answer was
/// lost, or nobody replaces the instance.
fn waited<T>(result: Result<T, AwsError>) -> Result<bool, AwsError> {
    match result {
        Ok(_) => Ok(true),
        Err(AwsError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Script;
    use super::*;

    async fn group(script: &Script) -> ScalingGroup {
        ScalingGroup::new(Arc::new(script.home().await), "scanner".parse().unwrap(), "i-1".to_owned())
    }

    fn done(request: &str) -> (u16, String) {
        let answer = format!("<{request}Response><{request}Result/></{request}Response>");
        (200, answer)
    }

    fn refused(status: u16, code: &str, message: &str) -> (u16, String) {
        let error =
            format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>");
        (status, format!("<ErrorResponse>{error}<RequestId>r</RequestId></ErrorResponse>"))
    }

    #[tokio::test(start_paused = true)]
    async fn the_group_is_told_of_its_own_instance() {
        let script = Script::new([done("CompleteLifecycleAction"), done("RecordLifecycleActionHeartbeat")]);
        let group = group(&script).await;
        let hook = Hook("launch".to_owned());
        assert!(group.complete(&hook, Outcome::Continue).await.unwrap());
        assert!(group.heartbeat(&hook).await.unwrap());
        let asked = script.asked();
        for part in ["AutoScalingGroupName=scanner", "LifecycleHookName=launch", "InstanceId=i-1"] {
            assert!(asked.iter().all(|asked| asked.body.contains(part)), "{asked:?}");
        }
        assert!(asked.iter().any(|asked| asked.body.contains("LifecycleActionResult=CONTINUE")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_hook_that_no_longer_waits_is_no_failure() {
        let gone =
            || refused(400, "ValidationError", "No active Lifecycle Action found with instance ID i-1");
        // The first answer is lost; the action was completed all the same.
        let script = Script::new([(500, String::new()), gone(), gone()]);
        let group = group(&script).await;
        let hook = Hook("terminate".to_owned());
        assert!(!group.complete(&hook, Outcome::Continue).await.unwrap());
        assert!(!group.heartbeat(&hook).await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_names_the_permission() {
        let script = Script::new([
            refused(403, "AccessDenied", "no"),
            refused(400, "ValidationError", "AutoScalingGroup name not found"),
        ]);
        let group = group(&script).await;
        let hook = Hook("terminate".to_owned());
        let error = group.complete(&hook, Outcome::Abandon).await.unwrap_err().to_string();
        assert!(error.contains("must contain autoscaling:CompleteLifecycleAction"), "{error}");
        let error = group.heartbeat(&hook).await.unwrap_err().to_string();
        assert!(error.contains("name not found"), "{error}");
    }
}
