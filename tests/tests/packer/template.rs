//! The whole template, as current Packer reads it: what no build may do without.

use std::collections::BTreeSet;
use std::process::Command;

use agentless_tests::image_template::{MODERN, files, folder, without_modern};
use hcl_edit::expr::Expression;
use hcl_edit::structure::{Block, Body};

use crate::run;

#[test]
fn instances_answer_to_tokens_only_and_disks_are_encrypted() {
    let source = source();
    let metadata = block(source, "metadata_options");
    assert_eq!(text(metadata, "http_endpoint"), "enabled");
    assert_eq!(text(metadata, "http_tokens"), "required");
    assert_eq!(value(metadata, "http_put_response_hop_limit").to_string().trim(), "1");
    assert_eq!(text(source, "imds_support"), "v2.0");
    assert!(is_true(source, "encrypt_boot"));
    assert!(is_true(block(source, "launch_block_device_mappings"), "encrypted"));
    let protection = block(source, "deregistration_protection");
    assert!(is_true(protection, "enabled") && is_true(protection, "with_cooldown"));
    assert_eq!(expression(source, "deprecate_at"), "local.expires_at");
}

#[test]
fn nothing_is_opened_to_everybody() {
    let source = source();
    // Left out, Packer opens SSH to everybody.
    assert_eq!(
        expression(source, "temporary_security_group_source_cidrs"),
        r#"local.connection == "ssh" ? var.ssh_source_cidrs : local.nobody"#
    );
    for forbidden in [
        "ami_groups",
        "snapshot_groups",
        "security_group_id",
        "security_group_ids",
        "ssh_keypair_name",
        "ssh_password",
        "user_data",
        "user_data_file",
        "force_deregister",
    ] {
        assert!(!source.has_attribute(forbidden), "{forbidden}");
    }
    for (name, text) in files() {
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            assert!(!line.contains("0.0.0.0") && !line.contains("::/0"), "{name}: {line}");
        }
    }
}

#[test]
fn the_source_is_of_the_named_owner_and_the_tags_are_those_of_the_provider() {
    let build = body("build.pkr.hcl");
    let build = block(&build, "build").clone();
    let sources: Vec<&Block> = build.get_blocks("source").collect();
    assert_eq!(sources.len(), 2);
    for (source, (name, architecture)) in sources.iter().zip([("amd64", "x86_64"), ("arm64", "arm64")]) {
        assert_eq!(text(&source.body, "name"), name);
        let filter = block(&source.body, "source_ami_filter");
        assert_eq!(expression(filter, "owners"), "[var.source_owner]");
        assert!(expression(filter, "filters").contains(&format!("\"{architecture}\"")));
        assert!(expression(&source.body, "ami_name").starts_with(&format!(
            "\"agentless-scanner-${{var.scanner_version}}-{name}-${{formatdate(\"YYYYMMDDhhmmss\""
        )));
    }
    let locals = body("sources.pkr.hcl");
    let tags = expression(block(&locals, "locals"), "tags");
    // By these the data source `datadog_agentless_scanner_image` finds images and describes them.
    for tag in [
        scanner_policy::tags::IMAGE_VERSION,
        scanner_policy::tags::IMAGE_COMMIT,
        scanner_policy::tags::IMAGE_SOURCE,
    ] {
        assert!(tags.split_whitespace().any(|word| word == tag), "{tag} is not in {tags}");
    }
    // That of what scans make, which the sweep deletes, and of what must not be scanned.
    assert!(!tags.split_whitespace().any(|word| word == scanner_policy::tags::SCANNER));
}

#[test]
fn the_release_is_verified_before_anything_is_uploaded() {
    let build = body("build.pkr.hcl");
    let build = block(&build, "build").clone();
    let provisioners: Vec<&Block> = build.get_blocks("provisioner").collect();
    let kinds: Vec<&str> =
        provisioners.iter().map(|it| it.labels.first().expect("a kind").as_str()).collect();
    assert_eq!(kinds, ["shell-local", "shell", "file", "file", "shell", "file", "file", "shell"]);
    let first = provisioners.first().expect("a provisioner");
    assert!(expression(&first.body, "inline").contains("verify-release.sh"));
    assert!(expression(&first.body, "environment_vars").contains("RELEASE_PUBLIC_KEY"));
    // It is what decides which key is meant; nothing comes from beside the release.
    assert!(!expression(&first.body, "environment_vars").contains("file("));
}

/// Current Packer gets its plug-in from the place and in the versions that are named; both Packers get the rest alike.
#[test]
fn what_only_current_packer_knows_is_named() {
    let mut found = BTreeSet::new();
    for (name, text) in files() {
        let whole: Body = text.parse().expect("HCL");
        let without: Body = without_modern(&text).parse().expect("HCL");
        assert_eq!(text.matches(MODERN[0]).count(), text.matches(MODERN[1]).count(), "{name}");
        let (whole, without) = (names(&whole), names(&without));
        found.extend(whole.difference(&without).cloned());
    }
    let expected = [
        "ami_org_arns",
        "ami_ou_arns",
        "amazon",
        "deprecate_at",
        "deregistration_protection",
        "enabled",
        "http_endpoint",
        "http_put_response_hop_limit",
        "http_tokens",
        "imds_support",
        "metadata_options",
        "packer",
        "required_plugins",
        "required_version",
        "temporary_key_pair_type",
        "with_cooldown",
    ];
    assert_eq!(found, BTreeSet::from(expected.map(str::to_owned)));
    let plugins = body("plugins.pkr.hcl");
    let amazon = expression(block(block(&plugins, "packer"), "required_plugins"), "amazon");
    assert!(amazon.contains("github.com/hashicorp/amazon") && amazon.contains(">= 1.3.4"), "{amazon}");
}

#[test]
fn every_variable_is_described_and_checked() {
    let variables = body("variables.pkr.hcl");
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let all: Vec<&Block> = variables.get_blocks("variable").collect();
    assert!(all.len() > 15);
    for variable in all {
        let name = variable.labels.first().expect("a name").as_str();
        assert!(variable.body.has_attribute("type"), "{name}");
        assert!(text(&variable.body, "description").ends_with('.'), "{name}");
        let is_flag = expression(&variable.body, "type") == "bool";
        assert!(is_flag || variable.body.has_blocks("validation"), "{name} takes anything");
        assert!(readme.contains(&format!("`{name}`")), "packer/README.md does not name {name}");
    }
}

#[test]
fn the_template_is_formatted() {
    run(Command::new("packer").args(["fmt", "-check", "-diff"]).arg(folder()));
}

fn body(name: &str) -> Body {
    let files = files();
    let (_, text) = files.iter().find(|(known, _)| known == name).expect("a file of the template");
    text.parse().expect("HCL")
}

fn source() -> &'static Body {
    static SOURCE: std::sync::OnceLock<Body> = std::sync::OnceLock::new();
    SOURCE.get_or_init(|| block(&body("sources.pkr.hcl"), "source").clone())
}

fn block<'a>(body: &'a Body, name: &'static str) -> &'a Body {
    &body.get_blocks(name).next().unwrap_or_else(|| panic!("no block {name}")).body
}

fn value<'a>(body: &'a Body, name: &str) -> &'a Expression {
    &body.get_attribute(name).unwrap_or_else(|| panic!("no argument {name}")).value
}

fn expression(body: &Body, name: &str) -> String {
    value(body, name).to_string().trim().to_owned()
}

fn text(body: &Body, name: &str) -> String {
    value(body, name).as_str().expect("a text").to_owned()
}

fn is_true(body: &Body, name: &str) -> bool {
    value(body, name).as_bool() == Some(true)
}

/// Of all blocks and arguments, however deep.
fn names(body: &Body) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = body.attributes().map(|it| it.key.as_str().to_owned()).collect();
    for block in body.blocks() {
        found.insert(block.ident.as_str().to_owned());
        found.extend(names(&block.body));
    }
    found
}
