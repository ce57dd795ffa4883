//! Create, plan, update, replace, drift, import, upgrade, destroy.

use std::fs;

use serde_json::json;

use crate::harness::Workspace;

/// Every kind of attribute and block.
const EVERYTHING: &str = r#"
resource "fixture_file" "all" {
  name     = "all"
  size     = 8
  ratio    = 0.1
  names    = ["b", "a", "b"]
  groups   = ["y", "x"]
  labels   = { one = "1", two = "2" }
  shape    = { width = 3, height = null }
  anything = { nested = [1, "two", true] }
  secret   = "hush-hush"
  window   = { hours = 2 }
  rules    = [{ port = 80 }, { port = 53, protocol = "udp" }]
  peers    = [{ port = 2 }, { port = 1 }]
  routes   = { home = { port = 22 } }
  disk { size = 10 }
  disk {
    size = 20
    kind = "hdd"
  }
  tag { key = "k2" }
  tag {
    key   = "k1"
    value = "v1"
  }
  hook { url = "https://example.com" }
  timeouts = { create = "10m" }
}
"#;

fn file(attributes: &str) -> String {
    format!("resource \"fixture_file\" \"one\" {{\n  name = \"one\"\n  {attributes}\n}}\n")
}

#[test]
fn everything_is_created_once_and_destroyed() {
    let workspace = Workspace::new(EVERYTHING);
    let change = workspace.planned("fixture_file.all");
    assert_eq!(change["actions"], json!(["create"]));
    assert_eq!(change["after"]["enabled"], false, "a default is known in the plan");
    assert_eq!(change["after_unknown"]["zone"], true, "a computed value is not");
    workspace.apply().expect_ok();
    workspace.expect_no_changes();

    let attributes = workspace.attributes("fixture_file.all");
    let rule =
        |port: u16, protocol: &str| json!({"port": port, "protocol": protocol, "id": format!("rule-{port}")});
    for (name, expected) in [
        ("id", json!("all")),
        ("revision", json!(1)),
        ("size", json!(8)),
        ("ratio", json!(0.1)),
        ("enabled", json!(false)),
        ("zone", json!("a")),
        ("names", json!(["b", "a", "b"])),
        ("groups", json!(["x", "y"])),
        ("shape", json!({"width": 3, "height": null})),
        ("window", json!({"start": "03:00", "hours": 2})),
        ("rules", json!([rule(80, "tcp"), rule(53, "udp")])),
        ("peers", json!([rule(1, "tcp"), rule(2, "tcp")])),
        ("routes", json!({"home": rule(22, "tcp")})),
        ("disk", json!([{"size": 10, "kind": "ssd"}, {"size": 20, "kind": "hdd"}])),
        ("tag", json!([{"key": "k1", "value": "v1"}, {"key": "k2", "value": null}])),
    ] {
        assert_eq!(attributes[name], expected, "{name}");
    }

    workspace.destroy().expect_ok();
    assert_eq!(workspace.file("all"), None);
}

#[test]
fn an_update_keeps_what_it_can_and_a_replacement_nothing() {
    let workspace = Workspace::new(&file("size = 8"));
    workspace.apply().expect_ok();

    workspace.configure(&file("size = 9"));
    let change = workspace.planned("fixture_file.one");
    assert_eq!(change["actions"], json!(["update"]));
    assert_eq!(change["after"]["id"], "one", "an id that keeps its state is known");
    assert_eq!(change["after"]["revision"], 2, "the resource's own plan has told it");
    assert_eq!(change["after_unknown"]["zone"], true, "what else is computed may change");
    workspace.apply().expect_ok();
    workspace.expect_no_changes();
    assert_eq!(workspace.file("one").unwrap()["revision"], 2);

    // `size` makes a new file when it shrinks, `name` always.
    workspace.configure(&file("size = 7"));
    let change = workspace.planned("fixture_file.one");
    assert_eq!(change["actions"], json!(["delete", "create"]));
    assert_eq!(change["replace_paths"], json!([["size"]]));
    assert_eq!(change["after_unknown"]["id"], true, "a new file has a new id");
    workspace.configure(&file("size = 9").replace("name = \"one\"", "name = \"two\""));
    assert_eq!(workspace.planned("fixture_file.one")["replace_paths"], json!([["name"]]));
    workspace.apply().expect_ok();
    workspace.expect_no_changes();
    assert_eq!((workspace.file("one"), workspace.file("two").is_some()), (None, true));
    workspace.destroy().expect_ok();
}

#[test]
fn nested_elements_are_planned_one_by_one() {
    let rules = |ports: &[u16]| {
        let rules = ports.iter().map(|port| format!("{{ port = {port} }}")).collect::<Vec<_>>().join(", ");
        file(&format!("rules = [{rules}]\n  peers = [{rules}]"))
    };
    let workspace = Workspace::new(&rules(&[1, 2]));
    workspace.apply().expect_ok();
    workspace.configure(&rules(&[2, 1, 3]));
    workspace.apply().expect_ok();
    workspace.expect_no_changes();
    let attributes = workspace.attributes("fixture_file.one");
    assert_eq!(attributes["rules"][0]["id"], "rule-2");
    assert_eq!(attributes["peers"].as_array().unwrap().len(), 3);
}

#[test]
fn drift_is_found_and_repaired() {
    let workspace = Workspace::new(&file(""));
    workspace.apply().expect_ok();
    workspace.tamper("one", "size", 100);
    let change = workspace.planned("fixture_file.one");
    assert_eq!((&change["before"]["size"], &change["after"]["size"]), (&json!(100), &json!(8)));
    workspace.apply().expect_ok();
    workspace.expect_no_changes();

    fs::remove_file(workspace.files().join("one.json")).unwrap();
    assert_eq!(workspace.planned("fixture_file.one")["actions"], json!(["create"]));
    workspace.apply().expect_ok();
    assert!(workspace.file("one").is_some());
}

#[test]
fn what_exists_is_imported_by_command_and_by_block() {
    let workspace = Workspace::new(&file("size = 12"));
    workspace.apply().expect_ok();
    let before = workspace.attributes("fixture_file.one");

    workspace.terraform(&["state", "rm", "fixture_file.one"]).expect_ok();
    workspace.terraform(&["import", "fixture_file.one", "one"]).expect_ok();
    assert_eq!(workspace.attributes("fixture_file.one"), before);
    workspace.expect_no_changes();

    workspace.terraform(&["state", "rm", "fixture_file.one"]).expect_ok();
    let import = "import {\n  to = fixture_file.one\n  id = \"one\"\n}\n";
    workspace.configure(&format!("{}{import}", file("size = 12")));
    workspace.apply().expect_ok().expect_said(&["1 imported, 0 added, 0 changed, 0 destroyed"]);
    workspace.expect_no_changes();
    // Private state from the import serves the update.
    workspace.configure(&file("size = 13"));
    workspace.apply().expect_ok();

    workspace.configure("resource \"fixture_file\" \"none\" {\n  name = \"none\"\n}\n");
    workspace
        .terraform(&["import", "fixture_file.none", "none"])
        .expect_error(&["Cannot import non-existent remote object"]);
    workspace.configure("resource \"fixture_record\" \"r\" {\n  name = \"r\"\n}\n");
    workspace
        .terraform(&["import", "fixture_record.r", "r"])
        .expect_error(&["Import is not supported", "record cannot be imported"]);
}

#[test]
fn an_old_state_is_upgraded_and_a_newer_one_refused() {
    let old = "resource \"fixture_record\" \"r\" {\n  title = \"a\"\n  note = \"n\"\n  size = 3\n}\n";
    let mut workspace = Workspace::new(old);
    workspace.set("FIXTURE_OLD_SCHEMA", "1");
    workspace.apply().expect_ok();

    workspace.unset_all();
    workspace.configure("resource \"fixture_record\" \"r\" {\n  name = \"a\"\n  size = 3\n}\n");
    workspace.expect_no_changes();
    workspace.terraform(&["apply", "-refresh-only", "-auto-approve"]).expect_ok();
    assert_eq!(workspace.attributes("fixture_record.r"), json!({"name": "a", "size": 3}));

    workspace.set("FIXTURE_OLD_SCHEMA", "1");
    workspace.configure(old);
    workspace.terraform(&["plan"]).expect_error(&["created by a newer provider version"]);
}

#[test]
fn an_update_without_an_update_is_the_providers_mistake() {
    let record =
        |size: u8| format!("resource \"fixture_record\" \"r\" {{\n  name = \"a\"\n  size = {size}\n}}\n");
    let workspace = Workspace::new(&record(1));
    workspace.apply().expect_ok();
    workspace.configure(&record(2));
    workspace.apply().expect_error(&["Provider bug", "record cannot be updated"]);
}

#[test]
fn data_sources_are_read() {
    let data = "data \"fixture_size\" \"d\" {\n  name = fixture_file.one.name\n}\noutput \"size\" {\n  value = data.fixture_size.d.size\n}\n";
    let workspace = Workspace::new(&format!("{}{data}", file("size = 77")));
    workspace.apply().expect_ok().expect_said(&["size = 77"]);
    workspace.configure("data \"fixture_size\" \"d\" {\n  name = \"nothing\"\n}\n");
    workspace.terraform(&["plan"]).expect_error(&["No file \"nothing\"", "name = \"nothing\""]);
}

#[test]
fn the_exported_schema_is_what_terraform_prints() {
    let workspace = Workspace::new("");
    let mut printed = workspace.json(&["providers", "schema", "-json"]);
    let exported = std::process::Command::new(crate::harness::fixture()).arg("-schema").output().unwrap();
    let mut exported: serde_json::Value = serde_json::from_slice(&exported.stdout).unwrap();
    // Terraform prints keys that a provider has nothing for.
    for schemas in printed["provider_schemas"].as_object_mut().unwrap().values_mut() {
        schemas.as_object_mut().unwrap().retain(|_, value| value != &json!({}));
    }
    // Identities are printed from version 1.12 on, actions from 1.14.
    let identities = "resource_identity_schemas";
    for (address, schemas) in exported["provider_schemas"].as_object_mut().unwrap() {
        assert!(schemas[identities]["fixture_file"]["attributes"]["id"]["required_for_import"] == true);
        for newer in [identities, "action_schemas"] {
            if printed["provider_schemas"][address].get(newer).is_none() {
                schemas.as_object_mut().unwrap().remove(newer);
            }
        }
    }
    assert_eq!(printed, exported);
}
