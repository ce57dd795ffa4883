//! Looking at an instance's disks without listing packages.

use std::fs;

use serde_json::Value;

use crate::scene::{Scene, run_scanner};

#[tokio::test]
async fn an_instance_is_inspected_and_nothing_of_it_is_left() {
    let scene = Scene::new().await;
    let environment = scene.aws.environment();
    let inspect = async |arguments: &[&str]| {
        let arguments = [&["inspect", &scene.instance.instance_id], arguments].concat();
        let finished = run_scanner(&environment, &arguments).await;
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        scene.nothing_is_left(&finished.command).await;
        finished.stdout
    };

    let found: Value = serde_json::from_str(&inspect(&["--json"]).await).expect("JSON");
    assert_eq!(found["complete"], true, "{found}");
    assert_eq!(found["volumes"].as_array().map(Vec::len), Some(1), "{found}");
    let [system] = &found["trees"].as_array().expect("trees")[..] else { panic!("{found}") };
    assert_eq!(system["system"], true, "{found}");
    assert_eq!(system["mounts"][0]["format"], "ext4", "{found}");

    // The disk was made of this machine.
    let release = fs::read_to_string("/etc/os-release").expect("this machine's os-release");
    assert_eq!(inspect(&["cat", "/etc/os-release"]).await, release);
    let listed = inspect(&["ls", "/var/lib/dpkg"]).await;
    assert!(listed.lines().any(|line| line.ends_with(" status")), "{listed}");
    assert!(inspect(&["stat", "/var/lib/dpkg/status"]).await.contains("regular file"));
    scene.aws.assert_no_unimplemented();
}
