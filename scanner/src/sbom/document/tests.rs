use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::package::{Certainty, Package, PackageKind};
use crate::report::VolumeState;
use crate::sbom::testing::{self, all, container, deb, debian, gap, package, report, target, whole};

fn component<'a>(document: &'a Document, reference: &str) -> &'a Component {
    let nested = document.components.iter().flat_map(|component| &component.components);
    let mut found = document.components.iter().chain(nested);
    found.find(|component| component.reference == reference).unwrap_or_else(|| panic!("no {reference}"))
}

fn property<'a>(component: &'a Component, name: &str) -> Vec<&'a str> {
    let of_name = component.properties.iter().filter(|property| property.name == name);
    of_name.map(|property| &*property.value).collect()
}

#[test]
fn every_component_has_one_reference_and_is_reached_from_the_subject() {
    for document in [testing::document()].into_iter().chain(all(&report())) {
        let mut references = BTreeSet::from([&*document.subject.reference]);
        let mut waiting: Vec<_> = document.components.iter().collect();
        while let Some(component) = waiting.pop() {
            assert!(references.insert(&component.reference), "{}", component.reference);
            waiting.extend(&component.components);
        }
        let relations: BTreeMap<_, _> =
            document.relations.iter().map(|relation| (&*relation.reference, relation)).collect();
        let mut reached = BTreeSet::new();
        let mut waiting = vec![&*document.subject.reference];
        while let Some(reference) = waiting.pop() {
            if reached.insert(reference) {
                let others = relations.get(reference).into_iter();
                waiting
                    .extend(others.flat_map(|found| found.contains.union(&found.needs)).map(String::as_str));
            }
        }
        assert_eq!(reached, references);
    }
}

#[test]
fn packages_of_the_system_are_in_it_and_others_in_the_target() {
    let document = testing::document();
    let relation = |reference: &str| {
        document
            .relations
            .iter()
            .find(|relation| relation.reference == reference)
            .cloned()
            .unwrap_or_default()
    };
    let target = relation("target:i-0123456789abcdef0");
    assert!(target.contains.contains("operating-system:debian@12.15"));
    assert!(target.contains.contains("container:docker:c0ffee"));
    assert!(target.contains.contains("pkg:npm/left-pad@1.3.0"));
    let zlib = "pkg:deb/debian/zlib1g@1.2.13?arch=amd64&distro=debian-12.15&epoch=1".to_owned();
    assert!(relation("operating-system:debian@12.15").contains.contains(&zlib));
    let bsdutils = "pkg:deb/debian/bsdutils@2.38.1-5%2Bdeb12u3?arch=amd64&distro=debian-12.15&epoch=1";
    assert_eq!(relation(bsdutils).needs, BTreeSet::from([zlib]));
    assert_eq!(
        relation("pkg:npm/%40scope/tool@1.0.0").needs,
        BTreeSet::from(["pkg:npm/left-pad@1.3.0".to_owned()])
    );
}

#[test]
fn a_container_has_its_packages_inside() {
    let document = testing::document();
    let container = component(&document, "container:docker:c0ffee");
    assert_eq!((container.kind, &*container.name), (ComponentKind::Container, "nginx:1.27"));
    assert_eq!(container.version.as_deref(), Some("sha256:0123"));
    let layers = property(container, "agentless-scanner:container:layer");
    assert_eq!(layers, ["sha256:bb", "sha256:aa"], "the lowest first");
    let inside: Vec<_> = container.components.iter().map(|component| &*component.reference).collect();
    assert_eq!(
        inside,
        [
            "container:docker:c0ffee/operating-system:alpine@3.20.3",
            "container:docker:c0ffee/pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64&distro=3.20.3",
            "container:docker:c0ffee/pkg:npm/left-pad@1.3.0",
        ]
    );
    // The same package on the host is another component.
    assert_eq!(component(&document, inside[2]).purl.as_deref(), Some("pkg:npm/left-pad@1.3.0"));
    component(&document, "pkg:npm/left-pad@1.3.0");
}

#[test]
fn containers_that_say_they_are_the_same_are_told_apart() {
    let document =
        whole(&target(vec![container("a/b", vec![]), container("a/b", vec![]), container("a b", vec![])]));
    let references: Vec<_> = document.components.iter().map(|component| &*component.reference).collect();
    assert_eq!(references, ["container:docker:a_b", "container:docker:a_b-1", "container:docker:a_b-2"]);
}

#[test]
fn copies_are_one_component_and_architectures_are_not() {
    let packages = vec![deb("zlib1g", "1:1.2.13", "amd64"), deb("zlib1g", "1:1.2.13", "i386")];
    let tree = debian(packages, vec![]);
    let document = whole(&target(vec![tree.clone(), tree]));
    assert_eq!(document.components.len(), 3);
    for component in &document.components {
        let places: Vec<_> = component.occurrences.iter().map(|occurrence| &*occurrence.place).collect();
        assert_eq!(places, ["vol-1 partition 1", "vol-2 partition 1"]);
    }
}

#[test]
fn what_is_installed_anywhere_is_not_locked() {
    let record = |packages| {
        let document = whole(&target(vec![debian(packages, vec![])]));
        let component = component(&document, "pkg:npm/a@1");
        let is_locked: Vec<_> = component.occurrences.iter().map(|occurrence| occurrence.is_locked).collect();
        (property(component, "agentless-scanner:record") == ["locked"], is_locked)
    };
    let installed = package(PackageKind::Npm, "a", "1");
    let mut locked = package(PackageKind::Npm, "a", "1");
    locked.evidence.path = "/srv/package-lock.json".to_owned();
    locked.details.record = crate::package::Record::Locked;
    assert_eq!(record(vec![locked.clone()]), (true, vec![true]));
    assert_eq!(record(vec![installed, locked]), (false, vec![false, true]));
}

#[test]
fn what_is_recorded_anywhere_is_not_guessed() {
    let certainty = |certainties: &[Certainty]| {
        let place = |(number, &certainty): (usize, &Certainty)| {
            let mut jar = package(PackageKind::Maven, "g:a", "1");
            jar.evidence.path = format!("/{number}/a-1.jar");
            jar.details.certainty = certainty;
            jar
        };
        let packages = certainties.iter().enumerate().map(place).collect();
        let document = whole(&target(vec![debian(packages, vec![])]));
        let found = property(component(&document, "pkg:maven/g/a@1"), "agentless-scanner:certainty");
        found.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(certainty(&[Certainty::Recorded]), Vec::<String>::new());
    assert_eq!(certainty(&[Certainty::Guessed]), ["guessed"]);
    assert_eq!(certainty(&[Certainty::Guessed, Certainty::Derived]), ["derived"]);
    assert_eq!(certainty(&[Certainty::Guessed, Certainty::Recorded]), Vec::<String>::new());
}

#[test]
fn a_thousand_copies_are_known_in_one_way() {
    let copy = |number: usize| {
        let mut copy = package(PackageKind::Npm, "a", "1");
        copy.evidence.path = format!("/{number:04}/package.json");
        copy
    };
    let document = whole(&target(vec![debian((0..1000).map(copy).collect(), vec![])]));
    let component = component(&document, "pkg:npm/a@1");
    assert_eq!((component.occurrences.len(), component.methods.len()), (1000, 1));
}

#[test]
fn lists_are_made_for_each_system_and_each_container() {
    let lists = all(&report());
    let subjects: Vec<_> = lists.iter().map(|list| (list.subject.kind, &*list.subject.reference)).collect();
    assert_eq!(
        subjects,
        [
            (ComponentKind::Device, "target:i-0123456789abcdef0"),
            (ComponentKind::Container, "container:docker:c0ffee")
        ]
    );
    assert!(lists[0].components.iter().all(|component| component.kind != ComponentKind::Container));
    assert_eq!(lists[1].components[1].reference, "pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64&distro=3.20.3");
    assert_eq!(property(&lists[1].subject, "agentless-scanner:host"), ["i-0123456789abcdef0"]);
    let names: Vec<_> = lists.iter().map(|list| list.file_name("i-0123456789abcdef0")).collect();
    assert_eq!(names, ["i-0123456789abcdef0", "i-0123456789abcdef0.docker-c0ffee"]);
    assert_eq!(lists[1].file_name("/srv/../"), ".docker-c0ffee");
}

#[test]
fn two_systems_of_one_target_have_lists_of_their_own() {
    let system = |name: &str| debian(vec![deb(name, "1", "amd64")], vec![]);
    let mut rest = debian(vec![], vec![]);
    rest.is_system = false;
    let lists = all(&target(vec![system("a"), system("b"), rest]));
    let found: Vec<_> = lists
        .iter()
        .map(|list| (&*list.subject.reference, &*list.components[1].name, list.file_name("disk.img")))
        .collect();
    assert_eq!(
        found,
        [
            ("target:i-0123456789abcdef0#1", "a", "disk.img.system-1".to_owned()),
            ("target:i-0123456789abcdef0#2", "b", "disk.img.system-2".to_owned()),
        ]
    );
    assert_eq!(lists[1].subject.description.as_deref(), Some("vol-2 partition 1 of i-0123456789abcdef0"));
}

#[test]
fn what_was_not_read_makes_its_list_incomplete_and_no_other() {
    let complete = |document: &Document| -> Vec<bool> {
        document.compositions.iter().map(|composition| composition.is_complete).collect()
    };
    let debian = |gaps| debian(vec![], gaps);
    let report = target(vec![debian(vec![]), container("c", vec![gap()])]);
    // The whole misses what a part of it misses.
    let list = whole(&report);
    assert_eq!((complete(&list), list.properties.len()), (vec![false, false], 0));
    let unknown = property(component(&list, "container:docker:c"), "agentless-scanner:unknown");
    assert_eq!(
        unknown,
        ["docker container web (nginx:1.27) on vol-2 partition 1 /var/lib/rpm/Packages: not read"]
    );
    let [host, inside] = &all(&report)[..] else { panic!("two lists") };
    assert_eq!((complete(host), complete(inside)), (vec![true], vec![false]));
    assert_eq!(inside.properties.len(), 1);

    let report = target(vec![debian(vec![gap()]), container("c", vec![])]);
    let list = whole(&report);
    assert_eq!((complete(&list), list.properties.len()), (vec![false, true], 1));

    // A disk that was not read may hold anything of a system; a container was on its own.
    let mut report = target(vec![debian(vec![]), container("c", vec![]), debian(vec![])]);
    report.storage.volumes[2].state = VolumeState::Unread { reason: "gone".to_owned() };
    let lists: Vec<_> = all(&report).iter().map(complete).collect();
    assert_eq!(lists, [[false], [false], [true]]);
    report.storage.volumes[1].state = VolumeState::Unread { reason: "gone".to_owned() };
    assert_eq!(complete(&all(&report)[2]), [false]);
}

#[test]
fn a_target_without_anything_still_has_a_list() {
    let mut report = target(vec![]);
    assert_eq!(all(&report).len(), 1);
    report.storage.volumes = vec![crate::report::VolumeReport {
        id: "vol-1".to_owned(),
        device: None,
        size: None,
        state: VolumeState::Unread { reason: "gone".to_owned() },
    }];
    let lists = all(&report);
    assert_eq!((lists.len(), lists[0].properties.len()), (1, 1));
}

#[test]
fn the_serial_number_follows_the_contents_and_not_the_time() {
    let list = |gaps, time| {
        let report = target(vec![debian(vec![deb("a", "1", "amd64")], gaps)]);
        Document::whole(&report, Options { time, catalogue: &testing::catalogue(), upstream: false }).serial
    };
    let later = testing::TIME + time::Duration::DAY;
    assert_eq!(list(vec![], testing::TIME), list(vec![], later));
    assert_ne!(list(vec![], testing::TIME), list(vec![gap()], testing::TIME));
}

#[test]
fn what_no_url_can_carry_is_listed_all_the_same() {
    let nameless = Package { architecture: None, ..deb("", "1", "amd64") };
    let document =
        whole(&target(vec![debian(vec![nameless, package(PackageKind::Golang, "./local", "v0")], vec![])]));
    let references: Vec<_> = document.components.iter().map(|component| &*component.reference).collect();
    assert_eq!(references, ["operating-system:debian@12.15", "deb:@1", "golang:./local@v0"]);
}
