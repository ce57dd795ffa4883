//! The scanner's image: Packer makes it of a real Ubuntu with the template and the scripts of `packer/`, it is booted in a container, and looked at from within
//! and from outside. Needs root.
//!
//! What is not that of an instance: the kernel and its settings are this machine's, there is no boot loader, and the program is
//! the debug build of this run, linked with the image's C library.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests, outside of #[test] functions"
)]
#![expect(clippy::disallowed_methods, reason = "what runs in the image is waited for")]

mod boots;
mod groups;
mod machine;
mod made;
mod network;
mod never_ready;
mod packed;
mod scene;
mod scripts;
mod system;
mod unprovisioned;

use std::process::{Command, Output, Stdio};

/// Whether this machine can make and boot the image. Who develops without root sets `AGENTLESS_TESTS_WITHOUT_ROOT=1`; on CI
/// that is ignored.
fn can_boot() -> bool {
    let mut missing = Vec::new();
    if !nix::unistd::geteuid().is_root() {
        missing.push("root".to_owned());
    }
    let tools = [
        ("mmdebstrap", "mmdebstrap"),
        ("systemd-nspawn", "systemd-container"),
        ("journalctl", "systemd"),
        ("minisign", "minisign"),
        ("packer", "packer"),
        ("ip", "iproute2"),
        ("nsenter", "util-linux"),
    ];
    for (tool, package) in tools {
        if Command::new(tool).arg("--version").output().is_err() {
            missing.push(format!("`{tool}` (Debian and Ubuntu: apt-get install {package})"));
        }
    }
    if missing.is_empty() {
        return true;
    }
    let allowed = std::env::var_os("AGENTLESS_TESTS_WITHOUT_ROOT").is_some_and(|value| value == "1");
    let on_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    let missing = missing.join(", ");
    assert!(
        allowed && !on_ci,
        "this test boots the image and lacks {missing}; AGENTLESS_TESTS_WITHOUT_ROOT=1 leaves it out"
    );
    tell(&format!("left out: lacks {missing}"));
    false
}

/// Runs a program that must succeed. What it wrote to standard output.
fn run(command: &mut Command) -> String {
    let output = outcome(command);
    assert!(output.status.success(), "{command:?} ended with {}:\n{}", output.status, written(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a program to its end, with nothing on its standard input.
fn outcome(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output();
    output.unwrap_or_else(|error| panic!("{command:?} does not start: {error}"))
}

/// All that a program wrote.
fn written(output: &Output) -> String {
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{stdout}{stderr}")
}

#[expect(clippy::print_stderr, reason = "for who reads the test's log")]
fn tell(what: &str) {
    eprintln!("{what}");
}
