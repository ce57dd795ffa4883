//! Packages and operating systems as components.

use std::collections::BTreeSet;

use super::component::{Component, ComponentKind, Confidence, Method, Occurrence, Technique};
use super::license::Licenses;
use super::properties;
use crate::package::{Certainty, Evidence, OperatingSystem, Package, PackageKind, Record};
use crate::sbom::purl;

/// A package that was found at one place.
pub(super) fn component(
    package: &Package,
    system: Option<&OperatingSystem>,
    place: &str,
    upstream: bool,
) -> Component {
    let purl = purl::of(package, system, upstream);
    let reference = purl.clone().unwrap_or_else(|| without_url(package));
    let occurrence = occurrence(package, place);
    let (group, name) = names(package);
    Component {
        group,
        version: Some(package.version.clone()),
        supplier: package.details.maintainer.clone().filter(|name| !name.is_empty()),
        licenses: Licenses::new(&package.details.licenses, package.kind),
        methods: BTreeSet::from([method(package, &occurrence)]),
        properties: properties::of_package(package, system, &occurrence),
        occurrences: BTreeSet::from([occurrence]),
        purl,
        ..Component::new(ComponentKind::Library, reference, name)
    }
}

/// An operating system that was found at one place.
pub(super) fn operating_system(system: &OperatingSystem, place: &str) -> Component {
    let reference =
        format!("operating-system:{}@{}", system.id, system.version.as_deref().unwrap_or_default());
    let occurrence =
        Occurrence { location: location(&system.evidence), place: place.to_owned(), is_locked: false };
    Component {
        version: system.version.clone(),
        description: system.name.clone(),
        properties: properties::of_system(system),
        occurrences: BTreeSet::from([occurrence]),
        ..Component::new(ComponentKind::OperatingSystem, reference, system.id.clone())
    }
}

/// Where a package was found.
pub(super) fn occurrence(package: &Package, place: &str) -> Occurrence {
    let is_locked = package.details.record == Record::Locked;
    Occurrence { location: location(&package.evidence), place: place.to_owned(), is_locked }
}

/// A file, and the path in it, if it is an archive.
pub fn location(Evidence { path, within, extractor: _ }: &Evidence) -> String {
    match within {
        Some(within) => format!("{path}!/{within}"),
        None => path.clone(),
    }
}

/// What a package is called in a document if no package URL can carry its name.
fn without_url(Package { name, version, architecture, kind, .. }: &Package) -> String {
    let architecture = architecture.as_ref().map(|name| format!(":{name}")).unwrap_or_default();
    format!("{}:{name}@{version}{architecture}", kind.name())
}

/// Group and name. Of these two kinds only: consumers expect the groups of others in the name.
fn names(Package { name, kind, .. }: &Package) -> (Option<String>, String) {
    let parts = match kind {
        PackageKind::Maven => name.split_once(':'),
        PackageKind::Npm => name.split_once('/').filter(|(scope, _)| scope.starts_with('@')),
        _ => None,
    };
    parts.map_or_else(|| (None, name.clone()), |(group, name)| (Some(group.to_owned()), name.to_owned()))
}

fn method(package: &Package, occurrence: &Occurrence) -> Method {
    let is_binary = matches!(&*package.evidence.extractor, "lang/go" | "lang/rust");
    let technique = match package.details.certainty {
        Certainty::Guessed => Technique::Filename,
        _ if is_binary => Technique::BinaryAnalysis,
        _ => Technique::ManifestAnalysis,
    };
    let confidence = match package.details.certainty {
        Certainty::Recorded => Confidence::Recorded,
        Certainty::Derived => Confidence::Derived,
        Certainty::Guessed => Confidence::Guessed,
    };
    Method { confidence, technique, value: occurrence.location.clone() }
}
