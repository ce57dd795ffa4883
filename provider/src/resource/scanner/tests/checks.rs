//! What a plan refuses.

use super::super::settings::Account;
use super::*;

#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_run_is_told_when_planned() {
    let (aws, mut stage) = start();
    for (image, instance_type, path, told) in [
        ("ami-gone", "t4g.medium", "image_id", "There is no image ami-gone"),
        ("ami-pending", "t4g.medium", "image_id", "is not available"),
        ("ami-disabled", "t4g.medium", "image_id", "is not available"),
        ("ami-intel", "t4g.medium", "instance_type", "does not run on the instance type"),
        ("ami-1", "t3.medium", "instance_type", "does not run on the instance type"),
        ("ami-1", "none.large", "instance_type", "There is no instance type none.large"),
        ("ami-large", "t4g.medium", "root_volume_size", "too small"),
    ] {
        let wrong = Model { image_id: image.into(), instance_type: instance_type.into(), ..config() };
        let error = stage.plan(&wrong).await.unwrap_err();
        assert_eq!(error.path, path.into(), "{image} {instance_type}");
        assert!(error.summary.contains(told), "{}", error.summary);
    }
    let intel = Model { image_id: "ami-intel".into(), instance_type: "t3.medium".into(), ..config() };
    stage.apply(&intel).await.unwrap();
    // Of what does not change only whether it is still there is asked.
    aws.take_calls();
    stage.plan(&intel).await.unwrap();
    assert_eq!(aws.take_calls(), ["ec2:DescribeImages"]);
    let error = stage.plan(&Model { instance_type: "t4g.medium".into(), ..intel }).await.unwrap_err();
    let told = "Image ami-intel of image_id is built for x86_64, but instance_type t4g.medium is arm64.";
    assert!(error.detail.starts_with(told), "{}", error.detail);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_is_not_checked_when_planned() {
    let (aws, stage) = start();
    stage.plan(&Model { image_id: Value::Unknown, ..config() }).await.unwrap();
    assert_eq!(aws.take_calls(), Vec::<&str>::new());
    // Nor what may not be asked for.
    aws.fail("ec2:DescribeInstanceTypes", "UnauthorizedOperation", "not you");
    stage.plan(&Model { image_id: "ami-intel".into(), ..config() }).await.unwrap();
}

#[test]
fn exactly_one_image_is_named() {
    let problem = |image_id: Value<String>, image_parameter: Value<String>, rolls_back: Value<bool>| {
        let refresh = InstanceRefresh { auto_rollback: rolls_back, ..InstanceRefresh::default() };
        let config = Model { image_id, image_parameter, instance_refresh: refresh.into(), ..config() };
        let problems = <Scanner<FakeAws> as Resource>::validate(&config);
        problems.into_iter().map(|problem| problem.path.to_string()).collect::<Vec<_>>().join(" ")
    };
    let rollback = "instance_refresh.auto_rollback";
    for (image_id, parameter, rolls_back, expected) in [
        ("ami-1".into(), Value::Null, Value::Null, ""),
        ("ami-1".into(), Value::Null, true.into(), ""),
        (Value::Null, "/a".into(), Value::Null, ""),
        (Value::Null, "/a".into(), false.into(), ""),
        (Value::Null, "/a".into(), true.into(), rollback),
        ("ami-1".into(), "/a".into(), Value::Null, "image_parameter"),
        (Value::Null, Value::Null, Value::Null, "image_id"),
        (Value::Unknown, Value::Null, Value::Null, ""),
        (Value::Unknown, "/a".into(), Value::Unknown, ""),
    ] {
        assert_eq!(problem(image_id, parameter, rolls_back), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn user_data_that_is_too_large_is_told_with_what_takes_the_space() {
    let (_, stage) = start();
    let accounts = (0..100).map(|number| Account {
        delegate_role_arn: format!("arn:aws:iam::{number:012}:role/a-path/{}", "x".repeat(64)).into(),
        external_id: "0123456789abcdef".into(),
    });
    let settings = ScannerSettings { accounts: accounts.collect::<Vec<_>>().into(), ..log_debug() };
    let error = stage.plan(&Model { settings: settings.into(), ..config() }).await.unwrap_err();
    assert_eq!(error.path, "settings".into());
    assert!(error.detail.contains("EC2 accepts 16384"), "{}", error.detail);
    assert!(error.detail.contains("Most of them are for accounts (1"), "{}", error.detail);
}

/// What a plan that changes nothing says of the image of a scanner that is there.
async fn watched(aws: &Arc<FakeAws>, stage: &Stage<Scanner<FakeAws>>) -> Vec<Diagnostic> {
    let ctx = Context::detached(std::time::Duration::from_mins(1));
    let settings = Settings { region: Value::Known("eu-central-1".parse().unwrap()), ..Settings::default() };
    let scanner = Scanner::new(aws.clone(), Arc::new(settings));
    let mut planned = stage.state().clone();
    scanner.plan(&ctx, Some(stage.state()), stage.state(), &mut planned).await.unwrap();
    ctx.into_told().diagnostics
}

#[tokio::test(start_paused = true)]
async fn a_plan_tells_of_an_image_that_is_gone() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    assert!(watched(&aws, &stage).await.is_empty());
    aws.world().gone_images.insert("ami-1".to_owned());
    let told = watched(&aws, &stage).await;
    let [gone] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(gone.summary, "The image ami-1 is gone");
    assert!(gone.path == "image_id".into() && gone.detail.contains("cannot replace its instances"));
    // What cannot be found out is no reason to refuse a plan.
    aws.fail("ec2:DescribeImages", "UnauthorizedOperation", "not you");
    assert!(watched(&aws, &stage).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_plan_tells_of_a_parameter_that_names_no_image() {
    let (aws, mut stage) = start();
    let by_parameter = Model { image_id: Value::Null, image_parameter: "/scanner/ami-1".into(), ..config() };
    stage.apply(&by_parameter).await.unwrap();
    assert!(watched(&aws, &stage).await.is_empty());
    aws.fail("ec2:DescribeLaunchTemplateVersions", "InvalidParameterValue", "there is no such parameter");
    let told = watched(&aws, &stage).await;
    assert_eq!(told[0].summary, "The parameter /scanner/ami-1 could not be read");
    assert!(told[0].path == "image_parameter".into() && told[0].detail.contains("no such parameter"));
    aws.world().gone_images.insert("ami-1".to_owned());
    assert_eq!(watched(&aws, &stage).await[0].summary, "The image ami-1 is gone");
    for (_, versions) in aws.world().templates.values_mut() {
        versions[0].image_id = "resolve:ssm:/scanner/emptied".to_owned();
    }
    assert_eq!(watched(&aws, &stage).await[0].summary, "The parameter /scanner/ami-1 names no image");
}

#[tokio::test(start_paused = true)]
async fn a_deprecated_image_is_told_when_it_is_planned() {
    let (aws, _) = start();
    let settings = Settings { region: Value::Known("eu-central-1".parse().unwrap()), ..Settings::default() };
    let scanner = Scanner::new(aws, Arc::new(settings));
    for (image, expected) in [("ami-deprecated", 1), ("ami-1", 0)] {
        let ctx = Context::detached(std::time::Duration::from_mins(1));
        let config = Model { image_id: image.into(), ..config() };
        scanner.plan(&ctx, None, &config, &mut config.clone()).await.unwrap();
        let told = ctx.into_told().diagnostics;
        assert_eq!(told.len(), expected, "{told:?}");
        assert!(told.iter().all(|it| it.summary == "Image ami-deprecated is deprecated"), "{told:?}");
    }
}
