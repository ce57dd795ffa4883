//! What a package list says, whatever the format.
//!
//! Made only of the target, of what was found and of the time: the same disk gives the same document.

mod component;
mod container;
mod contents;
mod dependencies;
mod license;
mod package;
mod properties;
mod subject;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use agentless_core::catalogue::Catalogue;
use serde::Serialize;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

pub use component::{Component, ComponentKind, Confidence, Method, Occurrence, Property, Technique};
pub use license::{License, Licenses, is_expression};
pub use package::location;

use crate::report::{TargetReport, TreeReport, Unknown};
use contents::{Contents, Storage};

/// A package list.
#[derive(Clone, Debug)]
pub struct Document {
    /// What it is the list of.
    pub subject: Component,
    /// The point in time that it shows.
    pub time: OffsetDateTime,
    /// What made it.
    pub tool: Tool,
    /// Operating systems, then packages, then containers, each sorted by reference.
    pub components: Vec<Component>,
    /// What contains what, and what needs what, sorted. What is not in it contains and needs nothing that is known.
    pub relations: Vec<Relation>,
    /// Which parts are complete: the subject, and each container in it.
    pub compositions: Vec<Composition>,
    /// What could not be read.
    pub properties: Vec<Property>,
    /// Its identity: the same contents have the same whenever they are listed.
    pub serial: Uuid,
    /// SHA-256 of the contents, of which the serial number is made.
    hash: [u8; 32],
}

/// The program that made a document.
#[derive(Clone, Debug, Serialize)]
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What it looks for: its extractors, each with its version.
    pub properties: Vec<Property>,
}

/// What a component contains and needs, by reference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Relation {
    /// The component, or the subject.
    pub reference: String,
    /// What is installed in it.
    pub contains: BTreeSet<String>,
    /// What it says that it needs, and is there.
    pub needs: BTreeSet<String>,
}

/// Whether everything in a component, or in the subject, was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Composition {
    /// Its reference.
    pub assembly: String,
    /// Whether everything was.
    pub is_complete: bool,
}

/// What a document is made with.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// The point in time that the report shows.
    pub time: OffsetDateTime,
    /// What was looked for.
    pub catalogue: &'a Catalogue,
    /// Whether the URLs of packages name their source packages.
    pub upstream: bool,
}

impl Document {
    /// The list of a whole target. What is in containers is listed in them.
    pub fn whole(report: &TargetReport, options: Options<'_>) -> Self {
        let storage = Storage::new(&report.storage);
        let subject = subject::target(report);
        let mut contents = Contents::new(&storage, options, &subject.reference);
        for tree in &report.storage.trees {
            contents.add(tree);
        }
        contents.add_platform(report);
        let hosts = report.storage.trees.iter().filter(|tree| tree.container.is_none());
        let of_hosts = hosts.flat_map(|tree| report.storage.unknowns_of(tree));
        let unknowns: Vec<_> = storage.unknowns.iter().cloned().chain(of_hosts).collect();
        let is_complete = report.unknowns().is_empty();
        Self::new(subject, contents, &unknowns, is_complete, options)
    }

    /// A list for each system, and for each container. There is at least one, and nothing of [`whole`](Self::whole) is in none.
    pub fn all(report: &TargetReport, options: Options<'_>) -> Vec<Self> {
        let storage = Storage::new(&report.storage);
        let list = |(subject, tree): (Component, Option<&TreeReport>)| {
            let mut unknowns = storage.unknowns.clone();
            // A container can only miss what was on its own volumes; a system may have had anything on any of them.
            if let Some(tree) = tree.filter(|tree| tree.container.is_some()) {
                let volumes = report.storage.volumes_of_tree(tree);
                unknowns.retain(|unknown| unknown.volumes.iter().any(|volume| volumes.contains(volume)));
            }
            let mut contents = Contents::new(&storage, options, &subject.reference);
            if let Some(tree) = tree {
                contents.add_packages(tree);
                if tree.container.is_none() {
                    contents.add_platform(report);
                }
                unknowns.extend(report.storage.unknowns_of(tree));
            }
            let is_complete = unknowns.is_empty();
            Self::new(subject, contents, &unknowns, is_complete, options)
        };
        subject::all(report).into_iter().map(list).collect()
    }

    fn new(
        subject: Component,
        contents: Contents<'_>,
        unknowns: &[Unknown],
        is_complete: bool,
        options: Options<'_>,
    ) -> Self {
        let (components, relations, of_containers) = contents.finish();
        let whole = Composition { assembly: subject.reference.clone(), is_complete };
        let mut document = Self {
            subject,
            time: options.time,
            tool: Tool::new(options.catalogue),
            components,
            relations,
            compositions: std::iter::once(whole).chain(of_containers).collect(),
            properties: unknowns.iter().map(unknown).collect(),
            serial: Uuid::nil(),
            hash: [0; 32],
        };
        document.hash = document.contents_hash();
        document.serial = Uuid::new_v5(&NAMESPACE, &document.hash);
        document
    }

    /// The hash of the contents, without the time, in hexadecimal.
    pub fn digest(&self) -> String {
        self.hash.iter().fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    fn contents_hash(&self) -> [u8; 32] {
        let Self {
            subject,
            time: _,
            tool,
            components,
            relations,
            compositions,
            properties,
            serial: _,
            hash: _,
        } = self;
        let contents = (subject, tool, components, relations, compositions, properties);
        let mut hash = HashWriter(Sha256::new());
        // Writing to a hash cannot fail, and these types have no form that JSON lacks.
        let _ = serde_json::to_writer(&mut hash, &contents);
        hash.0.finalize().into()
    }
}

/// The namespace of the serial numbers (RFC 9562, section 5.5), itself made from the project's name.
const NAMESPACE: Uuid = Uuid::from_u128(0x7d1c_4f0e_7f55_5f0b_9c3a_0a2b_52f0_6a91);

impl Tool {
    fn new(catalogue: &Catalogue) -> Self {
        let extractors = catalogue.extractors.iter().map(|extractor| {
            Property::new("agentless-scanner:extractor", format!("{}@{}", extractor.name, extractor.version))
        });
        Self {
            name: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
            properties: extractors.collect(),
        }
    }
}

/// Something that could not be read, as a property.
fn unknown(unknown: &Unknown) -> Property {
    Property::new("agentless-scanner:unknown", format!("{}: {}", unknown.text(), unknown.reason))
}

/// A hash of what is written to it: a list of a hundred thousand packages need not be in memory a second time.
struct HashWriter(Sha256);

impl std::io::Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let Self(hash) = self;
        hash.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
