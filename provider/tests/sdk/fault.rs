//! What goes wrong in a provider, and what the user is left with.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::harness::Workspace;

fn file(attributes: &str) -> String {
    format!("resource \"fixture_file\" \"one\" {{\n  name = \"one\"\n  {attributes}\n}}\n")
}

fn fault(name: &str) -> String {
    file(&format!("fault = \"{name}\""))
}

#[test]
fn a_create_that_makes_nothing_leaves_nothing() {
    let workspace = Workspace::new(&fault("create"));
    workspace.apply().expect_error(&["Could not create the file", "fault = \"create\"", "As was asked for."]);
    assert!(workspace.state("fixture_file.one").is_none());
}

#[test]
fn a_create_that_fails_half_way_is_tainted_and_can_be_destroyed() {
    let workspace = Workspace::new(&fault("create-after-save"));
    workspace.apply().expect_error(&["Could not finish the file"]);
    assert_eq!(workspace.state("fixture_file.one").unwrap()["tainted"], true);
    assert!(workspace.file("one").is_some());
    workspace.destroy().expect_ok();
    assert!(workspace.file("one").is_none());
}

#[test]
fn a_panic_is_a_diagnostic_and_loses_nothing() {
    let mut workspace = Workspace::new(&fault("panic"));
    workspace.set("RUST_BACKTRACE", "1");
    let said =
        workspace.apply().expect_error(&["Provider bug", "fixture.rs:", "boom in one", "Please report it"]);
    assert!(!said.text.contains("stack backtrace") && !said.text.contains("std::panicking"), "{}", said.text);
    assert_eq!(workspace.state("fixture_file.one").unwrap()["tainted"], true);
    workspace.destroy().expect_ok();
    assert!(workspace.file("one").is_none());

    workspace.configure(&fault("panic-plan"));
    workspace.terraform(&["plan"]).expect_error(&["Provider bug", "boom in plan"]);
}

#[test]
fn a_failed_update_keeps_the_state_before_it() {
    let workspace = Workspace::new(&file("size = 8"));
    workspace.apply().expect_ok();
    workspace.configure(&file("size = 9\n  fault = \"update\""));
    workspace.apply().expect_error(&["Could not update the file"]);
    assert_eq!(workspace.attributes("fixture_file.one")["size"], 8);
    workspace.configure(&file("size = 9"));
    workspace.apply().expect_ok();
    workspace.expect_no_changes();
}

#[test]
fn a_failed_delete_keeps_the_resource() {
    let workspace = Workspace::new(&file(""));
    workspace.apply().expect_ok();
    let refuse = workspace.files().join("refuse-delete");
    fs::write(&refuse, "").unwrap();
    workspace.destroy().expect_error(&["Could not delete \"one\""]);
    assert!(workspace.state("fixture_file.one").is_some());
    fs::remove_file(refuse).unwrap();
    workspace.destroy().expect_ok();
}

#[test]
fn a_value_left_unknown_is_named() {
    let workspace = Workspace::new(&fault("unknown"));
    workspace.apply().expect_error(&["Provider bug", "`zone` is still unknown"]);
    assert!(workspace.state("fixture_file.one").is_some());
}

#[test]
fn a_warning_does_not_fail() {
    let workspace = Workspace::new(&fault("warn"));
    workspace.apply().expect_ok().expect_said(&["Warning: File is odd", "But it is there."]);
}

#[test]
fn an_operation_ends_at_its_timeout() {
    let workspace = Workspace::new(&file("fault = \"slow-create\"\n  timeouts = { create = \"50ms\" }"));
    workspace.apply().expect_error(&["Timed out waiting for file \"one\"", "50ms", "`timeouts`"]);
    assert_eq!(workspace.state("fixture_file.one").unwrap()["tainted"], true);
}

/// As when a user presses Ctrl-C: the signal goes to Terraform and to the provider.
#[test]
fn an_interrupt_in_the_middle_of_a_create_loses_nothing() {
    let mut workspace = Workspace::new(&fault("slow-create"));
    workspace.set("TF_LOG_PROVIDER", "INFO");
    let mut terraform = workspace
        .command(&["apply", "-auto-approve", "-no-color"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(terraform.stderr.take().unwrap()).lines();
    assert!(stderr.any(|line| line.unwrap().contains("saved, now waiting")), "the create has begun");

    let group = format!("-{}", terraform.id());
    assert!(Command::new("kill").args(["-INT", "--", &group]).status().unwrap().success());
    let said: String = stderr.map(|line| line.unwrap() + "\n").collect();
    let mut stdout = String::new();
    terraform.stdout.take().unwrap().take(1 << 20).read_to_end_lossy(&mut stdout);
    assert!(!terraform.wait().unwrap().success());
    assert!(said.contains("Interrupted waiting for file \"one\""), "{stdout}\n{said}");
    assert!(stdout.contains("Interrupt received"), "{stdout}");

    workspace.unset_all();
    assert_eq!(workspace.state("fixture_file.one").unwrap()["tainted"], true);
    workspace.destroy().expect_ok();
    assert!(workspace.file("one").is_none());
}

/// Reads to the end; what is no text is replaced.
trait ReadLossy {
    fn read_to_end_lossy(self, text: &mut String);
}

impl<R: Read> ReadLossy for R {
    fn read_to_end_lossy(self, text: &mut String) {
        for line in BufReader::new(self).split(b'\n') {
            text.push_str(&String::from_utf8_lossy(&line.unwrap()));
            text.push('\n');
        }
    }
}
