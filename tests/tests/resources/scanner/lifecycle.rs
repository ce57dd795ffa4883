//! How instances come and go: instance refreshes, hooks, images by parameter, settings.

use agentless_tests::local_aws::{Effect, Fault, Hold};
use aws_sdk_autoscaling::types::{InstanceRefresh, InstanceRefreshStatus, LifecycleHook};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::*;

async fn refreshes(name: &str) -> Vec<InstanceRefresh> {
    let request = autoscaling().await.describe_instance_refreshes().auto_scaling_group_name(name);
    request.send().await.expect("refreshes").instance_refreshes.unwrap_or_default()
}

async fn hooks(name: &str) -> Vec<LifecycleHook> {
    let request = autoscaling().await.describe_lifecycle_hooks().auto_scaling_group_name(name);
    let mut hooks = request.send().await.expect("hooks").lifecycle_hooks.unwrap_or_default();
    hooks.sort_by_key(|hook| hook.lifecycle_hook_name.clone());
    hooks
}

/// The template versions of the instances.
async fn versions(name: &str) -> Vec<String> {
    let group = group_named(name).await.expect("a group");
    let instances = group.instances().iter().filter_map(|instance| instance.launch_template());
    instances.map(|template| template.version().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn a_change_replaces_the_instances_and_a_failure_brings_them_back() {
    let mut setting = Setting::new().await;
    let more = "instance_refresh = { bake_time = 30, instance_warmup = 10, alarms = [\"errors\"] }";
    let terraform = terraform(&setting.config(more)).await;
    terraform.apply().await.unwrap();
    let name = setting.name.clone();
    let (first, good) = (group_named(&name).await.unwrap(), setting.image_id.clone());
    let before = first.instances()[0].instance_id().unwrap().to_owned();

    // What fails is told with its reason and put back, and the state says what the group launches.
    local_aws().await.let_instance_refreshes_of_group_fail(&name, Some("no such boot device")).await.unwrap();
    setting.image_id = image().await;
    terraform.set_config(&setting.config(more)).unwrap();
    terraform.plan().await.unwrap().expect_actions(SCANNER, &["update"]).unwrap();
    let failed = terraform.apply_fails().await.unwrap().stderr;
    let flat = failed.replace(['\n', '│', '╵'], " ").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("was rolled back"), "{failed}");
    assert!(flat.contains("EC2 Auto Scaling says: no such boot device"), "{failed}");
    let state = terraform.state().await.unwrap();
    assert_eq!(text(&state, SCANNER, "image_id"), good);
    assert_eq!(text(&state, SCANNER, "launch_template_version"), "1");
    assert_eq!(versions(&name).await, ["1"]);
    let refresh = &refreshes(&name).await[0];
    assert_eq!(refresh.status(), Some(&InstanceRefreshStatus::RollbackSuccessful));
    let preferences = refresh.preferences().unwrap();
    assert_eq!(preferences.auto_rollback(), Some(true));
    assert_eq!(
        (preferences.min_healthy_percentage(), preferences.max_healthy_percentage()),
        (Some(100), Some(200))
    );
    assert_eq!((preferences.bake_time(), preferences.instance_warmup()), (Some(30), Some(10)));
    assert_eq!(preferences.alarm_specification().unwrap().alarms(), ["errors"]);

    // Tried again, it succeeds.
    local_aws().await.let_instance_refreshes_of_group_fail(&name, None).await.unwrap();
    terraform.plan().await.unwrap().expect_actions(SCANNER, &["update"]).unwrap();
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    assert_eq!(versions(&name).await, ["3"]);
    assert_eq!(launched(&name).await.image_id(), Some(setting.image_id.as_str()));
    let after = group_named(&name).await.unwrap();
    assert_ne!(after.instances()[0].instance_id(), Some(before.as_str()));

    // Of tags alone no instance is replaced.
    let count = refreshes(&name).await.len();
    terraform.set_config(&setting.config(&format!("{more}\n  tags = {{ team = \"security\" }}"))).unwrap();
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    assert_eq!(refreshes(&name).await.len(), count);
    terraform.destroy().await.unwrap();
    assert_gone(&name).await;
    local_aws().await.assert_no_unimplemented();
}

#[tokio::test]
async fn an_interrupted_refresh_goes_on_and_a_later_change_supersedes_one() {
    let mut setting = Setting::new().await;
    let terraform = terraform(&setting.config("")).await;
    terraform.apply().await.unwrap();
    let name = setting.name.clone();
    setting.image_id = image().await;
    terraform.set_config(&setting.config("")).unwrap();
    let hold = Hold::new();
    let fault = Fault::on("autoscaling", "StartInstanceRefresh", Effect::HoldReply(hold.clone())).times(1);
    local_aws().await.inject(fault.with_parameter("AutoScalingGroupName", &name));
    let running = terraform.start_apply().unwrap();
    hold.reached().await;
    running.interrupt().unwrap();
    hold.release();
    let finished = running.wait().await.unwrap();
    let flat = finished.stderr.replace(['\n', '│', '╵'], " ");
    let flat = flat.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("Interrupted waiting for the instance refresh"), "{}", finished.stderr);
    assert!(flat.contains("goes on in AWS"), "{}", finished.stderr);
    // Plans while it goes on see what it leads to.
    let state = terraform.state().await.unwrap();
    assert_eq!(text(&state, SCANNER, "image_id"), setting.image_id);
    terraform.assert_empty_plans().await.unwrap();

    // Another change does not wait for it.
    let unattended = "instance_refresh = { wait = false }";
    setting.image_id = image().await;
    terraform.set_config(&setting.config(unattended)).unwrap();
    terraform.apply().await.unwrap();
    setting.image_id = image().await;
    terraform.set_config(&setting.config(unattended)).unwrap();
    terraform.apply().await.unwrap();
    let statuses: Vec<_> =
        refreshes(&name).await.iter().map(|refresh| refresh.status().unwrap().as_str().to_owned()).collect();
    assert_eq!(statuses[1], "Cancelled", "{statuses:?}");
    while refreshes(&name).await[0].end_time().is_none() {}
    terraform.assert_empty_plans().await.unwrap();
    assert_eq!(launched(&name).await.image_id(), Some(setting.image_id.as_str()));
    terraform.destroy().await.unwrap();
    assert_gone(&name).await;
    local_aws().await.assert_no_unimplemented();
}

#[tokio::test]
async fn hooks_are_made_with_the_group_and_set_right() {
    let setting = Setting::new().await;
    let more = "termination_hook = { heartbeat_timeout = 900 }";
    let terraform = terraform(&setting.config(more)).await;
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    let name = setting.name.as_str();
    terraform.assert_import_verifies(SCANNER, name, &[]).await.unwrap();
    let told = |hooks: &[LifecycleHook]| {
        let told = hooks.iter().map(|hook| {
            let (transition, result) = (hook.lifecycle_transition(), hook.default_result());
            format!("{} {} {:?}", transition.unwrap(), result.unwrap(), hook.heartbeat_timeout().unwrap())
        });
        told.collect::<Vec<_>>()
    };
    let expected = [
        "autoscaling:EC2_INSTANCE_LAUNCHING ABANDON 600",
        "autoscaling:EC2_INSTANCE_TERMINATING CONTINUE 900",
    ];
    assert_eq!(told(&hooks(name).await), expected);

    // Whoever lets instances in without the self-test, or keeps scans from ending, is undone.
    let autoscaling = autoscaling().await;
    let ours = hooks(name).await;
    let launch = ours[0].lifecycle_hook_name().unwrap();
    let put = autoscaling.put_lifecycle_hook().auto_scaling_group_name(name).lifecycle_hook_name(launch);
    let put = put.lifecycle_transition("autoscaling:EC2_INSTANCE_LAUNCHING");
    put.default_result("CONTINUE").heartbeat_timeout(30).send().await.unwrap();
    assert_repaired(&terraform, SCANNER).await;
    let termination = ours[1].lifecycle_hook_name().unwrap();
    let delete = autoscaling.delete_lifecycle_hook().auto_scaling_group_name(name);
    delete.lifecycle_hook_name(termination).send().await.unwrap();
    assert_repaired(&terraform, SCANNER).await;
    assert_eq!(told(&hooks(name).await), expected);

    let off = "launch_hook = { enabled = false }\n  termination_hook = { enabled = false }";
    terraform.set_config(&setting.config(off)).unwrap();
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    assert_eq!(hooks(name).await, []);
    terraform.assert_import_verifies(SCANNER, name, &[]).await.unwrap();
    terraform.destroy().await.unwrap();
}

#[tokio::test]
async fn an_image_by_parameter_is_launched_and_the_plan_says_what_that_costs() {
    let setting = Setting::new().await;
    let parameter = format!("/{}/image", setting.name);
    let by_parameter =
        |more: &str| setting.config_of_image(&format!("image_parameter = \"{parameter}\""), more);
    local_aws().await.put_image_parameter(&parameter, &setting.image_id).await.unwrap();
    let terraform = terraform(&by_parameter("instance_refresh = { auto_rollback = true }")).await;
    let refused = terraform.plan_fails().await.unwrap();
    assert!(refused.stderr.contains("Rollback is not possible with image_parameter"), "{}", refused.stderr);

    terraform.set_config(&by_parameter("")).unwrap();
    let plan = terraform.plan().await.unwrap();
    assert!(plan.text.contains("Automatic rollback is not available"), "{}", plan.text);
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    let name = setting.name.as_str();
    terraform.assert_import_verifies(SCANNER, name, &[]).await.unwrap();
    let group = group_named(name).await.unwrap();
    let instance = group.instances()[0].instance_id().unwrap();
    let described = ec2().await.describe_instances().instance_ids(instance).send().await.unwrap();
    let booted = described.reservations()[0].instances()[0].image_id();
    assert_eq!(booted, Some(setting.image_id.as_str()));

    terraform.set_config(&by_parameter("settings = { log_level = \"debug\" }")).unwrap();
    terraform.apply().await.unwrap();
    assert_eq!(refreshes(name).await[0].preferences().unwrap().auto_rollback(), Some(false));
    terraform.set_config(&setting.config("")).unwrap();
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    terraform.destroy().await.unwrap();
    assert_gone(name).await;
    local_aws().await.assert_no_unimplemented();
}

#[tokio::test]
async fn every_setting_reaches_the_instances_and_shows_when_it_is_changed() {
    let setting = Setting::new().await;
    let settings = r#"settings = {
    regions             = ["us-east-1", "us-west-2"]
    scan_own_account    = false
    scan_interval_hours = 6
    discovery_minutes   = 30
    incremental         = true
    features            = ["hosts", "images"]
    hosts               = { volumes = "root", stopped = false, vendor_agent = "scan" }
    images              = { used = false }
    include_tags        = { env = "prod" }
    exclude_tags        = { scan = "*" }
    accounts = [
      { delegate_role_arn = "arn:aws:iam::222233334444:role/delegate", external_id = "id" },
      { delegate_role_arn = "arn:aws:iam::333344445555:role/delegate" },
    ]
    snapshot_timeout_minutes = 90
    scan_timeout_minutes     = 240
    queue                    = { workers = 8, snapshots = 50 }
    rate_limits              = { block_get = 500 }
    tasks = {
      url        = "https://example.com/tasks.json"
      public_key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"
    }
    sinks = {
      files   = { directory = "/srv/reports" }
      s3      = { bucket = "reports", prefix = "sbom/", region = "us-west-2" }
      datadog = { api_key = "ENC[arn:aws:secretsmanager:us-east-1:123456789012:secret:key-AbCdEf]", env = "prod" }
      https   = { url = "https://example.com/reports" }
    }
    spool   = { megabytes = 1024 }
    ca_file = "/etc/ssl/own.pem"
    status  = { enabled = false }
    limits  = { analyser_seconds = 7200, symlinks = 0 }
  }"#;
    let terraform = terraform(&setting.config(settings)).await;
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    let name = setting.name.as_str();
    terraform.assert_import_verifies(SCANNER, name, &[]).await.unwrap();
    let user_data = text(&terraform.state().await.unwrap(), SCANNER, "user_data");
    assert!(user_data.contains("rate_limits") && user_data.contains("222233334444"), "{user_data}");

    // Somebody makes the scanner leave an account out.
    let id = text(&terraform.state().await.unwrap(), SCANNER, "launch_template_id");
    let poorer = user_data.replace("222233334444", "999999999999");
    let data = RequestLaunchTemplateData::builder()
        .user_data(BASE64_STANDARD.encode(poorer))
        .image_id(&setting.image_id)
        .build();
    let version = ec2().await.create_launch_template_version().launch_template_id(&id).source_version("1");
    let version = version.launch_template_data(data).send().await.unwrap();
    let version = version.launch_template_version.unwrap().version_number.unwrap();
    point_to(name, &id, &version.to_string()).await;
    let plan = terraform.plan().await.unwrap();
    assert!(plan.text.contains("role/delegate\" -> \"arn:aws:iam::222233334444"), "{}", plan.text);
    assert_repaired(&terraform, SCANNER).await;

    // One mistake each, told at its attribute.
    for (wrong, told) in [
        ("features = [\"everything\"]", "settings.features"),
        ("accounts = [{ delegate_role_arn = \"delegate\" }]", "delegate_role_arn"),
        ("sinks = { datadog = { api_key = \"0123456789abcdef\" } }", "ENC[ARN]"),
        ("sinks = { https = { url = \"http://example.com\" } }", "https://example.com/reports"),
        ("sinks = {}", "sinks names no sink"),
        ("scan_interval_hours = 0", "scan_interval_hours"),
        ("regions = [\"frankfurt\"]", "settings.regions"),
        ("scan_own_account = false", "Nothing to scan"),
        ("scan_timeout_minutes = 1440", "scan_timeout_minutes"),
        ("hosts = { volumes = \"some\" }", "volumes"),
        ("tasks = { poll_seconds = 30 }", "tasks names no place"),
        ("tasks = { url = \"https://example.com\", public_key = \"key\" }", "public key of minisign"),
        ("limits = { stps = 5 }", "\"stps\""),
    ] {
        terraform.set_config(&setting.config(&format!("settings = {{ {wrong} }}"))).unwrap();
        let failed = terraform.plan_fails().await.unwrap();
        assert!(failed.stderr.contains(told), "{wrong}: {}", failed.stderr);
    }
    terraform.set_config(&setting.config(settings)).unwrap();
    terraform.destroy().await.unwrap();
}
