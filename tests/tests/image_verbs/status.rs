//! What is wrong is shown, with what to do about it.

use serde_json::Value;

use crate::scene::{CURRENT, GOOD, Scene};

#[tokio::test]
async fn an_image_that_is_gone_is_shown_where_it_is_missed() {
    let scene = Scene::new("ca-central-1").await;
    let empty = scene.ends(&["status"], 0).await;
    assert!(empty.stdout.contains(CURRENT), "{}", empty.stdout);

    let (image, _) = scene.image(GOOD).await;
    scene.ends(&["publish", &image], 0).await;
    scene.ends(&["promote"], 0).await;
    scene.group(&image).await;
    scene.ends(&["status"], 0).await;
    scene.ec2.deregister_image().image_id(&image).send().await.unwrap();
    let shown = scene.ends(&["status", "--json"], 3).await;
    let report: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(report["groups"][0]["image"], *image);
    let problems = report["problems"].as_array().unwrap();
    for expected in ["the group scanner launches", &format!("{CURRENT} names {image}")] {
        let is_told = problems.iter().any(|problem| problem.as_str().unwrap().contains(expected));
        assert!(is_told, "{expected}: {problems:?}");
    }
    let shown = scene.ends(&["status"], 3).await;
    assert!(shown.stdout.contains("problem: the group scanner launches"), "{}", shown.stdout);
}

#[tokio::test]
async fn a_parameter_that_is_not_set_is_shown_where_it_is_missed() {
    let scene = Scene::new("ca-west-1").await;
    let (image, _) = scene.image(GOOD).await;
    scene.ends(&["publish", &image], 0).await;
    scene.ends(&["promote"], 0).await;
    scene.group(&format!("resolve:ssm:{CURRENT}")).await;
    let shown = scene.ends(&["status"], 0).await;
    assert!(shown.stdout.contains(&format!("{image} by {CURRENT}")), "{}", shown.stdout);
    let ssm = aws_sdk_ssm::Client::new(&scene.aws.harness_sdk_config());
    ssm.delete_parameter().name(CURRENT).send().await.unwrap();
    let shown = scene.ends(&["status"], 3).await;
    assert!(shown.stdout.contains("which is not set: it cannot launch anything"), "{}", shown.stdout);
}
