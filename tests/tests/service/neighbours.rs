//! Two scanners in one account.

use agentless_service::board::{Outcome, View};

use crate::scene::Scene;

#[tokio::test]
async fn promise_4_two_scanners_never_delete_each_others_live_snapshots() {
    let scene = Scene::new("eu-west-1").await;
    let (one, other) = (scene.machine("scanner_id: one\n"), scene.machine("scanner_id: other\n"));
    let id = &scene.instance.instance_id;
    let hold = scene.hold();
    let first = one.ready().await.unwrap().order(id).await.unwrap();
    hold.reached().await;
    let live = scene.left().await;
    assert_eq!(live.len(), 1);

    // The other one sweeps while it starts, and scans the same instance.
    let second = other.ready().await.unwrap();
    let swept = |view: &View| (!view.sweeps.is_empty()).then(|| view.sweeps[0].deleted);
    let (second, deleted) = second.until("the other has swept", swept).await.unwrap();
    assert_eq!(deleted, 0);
    assert_eq!(scene.left().await, live);
    hold.release();
    let (second, last) = second.scan(id).await.unwrap();
    assert_eq!(last.outcome, Outcome::Complete, "{last:?}");
    let (first, last) = first.scan(id).await.unwrap();
    assert_eq!(last.outcome, Outcome::Complete, "{last:?}");
    for service in [first, second] {
        let finished = service.end().await.unwrap();
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    }
    assert!(scene.left().await.is_empty());
}
