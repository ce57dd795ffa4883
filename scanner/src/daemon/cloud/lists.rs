//! What was found, as package lists for the sinks.

use std::io;

use agentless_core::catalogue::Catalogue;
use agentless_service::report::{List, Subject};
use agentless_service::tasks::Actions;

use crate::sbom::Format;
use crate::sbom::document::{Component, ComponentKind, Document, Options};
use crate::scan::Scan;

/// A list for each system and each container that was asked for.
pub(super) fn lists(scan: &Scan, catalogue: &Catalogue, actions: Actions) -> io::Result<Vec<List>> {
    let options = Options { time: scan.time, catalogue, upstream: false };
    let of_target = actions.host_os || actions.applications;
    let documents = Document::all(&scan.report, options).into_iter();
    documents
        // A task that wants containers alone gets the system's list where there are none: it says what could not be read.
        .filter(|document| of_target || is_container(document) || !has_containers(scan))
        .map(|document| list(&document, scan))
        .collect()
}

fn has_containers(scan: &Scan) -> bool {
    scan.report.storage.trees.iter().any(|tree| tree.container.is_some())
}

fn is_container(document: &Document) -> bool {
    document.subject.kind == ComponentKind::Container
}

fn list(document: &Document, scan: &Scan) -> io::Result<List> {
    let written = |format: Format| {
        let mut bytes = Vec::new();
        format.write(document, &mut bytes).map(|()| bytes.into())
    };
    let is_complete = document
        .compositions
        .iter()
        .filter(|composition| composition.assembly == document.subject.reference)
        .all(|composition| composition.is_complete);
    Ok(List {
        subject: if is_container(document) {
            Subject::Container { image: image(&document.subject) }
        } else {
            Subject::Target
        },
        name: document.file_name(&scan.report.target),
        is_complete,
        hash: document.digest(),
        json: written(Format::CyclonedxJson)?,
        protobuf: written(Format::CyclonedxProtobuf)?,
    })
}

/// The reference of a container's image: its name, and its digest where that is known and not part of it.
fn image(container: &Component) -> String {
    match &container.version {
        Some(digest) if !container.name.contains('@') => format!("{}@{digest}", container.name),
        _ => container.name.clone(),
    }
}
