//! The components of a document, and what they have to do with each other.

use std::collections::{BTreeMap, BTreeSet};

use super::component::{Component, ComponentKind, Confidence, Property};
use super::dependencies::Names;
use super::{Composition, Options, Relation, container, package, unknown};
use crate::report::{Container, RUNTIME, StorageReport, TargetReport, TreeReport, Unknown};

/// What is worked out once for all trees: a hostile disk may have many.
pub(super) struct Storage<'a> {
    report: &'a StorageReport,
    /// The places of the filesystems.
    places: Vec<String>,
    /// What could not be read of volumes, devices and filesystems.
    pub(super) unknowns: Vec<Unknown>,
    /// The volumes of which something could not.
    incomplete: BTreeSet<String>,
}

impl<'a> Storage<'a> {
    /// The storage of a target.
    pub(super) fn new(report: &'a StorageReport) -> Self {
        let unknowns = report.unknowns_of_storage();
        let incomplete = unknowns.iter().flat_map(|unknown| unknown.volumes.iter().cloned()).collect();
        Self { report, places: report.places(), unknowns, incomplete }
    }
}

/// What was found in some of the trees of a target.
pub(super) struct Contents<'a> {
    storage: &'a Storage<'a>,
    options: Options<'a>,
    /// The reference of what contains everything.
    root: String,
    /// What stands before the references of what is in it, which may be elsewhere in the document, too.
    prefix: String,
    components: BTreeMap<(Rank, String), Component>,
    relations: BTreeMap<String, Relation>,
    compositions: Vec<Composition>,
    containers: BTreeSet<String>,
}

/// The order of components.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    System,
    Package,
    Container,
}

impl<'a> Contents<'a> {
    /// Nothing yet.
    pub(super) fn new(storage: &'a Storage<'a>, options: Options<'a>, root: &str) -> Self {
        Self {
            storage,
            options,
            root: root.to_owned(),
            prefix: String::new(),
            components: BTreeMap::new(),
            relations: BTreeMap::new(),
            compositions: Vec::new(),
            containers: BTreeSet::new(),
        }
    }

    /// Adds a tree: a container as a component with what is in it, another one as part of the whole.
    pub(super) fn add(&mut self, tree: &TreeReport) {
        match &tree.container {
            Some(container) => self.add_container(tree, container),
            None => self.add_packages(tree),
        }
    }

    fn add_container(&mut self, tree: &TreeReport, container: &Container) {
        let Storage { report, incomplete, .. } = self.storage;
        let reference = container::reference(container, &mut self.containers);
        let mut inside = Self::new(self.storage, self.options, &reference);
        inside.prefix = format!("{reference}/");
        inside.add_packages(tree);
        let (components, relations, _) = inside.finish();
        self.relations.extend(relations.into_iter().map(|relation| (relation.reference.clone(), relation)));

        let unknowns = report.unknowns_of(tree);
        let mut component = Component { components, ..container::component(container, reference.clone()) };
        component.properties.extend(unknowns.iter().map(unknown));
        let is_complete = unknowns.is_empty() && report.volumes_of_tree(tree).is_disjoint(incomplete);
        self.compositions.push(Composition { assembly: reference.clone(), is_complete });
        self.contain(&self.root.clone(), &reference);
        self.components.insert((Rank::Container, reference), component);
    }

    /// Adds what is installed in a tree. What is there already is the same in two places.
    pub(super) fn add_packages(&mut self, tree: &TreeReport) {
        let findings = &tree.findings;
        let system = findings.operating_system.as_ref();
        let root = self.root.clone();
        let system_reference = system.map(|system| {
            let place = self.place(tree, &system.evidence.path);
            let component = package::operating_system(system, &place);
            let reference = self.put(Rank::System, component);
            self.contain(&root, &reference);
            reference
        });
        let of_system = system_reference.as_ref().unwrap_or(&root);
        let mut references = Vec::with_capacity(findings.packages.len());
        for package in &findings.packages {
            let place = self.place(tree, &package.evidence.path);
            let component = package::component(package, system, &place, self.options.upstream);
            let reference = self.put(Rank::Package, component);
            let parent = if package.kind.is_of_the_system() { of_system } else { &root };
            self.contain(parent, &reference);
            references.push(reference);
        }
        let names = Names::new(&findings.packages);
        for (index, reference) in references.iter().enumerate() {
            let needed = names.needed_by(index).into_iter().filter_map(|needed| references.get(needed));
            // Of copies that are one component, one may need another.
            let needed: Vec<_> = needed.filter(|needed| *needed != reference).cloned().collect();
            if !needed.is_empty() {
                self.relation(reference).needs.extend(needed);
            }
        }
    }

    /// Adds what a function runs on, which is not in it: it needs it.
    pub(super) fn add_platform(&mut self, report: &TargetReport) {
        let Some(runtime) = report.about.get(RUNTIME) else { return };
        let component =
            Component::new(ComponentKind::Platform, format!("runtime:{runtime}"), runtime.clone());
        let reference = self.put(Rank::System, component);
        let root = self.root.clone();
        self.relation(&root).needs.insert(reference);
    }

    fn place(&self, tree: &TreeReport, path: &str) -> String {
        match &tree.container {
            Some(container) => container.title(),
            None => self.storage.places.get(tree.filesystem_of(path)).cloned().unwrap_or_default(),
        }
    }

    /// Puts a component to the others, and gives its reference in the document.
    fn put(&mut self, rank: Rank, mut component: Component) -> String {
        let reference = format!("{}{}", self.prefix, component.reference);
        component.reference.clone_from(&reference);
        match self.components.entry((rank, reference.clone())) {
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(component);
            }
            std::collections::btree_map::Entry::Occupied(mut known) => known.get_mut().merge(component),
        }
        reference
    }

    fn contain(&mut self, parent: &str, child: &str) {
        self.relation(parent).contains.insert(child.to_owned());
    }

    fn relation(&mut self, reference: &str) -> &mut Relation {
        let new = || Relation { reference: reference.to_owned(), ..Relation::default() };
        self.relations.entry(reference.to_owned()).or_insert_with(new)
    }

    /// Everything, in order.
    pub(super) fn finish(self) -> (Vec<Component>, Vec<Relation>, Vec<Composition>) {
        let components = self.components.into_values().map(|mut component| {
            // What is installed anywhere is no mere entry of a lock file.
            let is_locked = component.kind == ComponentKind::Library
                && component.occurrences.iter().all(|occurrence| occurrence.is_locked);
            if is_locked {
                component.properties.insert(Property::new("agentless-scanner:record", "locked"));
            }
            // Only one format has a field for it, and whoever reads another one must know a guess from a record too. Of several
            // places, the surest counts.
            let certainty = component.methods.first().and_then(|surest| match surest.confidence {
                Confidence::Recorded => None,
                Confidence::Derived => Some("derived"),
                Confidence::Guessed => Some("guessed"),
            });
            let certainty = certainty.map(|word| Property::new("agentless-scanner:certainty", word));
            component.properties.extend(certainty);
            component
        });
        (components.collect(), self.relations.into_values().collect(), self.compositions)
    }
}
