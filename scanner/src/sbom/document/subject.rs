//! What a document is the list of.

use std::collections::BTreeSet;

use super::component::{Component, ComponentKind, Property};
use super::container;
use crate::report::{TargetReport, TreeReport};

/// A target as a whole.
pub(super) fn target(report: &TargetReport) -> Component {
    let kind = match report.kind {
        "function" => ComponentKind::Application,
        "image" | "directory" => ComponentKind::File,
        _ => ComponentKind::Device,
    };
    let about = report.about.iter().map(|(name, value)| Property::new(name, &**value));
    let target = Property::new("agentless-scanner:target", report.kind);
    Component {
        properties: about.chain([target]).collect(),
        ..Component::new(kind, format!("target:{}", report.target), report.target.clone())
    }
}

/// The systems and the containers of a target, each with its tree. Filesystems that are part of no system stand for themselves
/// if there is anything to say about them. Where there is neither, the target stands for what could not be read.
pub(super) fn all(report: &TargetReport) -> Vec<(Component, Option<&TreeReport>)> {
    let storage = &report.storage;
    let (hosts, containers): (Vec<_>, Vec<_>) =
        storage.trees.iter().partition(|tree| tree.container.is_none());
    let is_worth_it = |tree: &&TreeReport| {
        tree.is_system || !tree.findings.packages.is_empty() || !storage.unknowns_of(tree).is_empty()
    };
    let hosts: Vec<_> = hosts.into_iter().filter(is_worth_it).collect();
    let whole = target(report);
    let mut subjects = Vec::new();
    match hosts.as_slice() {
        [] => subjects.push((whole, None)),
        [only] => subjects.push((whole, Some(*only))),
        several => {
            let systems = (1_usize..).zip(several).map(|(number, &tree)| {
                let mut system = whole.clone();
                system.reference = format!("{}#{number}", whole.reference);
                system.description = Some(format!("{} of {}", storage.place_of(tree.root()), report.target));
                system.properties.insert(Property::new("agentless-scanner:system", number.to_string()));
                (system, Some(tree))
            });
            subjects.extend(systems);
        }
    }
    let mut taken = BTreeSet::new();
    for tree in containers {
        let Some(found) = &tree.container else { continue };
        let mut subject = container::component(found, container::reference(found, &mut taken));
        subject.properties.insert(Property::new("agentless-scanner:host", &*report.target));
        subjects.push((subject, Some(tree)));
    }
    subjects
}

impl super::Document {
    /// A name for a file with this list in it, without an ending: of the target and, where that has several, of the system or the
    /// container. Made of a few harmless characters only. Two containers may have the same.
    pub fn file_name(&self, target: &str) -> String {
        // Of a path, the last part says what it is; of a root directory there is none.
        let target = target.trim_end_matches('/').rsplit('/').next().filter(|name| !name.is_empty());
        let target = container::slug(target.unwrap_or("root"));
        // A name that begins with a dot is hidden.
        let target = target.trim_start_matches('.');
        let value = |name| {
            let property = self.subject.properties.iter().find(|property| property.name == name);
            property.map(|property| container::slug(&property.value))
        };
        let part =
            match (value("agentless-scanner:container:engine"), value("agentless-scanner:container:id")) {
                (Some(engine), Some(id)) => format!(".{engine}-{}", id.chars().take(12).collect::<String>()),
                _ => value("agentless-scanner:system")
                    .map(|number| format!(".system-{number}"))
                    .unwrap_or_default(),
            };
        format!("{target}{part}")
    }
}
