//! CycloneDX 1.6 in JSON ([ECMA-424](https://cyclonedx.org/docs/1.6/json/)).
//!
//! The properties that Trivy gives its components are given here too, under the same names: operating-system advisories
//! are matched by source package, which a package URL of that form does not carry.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};

use agentless_core::catalogue::Catalogue;
use agentless_core::text::JsonText;
use serde::Serialize;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::purl;
use crate::package::{DebVersion, Details, OperatingSystem, Package, PackageKind};
use crate::report::{Installed, TargetReport};

/// A bill of materials. Serialised, it is the document.
///
/// Made only of the target, of what was found and of the time: the same disk gives the same bytes.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bom {
    #[serde(rename = "$schema")]
    schema: &'static str,
    #[serde(rename = "bomFormat")]
    format: &'static str,
    spec_version: &'static str,
    serial_number: String,
    version: u32,
    metadata: Metadata,
    components: Vec<Component>,
    dependencies: Vec<Dependency>,
    compositions: Vec<Composition>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
}

#[derive(Clone, Debug, Serialize)]
struct Metadata {
    timestamp: String,
    lifecycles: Vec<Lifecycle>,
    tools: Tools,
    component: Component,
}

#[derive(Clone, Debug, Serialize)]
struct Lifecycle {
    phase: &'static str,
}

#[derive(Clone, Debug, Serialize)]
struct Tools {
    components: Vec<Component>,
}

/// The fields stand in the order of the specification.
#[derive(Clone, Debug, Default, Serialize)]
struct Component {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "bom-ref", skip_serializing_if = "Option::is_none")]
    bom_ref: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    supplier: Option<Organization>,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<Evidence>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
}

#[derive(Clone, Debug, Serialize)]
struct Organization {
    name: String,
}

#[derive(Clone, Debug, Default, Serialize)]
struct Evidence {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    identity: Vec<Identity>,
    occurrences: Vec<Occurrence>,
}

#[derive(Clone, Debug, Serialize)]
struct Identity {
    field: &'static str,
    confidence: u8,
    methods: Vec<Method>,
}

#[derive(Clone, Debug, Serialize)]
struct Method {
    technique: &'static str,
    confidence: u8,
    value: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
struct Occurrence {
    location: String,
    additional_context: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    #[serde(rename = "ref")]
    reference: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Composition {
    aggregate: &'static str,
    assemblies: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Property {
    name: &'static str,
    value: String,
}

impl Property {
    fn new(name: &'static str, value: impl Into<String>) -> Self {
        Self { name, value: value.into() }
    }
}

impl Component {
    /// Adds a place where it was found.
    fn add(&mut self, occurrence: Occurrence) {
        self.evidence.get_or_insert_default().occurrences.push(occurrence);
    }
}

/// The namespace of the serial numbers (RFC 9562, section 5.5), itself made from the project's name.
const NAMESPACE: Uuid = Uuid::from_u128(0x7d1c_4f0e_7f55_5f0b_9c3a_0a2b_52f0_6a91);

impl Bom {
    /// The package list of a target as it was at `time`, by the extractors of the catalogue.
    pub fn new(report: &TargetReport, time: OffsetDateTime, catalogue: &Catalogue) -> Self {
        let mut systems = BTreeMap::new();
        let mut libraries: BTreeMap<String, Component> = BTreeMap::new();
        let places = report.storage.places();
        let place = |filesystem: usize| places.get(filesystem).cloned().unwrap_or_default();
        // Two systems may share a filesystem, and what is found on it.
        let mut known = HashSet::new();
        for (filesystem, system) in report.operating_systems() {
            let occurrence = occurrence(&system.evidence, place(filesystem));
            let reference = reference(system);
            if known.insert((reference.clone(), occurrence.clone())) {
                let component: &mut Component =
                    systems.entry(reference).or_insert_with(|| operating_system(system));
                component.add(occurrence);
            }
        }
        for installed in report.packages() {
            let Installed { tree, filesystem, package } = installed;
            let system = tree.findings.operating_system.as_ref();
            let purl = purl::of(package, system);
            let reference = purl.clone().unwrap_or_else(|| {
                let Package { name, version, architecture, kind, .. } = package;
                let architecture = architecture.as_deref().unwrap_or_default();
                format!("{}:{name}@{version}:{architecture}", kind.name())
            });
            // The same package on two filesystems is one component, found in two places.
            let occurrence = occurrence(&package.evidence, place(filesystem));
            if known.insert((reference.clone(), occurrence.clone())) {
                let component = libraries
                    .entry(reference)
                    .or_insert_with_key(|reference| library(package, system, reference.clone(), purl));
                component.add(occurrence);
            }
        }
        let components: Vec<_> = systems.into_values().chain(libraries.into_values()).collect();

        let unknowns = report.unknowns();
        let aggregate = if unknowns.is_empty() { "complete" } else { "incomplete" };
        let properties: Vec<_> = unknowns
            .iter()
            .map(|unknown| {
                let value = format!("{}: {}", unknown.text(), unknown.reason);
                Property::new("agentless-scanner:unknown", value)
            })
            .collect();

        let target = target(report);
        let target_ref = target.bom_ref.clone().unwrap_or_default();
        let all: Vec<_> = components.iter().filter_map(|component| component.bom_ref.clone()).collect();
        let mut bom = Self {
            schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
            format: "CycloneDX",
            spec_version: "1.6",
            serial_number: String::new(),
            version: 1,
            metadata: Metadata {
                timestamp: time.format(&Rfc3339).unwrap_or_default(),
                lifecycles: vec![Lifecycle { phase: "operations" }],
                tools: Tools { components: vec![tool(catalogue)] },
                component: target,
            },
            components,
            dependencies: vec![Dependency { reference: target_ref.clone(), depends_on: all }],
            compositions: vec![Composition { aggregate, assemblies: vec![target_ref] }],
            properties,
        };
        bom.serial_number = bom.serial();
        bom
    }

    /// Writes the document, indented, with a line end.
    pub fn write(&self, mut writer: impl Write) -> io::Result<()> {
        serde_json::to_writer_pretty(JsonText(&mut writer), self)?;
        writer.write_all(b"\n")
    }

    /// The serial number: from the target and what was found, so that the same contents have the same number whenever
    /// they are listed.
    fn serial(&self) -> String {
        let mut contents = Sha256::new();
        let parts = (
            &self.metadata.component,
            &self.metadata.tools,
            &self.components,
            &self.compositions,
            &self.properties,
        );
        // Writing to a hash cannot fail, and these types have no form that JSON lacks.
        let json = serde_json::to_vec(&parts).unwrap_or_default();
        contents.update(&json);
        Uuid::new_v5(&NAMESPACE, &contents.finalize()).urn().to_string()
    }
}

fn occurrence(evidence: &crate::package::Evidence, place: String) -> Occurrence {
    Occurrence { location: evidence.path.clone(), additional_context: place }
}

fn reference(system: &OperatingSystem) -> String {
    format!("operating-system:{}@{}", system.id, system.version.as_deref().unwrap_or_default())
}

fn target(report: &TargetReport) -> Component {
    Component {
        kind: match report.kind {
            "image" | "directory" => "file",
            _ => "device",
        },
        bom_ref: Some(format!("target:{}", report.target)),
        name: report.target.clone(),
        properties: vec![Property::new("agentless-scanner:target", report.kind)],
        ..Component::default()
    }
}

fn tool(catalogue: &Catalogue) -> Component {
    let extractors = catalogue.extractors.iter().map(|extractor| {
        Property::new("agentless-scanner:extractor", format!("{}@{}", extractor.name, extractor.version))
    });
    Component {
        kind: "application",
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        properties: extractors.collect(),
        ..Component::default()
    }
}

fn operating_system(system: &OperatingSystem) -> Component {
    Component {
        kind: "operating-system",
        bom_ref: Some(reference(system)),
        name: system.id.clone(),
        version: system.version.clone(),
        description: system.name.clone(),
        properties: vec![
            Property::new("agentless-scanner:extractor", &*system.evidence.extractor),
            Property::new("aquasecurity:trivy:Class", "os-pkgs"),
            Property::new("aquasecurity:trivy:Type", &*system.id),
        ],
        ..Component::default()
    }
}

fn library(
    package: &Package,
    system: Option<&OperatingSystem>,
    bom_ref: String,
    purl: Option<String>,
) -> Component {
    let mut properties = vec![Property::new("agentless-scanner:extractor", &*package.evidence.extractor)];
    let Details { source, maintainer, state, .. } = &package.details;
    if let Some(state) = state {
        properties.push(Property::new("agentless-scanner:state", &**state));
    }
    let Package { name, version, .. } = package;
    properties.push(Property::new("aquasecurity:trivy:PkgID", format!("{name}@{version}")));
    if let Some(system) = system {
        properties.push(Property::new("aquasecurity:trivy:PkgType", &*system.id));
    }
    if let (PackageKind::Deb, Some(source)) = (package.kind, source) {
        let version = DebVersion::new(&source.version);
        if version.epoch > 0 {
            properties.push(Property::new("aquasecurity:trivy:SrcEpoch", version.epoch.to_string()));
        }
        properties.push(Property::new("aquasecurity:trivy:SrcName", &*source.name));
        if let Some(revision) = version.revision {
            properties.push(Property::new("aquasecurity:trivy:SrcRelease", revision));
        }
        properties.push(Property::new("aquasecurity:trivy:SrcVersion", version.upstream));
    }
    let method =
        Method { technique: "manifest-analysis", confidence: 1, value: package.evidence.path.clone() };
    let identity = Identity { field: "purl", confidence: 1, methods: vec![method] };
    Component {
        kind: "library",
        bom_ref: Some(bom_ref),
        supplier: maintainer.clone().map(|name| Organization { name }),
        name: name.clone(),
        version: Some(version.clone()),
        evidence: Some(Evidence {
            identity: if purl.is_some() { vec![identity] } else { Vec::new() },
            occurrences: Vec::new(),
        }),
        purl,
        properties,
        ..Component::default()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use agentless_core::findings::{Findings, Gap};
    use serde_json::Value;
    use time::macros::datetime;

    use super::*;
    use crate::package::{self, SourcePackage};
    use crate::report::{
        Content, DeviceKind, DeviceReport, FilesystemReport, Journal, MountReport, StorageReport, TreeReport,
        VolumeReport, VolumeState,
    };

    fn evidence(path: &str, extractor: &str) -> package::Evidence {
        package::Evidence { path: path.to_owned(), within: None, extractor: extractor.to_owned() }
    }

    fn deb(name: &str, version: &str, architecture: &str) -> Package {
        Package {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: Some(architecture.to_owned()),
            kind: PackageKind::Deb,
            evidence: evidence("/var/lib/dpkg/status", "os/dpkg"),
            details: Details {
                source: Some(SourcePackage {
                    name: "util-linux".to_owned(),
                    version: "2:2.38.1-5+deb12u3".to_owned(),
                }),
                maintainer: Some("Debian \"quoted\" <x@y>".to_owned()),
                state: (name == "half").then(|| "half-configured".to_owned()),
                ..Details::default()
            },
        }
    }

    fn findings(gaps: Vec<Gap>) -> Findings {
        Findings {
            operating_system: Some(OperatingSystem {
                id: "debian".to_owned(),
                version: Some("12.15".to_owned()),
                name: Some("Debian GNU/Linux 12 (bookworm)".to_owned()),
                evidence: evidence("/etc/os-release", "os/release"),
            }),
            packages: vec![
                deb("bsdutils", "1:2.38.1-5+deb12u3", "amd64"),
                deb("half", "1.0", "amd64"),
                deb("zlib1g", "1:1.2.13", "amd64"),
                deb("zlib1g", "1:1.2.13", "i386"),
            ],
            gaps,
            ..Findings::default()
        }
    }

    fn gap() -> Gap {
        Gap { path: Some("/var/lib/rpm/Packages".to_owned()), extractor: None, reason: "not read".to_owned() }
    }

    /// An instance whose volumes have one filesystem each, on a partition.
    fn report(volumes: Vec<(&str, Vec<Gap>)>) -> TargetReport {
        let mut storage = StorageReport::default();
        for (index, (id, gaps)) in volumes.into_iter().enumerate() {
            storage.volumes.push(VolumeReport {
                id: id.to_owned(),
                device: None,
                size: Some(1 << 30),
                state: VolumeState::Read,
            });
            let disk = DeviceReport {
                name: id.to_owned(),
                kind: DeviceKind::Disk { volume: index },
                below: Vec::new(),
                size: Some(1 << 30),
                uuid: None,
                label: None,
                content: Content::Table { scheme: "mbr".to_owned() },
                problems: Vec::new(),
                notes: Vec::new(),
            };
            let partition = DeviceReport {
                name: format!("{id} partition 1"),
                kind: DeviceKind::Partition {
                    number: 1,
                    offset: 1 << 20,
                    code: "0x83".to_owned(),
                    uuid: None,
                    name: String::new(),
                },
                below: vec![index * 2],
                content: Content::Filesystem { filesystem: index },
                ..disk.clone()
            };
            storage.devices.extend([disk, partition]);
            storage.filesystems.push(FilesystemReport {
                format: "ext4".to_owned(),
                devices: vec![index * 2 + 1],
                journal: Journal::Clean,
                size: None,
                block_size: None,
                features: Vec::new(),
            });
            let mount = MountReport { path: "/".to_owned(), filesystem: index, part: None, assumed: None };
            storage.trees.push(TreeReport {
                is_system: true,
                mounts: vec![mount],
                findings: findings(gaps),
                ..TreeReport::default()
            });
        }
        TargetReport { target: "i-0123456789abcdef0".to_owned(), kind: "instance", storage }
    }

    const TIME: OffsetDateTime = datetime!(2026-11-21 06:00:00 UTC);

    fn document(report: &TargetReport, time: OffsetDateTime) -> Value {
        let mut bytes = Vec::new();
        Bom::new(report, time, &agentless_analyser::catalogue()).write(&mut bytes).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    fn component<'a>(document: &'a Value, bom_ref: &str) -> &'a Value {
        let components = document["components"].as_array().unwrap();
        components.iter().find(|component| component["bom-ref"] == bom_ref).unwrap()
    }

    /// The official schema, with those it refers to.
    fn assert_valid(document: &Value) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/schema");
        let read = |name: &str| -> Value {
            serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
        };
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
        let errors: Vec<_> = validator
            .iter_errors(document)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }

    #[test]
    fn lists_are_valid_by_the_official_schema() {
        assert_valid(&document(&report(vec![("vol-1", vec![gap()]), ("vol-2", vec![])]), TIME));
        assert_valid(&document(&report(vec![]), TIME));
    }

    #[test]
    fn the_schema_would_find_a_mistake() {
        let mut wrong = document(&report(vec![("vol-1", vec![])]), TIME);
        wrong["components"][0]["type"] = Value::from("nonsense");
        assert!(std::panic::catch_unwind(|| assert_valid(&wrong)).is_err());
    }

    #[test]
    fn the_same_disk_gives_the_same_bytes() {
        let list = || serde_json::to_string(&document(&report(vec![("vol-1", vec![])]), TIME)).unwrap();
        assert_eq!(list(), list());
    }

    #[test]
    fn the_serial_number_follows_the_contents_and_not_the_time() {
        let serial = |gaps, time| document(&report(vec![("vol-1", gaps)]), time)["serialNumber"].clone();
        assert_eq!(serial(vec![], TIME), serial(vec![], TIME + time::Duration::DAY));
        assert_ne!(serial(vec![], TIME), serial(vec![gap()], TIME));
    }

    #[test]
    fn a_package_carries_its_url_source_and_evidence() {
        let document = document(&report(vec![("vol-1", vec![])]), TIME);
        let purl = "pkg:deb/debian/bsdutils@2.38.1-5%2Bdeb12u3?arch=amd64&distro=debian-12.15&epoch=1";
        let package = component(&document, purl);
        assert_eq!(package["purl"], purl);
        assert_eq!(package["version"], "1:2.38.1-5+deb12u3");
        let properties: Vec<_> = package["properties"]
            .as_array()
            .unwrap()
            .iter()
            .map(|property| (property["name"].as_str().unwrap(), property["value"].as_str().unwrap()))
            .collect();
        assert_eq!(
            properties,
            [
                ("agentless-scanner:extractor", "os/dpkg"),
                ("aquasecurity:trivy:PkgID", "bsdutils@1:2.38.1-5+deb12u3"),
                ("aquasecurity:trivy:PkgType", "debian"),
                ("aquasecurity:trivy:SrcEpoch", "2"),
                ("aquasecurity:trivy:SrcName", "util-linux"),
                ("aquasecurity:trivy:SrcRelease", "5+deb12u3"),
                ("aquasecurity:trivy:SrcVersion", "2.38.1"),
            ]
        );
        let occurrence = &package["evidence"]["occurrences"][0];
        assert_eq!(occurrence["location"], "/var/lib/dpkg/status");
        assert_eq!(occurrence["additionalContext"], "vol-1 partition 1");
    }

    #[test]
    fn architectures_stand_side_by_side_and_copies_are_merged() {
        let document = document(&report(vec![("vol-1", vec![]), ("vol-2", vec![])]), TIME);
        let components = document["components"].as_array().unwrap();
        assert_eq!(components.len(), 5);
        let refs: std::collections::BTreeSet<_> =
            components.iter().map(|component| component["bom-ref"].as_str().unwrap()).collect();
        assert_eq!(refs.len(), 5);
        for component in components {
            assert_eq!(component["evidence"]["occurrences"].as_array().unwrap().len(), 2);
        }
    }

    #[test]
    fn what_was_not_read_makes_the_list_incomplete() {
        let whole = document(&report(vec![("vol-1", vec![])]), TIME);
        assert_eq!(whole["compositions"][0]["aggregate"], "complete");
        assert!(whole.get("properties").is_none());
        let partial = document(&report(vec![("vol-1", vec![gap()])]), TIME);
        assert_eq!(partial["compositions"][0]["aggregate"], "incomplete");
        assert_eq!(partial["properties"][0]["name"], "agentless-scanner:unknown");
        assert_eq!(partial["properties"][0]["value"], "vol-1 partition 1 /var/lib/rpm/Packages: not read");
    }
}
