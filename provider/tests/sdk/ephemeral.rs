//! Ephemeral resources: opened, renewed and closed, and in no plan or state.

use serde_json::json;

use crate::harness::Workspace;

/// A lease that a write-only argument uses.
fn config(lease: &str) -> String {
    format!(
        "ephemeral \"fixture_lease\" \"l\" {{\n  name = \"door\"\n  {lease}\n}}\n\
         resource \"fixture_file\" \"one\" {{\n  name = \"one\"\n  key = ephemeral.fixture_lease.l.secret\n}}\n"
    )
}

#[test]
fn what_is_opened_is_used_closed_and_never_stored() {
    let workspace = Workspace::new(&config(""));
    workspace.terraform(&["plan", "-out=plan"]).expect_ok();
    assert_eq!(workspace.file("lease-door").unwrap(), json!(["open", "close"]));
    assert!(!workspace.json(&["show", "-json", "plan"]).to_string().contains("secret-of-door"));

    workspace.terraform(&["apply", "plan"]).expect_ok();
    assert_eq!(workspace.file("one").unwrap()["key_length"], "secret-of-door".len());
    assert!(!workspace.state_file().contains("secret-of-door"));
    let events = workspace.file("lease-door").unwrap();
    let events = events.as_array().unwrap();
    assert_eq!(events.iter().filter(|event| *event == "open").count() * 2, events.len(), "{events:?}");
    workspace.expect_no_changes();
}

#[test]
fn what_lasts_long_is_renewed() {
    let slow = "renew_after = 0.2\n";
    let slowly = config(slow).replace("name = \"one\"\n", "name = \"one\"\n  fault = \"pause\"\n");
    let workspace = Workspace::new(&slowly);
    workspace.apply().expect_ok();
    let events = workspace.file("lease-door").unwrap();
    assert!(events.as_array().unwrap().iter().any(|event| event == "renew"), "{events}");
    assert_eq!(events.as_array().unwrap().last().unwrap(), "close");
}

#[test]
fn a_bad_configuration_is_refused_before_anything_is_opened() {
    let workspace = Workspace::new("ephemeral \"fixture_lease\" \"l\" {\n  name = \"\"\n}\n");
    workspace.terraform(&["plan"]).expect_error(&["Nothing to lease", "The name is empty"]);
    assert!(workspace.file("lease-").is_none());
}
