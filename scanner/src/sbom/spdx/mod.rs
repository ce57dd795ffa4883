//! SPDX 2.3 in [JSON](https://spdx.github.io/spdx-spec/v2.3/).
//!
//! What a component contains is in the relationship `CONTAINS` to it, what it needs in `DEPENDS_ON`. For what else is known there
//! are annotations, in the words of the properties of the other formats.

#![expect(clippy::struct_field_names, reason = "fields have the names of the specification")]

mod license;
mod names;

use std::collections::BTreeMap;
use std::io::{self, Write};

use agentless_core::text::JsonText;
use serde::Serialize;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::document::{Component, ComponentKind, Document};
use license::Extracted;

/// Writes a document, indented, with a line end.
pub fn write(document: &Document, mut writer: impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(JsonText(&mut writer), &Spdx::of(document))?;
    writer.write_all(b"\n")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Spdx<'a> {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    id: &'static str,
    name: &'a str,
    document_namespace: String,
    creation_info: Creation,
    comment: &'static str,
    packages: Vec<Package<'a>>,
    relationships: Vec<Relationship>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    has_extracted_licensing_infos: Vec<Extracted>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    annotations: Vec<Annotation>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Creation {
    created: String,
    creators: [String; 1],
    license_list_version: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Package<'a> {
    #[serde(rename = "SPDXID")]
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_info: Option<&'a str>,
    supplier: String,
    download_location: &'static str,
    files_analyzed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_info: Option<String>,
    license_concluded: &'static str,
    license_declared: String,
    copyright_text: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'a str>,
    primary_package_purpose: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<ExternalRef<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    annotations: Vec<Annotation>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExternalRef<'a> {
    reference_category: &'static str,
    reference_type: &'static str,
    reference_locator: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    relationship_type: &'static str,
    related_spdx_element: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Annotation {
    annotator: String,
    annotation_date: String,
    annotation_type: &'static str,
    comment: String,
}

/// The document itself, in relationships.
const DOCUMENT: &str = "SPDXRef-DOCUMENT";

/// For what was not looked for (SPDX 2.3, clause 7).
const NO_ASSERTION: &str = "NOASSERTION";

impl<'a> Spdx<'a> {
    fn of(document: &'a Document) -> Self {
        let Document { subject, time, tool, components, relations, compositions, properties, serial, .. } =
            document;
        let created = time.format(&Rfc3339).unwrap_or_default();
        let creator = format!("Tool: {}-{}", tool.name, tool.version);
        let annotation = |comment: String| Annotation {
            annotator: creator.clone(),
            annotation_date: created.clone(),
            annotation_type: "OTHER",
            comment,
        };
        let is_complete: BTreeMap<_, _> = compositions
            .iter()
            .map(|composition| (&*composition.assembly, composition.is_complete))
            .collect();
        let mut extracted = BTreeMap::new();
        let mut packages = Vec::new();
        let mut waiting: Vec<_> = std::iter::once(subject).chain(components).rev().collect();
        while let Some(component) = waiting.pop() {
            // In a container there is no other, and what is in it stands behind it.
            waiting.extend(component.components.iter().rev());
            let known =
                component.properties.iter().map(|property| format!("{}: {}", property.name, property.value));
            let complete = is_complete.get(&*component.reference);
            let complete = complete.map(|complete| format!("agentless-scanner:complete: {complete}"));
            let annotations = known.chain(complete).map(annotation).collect();
            packages.push(Package { annotations, ..Package::of(component, &mut extracted) });
        }
        let unknowns = properties.iter().map(|property| format!("{}: {}", property.name, property.value));
        let of_tool = tool.properties.iter().map(|property| format!("{}: {}", property.name, property.value));
        let is_whole = is_complete.get(&*subject.reference).copied().unwrap_or_default();
        Self {
            spdx_version: "SPDX-2.3",
            data_license: "CC0-1.0",
            id: DOCUMENT,
            name: &subject.name,
            // Another for each document, even of the same contents.
            document_namespace: Uuid::new_v5(serial, created.as_bytes()).urn().to_string(),
            comment: if is_whole {
                "Everything that was found was read."
            } else {
                "This list is incomplete: the annotations agentless-scanner:unknown say what could not be read."
            },
            packages,
            relationships: relationships(subject, relations),
            has_extracted_licensing_infos: extracted.into_values().collect(),
            annotations: of_tool.chain(unknowns).map(annotation).collect(),
            creation_info: Creation {
                creators: [creator.clone()],
                created: created.clone(),
                // The document names the first two numbers.
                license_list_version: ::spdx::license_version()
                    .rsplit_once('.')
                    .unwrap_or_default()
                    .0
                    .to_owned(),
            },
        }
    }
}

impl<'a> Package<'a> {
    fn of(component: &'a Component, extracted: &mut BTreeMap<String, Extracted>) -> Self {
        let purl = component.purl.as_deref().map(|purl| ExternalRef {
            reference_category: "PACKAGE-MANAGER",
            reference_type: "purl",
            reference_locator: purl,
        });
        let places: Vec<_> = component
            .occurrences
            .iter()
            .map(|occurrence| format!("{} on {}", occurrence.location, occurrence.context()))
            .collect();
        Self {
            id: names::id(&component.reference),
            name: names::full(component),
            version_info: component.version.as_deref(),
            supplier: component.supplier.as_deref().map_or_else(|| NO_ASSERTION.to_owned(), names::supplier),
            download_location: NO_ASSERTION,
            files_analyzed: false,
            source_info: (!places.is_empty()).then(|| format!("found in {}", places.join(", "))),
            license_concluded: NO_ASSERTION,
            license_declared: license::declared(&component.licenses, extracted),
            copyright_text: NO_ASSERTION,
            summary: component.description.as_deref(),
            primary_package_purpose: match component.kind {
                ComponentKind::Application => "APPLICATION",
                ComponentKind::Container => "CONTAINER",
                ComponentKind::Device => "DEVICE",
                ComponentKind::File => "FILE",
                ComponentKind::Library => "LIBRARY",
                // As the schema of the JSON form has it; the specification's own text has a hyphen.
                ComponentKind::OperatingSystem => "OPERATING_SYSTEM",
                ComponentKind::Platform => "FRAMEWORK",
            },
            external_refs: purl.into_iter().collect(),
            annotations: Vec::new(),
        }
    }
}

fn relationships(subject: &Component, relations: &[super::document::Relation]) -> Vec<Relationship> {
    let described = Relationship {
        spdx_element_id: DOCUMENT.to_owned(),
        relationship_type: "DESCRIBES",
        related_spdx_element: names::id(&subject.reference),
    };
    let mut relationships = vec![described];
    for relation in relations {
        let id = names::id(&relation.reference);
        for (relationship_type, others) in [("CONTAINS", &relation.contains), ("DEPENDS_ON", &relation.needs)]
        {
            relationships.extend(others.iter().map(|other| Relationship {
                spdx_element_id: id.clone(),
                relationship_type,
                related_spdx_element: names::id(other),
            }));
        }
    }
    relationships
}

#[cfg(test)]
mod tests;
