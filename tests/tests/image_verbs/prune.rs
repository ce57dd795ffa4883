//! What goes, what stays, and what happens when something cannot go.

use agentless_tests::local_aws::{Effect, Fault};

use crate::scene::{GOOD, New, Scene, days_ago};

const OLD: New<'_> = New { days: 30, ..GOOD };

#[tokio::test]
async fn only_what_nothing_uses_goes() {
    let scene = Scene::new("ap-south-1").await;
    let (newest, _) = scene.image(GOOD).await;
    let (intel, _) = scene.image(New { architecture: "x86_64", ..OLD }).await;
    let (foreign, _) = scene.image(New { is_ours: false, ..OLD }).await;
    let (running, _) = scene.image(OLD).await;
    scene.instance_of(&running).await;
    let (ended, ended_snapshot) = scene.image(OLD).await;
    let instance = scene.instance_of(&ended).await;
    scene.ec2.terminate_instances().instance_ids(instance).send().await.unwrap();
    let (shared, _) = scene.image(OLD).await;
    scene.aws.set_image_launched(&shared, &days_ago(2)).await.unwrap();
    let (launched, _) = scene.image(OLD).await;
    let template = scene.group(&launched).await;
    let (before, _) = scene.image(OLD).await;
    scene.refresh(&template, &before).await;
    scene.refreshed().await;
    // Of one image the snapshot is also of another, and that has one without the tag.
    let (base, base_snapshot) = scene.image(OLD).await;
    let volume = scene.ec2.create_volume().availability_zone("ap-south-1a").size(1).send().await.unwrap();
    let plain = scene.ec2.create_snapshot().volume_id(volume.volume_id().unwrap()).send().await.unwrap();
    let plain = plain.snapshot_id().unwrap().to_owned();
    scene.ec2.describe_snapshots().snapshot_ids(&plain).send().await.unwrap();
    let derived = scene.image_of(&[&base_snapshot, &plain], OLD).await;
    scene.instance_of(&base).await;

    let pruned = scene.ends(&["prune", "--keep", "1", "--yes"], 0).await;
    let left = scene.left().await;
    for (image, why) in [
        (&newest, "the newest"),
        (&intel, "the newest of its architecture"),
        (&foreign, "not the pipeline's"),
        (&running, "an instance of it runs"),
        (&shared, "somebody else uses it"),
        (&launched, "the version before the one that a group launches"),
        (&before, "a group launches it"),
        (&base, "an instance of it runs"),
    ] {
        assert!(left.contains(image), "{why}: {}", pruned.stdout);
    }
    for gone in [&ended, &derived] {
        assert!(!left.contains(gone), "{}", pruned.stdout);
    }
    assert!(!scene.has_snapshot(&ended_snapshot).await);
    assert!(scene.has_snapshot(&base_snapshot).await && scene.has_snapshot(&plain).await);
    assert!(pruned.stdout.contains(&format!("left: the image {base} uses it")), "{}", pruned.stdout);
    assert!(pruned.stdout.contains("left: it lacks the tag"), "{}", pruned.stdout);
    assert!(!pruned.stdout.contains(&foreign), "{}", pruned.stdout);
    scene.aws.assert_no_unimplemented();
}

#[tokio::test]
async fn one_that_cannot_go_stops_no_other() {
    let scene = Scene::new("ap-south-2").await;
    let mut images = Vec::new();
    for days in 0..5 {
        images.push(scene.image(New { days: 20 + days, ..GOOD }).await);
    }
    let [_, (denied, _), (lost, lost_snapshot), (stuck, stuck_snapshot), (clean, _)] = &images[..] else {
        panic!("{images:?}")
    };
    scene
        .aws
        .inject(Fault::on("ec2", "DeregisterImage", Effect::AccessDenied).with_parameter("ImageId", denied));
    scene.aws.inject(
        Fault::on("ec2", "DeregisterImage", Effect::ResetReply).with_parameter("ImageId", lost).times(1),
    );
    scene.aws.inject(
        Fault::on("ec2", "DeleteSnapshot", Effect::AccessDenied).with_parameter("SnapshotId", stuck_snapshot),
    );
    let pruned = scene.ends(&["prune", "--keep", "1", "--yes"], 1).await;
    for part in [denied, stuck_snapshot, "ec2:DeregisterImage", "ec2:DeleteSnapshot"] {
        assert!(pruned.stderr.contains(part), "{part}: {}", pruned.stderr);
    }
    let left = scene.left().await;
    assert!(left.contains(denied), "{left:?}");
    for gone in [lost, stuck, clean] {
        assert!(!left.contains(gone), "{gone}: {}", pruned.stdout);
    }
    assert!(!scene.has_snapshot(lost_snapshot).await && scene.has_snapshot(stuck_snapshot).await);

    // What cannot be found out stops it before anything is changed.
    scene.aws.clear_faults();
    scene.aws.inject(Fault::on("ec2", "DescribeInstances", Effect::AccessDenied));
    scene.ends(&["prune", "--keep", "1", "--yes"], 1).await;
    scene.aws.clear_faults();
    assert!(scene.left().await.contains(denied));
    scene.ends(&["prune", "--keep", "1", "--yes"], 0).await;
    assert!(!scene.left().await.contains(denied));
}

#[tokio::test]
async fn a_protected_image_goes_a_day_later() {
    let scene = Scene::new("ap-northeast-1").await;
    scene.image(GOOD).await;
    let (protected, snapshot) = scene.image(OLD).await;
    let protect = scene.ec2.enable_image_deregistration_protection().image_id(&protected);
    protect.with_cooldown(true).send().await.unwrap();
    for expected in ["its protection was taken away", "its protection has not ended yet"] {
        let pruned = scene.ends(&["prune", "--keep", "1", "--yes"], 0).await;
        assert!(pruned.stdout.contains(expected), "{}", pruned.stdout);
        assert!(scene.has_snapshot(&snapshot).await && scene.left().await.contains(&protected));
    }
    scene.aws.end_image_cooldown(&protected).await.unwrap();
    scene.ends(&["prune", "--keep", "1", "--yes"], 0).await;
    assert!(!scene.has_snapshot(&snapshot).await && !scene.left().await.contains(&protected));
}
