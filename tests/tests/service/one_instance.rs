//! The usual case.

use agentless_service::board::Outcome;
use agentless_tests::packages;

use crate::scene::{LISTS, Scene};

#[tokio::test]
async fn promise_4_one_instance_is_scanned_and_reported_and_nothing_is_left() {
    let scene = Scene::new("us-east-1").await;
    let machine = scene.machine("");
    let service = machine.ready().await.unwrap();
    let (service, last) = service.scan(&scene.instance.instance_id).await.unwrap();
    assert_eq!(last.outcome, Outcome::Complete, "{last:?}");

    let (service, ()) = service
        .until("the list is written", |_| (!machine.lists(LISTS).ok()?.is_empty()).then_some(()))
        .await
        .unwrap();
    let lists = machine.lists(LISTS).unwrap();
    let [only] = &lists[..] else { panic!("{lists:?}") };
    let folder = format!("123456789012/us-east-1/instance/{}", scene.instance.instance_id);
    assert!(only.parent().unwrap().ends_with(&folder), "{only:?}");
    let document = serde_json::from_slice(&std::fs::read(only).unwrap()).unwrap();
    assert_eq!(packages::in_bom(&document).unwrap(), packages::installed_here().unwrap());

    let view = service.view().await.unwrap();
    assert!(view.health.healthy, "{:?}", view.health);
    assert!(view.problems.is_empty(), "{:?}", view.problems);
    let finished = service.end().await.unwrap();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(scene.left().await.is_empty());
    scene.aws.assert_no_unimplemented();
}
