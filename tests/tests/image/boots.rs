//! The image's whole life on an instance: it starts, is what it should be, scans, ends when it is told to, and does not start a
//! program that is not the one that was released.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use agentless_tests::packages;

use crate::machine::{Machine, UNIT};
use crate::made::Image;
use crate::network::{ARCHIVE, Network};
use crate::scene::Scene;
use crate::{can_boot, written};

const VERIFY: &str = "/usr/local/lib/agentless-scanner/verify.sh";
/// What `verify.sh` cannot look at in a container.
const NOT_IN_A_CONTAINER: [&str; 2] = ["audit is set up", "settings of the kernel are set"];
/// Of services that images have had, and the scanner's own.
const PORTS: [u16; 9] = [22, 53, 68, 80, 111, 323, 443, 5009, LISTENER];
/// Where something listens that should not.
const LISTENER: u16 = 8080;

#[tokio::test(flavor = "multi_thread")]
async fn the_image_lives() {
    if !can_boot() {
        return;
    }
    let (image, scene) = tokio::join!(Image::made(), Scene::new("eu-central-1"));
    let mut machine = Machine::boot("lives", image.copy("lives"), &scene.network);
    machine.until("active");
    assert_eq!(scene.told(), ["agentless-scanner-launch CONTINUE"]);

    scans(&machine, &scene).await;
    is_as_it_should_be(&machine);
    cannot_be_reached(&machine, &scene.network);

    // The system's own order to end, and a new start.
    machine.exec_well(&["systemctl", "restart", UNIT]);
    machine.until("active");
    let result = machine.exec_well(&["systemctl", "show", UNIT, "--property=Result,NRestarts"]);
    assert_eq!(result, "Result=success\nNRestarts=0\n", "{}", machine.journal());

    // The group's, which the scanner answers when it has nothing left to do.
    scene.metadata.set_target_state("Terminated");
    machine.until("inactive");
    assert_eq!(scene.told().last().map(String::as_str), Some("agentless-scanner-termination CONTINUE"));
    scene.metadata.set_target_state("InService");

    machine.exec_well(&["systemctl", "start", UNIT]);
    machine.until("active");
    a_tampered_program_does_not_start(&mut machine);
    scene.aws.assert_no_unimplemented();
}

/// It scans what is there, with the role's credentials from the instance's metadata, and writes the list where the launch
/// template's configuration says.
async fn scans(machine: &Machine, scene: &Scene) {
    let start = Instant::now();
    let order = ["agentless-scanner", "status", "scan", &scene.target.instance_id];
    let mut is_ordered = false;
    let list = loop {
        // It is not known before the first survey.
        is_ordered = is_ordered || machine.exec(&order).status.success();
        let lists = lists(&machine.path("/var/lib/agentless-scanner/lists"));
        if let [list, ..] = &lists[..] {
            break list.clone();
        }
        assert!(start.elapsed() < Duration::from_secs(90), "no list:\n{}", machine.journal());
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let document = serde_json::from_slice(&fs::read(list).unwrap()).unwrap();
    assert_eq!(packages::in_bom(&document).unwrap(), packages::installed_here().unwrap());
}

fn lists(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let below = |path: PathBuf| if path.is_dir() { lists(&path) } else { vec![path] };
    entries.flat_map(below).filter(|path| path.to_string_lossy().ends_with(".cdx.json")).collect()
}

/// The check that comes with the image.
fn is_as_it_should_be(machine: &Machine) {
    // As the timers do it on an instance: only 443 leads out.
    let update = machine.exec(&["apt-get", "update", "--error-on=any"]);
    assert!(update.status.success(), "from {ARCHIVE}: {}", written(&update));
    let output = machine.exec(&[VERIFY]);
    let tap = written(&output);
    assert!(output.status.success(), "{tap}\n{}", machine.journal());
    let skipped = tap.lines().filter_map(|line| Some(line.split_once(" - ")?.1.split_once(" # SKIP")?.0));
    let mut skipped: Vec<_> = skipped.collect();
    skipped.sort_unstable();
    assert_eq!(skipped, NOT_IN_A_CONTAINER, "{tap}");
    let passed = tap.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(tap.ends_with(&format!("\n1..{passed}\n")) && passed >= 30, "{tap}");

    // Of the dry run that was one of the checks.
    let log = machine.path("/var/log/unattended-upgrades/unattended-upgrades.log");
    let log = fs::read_to_string(log).unwrap();
    let allowed = log.lines().find(|line| line.contains("Allowed origins are")).unwrap_or_default();
    assert!(allowed.contains("security") && !allowed.contains("updates"), "{log}");
}

/// From outside nothing of it is there, not even what does listen; without its firewall it would be.
fn cannot_be_reached(machine: &Machine, network: &Network) {
    let port = LISTENER.to_string();
    machine.exec_well(&["systemd-run", "--unit=listener", "python3", "-m", "http.server", &port]);
    let start = Instant::now();
    while machine.exec(&["bash", "-c", &format!("exec 3<>/dev/tcp/127.0.0.1/{port}")]).status.code()
        != Some(0)
    {
        assert!(start.elapsed() < Duration::from_secs(30), "nothing listens to be found");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(network.open_from_outside(&PORTS), [0; 0]);
    let verify = written(&machine.exec(&[VERIFY, "nothing listens"]));
    assert!(
        verify.starts_with("TAP version 13\nnot ok 1 - nothing listens beyond loopback\n# tcp"),
        "{verify}"
    );

    machine.exec_well(&["nft", "flush", "ruleset"]);
    assert_eq!(network.open_from_outside(&PORTS), [LISTENER]);
    machine.exec_well(&["systemctl", "reload", "nftables.service"]);
    assert_eq!(network.open_from_outside(&[LISTENER]), [0; 0]);
    machine.exec_well(&["systemctl", "stop", "listener.service"]);
}

/// Not even when systemd starts it again by itself; the machine switches itself off.
fn a_tampered_program_does_not_start(machine: &mut Machine) {
    const MESSAGE: &str = "the service is ready";
    let before = machine.journal().matches(MESSAGE).count();
    let program = machine.path("/usr/local/bin/agentless-scanner");
    let mut bytes = fs::read(&program).unwrap();
    bytes.push(0);
    // Not over the file that runs.
    let other = program.with_extension("other");
    fs::copy(&program, &other).unwrap();
    fs::write(&other, bytes).unwrap();
    fs::rename(other, &program).unwrap();
    machine.exec_well(&["systemctl", "kill", "--signal=KILL", "--kill-who=main", UNIT]);
    machine.until_off(Duration::from_mins(1));
    let journal = machine.journal();
    assert_eq!(journal.matches(MESSAGE).count(), before, "{journal}");
    assert!(journal.contains("agentless-scanner is not what was released"), "{journal}");
}
