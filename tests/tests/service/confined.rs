//! Hostile disks: whoever reads one holds nothing, and its end is that of its own scan.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use agentless_service::board::{Outcome, View};
use agentless_tests::service::Service;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::scene::{Scene, copy_of_image, image};

#[tokio::test]
async fn promise_5_a_hostile_disk_costs_its_own_scan_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk.img");
    copy_of_image(&disk).await;
    scramble_superblock(&disk);
    let scene = Scene::new("ap-east-1").await;
    let (hostile, well) = (scene.another(&disk).await, scene.another(image().await).await);
    let machine = scene.machine("sandbox: required\n");
    let hold = scene.hold();
    let victim = &scene.instance.instance_id;
    let service = machine.ready().await.unwrap().order(victim).await.unwrap();
    hold.reached().await;

    // The process that reads the disk has no power, and has given it up for good.
    let analysers = children(service.id());
    let [analyser] = analysers[..] else { panic!("{analysers:?}") };
    assert_confined(analyser);
    // As a disk might that found a way to end it, or to have the system end it.
    kill(analyser, Signal::SIGKILL).unwrap();
    let service = service.order(&hostile.instance_id).await.unwrap();
    let service = service.order(&well.instance_id).await.unwrap();
    hold.release();

    let (service, (outcome, reason)) = result(service, victim).await;
    assert_eq!(outcome, Outcome::Failed);
    assert!(reason.contains("killed"), "{reason}");
    let (service, (outcome, reason)) = result(service, &hostile.instance_id).await;
    assert!(matches!(outcome, Outcome::Failed | Outcome::Incomplete), "{outcome:?} {reason}");
    let (service, (outcome, reason)) = result(service, &well.instance_id).await;
    assert_eq!(outcome, Outcome::Complete, "{reason}");
    assert!(service.view().await.unwrap().health.healthy);
    // It is no worse for it.
    let (service, last) = service.scan(victim).await.unwrap();
    assert_eq!(last.outcome, Outcome::Complete, "{last:?}");
    assert_eq!(service.end().await.unwrap().code, Some(0));
    assert!(scene.left().await.is_empty());
}

/// What the kernel says of a process that reads disks.
fn assert_confined(process: Pid) {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("its status");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map_or_else(|| panic!("no {name} in {status}"), str::trim)
    };
    assert_eq!(field("Seccomp"), "2", "a filter of system calls");
    assert_eq!(field("NoNewPrivs"), "1");
    for capabilities in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
        assert_eq!(field(capabilities), "0000000000000000");
    }
    let environment = std::fs::read(format!("/proc/{process}/environ")).expect("its environment");
    assert!(environment.is_empty(), "{}", String::from_utf8_lossy(&environment));
}

/// The processes that a process started and that have not ended.
fn children(parent: Pid) -> Vec<Pid> {
    let tasks = std::fs::read_dir(format!("/proc/{parent}/task")).expect("its threads");
    let of_thread = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("children")).ok();
    let children: Vec<String> = tasks.filter_map(|task| of_thread(task.ok()?)).collect();
    children.join(" ").split_whitespace().filter_map(|id| id.parse().ok()).map(Pid::from_raw).collect()
}

async fn result(service: Service, target: &str) -> (Service, (Outcome, String)) {
    let result = |view: &View| {
        let last = view.results.iter().find(|last| last.target.id == target)?;
        Some((last.outcome, last.reason.clone().unwrap_or_default()))
    };
    service.until(&format!("{target} has a result"), result).await.expect("a result")
}

/// Random bytes around the magic number of ext4, where the root filesystem describes itself: 1024 bytes into its partition, which
/// begins at 4 MiB.
fn scramble_superblock(disk: &Path) {
    let block: Vec<u8> = (0..1024_u32).map(|n| u8::try_from(n * 167 % 251).expect("a byte")).collect();
    let file = File::options().write(true).open(disk).expect("the disk");
    let at = (4 << 20) + 1024;
    file.write_all_at(&block, at).expect("a block");
    file.write_all_at(&0xEF53_u16.to_le_bytes(), at + 0x38).expect("a number");
}
