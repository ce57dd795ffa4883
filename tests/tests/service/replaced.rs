//! The instance that the service runs on comes and goes.

use agentless_service::board::View;
use agentless_tests::local_aws::{Effect, Fault};
use agentless_tests::service::Machine;

use crate::scene::{LISTS, Scene, configure};

const LIFECYCLE: &str =
    "lifecycle: {group: workers, launch_hook: launched, termination_hook: to-be-terminated}\n";

#[tokio::test]
async fn promise_6_a_replaced_instance_finishes_its_scans_and_lets_itself_go() {
    let scene = Scene::new("eu-west-2").await;
    let metadata = scene.metadata().await;
    metadata.set_target_state("InService");
    let machine = Machine::instance(&scene.aws, &metadata).unwrap();
    configure(&machine, LIFECYCLE);
    let service = machine.ready().await.unwrap();
    assert_eq!(scene.told(), ["launched CONTINUE"]);

    let hold = scene.hold();
    let service = service.order(&scene.instance.instance_id).await.unwrap();
    hold.reached().await;
    metadata.set_target_state("Terminated");
    let draining = |view: &View| (view.phase.name() == "draining").then_some(());
    let (service, ()) = service.until("it takes no more work", draining).await.unwrap();
    // It does not let itself go while the scan goes on. That it asks for more time is seen where everything is.
    assert!(!scene.told().contains(&"to-be-terminated CONTINUE".to_owned()));
    hold.release();

    let finished = service.wait().await.unwrap();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert_eq!(scene.told().last().unwrap(), "to-be-terminated CONTINUE");
    assert!(scene.left().await.is_empty());
    assert_eq!(machine.lists(LISTS).unwrap().len(), 1, "{}", finished.stderr);
    scene.aws.assert_no_unimplemented();
}

#[tokio::test]
async fn an_instance_that_cannot_do_its_work_is_not_admitted() {
    let scene = Scene::new("eu-west-3").await;
    let metadata = scene.metadata().await;
    let machine = Machine::instance(&scene.aws, &metadata).unwrap();
    let secret = "ENC[arn:aws:secretsmanager:eu-west-3:123456789012:secret:datadog-AbCdEf]";
    configure(&machine, &format!("{LIFECYCLE}sinks:\n  datadog: {{api_key: \"{secret}\"}}\n"));
    scene.aws.inject(Fault::on("secretsmanager", "GetSecretValue", Effect::AccessDenied));
    let finished = machine.start().await.unwrap().wait().await.unwrap();
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("secretsmanager:GetSecretValue"), "{}", finished.stderr);
    assert_eq!(scene.told(), ["launched ABANDON"]);
}

#[tokio::test]
async fn an_instance_whose_configuration_is_not_understood_is_not_admitted_either() {
    let scene = Scene::new("eu-south-2").await;
    let metadata = scene.metadata().await;
    let machine = Machine::instance(&scene.aws, &metadata).unwrap();
    let unknown = format!("{LIFECYCLE}scan_intervall_hours: 12\n");
    for (keys, code, reason) in [(LIFECYCLE, 2, "sinks: there is none"), (&unknown, 2, "scan_interval")] {
        machine.configure(keys).unwrap();
        let told = scene.told().len();
        let finished = machine.start().await.unwrap().wait().await.unwrap();
        assert_eq!(finished.code, Some(code), "{}", finished.stderr);
        assert!(finished.stderr.contains(reason), "{}", finished.stderr);
        assert_eq!(scene.told()[told..], ["launched ABANDON"]);
    }
}
