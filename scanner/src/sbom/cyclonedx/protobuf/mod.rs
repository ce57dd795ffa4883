//! CycloneDX 1.4 in [protocol buffers](https://github.com/CycloneDX/specification/blob/1.4/schema/bom-1.4.proto).
//!
//! This form has neither places as evidence nor properties of the whole document: the first are properties of each component, the
//! second of the metadata.

mod message;

use std::io::{self, Write};

use message::{
    Aggregate, Bom, Classification, Component, Composition, Dependency, License, LicenseChoice, Metadata,
    OrganizationalEntity, Timestamp, Tool, choice, license,
};
use prost::Message;

use crate::sbom::document::{self, ComponentKind, Document, Licenses, Property};

/// Writes a document.
pub fn write(document: &Document, mut writer: impl Write) -> io::Result<()> {
    writer.write_all(&bom(document).encode_to_vec())
}

fn bom(document: &Document) -> Bom {
    let Document { subject, time, tool, components, relations, compositions, properties, serial, .. } =
        document;
    let metadata = Metadata {
        // The time of a list is one of whole seconds.
        timestamp: Some(Timestamp { seconds: time.unix_timestamp(), nanos: 0 }),
        tools: vec![Tool { name: Some(tool.name.to_owned()), version: Some(tool.version.to_owned()) }],
        component: Some(component(subject)),
        // A tool has none of its own here.
        properties: tool.properties.iter().chain(properties).map(property).collect(),
    };
    Bom {
        spec_version: "1.4".to_owned(),
        version: Some(1),
        serial_number: Some(serial.urn().to_string()),
        metadata: Some(metadata),
        components: components.iter().map(component).collect(),
        dependencies: relations.iter().map(dependency).collect(),
        compositions: compositions.iter().map(composition).collect(),
    }
}

fn component(component: &document::Component) -> Component {
    let document::Component { reference, group, name, version, description, supplier, purl, .. } = component;
    let document::Component { licenses, components, properties, occurrences, .. } = component;
    let kind = match component.kind {
        ComponentKind::Application => Classification::Application,
        ComponentKind::Container => Classification::Container,
        ComponentKind::Device => Classification::Device,
        ComponentKind::File => Classification::File,
        ComponentKind::Library => Classification::Library,
        ComponentKind::OperatingSystem => Classification::OperatingSystem,
        // CycloneDX 1.4 has nothing closer.
        ComponentKind::Platform => Classification::Framework,
    };
    let places = occurrences.iter().map(|occurrence| {
        let value = format!("{} on {}", occurrence.location, occurrence.context());
        property(&Property::new("agentless-scanner:occurrence", value))
    });
    Component {
        kind: kind.into(),
        bom_ref: Some(reference.clone()),
        supplier: supplier.clone().map(|name| OrganizationalEntity { name: Some(name) }),
        group: group.clone(),
        name: name.clone(),
        version: version.clone().unwrap_or_default(),
        description: description.clone(),
        licenses: choices(licenses),
        purl: purl.clone(),
        components: components.iter().map(self::component).collect(),
        properties: properties.iter().map(property).chain(places).collect(),
    }
}

fn choices(licenses: &Licenses) -> Vec<LicenseChoice> {
    let choice = |choice| LicenseChoice { choice: Some(choice) };
    let license = |found: &document::License| {
        let license = match found {
            document::License::Id(id) => license::License::Id(id.clone()),
            document::License::Name(name) => license::License::Name(name.clone()),
        };
        choice(choice::Choice::License(License { license: Some(license) }))
    };
    match licenses {
        Licenses::None => Vec::new(),
        Licenses::Expression(expression) => vec![choice(choice::Choice::Expression(expression.clone()))],
        Licenses::List(list) => list.iter().map(license).collect(),
    }
}

/// In this form, what is needed stands inside, and has nothing inside itself.
fn dependency(relation: &document::Relation) -> Dependency {
    let needed = relation.contains.union(&relation.needs);
    let needed =
        needed.map(|reference| Dependency { reference: reference.clone(), dependencies: Vec::new() });
    Dependency { reference: relation.reference.clone(), dependencies: needed.collect() }
}

fn composition(composition: &document::Composition) -> Composition {
    let aggregate = if composition.is_complete { Aggregate::Complete } else { Aggregate::Incomplete };
    Composition { aggregate: aggregate.into(), assemblies: vec![composition.assembly.clone()] }
}

fn property(property: &Property) -> message::Property {
    message::Property { name: property.name.to_owned(), value: Some(property.value.clone()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sbom::testing;

    /// That the numbers are those of the specification is for an independent reader to say: see `tests/tests/consumers`.
    #[test]
    fn everything_comes_back_from_the_bytes() {
        let document = testing::document();
        let mut bytes = Vec::new();
        write(&document, &mut bytes).unwrap();
        let read = Bom::decode(bytes.as_slice()).unwrap();
        assert_eq!(read, bom(&document));
        assert_eq!(read.components.len(), document.components.len());
        let subject = read.metadata.unwrap().component.unwrap();
        assert_eq!(subject.bom_ref.as_deref(), Some("target:i-0123456789abcdef0"));
    }
}
