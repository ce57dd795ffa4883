//! Ctrl-C in the middle of `apply`: what exists is in the state, and destroy removes it.

use crate::scanner::{Setting, assert_gone};
use crate::shared::{interrupt_apply, terraform};

#[tokio::test]
async fn what_an_interrupted_apply_has_made_is_destroyed() {
    let steps = [
        ("ec2", "CreateLaunchTemplate", "LaunchTemplateName"),
        ("autoscaling", "CreateAutoScalingGroup", "AutoScalingGroupName"),
    ];
    for (service, action, parameter) in steps {
        let setting = Setting::new().await;
        let terraform = terraform(&setting.config("")).await;
        interrupt_apply(&terraform, (service, action), (parameter, &setting.name)).await;
        let made = terraform.state().await.unwrap().addresses();
        assert!(made.contains(&"datadog_agentless_scanner.this".to_owned()), "{action}: {made:?}");
        terraform.destroy().await.unwrap();
        assert_gone(&setting.name).await;
    }
}
