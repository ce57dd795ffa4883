//! What was there when it was found, and is not when it is scanned; and a disk that is full. Each is contained and shown, and what
//! is there again is scanned again.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use agentless_service::board::{Outcome, Severity, View};
use agentless_tests::local_aws::{Effect, Fault};
use agentless_tests::service::eventually;

use crate::scene::{LISTS, Scene, image, is_root_for};

#[tokio::test]
async fn an_instance_and_a_volume_that_went_away_fail_alone_and_come_back() {
    let scene = Scene::new("ap-northeast-2").await;
    let (deleted, detached) = (scene.another(image().await).await, scene.another(image().await).await);
    let ec2 = scene.ec2();
    let machine = scene.machine("");
    let service = machine.ready().await.unwrap();
    let found = |view: &View| (view.places.first()?.targets.values().sum::<u64>() == 3).then_some(());
    let (service, ()) = service.until("all three are found", found).await.unwrap();

    ec2.terminate_instances().instance_ids(&deleted.instance_id).send().await.unwrap();
    let detach = ec2.detach_volume().volume_id(&detached.volume_id).instance_id(&detached.instance_id);
    detach.device("/dev/xvda").send().await.unwrap();
    let (service, last) = service.scan(&deleted.instance_id).await.unwrap();
    assert_eq!(last.outcome, Outcome::Failed, "{last:?}");
    assert!(last.reason.unwrap().contains("terminated"));
    let (service, last) = service.scan(&detached.instance_id).await.unwrap();
    assert_eq!(last.outcome, Outcome::Failed, "{last:?}");
    assert!(last.reason.unwrap().contains("no EBS volumes"));
    // EC2 refuses a volume that is on its way.
    let state = "The volume is in the 'detaching' state";
    let refusal = Effect::Error(400, "IncorrectState", state);
    scene.aws.inject(Fault::on("ec2", "CreateSnapshot", refusal).times(1));
    let id = &scene.instance.instance_id;
    let (service, last) = service.scan(id).await.unwrap();
    assert_eq!(last.outcome, Outcome::Failed, "{last:?}");
    assert!(last.reason.unwrap().contains(state));

    // Each failure is told where the list would be, and hurts nobody.
    let failures = || async { (notes(&machine.path(LISTS)).len() == 3).then_some(()) };
    eventually("the failures are written", failures).await.unwrap();
    assert!(service.view().await.unwrap().health.healthy);
    let (service, last) = service.scan(id).await.unwrap();
    assert_eq!(last.outcome, Outcome::Complete, "{last:?}");
    let attached = ec2.attach_volume().volume_id(&detached.volume_id).instance_id(&detached.instance_id);
    attached.device("/dev/xvda").send().await.unwrap();
    let (service, last) = service.scan(&detached.instance_id).await.unwrap();
    assert_eq!(last.outcome, Outcome::Complete, "{last:?}");
    let lists = || async { (machine.lists(LISTS).ok()?.len() == 2).then_some(()) };
    eventually("the lists are written", lists).await.unwrap();
    let left = notes(&machine.path(LISTS));
    assert!(matches!(&left[..], [only] if only.contains(&deleted.instance_id)), "{left:?}");
    assert_eq!(service.end().await.unwrap().code, Some(0));
    assert!(scene.left().await.is_empty());
}

#[tokio::test]
async fn a_full_disk_under_the_spool_holds_a_report_back_and_loses_none() {
    if !is_root_for("to mount a disk that is soon full") {
        return;
    }
    let scene = Scene::new("ap-northeast-3").await;
    let machine = scene.machine("");
    let spool = SmallDisk::mount(machine.path("spool"));
    let service = machine.ready().await.unwrap();
    spool.fill();
    let service = service.order(&scene.instance.instance_id).await.unwrap();
    let shown = |view: &View| {
        let problem = view.problems.iter().find(|problem| problem.key == "spool")?;
        Some((problem.severity, problem.text.clone()))
    };
    let (service, (severity, text)) = service.until("the full disk is shown", shown).await.unwrap();
    assert_eq!(severity, Severity::Error);
    for part in ["spool", "space"] {
        assert!(text.contains(part), "{text}");
    }
    let view = service.view().await.unwrap();
    assert!(!view.health.healthy, "{:?}", view.health);
    assert!(machine.lists(LISTS).unwrap().is_empty());
    // The disk of AWS is not the one that is full: nothing waits there for it.
    scene.until_nothing_is_left().await;

    spool.empty();
    let recovered = |view: &View| {
        let scanned = view.results.iter().any(|last| last.outcome == Outcome::Complete);
        (scanned && view.problems.is_empty() && view.health.healthy).then_some(())
    };
    let (service, ()) = service.until("the report is kept after all", recovered).await.unwrap();
    let lists = || async { (machine.lists(LISTS).ok()?.len() == 1).then_some(()) };
    eventually("the list is written", lists).await.unwrap();
    assert_eq!(service.end().await.unwrap().code, Some(0));
}

/// A disk in memory, of which a list takes more than a file system keeps for itself.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf) -> Self {
        std::fs::create_dir_all(&at).expect("a directory");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m,mode=0700", "spool"]).arg(&at));
        Self(at)
    }

    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.join(FILLER)).expect("a file");
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    fn empty(&self) {
        std::fs::remove_file(self.0.join(FILLER)).expect("it is there");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run(Command::new("umount").arg("--lazy").arg(&self.0));
    }
}

fn run(command: &mut Command) {
    assert!(command.status().expect("it starts").success(), "{command:?}");
}

/// The notes of failed scans.
fn notes(folder: &Path) -> Vec<String> {
    let found = Command::new("find").arg(folder).args(["-name", "*.failed.json"]).output().expect("find");
    String::from_utf8(found.stdout).expect("paths").lines().map(str::to_owned).collect()
}

const FILLER: &str = "filler";
