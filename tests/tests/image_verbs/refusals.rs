//! Images that nothing may point to.

use scanner_policy::tags;

use crate::scene::{CANDIDATE, GOOD, New, Scene, days_ago};

#[tokio::test]
async fn what_is_not_a_good_image_of_the_pipeline_is_refused() {
    let scene = Scene::new("eu-west-3").await;
    let version = (tags::IMAGE_VERSION, "1.2.3");
    let past = days_ago(1);
    let expired = [version, (tags::EXPIRES_AT, past.as_str())];
    let cases = [
        (New { is_ours: false, ..GOOD }, "lacks the tag DatadogAgentlessScannerImage=true"),
        (New { tags: &[], ..GOOD }, "lacks the tag DatadogAgentlessScannerVersion"),
        (New { tags: &expired, ..GOOD }, "it expired at"),
        (New { is_encrypted: false, ..GOOD }, "is not encrypted"),
        (New { imds: false, ..GOOD }, "version 1 of the metadata service"),
        (New { architecture: "x86_64", ..GOOD }, "built for amd64, not for arm64"),
    ];
    for (new, expected) in cases {
        let (image, _) = scene.image(new).await;
        let refused = scene.ends(&["publish", &image, "--architecture", "arm64"], 1).await;
        assert!(refused.stderr.contains(expected), "{expected}: {}", refused.stderr);
    }
    let (image, _) = scene.image(GOOD).await;
    scene.aws.set_image_state(&image, "pending").await.unwrap();
    let refused = scene.ends(&["publish", &image], 1).await;
    assert!(refused.stderr.contains("it is pending"), "{}", refused.stderr);
    scene.aws.set_image_state(&image, "available").await.unwrap();
    scene.aws.set_image_dates(&image, &days_ago(9), Some(&days_ago(1))).await.unwrap();
    let refused = scene.ends(&["publish", &image], 1).await;
    assert!(refused.stderr.contains("deprecated since"), "{}", refused.stderr);
    let refused = scene.ends(&["publish", "ami-00000000000000000"], 1).await;
    assert!(refused.stderr.contains("there is no image ami-00000000000000000"), "{}", refused.stderr);
    let refused = scene.ends(&["promote"], 1).await;
    assert!(refused.stderr.contains("there is no candidate"), "{}", refused.stderr);
    scene.ends(&["promote", "--parameter-prefix", "relative"], 2).await;
    assert_eq!(scene.parameter(CANDIDATE).await, None);

    // A candidate that has gone bad since it was published is not promoted.
    let (image, _) = scene.image(GOOD).await;
    scene.ends(&["publish", &image], 0).await;
    scene.aws.set_image_state(&image, "disabled").await.unwrap();
    let refused = scene.ends(&["promote"], 1).await;
    assert!(refused.stderr.contains("it is disabled"), "{}", refused.stderr);
    scene.aws.assert_no_unimplemented();
}
