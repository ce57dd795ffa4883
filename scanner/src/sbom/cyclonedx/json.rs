//! CycloneDX 1.6 in JSON ([ECMA-424](https://cyclonedx.org/docs/1.6/json/)).

use std::io::{self, Write};

use agentless_core::text::JsonText;
use serde::{Serialize, Serializer};
use time::format_description::well_known::Rfc3339;

use crate::sbom::document::{self, ComponentKind, Document, License, Licenses, Occurrence, Property};

/// Writes a document, indented, with a line end.
pub fn write(document: &Document, mut writer: impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(JsonText(&mut writer), &Bom::of(document))?;
    writer.write_all(b"\n")
}

/// The fields of every object stand in the order of the specification.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bom<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    #[serde(rename = "bomFormat")]
    format: &'static str,
    spec_version: &'static str,
    serial_number: String,
    version: u32,
    metadata: Metadata<'a>,
    components: Vec<Component<'a>>,
    dependencies: Vec<Dependency<'a>>,
    compositions: Vec<Composition<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<NamedValue<'a>>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    timestamp: String,
    lifecycles: [Lifecycle; 1],
    tools: Tools<'a>,
    component: Component<'a>,
}

#[derive(Serialize)]
struct Lifecycle {
    phase: &'static str,
}

#[derive(Serialize)]
struct Tools<'a> {
    components: [Tool<'a>; 1],
}

#[derive(Serialize)]
struct Tool<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'a str,
    version: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<NamedValue<'a>>,
}

#[derive(Serialize)]
struct Component<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "bom-ref")]
    bom_ref: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    supplier: Option<Organization<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<LicenseChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    components: Vec<Self>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<Evidence<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<NamedValue<'a>>,
}

#[derive(Serialize)]
struct Organization<'a> {
    name: &'a str,
}

/// Either one expression or any number of licences: the schema allows no mixture.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum LicenseChoice<'a> {
    License(LicenseName<'a>),
    Expression(&'a str),
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum LicenseName<'a> {
    Id(&'a str),
    Name(&'a str),
}

#[derive(Serialize)]
struct Evidence<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<[Identity<'a>; 1]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    occurrences: Vec<Place<'a>>,
}

#[derive(Serialize)]
struct Identity<'a> {
    field: &'static str,
    #[serde(serialize_with = "confidence")]
    confidence: f64,
    methods: Vec<Method<'a>>,
}

#[derive(Serialize)]
struct Method<'a> {
    technique: &'static str,
    #[serde(serialize_with = "confidence")]
    confidence: f64,
    value: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Place<'a> {
    location: &'a str,
    additional_context: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency<'a> {
    #[serde(rename = "ref")]
    reference: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<&'a str>,
}

#[derive(Serialize)]
struct Composition<'a> {
    aggregate: &'static str,
    assemblies: [&'a str; 1],
}

#[derive(Serialize)]
struct NamedValue<'a> {
    name: &'a str,
    value: &'a str,
}

impl<'a> Bom<'a> {
    fn of(document: &'a Document) -> Self {
        let Document { subject, time, tool, components, relations, compositions, properties, serial, .. } =
            document;
        let tool = Tool {
            kind: "application",
            name: tool.name,
            version: tool.version,
            properties: named(&tool.properties),
        };
        Self {
            schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
            format: "CycloneDX",
            spec_version: "1.6",
            serial_number: serial.urn().to_string(),
            version: 1,
            metadata: Metadata {
                timestamp: time.format(&Rfc3339).unwrap_or_default(),
                lifecycles: [Lifecycle { phase: "operations" }],
                tools: Tools { components: [tool] },
                component: Component::of(subject),
            },
            components: components.iter().map(Component::of).collect(),
            dependencies: relations.iter().map(Dependency::of).collect(),
            compositions: compositions.iter().map(Composition::of).collect(),
            properties: named(properties),
        }
    }
}

impl<'a> Component<'a> {
    fn of(component: &'a document::Component) -> Self {
        let document::Component { reference, group, name, version, description, supplier, purl, .. } =
            component;
        let document::Component { licenses, components, properties, .. } = component;
        Self {
            kind: match component.kind {
                ComponentKind::Application => "application",
                ComponentKind::Container => "container",
                ComponentKind::Device => "device",
                ComponentKind::File => "file",
                ComponentKind::Library => "library",
                ComponentKind::OperatingSystem => "operating-system",
                ComponentKind::Platform => "platform",
            },
            bom_ref: reference,
            supplier: supplier.as_deref().map(|name| Organization { name }),
            group: group.as_deref(),
            name,
            version: version.as_deref(),
            description: description.as_deref(),
            licenses: match licenses {
                Licenses::None => Vec::new(),
                Licenses::Expression(expression) => vec![LicenseChoice::Expression(expression)],
                Licenses::List(list) => list.iter().map(LicenseChoice::of).collect(),
            },
            purl: purl.as_deref(),
            components: components.iter().map(Self::of).collect(),
            evidence: Evidence::of(component),
            properties: named(properties),
        }
    }
}

impl<'a> LicenseChoice<'a> {
    fn of(license: &'a License) -> Self {
        Self::License(match license {
            License::Id(id) => LicenseName::Id(id),
            License::Name(name) => LicenseName::Name(name),
        })
    }
}

impl<'a> Evidence<'a> {
    fn of(component: &'a document::Component) -> Option<Self> {
        let document::Component { methods, occurrences, purl, .. } = component;
        let method = |method: &'a document::Method| Method {
            technique: method.technique.name(),
            confidence: method.confidence.value(),
            value: &method.value,
        };
        let identity = methods.first().map(|surest| {
            [Identity {
                field: if purl.is_some() { "purl" } else { "name" },
                confidence: surest.confidence.value(),
                methods: methods.iter().map(method).collect(),
            }]
        });
        let place = |occurrence: &'a Occurrence| Place {
            location: &occurrence.location,
            additional_context: occurrence.context(),
        };
        let is_there = !methods.is_empty() || !occurrences.is_empty();
        is_there.then(|| Self { identity, occurrences: occurrences.iter().map(place).collect() })
    }
}

impl<'a> Dependency<'a> {
    fn of(relation: &'a document::Relation) -> Self {
        let depends_on = relation.contains.union(&relation.needs).map(String::as_str).collect();
        Self { reference: &relation.reference, depends_on }
    }
}

impl<'a> Composition<'a> {
    fn of(composition: &'a document::Composition) -> Self {
        let aggregate = if composition.is_complete { "complete" } else { "incomplete" };
        Self { aggregate, assemblies: [&composition.assembly] }
    }
}

fn named<'a>(properties: impl IntoIterator<Item = &'a Property>) -> Vec<NamedValue<'a>> {
    let named = |property: &'a Property| NamedValue { name: property.name, value: &property.value };
    properties.into_iter().map(named).collect()
}

/// As a whole number where it is one: `1`, not `1.0`.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "this is what serde calls")]
fn confidence<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if *value >= 1.0 { serializer.serialize_u8(1) } else { serializer.serialize_f64(*value) }
}

#[cfg(test)]
mod tests;
