//! What becomes of instances that run when what they are launched with changes.

use super::*;
use crate::aws::RefreshStatus;
use crate::aws::fake::Course;

fn newer() -> Model {
    Model { image_id: "ami-2".into(), ..config() }
}

/// How the next refresh goes.
fn arrange<const N: usize>(aws: &FakeAws, steps: [RefreshStatus; N], reason: &str) {
    aws.world().course = Course { steps: steps.into(), reason: Some(reason.to_owned()) };
}

/// What the last refresh was asked to do.
fn asked(aws: &FakeAws) -> crate::aws::NewRefresh {
    aws.world().refreshes.last().unwrap().asked.clone().unwrap()
}

fn version_in_use(aws: &FakeAws) -> String {
    aws.world().scaling_groups["scanner"].settings.template.clone().unwrap().version
}

#[tokio::test(start_paused = true)]
async fn the_group_takes_a_new_version_over_when_it_has_proven_itself() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    arrange(&aws, [RefreshStatus::Advancing; 3], "");
    stage.stop.cancel();
    stage.apply(&newer()).await.unwrap_err();
    assert_eq!(version_in_use(&aws), "1", "it has not ended");
    let refresh = asked(&aws);
    assert_eq!(refresh.template.version, "2");
    assert!(refresh.auto_rollback && refresh.skip_matching);
    assert_eq!((refresh.min_healthy_percentage, refresh.max_healthy_percentage), (100, 200));
    assert_eq!((refresh.bake_time, refresh.instance_warmup), (300, None));
    // A plan meanwhile sees what it leads to, and one afterwards that it got there.
    assert_eq!(stage.state().image_id, "ami-2".into());
    assert_eq!(stage.drift(&newer()).await, Action::Nothing);
    arrange(&aws, [RefreshStatus::Successful], "");
    assert_eq!(stage.drift(&newer()).await, Action::Nothing);
    assert_eq!(version_in_use(&aws), "2");
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_wait_says_what_goes_on() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    stage.stop.cancel();
    let error = stage.apply(&newer()).await.unwrap_err();
    assert!(error.summary.starts_with("Interrupted waiting for the instance refresh"), "{}", error.summary);
    assert!(error.detail.contains("goes on in AWS"), "{}", error.detail);
    assert!(error.detail.contains("cancel-instance-refresh --region eu-central-1"), "{}", error.detail);
    // Put back meanwhile: the next plan wants it again.
    arrange(&aws, [RefreshStatus::RolledBack], "an alarm went off");
    stage.stop = tokio_util::sync::CancellationToken::new();
    assert_eq!(stage.drift(&newer()).await, Action::Update);
    stage.apply(&newer()).await.unwrap();
    assert_eq!(version_in_use(&aws), "3");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_fails_is_told_with_its_reason_and_the_state_is_true() {
    for (end, told) in [
        (RefreshStatus::RolledBack, "was rolled back"),
        (RefreshStatus::Failed, "failed"),
        (RefreshStatus::Cancelled, "was cancelled"),
        (RefreshStatus::RollbackFailed, "failed, and so did its rollback"),
    ] {
        let (aws, mut stage) = start();
        stage.apply(&config()).await.unwrap();
        arrange(&aws, [RefreshStatus::Advancing, RefreshStatus::Leaving, end], "unhealthy instance i-1");
        let changed = Model { max_size: 2.into(), settings: log_debug().into(), ..newer() };
        let error = stage.apply(&changed).await.unwrap_err();
        assert!(error.summary.ends_with(told), "{}", error.summary);
        assert!(error.detail.contains("says: unhealthy instance i-1"), "{}", error.detail);
        let saved = stage.state().clone();
        assert_eq!((&saved.image_id, &saved.launch_template_version), (&"ami-1".into(), &"1".into()));
        assert_eq!(saved.settings.known().unwrap().log_level, "info".into());
        assert_eq!(saved.max_size, 2.into(), "the group has it");

        assert_eq!(stage.drift(&changed).await, Action::Update);
        stage.apply(&changed).await.unwrap();
        assert_eq!(launched(&aws).image_id, "ami-2");
        assert_eq!(stage.drift(&changed).await, Action::Nothing);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_at_each_call_of_a_change_converges_at_the_next_apply() {
    for operation in [
        "ec2:DescribeImages",
        "ec2:CreateLaunchTemplateVersion",
        "autoscaling:DescribeInstanceRefreshes",
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:UpdateAutoScalingGroup",
        "autoscaling:PutLifecycleHook",
        "autoscaling:CreateOrUpdateTags",
        "ec2:CreateTags",
        "autoscaling:StartInstanceRefresh",
        "ec2:ModifyLaunchTemplate",
    ] {
        let (aws, mut stage) = start();
        stage.apply(&config()).await.unwrap();
        let changed = Model {
            launch_hook: Hook { heartbeat_timeout: 900.into(), ..Hook::default() }.into(),
            tags: Value::Known([("a".to_owned(), "b".to_owned())].into()),
            ..newer()
        };
        aws.fail(operation, "AccessDenied", "not you");
        let error = stage.apply(&changed).await.unwrap_err();
        assert!(error.detail.contains(operation), "{operation}: {}", error.detail);
        stage.refresh().await.unwrap();
        stage.apply(&changed).await.unwrap();
        assert_eq!(launched(&aws).image_id, "ami-2", "{operation}");
        assert_eq!(stage.drift(&changed).await, Action::Nothing, "{operation}");
    }
}

#[tokio::test(start_paused = true)]
async fn apply_need_not_wait() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    arrange(&aws, [RefreshStatus::Advancing; 2], "");
    let refresh = InstanceRefresh {
        wait: false.into(),
        bake_time: 0.into(),
        alarms: set(["errors"]),
        instance_warmup: 90.into(),
        ..InstanceRefresh::default()
    };
    let unattended = Model { instance_refresh: refresh.into(), ..newer() };
    stage.apply(&unattended).await.unwrap();
    assert_eq!(version_in_use(&aws), "1");
    let asked = asked(&aws);
    assert_eq!((asked.bake_time, asked.instance_warmup), (0, Some(90)));
    assert_eq!(asked.alarms, ["errors".to_owned()].into());
    assert_eq!(stage.drift(&unattended).await, Action::Nothing);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_under_way_is_superseded() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    stage.stop.cancel();
    arrange(&aws, [RefreshStatus::Advancing; 9], "");
    stage.apply(&newer()).await.unwrap_err();
    stage.stop = tokio_util::sync::CancellationToken::new();
    aws.take_calls();
    // Even a change of tags alone, which starts none by itself, must bring the instances on one version again.
    let tagged = Model { tags: Value::Known([("a".to_owned(), "b".to_owned())].into()), ..newer() };
    stage.apply(&tagged).await.unwrap();
    let changes = aws.take_changes();
    let position = |operation| changes.iter().position(|change| *change == operation).unwrap();
    assert!(
        position("autoscaling:CancelInstanceRefresh") < position("autoscaling:UpdateAutoScalingGroup"),
        "{changes:?}"
    );
    assert_eq!(version_in_use(&aws), "3");
    assert_eq!(stage.drift(&tagged).await, Action::Nothing);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_whose_answer_was_lost_is_recognised() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    aws.world().loses_answer_of = Some("autoscaling:StartInstanceRefresh");
    stage.apply(&newer()).await.unwrap();
    assert_eq!(aws.world().refreshes.len(), 1);
    assert_eq!(version_in_use(&aws), "2");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_refreshed_without_need() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    let tagged = Model { tags: Value::Known([("a".to_owned(), "b".to_owned())].into()), ..config() };
    stage.apply(&tagged).await.unwrap();
    assert_eq!((version_in_use(&aws).as_str(), aws.world().refreshes.len()), ("2", 0), "tags alone");

    let none = Model { min_size: 0.into(), desired_capacity: 0.into(), ..tagged };
    stage.apply(&none).await.unwrap();
    let idle = Model { image_id: "ami-2".into(), ..none };
    stage.apply(&idle).await.unwrap();
    assert_eq!((version_in_use(&aws).as_str(), aws.world().refreshes.len()), ("3", 0), "no instances");
    assert_eq!(stage.drift(&idle).await, Action::Nothing);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_made_the_group_launch_goes_at_once_and_for_good() {
    let foreign: [fn(&mut TemplateContent); 2] = [
        |content| content.metadata.http_tokens = "optional".to_owned(),
        |content| {
            content.image_id = "ami-evil".to_owned();
        },
    ];
    for change in foreign {
        let (aws, mut stage) = start();
        stage.apply(&config()).await.unwrap();
        let mut content = launched(&aws);
        change(&mut content);
        {
            let mut world = aws.world();
            world.templates.values_mut().next().unwrap().1.push(content);
            let group = world.scaling_groups.get_mut("scanner").unwrap();
            group.settings.template.as_mut().unwrap().version = "2".to_owned();
        }
        stage.refresh().await.unwrap();
        arrange(&aws, [RefreshStatus::Failed], "no capacity");
        stage.apply(&config()).await.unwrap_err();
        assert_eq!(version_in_use(&aws), "3", "set right before the refresh has ended");
        assert!(!asked(&aws).auto_rollback, "there is no way back");
        assert_eq!(launched(&aws).image_id, "ami-1");
    }
}

#[tokio::test(start_paused = true)]
async fn an_imported_scanner_can_be_rolled_back() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    let mut imported = Stage::new(Scanner::new(aws.clone(), stage.resource.settings.clone()));
    imported.state = stage.imported("scanner").await.unwrap();
    imported.apply(&newer()).await.unwrap();
    assert!(asked(&aws).auto_rollback);
}

#[tokio::test(start_paused = true)]
async fn an_image_by_parameter_is_launched_without_a_way_back() {
    let (aws, mut stage) = start();
    let by_parameter = Model { image_id: Value::Null, image_parameter: "/scanner/ami-1".into(), ..config() };
    stage.apply(&by_parameter).await.unwrap();
    assert_eq!(launched(&aws).image_id, "resolve:ssm:/scanner/ami-1");
    assert_eq!(stage.state().instance_refresh.get().unwrap().auto_rollback, false.into());
    assert_eq!(stage.drift(&by_parameter).await, Action::Nothing);
    assert_eq!(stage.imported("scanner").await.unwrap().as_ref(), Some(stage.state()));
    // Neither away from a parameter nor to one.
    stage.apply(&config()).await.unwrap();
    assert!(!asked(&aws).auto_rollback);
    assert_eq!(stage.state().instance_refresh.get().unwrap().auto_rollback, true.into());
    stage.apply(&by_parameter).await.unwrap();
    assert!(!asked(&aws).auto_rollback);
    assert_eq!(stage.drift(&by_parameter).await, Action::Nothing);
}

#[tokio::test(start_paused = true)]
async fn the_root_volume_is_named_as_the_image_does() {
    let (aws, mut stage) = start();
    let other = Model { image_id: Value::Null, image_parameter: "/scanner/ami-device".into(), ..config() };
    stage.apply(&other).await.unwrap();
    assert_eq!(launched(&aws).root_volume.device_name, "/dev/xvda");
    assert_eq!(stage.drift(&other).await, Action::Nothing);
    let debug = Model { settings: log_debug().into(), ..other };
    stage.apply(&debug).await.unwrap();
    assert_eq!(launched(&aws).root_volume.device_name, "/dev/xvda");
    assert!(launched(&aws).root_volume.encrypted);
}

#[tokio::test(start_paused = true)]
async fn the_image_that_a_parameter_names_is_checked_before_it_is_launched() {
    for (parameter, path) in [
        ("/scanner/ami-gone", "image_parameter"),
        ("/scanner/no-image", "image_parameter"),
        ("/scanner/ami-intel", "instance_type"),
        ("/scanner/ami-large", "root_volume_size"),
    ] {
        let (aws, mut stage) = start();
        let wrong = Model { image_id: Value::Null, image_parameter: parameter.into(), ..config() };
        let error = stage.apply(&wrong).await.unwrap_err();
        assert_eq!(error.path, path.into(), "{parameter}");
        assert!(aws.world().scaling_groups.is_empty(), "{parameter}");
        stage.destroy().await.unwrap();
        assert!(aws.world().templates.is_empty(), "{parameter}");
    }
}
