use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::package::{OperatingSystem, PackageKind};
use crate::sbom::testing::{self, debian, package, target, whole};

fn json(document: &Document) -> Value {
    let mut bytes = Vec::new();
    write(document, &mut bytes).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn component<'a>(document: &'a Value, bom_ref: &str) -> &'a Value {
    let components = document["components"].as_array().unwrap();
    components.iter().find(|component| component["bom-ref"] == bom_ref).unwrap()
}

/// The official schema, with those it refers to.
fn assert_valid(document: &Value) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/schema");
    let read =
        |name: &str| -> Value { serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap() };
    let registry = jsonschema::Registry::new()
        .add("http://cyclonedx.org/schema/spdx.schema.json", read("spdx.schema.json"))
        .unwrap()
        .add("http://cyclonedx.org/schema/jsf-0.82.schema.json", read("jsf-0.82.schema.json"))
        .unwrap()
        .prepare()
        .unwrap();
    let validator = jsonschema::options()
        .with_registry(&registry)
        .should_validate_formats(true)
        .build(&read("bom-1.6.schema.json"))
        .unwrap();
    let errors: Vec<_> =
        validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

#[test]
fn lists_are_valid_by_the_official_schema() {
    assert_valid(&json(&testing::document()));
    assert_valid(&json(&whole(&target(vec![]))));
    for list in testing::all(&testing::report()) {
        assert_valid(&json(&list));
    }
}

#[test]
fn what_a_hostile_disk_says_is_valid_too() {
    let mut system = debian(
        vec![package(PackageKind::Npm, "", ""), package(PackageKind::Gem, "\u{0}\u{202e}", "\n")],
        vec![],
    );
    system.findings.operating_system = Some(OperatingSystem { version: None, ..testing::system("", "") });
    let mut container = testing::container("", vec![]);
    container.container = Some(crate::report::Container::default());
    assert_valid(&json(&whole(&target(vec![system, container]))));
}

#[test]
fn the_schema_would_find_a_mistake() {
    let mut wrong = json(&testing::document());
    wrong["components"][0]["type"] = Value::from("nonsense");
    assert!(std::panic::catch_unwind(|| assert_valid(&wrong)).is_err());
}

#[test]
fn the_same_disk_gives_the_same_bytes() {
    let list = || {
        let mut bytes = Vec::new();
        write(&testing::document(), &mut bytes).unwrap();
        bytes
    };
    assert_eq!(list(), list());
}

#[test]
fn a_package_carries_its_url_source_licences_and_evidence() {
    let document = json(&testing::document());
    let purl = "pkg:deb/debian/bsdutils@2.38.1-5%2Bdeb12u3?arch=amd64&distro=debian-12.15&epoch=1";
    assert_eq!(
        *component(&document, purl),
        json!({
            "type": "library",
            "bom-ref": purl,
            "supplier": { "name": "Debian \"quoted\" <x@y>" },
            "name": "bsdutils",
            "version": "1:2.38.1-5+deb12u3",
            "licenses": [{ "license": { "name": "GPL-2" } }, { "license": { "id": "MIT" } }],
            "purl": purl,
            "evidence": {
                "identity": [{
                    "field": "purl",
                    "confidence": 1,
                    "methods": [{
                        "technique": "manifest-analysis",
                        "confidence": 1,
                        "value": "/var/lib/dpkg/status",
                    }],
                }],
                "occurrences": [{
                    "location": "/var/lib/dpkg/status",
                    "additionalContext": "vol-1 partition 1",
                }],
            },
            "properties": [
                { "name": "agentless-scanner:extractor", "value": "os/dpkg" },
                { "name": "aquasecurity:trivy:PkgID", "value": "bsdutils@1:2.38.1-5+deb12u3" },
                { "name": "aquasecurity:trivy:PkgType", "value": "debian" },
                { "name": "aquasecurity:trivy:SrcEpoch", "value": "2" },
                { "name": "aquasecurity:trivy:SrcName", "value": "util-linux" },
                { "name": "aquasecurity:trivy:SrcRelease", "value": "5+deb12u3" },
                { "name": "aquasecurity:trivy:SrcVersion", "value": "2.38.1" },
            ],
        })
    );
}

#[test]
fn how_sure_it_is_and_where_in_an_archive_is_told() {
    let document = json(&testing::document());
    let jar = component(&document, "pkg:maven/org.example/lib@2.0");
    assert_eq!((&jar["group"], &jar["name"]), (&json!("org.example"), &json!("lib")));
    assert_eq!(jar["evidence"]["identity"][0]["confidence"], json!(0.5));
    assert_eq!(jar["evidence"]["identity"][0]["methods"][0]["technique"], "filename");
    assert_eq!(
        jar["evidence"]["occurrences"][0]["location"],
        "/srv/org.example:lib!/BOOT-INF/lib/lib-2.0.jar"
    );
    let go = component(&document, "pkg:golang/github.com/docker/cli@v28.2.2");
    assert_eq!(go["evidence"]["identity"][0]["methods"][0]["technique"], "binary-analysis");
    let npm = component(&document, "pkg:npm/%40scope/tool@1.0.0");
    assert_eq!((&npm["group"], &npm["name"]), (&json!("@scope"), &json!("tool")));
    assert_eq!(npm["licenses"], json!([{ "expression": "MIT OR Apache-2.0" }]));
    let local = component(&document, "golang:./local@v0");
    assert_eq!(local["evidence"]["identity"][0]["field"], "name");
    let locked = component(&document, "pkg:pypi/flask-thing@3.0");
    assert_eq!(locked["name"], "Flask_Thing");
    assert_eq!(locked["evidence"]["occurrences"][0]["additionalContext"], "vol-1 partition 1 (lock file)");
}

#[test]
fn what_was_not_read_makes_the_list_incomplete() {
    let partial = json(&testing::document());
    assert_eq!(partial["compositions"][0]["aggregate"], "incomplete");
    assert_eq!(partial["properties"][0]["name"], "agentless-scanner:unknown");
    assert_eq!(partial["properties"][0]["value"], "vol-1 partition 1 /var/lib/rpm/Packages: not read");
    let entire = json(&whole(&target(vec![debian(vec![], vec![])])));
    assert_eq!(entire["compositions"][0]["aggregate"], "complete");
    assert!(entire.get("properties").is_none());
}
