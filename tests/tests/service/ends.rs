//! The service ends in the middle of a scan, or the scan does.

use agentless_service::board::{Outcome, View};
use agentless_tests::service::Machine;
use nix::sys::signal::Signal;

use crate::scene::{LISTS, Scene};

#[tokio::test]
async fn promise_4_told_to_end_it_finishes_its_scans_and_leaves_nothing() {
    let scene = Scene::new("us-east-2").await;
    let machine = scene.machine("");
    let hold = scene.hold();
    let service = machine.ready().await.unwrap().order(&scene.instance.instance_id).await.unwrap();
    hold.reached().await;
    service.signal(Signal::SIGTERM).unwrap();
    let draining = |view: &View| (view.phase.name() == "draining").then_some(());
    let (service, ()) = service.until("it takes no more work", draining).await.unwrap();
    hold.release();
    let finished = service.wait().await.unwrap();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(scene.left().await.is_empty());
    assert_eq!(machine.lists(LISTS).unwrap().len(), 1, "{}", finished.stderr);
}

#[tokio::test]
async fn promise_4_a_cancelled_scan_leaves_nothing() {
    let scene = Scene::new("us-west-1").await;
    let machine = scene.machine("");
    let hold = scene.hold();
    let id = &scene.instance.instance_id;
    let service = machine.ready().await.unwrap().order(id).await.unwrap();
    hold.reached().await;
    service.cancel(id).await.unwrap();
    let cancelled =
        |view: &View| view.results.iter().any(|last| last.outcome == Outcome::Cancelled).then_some(());
    let (service, ()) = service.until("the scan is cancelled", cancelled).await.unwrap();
    scene.until_nothing_is_left().await;
    hold.release();
    drop(service);
}

#[tokio::test]
async fn promise_4_what_a_killed_service_left_its_successor_deletes() {
    let scene = Scene::new("us-west-2").await;
    let machine = scene.machine("");
    let hold = scene.hold();
    kill_while_it_scans(&scene, &machine, &hold).await;
    assert_eq!(scene.left().await.len(), 1, "the snapshot of the scan that was cut short");

    let service = machine.ready().await.unwrap();
    scene.until_nothing_is_left().await;
    let deleted =
        |view: &View| view.sweeps.iter().any(|sweep| (sweep.deleted, sweep.left) == (1, 0)).then_some(());
    let (service, ()) = service.until("the sweep is shown", deleted).await.unwrap();
    // And the work goes on.
    let (service, last) = service.scan(&scene.instance.instance_id).await.unwrap();
    assert_eq!(last.outcome, Outcome::Complete, "{last:?}");
    assert_eq!(service.end().await.unwrap().code, Some(0));
    assert!(scene.left().await.is_empty());
}

async fn kill_while_it_scans(scene: &Scene, machine: &Machine, hold: &agentless_tests::local_aws::Hold) {
    let service = machine.ready().await.expect("a service");
    let service = service.order(&scene.instance.instance_id).await.expect("a scan");
    hold.reached().await;
    service.signal(Signal::SIGKILL).expect("it runs");
    let finished = service.wait().await.expect("it ends");
    assert_eq!(finished.code, None, "{}", finished.stderr);
    hold.release();
    scene.aws.clear_faults();
}
