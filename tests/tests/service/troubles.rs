//! What goes wrong stays where it is, is shown, and recovers by itself.

use agentless_service::board::{Outcome, Severity, View};
use agentless_tests::intake::{self, Answer, Intake};
use agentless_tests::service::eventually;
use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification, VolumeType};
use nix::sys::signal::Signal;
use scanner_policy::tags;
use serde_json::json;

use crate::scene::{LISTS, Scene, configure, only_list};

#[tokio::test]
async fn a_sink_that_hangs_hurts_no_other_and_loses_nothing() {
    let scene = Scene::new("eu-central-1").await;
    let (hanging, well) = (Intake::start().await.unwrap(), Intake::start().await.unwrap());
    hanging.answer_always(Some(Answer::Hang));
    let keys = format!(
        "sinks:\n  datadog: {{api_key: {}, url: \"{}\"}}\n  https: {{url: \"{}\", authorization: \"{}\"}}\n",
        intake::API_KEY,
        hanging.url(),
        well.lists_url(),
        intake::AUTHORIZATION,
    );
    let machine = scene.machine(&keys);
    let service = machine.ready().await.unwrap();
    let (service, last) = service.scan(&scene.instance.instance_id).await.unwrap();
    assert_eq!(last.outcome, Outcome::Complete, "{last:?}");
    let arrived = || async {
        (machine.lists(LISTS).ok()?.len() == 1 && well.lists().len() == 1 && !hanging.received().is_empty())
            .then_some(())
    };
    eventually("the other sinks have the list", arrived).await.unwrap();
    assert!(hanging.known().is_empty());

    // What no answer came to is in the spool, whatever happens to the service.
    service.signal(Signal::SIGKILL).unwrap();
    service.wait().await.unwrap();
    hanging.answer_always(None);
    let service = machine.ready().await.unwrap();
    eventually("the list comes", || async { (hanging.known().len() == 1).then_some(()) }).await.unwrap();
    drop(service);
    assert_eq!((hanging.problems(), well.problems()), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn a_broken_configuration_changes_nothing_and_is_shown() {
    let scene = Scene::new("eu-north-1").await;
    let machine = scene.machine("");
    let service = machine.ready().await.unwrap();
    configure(&machine, "scan_interval_huors: 1\n");
    service.signal(Signal::SIGHUP).unwrap();
    let shown = |view: &View| {
        let problem = view.problems.iter().find(|problem| problem.key == "configuration")?;
        Some(problem.text.clone())
    };
    let (service, text) = service.until("the mistake is shown", shown).await.unwrap();
    for part in ["scan_interval_huors", "scan_interval_hours"] {
        assert!(text.contains(part), "{text}");
    }
    let (service, last) = service.scan(&scene.instance.instance_id).await.unwrap();
    assert_eq!(last.outcome, Outcome::Complete, "{last:?}");

    configure(&machine, "scan_interval_hours: 1\n");
    service.signal(Signal::SIGHUP).unwrap();
    let solved = |view: &View| view.problems.is_empty().then_some(());
    let (service, ()) = service.until("the mistake is no more", solved).await.unwrap();
    assert_eq!(service.end().await.unwrap().code, Some(0));
}

#[tokio::test]
async fn a_task_file_of_garbage_is_rejected_and_shown() {
    let scene = Scene::new("ap-south-1").await;
    let machine = scene.machine("");
    let file = machine.path("tasks.json");
    configure(&machine, &format!("tasks: {{file: {}, poll_seconds: 1}}\n", file.display()));
    let garbage: Vec<u8> =
        (0..10_u32 << 20).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    std::fs::write(&file, garbage).unwrap();
    let service = machine.ready().await.unwrap();
    let failing = |view: &View| Some(view.sources.first()?.failing.as_ref()?.text.clone());
    let (service, text) = service.until("the garbage is shown", failing).await.unwrap();
    assert!(text.contains("tasks.json"), "{text}");

    // The next batch is read, and one bad task of it keeps no other from being carried out.
    let volume = &scene.instance.volume_id;
    let arn = format!("arn:aws:ec2:ap-south-1:123456789012:volume/{volume}");
    let batch = json!({"type": "aws-scan", "tasks": [
        {"type": "ebs-volume", "arn": "arn:aws:ec2:ap-south-1:999999999999:volume/vol-0123456789abcdef0"},
        {"type": "ebs-volume", "arn": arn},
    ]});
    std::fs::write(machine.path("new"), batch.to_string()).unwrap();
    std::fs::rename(machine.path("new"), &file).unwrap();
    let read = |view: &View| {
        let source = view.sources.first()?;
        let is_scanned =
            view.results.iter().any(|last| last.target.id == *volume && last.outcome == Outcome::Complete);
        (source.failing.is_none() && source.accepted == 1 && source.rejected >= 1 && is_scanned).then_some(())
    };
    let (service, ()) = service.until("the next batch is carried out", read).await.unwrap();
    assert_eq!(service.end().await.unwrap().code, Some(0));
    assert!(scene.left().await.is_empty());
}

#[tokio::test]
async fn a_denied_delegate_role_is_a_problem_of_its_account_only() {
    let scene = Scene::new("ap-southeast-1").await;
    let role = "arn:aws:iam::999988887777:role/nobody-made-it";
    let machine = scene.machine(&format!("accounts: [{{delegate_role_arn: \"{role}\"}}]\n"));
    let service = machine.ready().await.unwrap();
    let denied = |view: &View| {
        let problem =
            view.problems.iter().find(|problem| problem.key.starts_with("discovery 999988887777"))?;
        Some((problem.severity, problem.text.clone()))
    };
    let (service, (severity, text)) = service.until("the denial is shown", denied).await.unwrap();
    assert_eq!(severity, Severity::Warning);
    assert!(text.contains(role), "{text}");
    let (service, last) = service.scan(&scene.instance.instance_id).await.unwrap();
    assert_eq!(last.outcome, Outcome::Complete, "{last:?}");
    assert!(service.view().await.unwrap().health.healthy);
    // Nobody else's identity was tried there.
    let own =
        scene.aws.calls().into_iter().filter(|call| call.service == "sts" && call.action == "AssumeRole");
    assert!(own.count() >= 1);
    assert_eq!(service.end().await.unwrap().code, Some(0));
}

#[tokio::test]
async fn promise_7_a_partial_list_says_what_is_missing_and_why() {
    let scene = Scene::new("ap-southeast-3").await;
    let ec2 = scene.ec2();
    let opted_out = Tag::builder().key(tags::SCANNER).value(tags::FALSE).build();
    let tagged = TagSpecification::builder().resource_type(ResourceType::Volume).tags(opted_out).build();
    let zone = format!("{}a", scene.aws.region());
    let made = ec2.create_volume().availability_zone(zone).size(1).volume_type(VolumeType::Gp3);
    let volume = made.tag_specifications(tagged).send().await.unwrap().volume_id.unwrap();
    let instance = &scene.instance.instance_id;
    ec2.attach_volume().volume_id(&volume).instance_id(instance).device("/dev/xvdb").send().await.unwrap();
    let intake = Intake::start().await.unwrap();
    let machine = scene.machine(&format!(
        "sinks:\n  https: {{url: \"{}\", authorization: \"{}\"}}\n",
        intake.lists_url(),
        intake::AUTHORIZATION,
    ));
    let service = machine.ready().await.unwrap();
    let (service, last) = service.scan(instance).await.unwrap();
    assert_eq!(last.outcome, Outcome::Incomplete, "{last:?}");
    assert!(last.packages > 0 && last.unknowns > 0, "{last:?}");

    // The list itself says so, to whoever reads no more than that.
    let arrived = || async { only_list(&machine).filter(|_| intake.received().len() == 1) };
    let document = eventually("the list arrives", arrived).await.unwrap();
    let aggregates: Vec<_> =
        document["compositions"].as_array().unwrap().iter().map(|part| &part["aggregate"]).collect();
    assert!(aggregates.iter().any(|it| it.as_str() != Some("complete")), "{aggregates:?}");
    let text = document.to_string();
    assert!(
        text.contains(&volume) && text.contains(tags::SCANNER),
        "the volume, and why it was not read: {text}"
    );
    let received = intake.received();
    assert_eq!(received[0].headers["x-agentless-complete"], "false");
    assert_eq!(service.end().await.unwrap().code, Some(0));
    assert!(scene.left().await.is_empty());
}
