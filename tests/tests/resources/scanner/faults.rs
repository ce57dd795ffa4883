//! Calls of a change that fail or whose answers are lost.

use agentless_tests::local_aws::{Effect, Fault};

use super::*;

#[tokio::test]
async fn a_change_that_failed_at_any_call_is_made_by_the_next_apply() {
    let mut setting = Setting::new().await;
    let quick = "instance_refresh = { bake_time = 0, instance_warmup = 0 }\n  max_size = 2";
    let terraform = terraform(&setting.config(quick)).await;
    terraform.apply().await.unwrap();
    let name = setting.name.clone();
    let template = text(&terraform.state().await.unwrap(), SCANNER, "launch_template_id");
    let group = ("AutoScalingGroupName", name.as_str());
    let mut heartbeat = 600;
    for (service, action, (parameter, value)) in [
        ("ec2", "CreateLaunchTemplateVersion", ("LaunchTemplateId", template.as_str())),
        ("autoscaling", "UpdateAutoScalingGroup", group),
        ("autoscaling", "PutLifecycleHook", group),
        ("autoscaling", "StartInstanceRefresh", group),
        ("ec2", "ModifyLaunchTemplate", ("LaunchTemplateId", template.as_str())),
    ] {
        setting.image_id = image().await;
        heartbeat += 1;
        let hook = format!("termination_hook = {{ heartbeat_timeout = {heartbeat} }}");
        terraform.set_config(&setting.config(&format!("{quick}\n  {hook}"))).unwrap();
        let fault = Fault::on(service, action, Effect::AccessDenied).times(1);
        local_aws().await.inject(fault.with_parameter(parameter, value));
        let failed = terraform.apply_fails().await.unwrap();
        assert!(failed.stderr.contains(action), "{action}: {}", failed.stderr);
        terraform.apply().await.unwrap();
        terraform.assert_empty_plans().await.unwrap();
        assert_eq!(launched(&name).await.image_id(), Some(setting.image_id.as_str()), "{action}");
    }
    terraform.destroy().await.unwrap();
    assert_gone(&name).await;
}

#[tokio::test]
async fn what_was_made_before_its_answer_was_lost_is_recognised() {
    let mut setting = Setting::new().await;
    let more = "instance_refresh = { bake_time = 0 }";
    let terraform = terraform(&setting.config(more)).await;
    let name = setting.name.clone();
    let lose = async |action| {
        let fault = Fault::on("autoscaling", action, Effect::ResetReply).times(1);
        local_aws().await.inject(fault.with_parameter("AutoScalingGroupName", &name));
    };
    lose("CreateAutoScalingGroup").await;
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    setting.image_id = image().await;
    terraform.set_config(&setting.config(&format!("{more}\n  launch_hook = {{ enabled = false }}"))).unwrap();
    for action in ["UpdateAutoScalingGroup", "DeleteLifecycleHook", "StartInstanceRefresh"] {
        lose(action).await;
    }
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    assert_eq!(launched(&name).await.image_id(), Some(setting.image_id.as_str()));
    let request = autoscaling().await.describe_instance_refreshes().auto_scaling_group_name(&name);
    assert_eq!(request.send().await.unwrap().instance_refreshes().len(), 1);
    terraform.destroy().await.unwrap();
    assert_gone(&name).await;
}
