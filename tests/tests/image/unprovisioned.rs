//! The check of the image can fail: on a system that the scripts have not touched it does, nearly everywhere.

use std::fs;
use std::process::Command;

use crate::made::{folder, packer};
use crate::system::System;
use crate::{can_boot, outcome, written};

/// What holds of a system that is whole, was not even started, and has no network.
const HOLDS: [&str; 7] = [
    "a dry run of updates works",
    "cloud-init is done",
    "files of packages are theirs",
    "no unit failed",
    "nothing listens beyond loopback",
    "only TLS goes out",
    "packages come by https",
];

#[test]
fn a_system_that_was_not_provisioned_fails() {
    if !can_boot() {
        return;
    }
    let root = folder("unprovisioned");
    System::unpacked(&root);
    fs::copy(packer().join("tests/verify.sh"), root.join("verify.sh")).unwrap();
    let mut nspawn = Command::new("systemd-nspawn");
    nspawn.args([
        "--quiet",
        "--register=no",
        "--keep-unit",
        "--as-pid2",
        "--private-network",
        "--console=pipe",
    ]);
    nspawn.args(["--machine=agentless-image-unprovisioned", "--directory"]).arg(&root).arg("/verify.sh");
    let output = outcome(&mut nspawn);
    let tap = written(&output);
    fs::remove_dir_all(&root).unwrap();
    assert_eq!(output.status.code(), Some(1), "{tap}");
    let held = tap.lines().filter(|line| line.starts_with("ok ") && !line.contains("# SKIP"));
    let held: Vec<_> = held.filter_map(|line| Some(line.split_once(" - ")?.1)).collect();
    let unexpected: Vec<_> = held.iter().filter(|name| !HOLDS.contains(name)).collect();
    assert!(unexpected.is_empty(), "{unexpected:?} hold of any system\n{tap}");
}
