//! From an image that was just built to one that is gone, under exactly the policy of the pipeline.

use agentless_tests::judge::{Policy, judge};
use agentless_tests::local_aws::{ACCOUNT, Effect, Fault};
use scanner_policy::{PipelineScope, PolicyDocument, actions, tags};

use crate::scene::{CANDIDATE, CURRENT, GOOD, New, PREVIOUS, Scene};

fn policy(region: &str) -> Policy {
    let scope = PipelineScope {
        regions: vec![region.parse().unwrap()],
        account: ACCOUNT.parse().unwrap(),
        kms_keys: Vec::new(),
        parameters: "/agentless-scanner/image".parse().unwrap(),
        instance_roles: Vec::new(),
    };
    Policy::from_json(&PolicyDocument::for_image_pipeline(&scope).unwrap().to_json()).unwrap()
}

#[tokio::test]
async fn images_come_and_go_with_exactly_the_permissions_of_the_pipeline() {
    let region = "eu-west-1";
    let scene = Scene::new(region).await;
    let (old, old_snapshot) = scene.image(New { days: 40, ..GOOD }).await;
    let (protected, _) = scene.image(New { days: 35, ..GOOD }).await;
    scene.ec2.enable_image_deregistration_protection().image_id(&protected).send().await.unwrap();
    let (first, first_snapshot) = scene.image(New { days: 30, ..GOOD }).await;
    let template = scene.group(&first).await;

    let published = scene.ends(&["publish", &first, "--architecture", "arm64"], 0).await;
    assert_eq!(published.stdout, format!("{CANDIDATE} = {first}\n"));
    scene.ends(&["promote"], 0).await;
    assert_eq!(scene.pointers().await, [first.clone(), first.clone(), String::new()]);
    let nothing = scene.ends(&["rollback"], 1).await;
    assert!(nothing.stderr.contains("nothing to go back to"), "{}", nothing.stderr);

    let (second, _) = scene.image(New { days: 1, ..GOOD }).await;
    scene.ends(&["publish", &second], 0).await;
    let promote = ["promote", "--after-refresh", "scanner", "--timeout", "0"];
    let unproven = scene.ends(&promote, 1).await;
    assert!(unproven.stderr.contains("has had no instance refresh"), "{}", unproven.stderr);
    scene.refresh(&template, &second).await;
    let unproven = scene.ends(&promote, 1).await;
    assert!(unproven.stderr.contains("run this again when it has ended"), "{}", unproven.stderr);
    assert_eq!(scene.pointers().await, [second.clone(), first.clone(), String::new()]);
    scene.refreshed().await;
    let promoted = scene.ends(&promote, 0).await;
    assert_eq!(promoted.stdout, format!("{PREVIOUS} = {first}\n{CURRENT} = {second}\n"));
    let again = scene.ends(&promote, 0).await;
    assert!(again.stdout.is_empty() && again.stderr.contains("current already"), "{}", again.stderr);

    let status = scene.ends(&["status"], 0).await;
    for part in [CURRENT, second.as_str(), first.as_str(), "scanner", "1/1", "version 2"] {
        assert!(status.stdout.contains(part), "{part}: {}", status.stdout);
    }

    let back = scene.ends(&["rollback", "--to", &first], 0).await;
    assert!(back.stderr.contains("aws_ssm_parameter") && back.stderr.contains(CURRENT), "{}", back.stderr);
    assert_eq!(scene.pointers().await, [second.clone(), first.clone(), second.clone()]);
    scene.ends(&["rollback", "--to", &first], 0).await;
    // A pipeline that runs again does not promote what was taken back.
    let refused = scene.ends(&["promote"], 1).await;
    assert!(refused.stderr.contains("it was rolled back"), "{}", refused.stderr);
    scene.ends(&["rollback"], 0).await;
    assert_eq!(scene.pointers().await, [second.clone(), second.clone(), first.clone()]);

    let account = scene.account().await;
    let images = scene.left().await;
    let foreseen = scene.ends(&["prune", "--keep", "1"], 0).await;
    assert!(foreseen.stderr.contains("with --yes it is done"), "{}", foreseen.stderr);
    assert_eq!(foreseen.stdout.matches("would be deregistered").count(), 2, "{}", foreseen.stdout);
    assert_eq!(scene.left().await, images);
    let pruned = scene.ends(&["prune", "--keep", "1", "--yes"], 0).await;
    assert!(pruned.stdout.contains("deregistered") && pruned.stdout.contains("deleted"), "{}", pruned.stdout);
    let left = scene.left().await;
    assert!(left.contains(&first) && left.contains(&second), "{left:?}");
    assert!(!left.contains(&old) && !left.contains(&protected), "{left:?}");
    assert!(!scene.has_snapshot(&old_snapshot).await && scene.has_snapshot(&first_snapshot).await);

    let policy = policy(region);
    let verdict = judge(&policy, &scene.aws.calls(), &account).unwrap();
    assert_eq!(verdict.denied, []);
    let needless: Vec<_> = actions::IMAGE_VERBS
        .iter()
        .filter(|action| verdict.needless.iter().any(|name| name == action.name))
        .collect();
    assert!(needless.is_empty(), "{needless:?}");
    // Without the tag no image and no snapshot can be touched, and no other parameter.
    for authorization in &verdict.authorizations {
        let mut other = authorization.clone();
        let was_tagged = other.context.remove(&format!("aws:ResourceTag/{}", tags::IMAGE)).is_some();
        other.resource = other.resource.replace("/agentless-scanner/image/", "/others/");
        if was_tagged || other.resource != authorization.resource {
            assert!(!policy.allows(&other).unwrap(), "{other}");
        }
    }
    scene.aws.assert_no_unimplemented();
}

#[tokio::test]
async fn what_breaks_off_is_finished_by_running_it_again() {
    let scene = Scene::new("eu-west-2").await;
    let (first, _) = scene.image(GOOD).await;
    let (second, _) = scene.image(GOOD).await;
    for image in [&first, &second] {
        scene.ends(&["publish", image], 0).await;
        if image == &first {
            scene.ends(&["promote"], 0).await;
        }
    }
    // Before the first parameter of a promotion, between the two, and after the second, which is not seen.
    for (fault, current) in [
        (Fault::on("ssm", "PutParameter", Effect::AccessDenied).times(1), &first),
        (Fault::on("ssm", "PutParameter", Effect::AccessDenied).skip(1).times(1), &first),
        (Fault::on("ssm", "GetParameters", Effect::AccessDenied).skip(1).times(1), &second),
    ] {
        scene.aws.inject(fault);
        let denied = scene.ends(&["promote"], 1).await;
        scene.aws.clear_faults();
        assert!(denied.stderr.contains("permissions --image-pipeline"), "{}", denied.stderr);
        assert_eq!(scene.parameter(CURRENT).await.as_ref(), Some(current));
    }
    scene.ends(&["promote"], 0).await;
    assert_eq!(scene.pointers().await, [second.clone(), second.clone(), first.clone()]);

    scene.aws.inject(Fault::on("ssm", "PutParameter", Effect::AccessDenied).skip(1).times(1));
    scene.ends(&["rollback"], 1).await;
    scene.aws.clear_faults();
    assert_eq!(scene.pointers().await, [second.clone(), first.clone(), first.clone()]);
    scene.ends(&["rollback"], 0).await;
    assert_eq!(scene.pointers().await, [second.clone(), first.clone(), second.clone()]);

    // What passes by itself is tried again.
    for effect in [Effect::Throttle, Effect::InternalError, Effect::ResetReply] {
        scene.aws.inject(Fault::on("ssm", "PutParameter", effect).times(1));
        scene.ends(&["rollback"], 0).await;
        scene.aws.clear_faults();
    }
    assert_eq!(scene.pointers().await, [second.clone(), second.clone(), first.clone()]);
}
