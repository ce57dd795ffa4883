//! A service that never gets ready ends its instance, and its group is told at once.

use std::time::{Duration, Instant};

use agentless_tests::local_aws::{Effect, Fault};

use crate::can_boot;
use crate::machine::Machine;
use crate::made::Image;
use crate::scene::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_cannot_work_switches_itself_off() {
    if !can_boot() {
        return;
    }
    let (image, scene) = tokio::join!(Image::made(), Scene::new("eu-north-1"));
    scene.aws.inject(Fault::on("sts", "GetCallerIdentity", Effect::AccessDenied));
    let start = Instant::now();
    let mut machine = Machine::boot("never-ready", image.copy("never-ready"), &scene.network);
    machine.until_off(Duration::from_secs(170));
    let journal = machine.journal();
    assert!(journal.contains("Start request repeated too quickly"), "{:?}\n{journal}", start.elapsed());
    assert!(!journal.contains("the service is ready"), "{journal}");
    assert_eq!(scene.told(), ["agentless-scanner-launch ABANDON"; 5], "{journal}");
}
