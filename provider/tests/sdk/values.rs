//! Values of every kind on their way through configuration, plan and state.

use std::fmt::Write as _;
use std::fs;

use serde_json::json;

use crate::harness::Workspace;

fn file(attributes: &str) -> String {
    format!("resource \"fixture_file\" \"one\" {{\n  name = \"one\"\n  {attributes}\n}}\n")
}

#[test]
fn write_only_values_are_used_and_never_kept() {
    let workspace = Workspace::new(&file("key = \"sesame-open\""));
    workspace.terraform(&["plan", "-out=plan"]).expect_ok();
    assert!(!workspace.json(&["show", "-json", "plan"])["resource_changes"].to_string().contains("sesame"));
    workspace.apply().expect_ok();
    workspace.expect_no_changes();
    assert_eq!(workspace.file("one").unwrap()["key_length"], 11, "the resource has seen it");
    assert!(!workspace.state_file().contains("sesame"));

    workspace.configure(&file("size = 9\n  hook {\n    url = \"u\"\n    key = \"sesame\"\n  }"));
    workspace.apply().expect_ok();
    workspace.expect_no_changes();
    assert_eq!(workspace.attributes("fixture_file.one")["key_length"], 6, "in a block, at an update");
    assert!(!workspace.state_file().contains("sesame"));
}

#[test]
fn sensitive_values_are_shown_neither_by_terraform_nor_in_the_log() {
    let mut workspace = Workspace::new(&file("secret = \"hush-hush\""));
    let log = workspace.path("log");
    workspace.set("TF_LOG_PROVIDER", "TRACE");
    workspace.set("TF_LOG_PATH", log.to_str().unwrap());
    let said = workspace.apply().expect_ok();
    assert!(said.text.contains("(sensitive value)"), "{}", said.text);
    assert!(!said.text.contains("hush-hush"));
    let log = fs::read_to_string(log).unwrap();
    assert!(
        log.contains("careless") && log.contains("secret=\"***\""),
        "the resource has logged it, hidden: {log}"
    );
    assert!(!log.contains("hush-hush"));
    assert!(log.contains("tf_rpc=ApplyResourceChange"), "what the SDK logs is in Terraform's log");
}

#[test]
fn bad_values_are_refused_where_they_stand() {
    let workspace = Workspace::new("");
    for (attributes, expected) in [
        ("size = var.half", &["on main.tf", "size = var.half", "must be a whole number, but is 1.5"][..]),
        ("size = 18446744073709551616", &["at most 64 bits, but is 18446744073709551616"]),
        ("window = { hours = 1.5 }", &["`window.hours` must be a whole number"]),
        ("rules = [{ port = 1 }, { port = 0 }]", &["`rules[1].port` must be between 1 and 65535, but is 0"]),
        (
            "peers = [{ port = 1, protocol = \"icmp\" }]",
            &["peers", "protocol` must be one of \"tcp\", \"udp\""],
        ),
        ("routes = { a = { port = 70000 } }", &["`routes[\"a\"].port`", "70000"]),
        ("enabled = true", &["Missing window", "An enabled file needs a `window`"]),
        ("timeouts = { create = \"soon\" }", &["timeouts", "a duration such as \"30m\""]),
        ("disk {\n    size = 0.5\n  }", &["size = 0.5", "must be a whole number, but is 0.5"]),
    ] {
        let variable = "variable \"half\" {\n  default = 1.5\n}\n";
        workspace.configure(&format!("{variable}{}", file(attributes)));
        workspace.terraform(&["plan"]).expect_error(expected);
    }
    workspace.configure(&file("").replace("\"one\"\n", "\"a_b\"\n"));
    workspace.terraform(&["validate"]).expect_error(&["only letters, digits and dashes, but has '_'"]);
    workspace.configure(&file("old_name = \"x\""));
    workspace.terraform(&["validate"]).expect_ok().expect_said(&["Attribute is deprecated", "Use `name`."]);
}

#[test]
fn unknown_values_stay_unknown_until_apply() {
    let late = "resource \"terraform_data\" \"late\" {\n  input = { size = 9, names = [\"a\", \"b\"], on = false }\n}\n";
    let attributes = r#"
  size     = terraform_data.late.output.size
  enabled  = terraform_data.late.output.on
  zone     = "zone-${terraform_data.late.id}"
  names    = ["first", terraform_data.late.id]
  groups   = ["first", terraform_data.late.id]
  labels   = { late = terraform_data.late.id }
  anything = terraform_data.late.output
  window   = { hours = terraform_data.late.output.size }
  rules    = [{ port = 1 }, { port = terraform_data.late.output.size }]
  routes   = { for name in terraform_data.late.output.names : name => { port = 1 } }
  dynamic "disk" {
    for_each = terraform_data.late.output.names
    content {
      size = 1
    }
  }
  dynamic "tag" {
    for_each = [terraform_data.late.id]
    content {
      key = tag.value
    }
  }
"#;
    let workspace = Workspace::new(&format!("{late}{}", file(attributes)));
    let change = workspace.planned("fixture_file.one");
    let (unknown, after) = (&change["after_unknown"], &change["after"]);
    for name in ["size", "enabled", "zone", "anything", "routes"] {
        assert_eq!(unknown[name], true, "{name} has a default or none, but is set to something unknown");
    }
    assert_eq!((&after["names"][0], &unknown["names"][1]), (&json!("first"), &json!(true)));
    assert_eq!((&after["window"]["start"], &unknown["window"]["hours"]), (&json!("03:00"), &json!(true)));
    assert_eq!((&after["rules"][0]["port"], &unknown["rules"][1]["port"]), (&json!(1), &json!(true)));
    workspace.apply().expect_ok();
    workspace.expect_no_changes();
    let attributes = workspace.attributes("fixture_file.one");
    assert_eq!(attributes["disk"].as_array().unwrap().len(), 2);
    assert_eq!(attributes["rules"][1]["id"], "rule-9");
    assert_eq!(attributes["routes"]["b"]["protocol"], "tcp");
    workspace.destroy().expect_ok();
}

#[test]
fn large_values_pass() {
    let workspace = Workspace::new(&file("content = file(\"content.txt\")"));
    let mut content = String::new();
    while content.len() < 5 << 20 {
        writeln!(content, "line {}", content.len()).unwrap();
    }
    fs::write(workspace.path("content.txt"), &content).unwrap();
    workspace.apply().expect_ok();
    workspace.expect_no_changes();
    assert_eq!(workspace.attributes("fixture_file.one")["content"], content);
}

#[test]
fn numbers_lose_no_digit() {
    for number in
        ["0.1", "-1e-7", "18446744073709551615", "18446744073709551616", "3.14159265358979323846264338327"]
    {
        let workspace = Workspace::new(&file(&format!("ratio = {number}")));
        workspace.apply().expect_ok();
        workspace.expect_no_changes();
        let output = "output \"same\" {\n  value = fixture_file.one.ratio ==";
        workspace.configure(&format!("{}{output} {number}\n}}\n", file(&format!("ratio = {number}"))));
        workspace.apply().expect_ok().expect_said(&["same = true"]);
    }
}

#[test]
fn any_value_fits_a_dynamic_attribute() {
    let workspace = Workspace::new("");
    for value in [
        "\"text\"",
        "12.5",
        "[1, \"a\", { b = true }]",
        "{ a = [], b = null }",
        "null",
        "toset([\"b\", \"a\"])",
    ] {
        workspace.configure(&file(&format!("anything = {value}")));
        workspace.apply().expect_ok();
        workspace.expect_no_changes();
    }
    assert_eq!(workspace.attributes("fixture_file.one")["revision"], 6);
}
