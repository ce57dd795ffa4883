//! Lifecycle hooks.

use super::super::user_data::Lifecycle;
use super::*;

fn hooked() -> Model {
    Model { termination_hook: Hook { heartbeat_timeout: 900.into(), ..Hook::default() }.into(), ..config() }
}

fn unhooked() -> Model {
    let off = || Hook { enabled: false.into(), ..Hook::default() }.into();
    Model { launch_hook: off(), termination_hook: off(), ..config() }
}

/// What the scanner is told.
fn told(aws: &FakeAws) -> Lifecycle {
    ScannerConfig::from_user_data(&launched(aws).user_data).unwrap().lifecycle
}

fn hooks(aws: &FakeAws) -> Vec<(String, String, String, i32)> {
    let world = aws.world();
    let mut hooks: Vec<_> = world.hooks["scanner"]
        .iter()
        .map(|hook| {
            let crate::aws::Hook { name, transition, default_result, heartbeat_timeout } = hook.clone();
            (name, transition, default_result, heartbeat_timeout)
        })
        .collect();
    hooks.sort();
    hooks
}

fn hook(name: &str, transition: &str, result: &str, timeout: i32) -> (String, String, String, i32) {
    let transition = format!("autoscaling:EC2_INSTANCE_{transition}");
    (format!("agentless-scanner-{name}"), transition, result.to_owned(), timeout)
}

#[tokio::test(start_paused = true)]
async fn the_first_instances_already_wait() {
    let (aws, mut stage) = start();
    stage.apply(&hooked()).await.unwrap();
    assert_eq!(aws.take_changes(), ["ec2:CreateLaunchTemplate", "autoscaling:CreateAutoScalingGroup"]);
    let expected =
        [hook("launch", "LAUNCHING", "ABANDON", 600), hook("termination", "TERMINATING", "CONTINUE", 900)];
    assert_eq!(hooks(&aws), expected);
    let names =
        ["agentless-scanner-launch", "agentless-scanner-termination"].map(|name| Some(name.to_owned()));
    let told = told(&aws);
    assert_eq!((told.group.as_str(), [told.launch_hook, told.termination_hook]), ("scanner", names));
    assert_eq!(stage.drift(&hooked()).await, Action::Nothing);
    assert_eq!(stage.imported("scanner").await.unwrap().as_ref(), Some(stage.state()));
}

#[tokio::test(start_paused = true)]
async fn hooks_come_change_and_go() {
    let (aws, mut stage) = start();
    stage.apply(&unhooked()).await.unwrap();
    assert_eq!(hooks(&aws), []);
    assert_eq!(told(&aws), Lifecycle { group: "scanner".to_owned(), ..Lifecycle::default() });
    assert_eq!(stage.drift(&unhooked()).await, Action::Nothing);
    assert_eq!(stage.imported("scanner").await.unwrap().as_ref(), Some(stage.state()));
    aws.take_calls();
    assert_eq!(stage.apply(&hooked()).await.unwrap(), Action::Update);
    // A timeout is nothing that the scanner is told.
    let version = stage.state().launch_template_version.clone();
    stage.apply(&config()).await.unwrap();
    assert_eq!(stage.state().launch_template_version, version);
    assert_eq!(hooks(&aws)[1], hook("termination", "TERMINATING", "CONTINUE", 1_800));
    stage.apply(&unhooked()).await.unwrap();
    assert_eq!(hooks(&aws), []);
    assert_eq!(stage.drift(&unhooked()).await, Action::Nothing);
    let count = |calls: &[&str], operation: &str| calls.iter().filter(|call| **call == operation).count();
    let calls = aws.take_calls();
    assert_eq!(count(&calls, "autoscaling:PutLifecycleHook"), 3);
    assert_eq!(count(&calls, "autoscaling:DeleteLifecycleHook"), 2);
}

#[tokio::test(start_paused = true)]
async fn changes_that_meet_are_made_one_after_the_other() {
    let (aws, mut stage) = start();
    stage.apply(&unhooked()).await.unwrap();
    for operation in ["autoscaling:UpdateAutoScalingGroup", "autoscaling:PutLifecycleHook"] {
        for code in ["ResourceContention", "ScalingActivityInProgress"] {
            aws.fail(operation, code, "another update is pending");
        }
    }
    stage.apply(&Model { max_size: 2.into(), ..hooked() }).await.unwrap();
    assert_eq!(hooks(&aws).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn hooks_of_ours_that_somebody_changes_are_set_right_and_others_left_alone() {
    let (aws, mut stage) = start();
    stage.apply(&hooked()).await.unwrap();
    let expected = hooks(&aws);
    let theirs = crate::aws::Hook {
        name: "theirs".to_owned(),
        transition: "autoscaling:EC2_INSTANCE_TERMINATING".to_owned(),
        default_result: "CONTINUE".to_owned(),
        heartbeat_timeout: 60,
    };
    aws.world().hooks.get_mut("scanner").unwrap().push(theirs.clone());
    assert_eq!(stage.drift(&hooked()).await, Action::Nothing);

    let changes: [fn(&mut Vec<crate::aws::Hook>); 3] = [
        |hooks| hooks[0].default_result = "CONTINUE".to_owned(),
        |hooks| hooks[0].heartbeat_timeout = 30,
        |hooks| hooks.retain(|hook| hook.name == "theirs"),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        change(aws.world().hooks.get_mut("scanner").unwrap());
        assert_eq!(stage.drift(&hooked()).await, Action::Update, "{number}");
        stage.apply(&hooked()).await.unwrap();
        assert_eq!(stage.drift(&hooked()).await, Action::Nothing, "{number}");
        assert_eq!(hooks(&aws)[..2], expected, "{number}");
        assert!(aws.world().hooks["scanner"].contains(&theirs), "{number}");
    }
    // One that nobody wants, under our name.
    let mut plain = stage;
    plain.apply(&unhooked()).await.unwrap();
    let ours = crate::aws::Hook { name: "agentless-scanner-termination".to_owned(), ..theirs };
    aws.world().hooks.get_mut("scanner").unwrap().push(ours);
    assert_eq!(plain.drift(&unhooked()).await, Action::Update);
    plain.apply(&unhooked()).await.unwrap();
    assert_eq!(hooks(&aws).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_scanner_from_before_hooks_were_the_default_gets_them() {
    let (aws, mut stage) = start();
    stage.apply(&unhooked()).await.unwrap();
    let saved = stage.state.as_mut().unwrap();
    (saved.launch_hook, saved.termination_hook) = (Value::Null, Value::Null);
    assert_eq!(stage.drift(&config()).await, Action::Update);
    stage.apply(&config()).await.unwrap();
    assert_eq!(hooks(&aws).len(), 2);
    assert_eq!(stage.drift(&config()).await, Action::Nothing);
}
