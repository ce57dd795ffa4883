use serde_json::{Value, json};

use super::*;
use crate::sbom::testing;

fn json(document: &Document) -> Value {
    let mut bytes = Vec::new();
    write(document, &mut bytes).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn package<'a>(document: &'a Value, name: &str) -> &'a Value {
    let packages = document["packages"].as_array().unwrap();
    packages.iter().find(|package| package["name"] == name).unwrap()
}

#[test]
fn a_package_carries_its_url_and_its_licences() {
    let document = json(&testing::document());
    let found = package(&document, "bsdutils");
    assert_eq!(found["versionInfo"], "1:2.38.1-5+deb12u3");
    assert_eq!(found["supplier"], "Organization: Debian \"quoted\" (x@y)");
    assert_eq!(found["sourceInfo"], "found in /var/lib/dpkg/status on vol-1 partition 1");
    assert_eq!(
        found["externalRefs"],
        json!([{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator":
                "pkg:deb/debian/bsdutils@2.38.1-5%2Bdeb12u3?arch=amd64&distro=debian-12.15&epoch=1",
        }])
    );
    let extracted = &document["hasExtractedLicensingInfos"][0];
    assert_eq!(extracted["name"], "GPL-2");
    let id = extracted["licenseId"].as_str().unwrap();
    assert_eq!(found["licenseDeclared"], format!("{id} AND MIT"));
    assert_eq!(package(&document, "@scope/tool")["licenseDeclared"], "MIT OR Apache-2.0");
    assert_eq!(package(&document, "half")["licenseDeclared"], "NOASSERTION");
    let comments = found["annotations"].as_array().unwrap();
    assert!(comments.iter().any(|note| note["comment"] == "aquasecurity:trivy:SrcName: util-linux"));
}

#[test]
fn purposes_are_those_of_the_json_schema() {
    // `packages.items.properties.primaryPackagePurpose.enum` in schemas/spdx-schema.json of SPDX 2.3.
    const PURPOSES: [&str; 12] = [
        "OTHER",
        "INSTALL",
        "ARCHIVE",
        "FIRMWARE",
        "APPLICATION",
        "FRAMEWORK",
        "LIBRARY",
        "CONTAINER",
        "SOURCE",
        "DEVICE",
        "OPERATING_SYSTEM",
        "FILE",
    ];
    let mut document = testing::document();
    for kind in [
        ComponentKind::Application,
        ComponentKind::Container,
        ComponentKind::Device,
        ComponentKind::File,
        ComponentKind::Library,
        ComponentKind::OperatingSystem,
        ComponentKind::Platform,
    ] {
        document.subject.kind = kind;
        let written = json(&document);
        for package in written["packages"].as_array().unwrap() {
            let purpose = package["primaryPackagePurpose"].as_str().unwrap();
            assert!(PURPOSES.contains(&purpose), "{purpose}");
        }
    }
}

#[test]
fn what_contains_what_is_told_apart_from_what_needs_what() {
    let document = json(&testing::document());
    let id = |name: &str| package(&document, name)["SPDXID"].clone();
    let related = |kind: &str, from: &Value, to: &Value| {
        let relationships = document["relationships"].as_array().unwrap();
        relationships.iter().any(|relationship| {
            relationship["relationshipType"] == kind
                && relationship["spdxElementId"] == *from
                && relationship["relatedSpdxElement"] == *to
        })
    };
    let (target, system) = (id("i-0123456789abcdef0"), id("debian"));
    assert!(related("DESCRIBES", &json!("SPDXRef-DOCUMENT"), &target));
    assert!(related("CONTAINS", &target, &system));
    assert!(related("CONTAINS", &system, &id("bsdutils")));
    assert!(related("DEPENDS_ON", &id("bsdutils"), &id("zlib1g")));
    assert!(related("CONTAINS", &target, &id("nginx:1.27")));
    assert!(related("CONTAINS", &id("nginx:1.27"), &id("alpine")));
}

#[test]
fn what_was_not_read_is_in_the_document() {
    let document = json(&testing::document());
    assert!(document["comment"].as_str().unwrap().starts_with("This list is incomplete"));
    let notes = document["annotations"].as_array().unwrap();
    let unknown = "agentless-scanner:unknown: vol-1 partition 1 /var/lib/rpm/Packages: not read";
    assert!(notes.iter().any(|note| note["comment"] == unknown));
}

#[test]
fn a_document_of_another_time_has_another_namespace() {
    let first = testing::document();
    let mut second = first.clone();
    second.time += time::Duration::DAY;
    assert_ne!(json(&first)["documentNamespace"], json(&second)["documentNamespace"]);
}
