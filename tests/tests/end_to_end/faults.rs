//! Scans under faults: they survive what passes, give up on what does not, and never leave a snapshot behind.

use agentless_tests::local_aws::{Effect, Fault, Hold, SnapshotOutcome};
use futures_util::future::join_all;

use crate::scene::Scene;

/// Each kind of fault in a local AWS of its own, at once: scans mostly pause before they try again.
#[tokio::test]
async fn a_scan_survives_faults_that_pass() {
    let services: [(&str, &[&str]); 2] = [
        (
            "ec2",
            &[
                "DescribeInstances",
                "DescribeVolumes",
                "CreateSnapshot",
                "DescribeSnapshots",
                "DeleteSnapshot",
            ],
        ),
        ("ebs", &["ListSnapshotBlocks", "GetSnapshotBlock"]),
    ];
    let effects = [Effect::Throttle, Effect::InternalError, Effect::Unavailable, Effect::ResetRequest];
    let lanes = effects.iter().map(async |effect| {
        let scene = Scene::new().await;
        for (service, actions) in services {
            for action in actions {
                scene.survives(Fault::on(service, action, effect.clone()).times(1)).await;
            }
        }
        scene.aws.assert_no_unimplemented();
    });
    join_all(lanes).await;
}

#[tokio::test]
async fn a_scan_survives_damaged_blocks_and_small_pages() {
    let scene = Scene::new().await;
    for effect in [Effect::CorruptBody, Effect::WrongChecksum, Effect::TruncateBody(1000), Effect::ResetReply]
    {
        scene.survives(Fault::on("ebs", "GetSnapshotBlock", effect).skip(2).times(2)).await;
    }
    scene.survives(Fault::on("ebs", "ListSnapshotBlocks", Effect::SmallPages(3))).await;
    for action in ["DescribeInstances", "DescribeVolumes", "DescribeSnapshots"] {
        scene.survives(Fault::on("ec2", action, Effect::SmallPages(1))).await;
    }
}

#[tokio::test]
async fn a_snapshot_whose_reply_was_lost_is_not_left_behind() {
    let scene = Scene::new().await;
    scene.survives(Fault::on("ec2", "CreateSnapshot", Effect::ResetReply).times(1)).await;
    scene.survives(Fault::on("ec2", "DeleteSnapshot", Effect::ResetReply).times(1)).await;
}

#[tokio::test]
async fn a_scan_waits_for_a_slow_snapshot() {
    let scene = Scene::new().await;
    scene.aws.set_snapshot_outcome(SnapshotOutcome::Completed { pending_describes: 2 }).await.unwrap();
    let finished = scene.scan(&[]).await;
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    scene.nothing_is_left("a slow snapshot").await;
}

#[tokio::test]
async fn a_scan_that_fails_says_why_and_deletes_its_snapshot() {
    let scene = Scene::new().await;
    let cases = [
        (Fault::on("ebs", "GetSnapshotBlock", Effect::AccessDenied), "ebs:GetSnapshotBlock"),
        (Fault::on("ebs", "ListSnapshotBlocks", Effect::AccessDenied), "ebs:ListSnapshotBlocks"),
        (Fault::on("ec2", "DescribeSnapshots", Effect::AccessDenied), "ec2:DescribeSnapshots"),
        (Fault::on("ec2", "CreateSnapshot", Effect::AccessDenied), "ec2:CreateSnapshot"),
        (Fault::on("ec2", "DescribeInstances", Effect::AccessDenied), "ec2:DescribeInstances"),
        (Fault::on("ebs", "GetSnapshotBlock", Effect::CorruptBody), "damaged"),
    ];
    for (fault, reason) in cases {
        scene.aws.inject(fault.clone());
        let finished = scene.scan(&[]).await;
        scene.aws.clear_faults();
        assert_eq!(finished.code, Some(1), "{fault:?}: {}", finished.stderr);
        assert_eq!(finished.stdout, "", "{fault:?}");
        assert!(finished.stderr.contains(reason), "{fault:?}: {}", finished.stderr);
        scene.nothing_is_left(reason).await;
    }

    scene.aws.set_snapshot_outcome(SnapshotOutcome::Error { pending_describes: 0 }).await.unwrap();
    let finished = scene.scan(&[]).await;
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    scene.nothing_is_left("a snapshot in the state error").await;
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_deleted_is_named() {
    let scene = Scene::new().await;
    scene.aws.inject(Fault::on("ec2", "DeleteSnapshot", Effect::AccessDenied));
    let finished = scene.scan(&[]).await;
    scene.aws.clear_faults();
    let made = scene.aws.calls().into_iter().find_map(|call| call.snapshot_id).unwrap();
    assert_ne!(finished.code, Some(0));
    assert!(finished.stderr.contains(&made), "{}", finished.stderr);
    assert!(finished.stderr.contains("ec2:DeleteSnapshot"), "{}", finished.stderr);
}

#[tokio::test]
async fn an_interrupted_scan_deletes_its_snapshot() {
    let scene = Scene::new().await;
    let actions = [
        ("ec2", "CreateSnapshot"),
        ("ec2", "DescribeSnapshots"),
        ("ebs", "ListSnapshotBlocks"),
        ("ebs", "GetSnapshotBlock"),
    ];
    for (service, action) in actions {
        for held in [Effect::HoldRequest, Effect::HoldReply] {
            let hold = Hold::new();
            scene.aws.inject(Fault::on(service, action, held(hold.clone())).times(1));
            let running = scene.start_scan(&[]);
            hold.reached().await;
            running.interrupt().unwrap();
            hold.release();
            let finished = running.wait().await.unwrap();
            scene.aws.clear_faults();
            assert_eq!(finished.code, Some(1), "{action}: {}", finished.stderr);
            scene.nothing_is_left(action).await;
        }
    }
}
