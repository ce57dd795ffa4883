//! Ctrl-C in the middle of `apply`: what exists is in the state, and destroy removes it.

use agentless_tests::local_aws::{Effect, Fault, Hold};

use crate::scanner::{Setting, assert_gone};
use crate::shared::{local_aws, terraform};

#[tokio::test]
async fn what_an_interrupted_apply_has_made_is_destroyed() {
    let steps = [
        ("ec2", "CreateLaunchTemplate", "LaunchTemplateName"),
        ("autoscaling", "CreateAutoScalingGroup", "AutoScalingGroupName"),
    ];
    for (service, action, parameter) in steps {
        let setting = Setting::new().await;
        let terraform = terraform(&setting.config("")).await;
        let hold = Hold::new();
        let fault = Fault::on(service, action, Effect::HoldReply(hold.clone())).times(1);
        local_aws().await.inject(fault.with_parameter(parameter, &setting.name));
        let running = terraform.start_apply().unwrap();
        hold.reached().await;
        running.interrupt().unwrap();
        hold.release();
        let finished = running.wait().await.unwrap();
        assert!(finished.stdout.contains("Interrupt received"), "{}{}", finished.stdout, finished.stderr);
        let made = terraform.state().await.unwrap().addresses();
        assert!(made.contains(&"datadog_agentless_scanner.this".to_owned()), "{action}: {made:?}");
        terraform.destroy().await.unwrap();
        assert_gone(&setting.name).await;
    }
}
