//! What is taken, and everything that is not.

use agentless_core::findings::Gap;
use agentless_core::package::{
    Certainty, Details, Evidence, Kernel, Owner, PackageKind, Record, SourcePackage,
};
use agentless_core::report::Unmounted;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index;

use super::super::fit::fit;
use super::super::frame::{Connection, Frame};
use super::super::message::FromChild;
use super::super::part::parts;
use super::super::samples;
use super::*;
use crate::fuzz::target;

/// What becomes of a report on the disks of the sample that comes in these parts.
fn assemble(parts: impl IntoIterator<Item = Part>, limits: &Limits) -> Result<StorageReport, WireError> {
    let disks = target::disks();
    let mut assembly = Assembly::new("target", &Source::Disks(&disks), limits);
    parts.into_iter().try_for_each(|part| assembly.add(part))?;
    assembly.finish()
}

/// Why the sample is not taken, after something was changed in it.
fn refusal(change: impl FnOnce(&mut StorageReport)) -> String {
    refusal_within(&Limits::default(), change)
}

fn refusal_within(limits: &Limits, change: impl FnOnce(&mut StorageReport)) -> String {
    let mut report = samples::report();
    change(&mut report);
    let error = assemble(parts(report), limits).unwrap_err().to_string();
    let (head, problem) = error.split_once(": ").unwrap();
    assert_eq!(head, "the other process does not keep to the protocol");
    problem.to_owned()
}

#[test]
fn a_report_survives_its_parts() {
    assert_eq!(assemble(parts(samples::report()), &Limits::default()).unwrap(), samples::report());
}

#[test]
fn the_volumes_are_those_that_the_scanner_gave() {
    let mut lie = samples::report();
    lie.volumes.clear();
    assert_eq!(assemble(parts(lie), &Limits::default()).unwrap().volumes, samples::report().volumes);
    let refused = refusal(|report| report.devices[2].kind = DeviceKind::Disk { volume: 4 });
    assert_eq!(refused, "a report that speaks of volume 4 of 4");
    let refused = refusal(|report| report.devices[2].kind = DeviceKind::Disk { volume: 3 });
    assert_eq!(refused, "a report on a volume that could not be read");
    let refused = refusal(|report| report.devices[2].content = Content::Filesystem { filesystem: 0 });
    assert_eq!(refused, "a report on what an empty volume holds");
    let refused = refusal(|report| report.devices[0].kind = DeviceKind::Directory);
    assert_eq!(refused, "a report on disks for a directory, or on a directory for disks");

    let mut assembly = Assembly::new("target", &target::directory(), &Limits::default());
    let devices = Part::Devices(samples::report().devices);
    let refused = assembly.add(devices).unwrap_err().to_string();
    assert!(refused.ends_with("a report on disks for a directory, or on a directory for disks"), "{refused}");
}

#[test]
fn an_index_of_what_is_not_there_is_refused() {
    let refused = refusal(|report| report.devices[0].below = vec![0]);
    assert_eq!(refused, "a report that names 1 of 0 devices at one place");
    let refused = refusal(|report| report.devices[1].below = vec![1]);
    assert_eq!(refused, "a report that speaks of device 1 of 1");
    let refused = refusal(|report| report.devices[1].content = Content::Filesystem { filesystem: 1 });
    assert_eq!(refused, "a report that speaks of filesystem 1 of 1");
    let refused = refusal(|report| report.filesystems[0].devices = vec![3]);
    assert_eq!(refused, "a report that speaks of device 3 of 3");
    let refused = refusal(|report| report.filesystems[0].devices = vec![0; 4]);
    assert_eq!(refused, "a report that names 4 of 3 devices at one place");
    let refused = refusal(|report| report.filesystems[0].devices = Vec::new());
    assert_eq!(refused, "a filesystem on no device");
    let refused = refusal(|report| report.trees[0].mounts[0].filesystem = 1);
    assert_eq!(refused, "a report that speaks of filesystem 1 of 1");
    let refused = refusal(|report| report.trees[0].held_by = [("/a".to_owned(), usize::MAX)].into());
    assert_eq!(refused, format!("a report that speaks of filesystem {} of 1", usize::MAX));
}

#[test]
fn a_tree_begins_with_its_root() {
    assert_eq!(refusal(|report| report.trees[0].mounts.clear()), "a tree without a root");
    let refused = refusal(|report| report.trees[0].mounts[0].path = "/srv".to_owned());
    assert_eq!(refused, "a tree whose first filesystem is not its root");
}

#[test]
fn an_agent_is_on_a_host() {
    for change in [
        |report: &mut StorageReport| report.trees[0].is_system = false,
        |report: &mut StorageReport| report.trees[0].container = Some(Container::default()),
    ] {
        assert_eq!(refusal(change), "a report with an agent that is on no host");
    }
}

#[test]
fn packages_come_in_order_and_once() {
    let refused = |names: &[&str]| {
        refusal(|report| {
            let package = report.trees[0].findings.packages[0].clone();
            let named = |name: &&str| Package { name: (*name).to_owned(), ..package.clone() };
            report.trees[0].findings.packages = names.iter().map(named).collect();
        })
    };
    assert_eq!(refused(&["b", "a"]), "a report whose packages are not in order, or one of them twice");
    assert_eq!(refused(&["a", "a"]), "a report whose packages are not in order, or one of them twice");
}

#[test]
fn parts_in_another_order_are_refused() {
    let in_order: Vec<_> = parts(samples::report()).collect();
    let refused = |order: &[usize]| {
        let parts = order.iter().map(|&part| in_order[part].clone());
        assemble(parts, &Limits::default()).unwrap_err().to_string()
    };
    // Devices, filesystems, a tree, and then what is in it.
    assert!(refused(&[0, 1, 0]).ends_with("devices come at the wrong place"));
    assert!(refused(&[2, 0]).ends_with("devices come at the wrong place"));
    assert!(refused(&[0, 2, 1]).ends_with("filesystems come at the wrong place"));
    assert!(refused(&[1]).ends_with("a report that names 1 of 0 devices at one place"));
    for part in 3..in_order.len() {
        assert!(refused(&[0, 1, part]).ends_with("what is in a tree come at the wrong place"));
    }
}

#[test]
fn more_than_the_limits_allow_is_refused() {
    let limits = Limits::default;
    let none = "which is the limit";
    // Four volumes are there before the limit counts.
    let few = Limits { devices: 0, ..limits() };
    let refused = refusal_within(&few, |report| {
        let empty = report.devices[2].clone();
        report.devices.extend([empty.clone(), empty]);
    });
    assert_eq!(refused, format!("a report with more than 4 devices, {none}"));
    let refused = refusal_within(&Limits { filesystems: 0, ..limits() }, |_| ());
    assert_eq!(refused, format!("a report with more than 0 filesystems, {none}"));
    let refused =
        refusal_within(&Limits { systems: 0, filesystems: 1, containers: 0, ..limits() }, |report| {
            let tree = report.trees[0].clone();
            report.trees.push(tree);
        });
    assert_eq!(refused, format!("a report with more than 1 trees, {none}"));
    let refused = refusal_within(&Limits { mounts: 0, ..limits() }, |report| {
        let mount = report.trees[0].mounts[0].clone();
        report.trees[0].mounts.push(mount);
    });
    assert_eq!(refused, format!("a report with more than 1 mounts, {none}"));
    let refused = refusal_within(&Limits { packages: 0, ..limits() }, |_| ());
    let too_much =
        |what: &str| format!("a report with more {what}, or more text in them, than the limits allow");
    assert_eq!(refused, too_much("packages"));
    let refused = refusal_within(&Limits { package_bytes: 20, ..limits() }, |_| ());
    assert_eq!(refused, too_much("packages"));
    let refused = refusal_within(&Limits { packages: 1, notes: 0, ..limits() }, |report| {
        report.trees[0].held_by = [("/a".to_owned(), 0), ("/b".to_owned(), 0)].into();
    });
    assert_eq!(refused, too_much("places of packages"));

    // One line for each thing that may have lost something comes on top: two for each of five devices, one for a
    // filesystem and one for each of two trees. The sample has twelve, one of them a feature.
    let few = Limits { notes: 0, devices: 1, filesystems: 1, systems: 1, containers: 0, ..limits() };
    let refused = refusal_within(&few, |report| {
        report.trees[0].findings.gaps = vec![report.trees[0].findings.gaps[0].clone(); 5];
    });
    assert_eq!(refused, too_much("unknowns and notes"));
    let few = Limits { note_bytes: 0, ..few };
    let refused = refusal_within(&Limits { notes: 1000, ..few }, |report| {
        report.devices[0].problems = vec!["p".repeat(1024); 64];
    });
    assert_eq!(refused, too_much("unknowns and notes"));
}

#[test]
fn devices_are_not_stacked_without_end() {
    let refused = refusal(|report| {
        for layer in 2..20 {
            let partition = DeviceReport { below: vec![layer - 1], ..report.devices[1].clone() };
            report.devices.insert(layer, partition);
        }
    });
    assert_eq!(refused, "a report with more than 16 layers of devices, which is the limit");
}

#[test]
fn what_is_said_with_each_package_counts_with_each() {
    let limits = Limits { package_bytes: 50_000, note_bytes: 50_000, ..Limits::default() };
    let too_much =
        |what: &str| format!("a report with more {what}, or more text in them, than the limits allow");
    let many = |report: &mut StorageReport| {
        let package = report.trees[0].findings.packages[0].clone();
        let named = |number| Package { name: format!("{number:03}"), ..package.clone() };
        report.trees[0].findings.packages = (0..100).map(named).collect();
        report.trees[0].findings.gaps = vec![report.trees[0].findings.gaps[0].clone(); 100];
    };
    let mut small = samples::report();
    many(&mut small);
    assert!(assemble(parts(small), &limits).is_ok());
    let refused = refusal_within(&limits, |report| {
        many(report);
        report.devices[1].name = "n".repeat(1024);
    });
    assert_eq!(refused, too_much("packages"));
    let refused = refusal_within(&limits, |report| {
        many(report);
        let system = report.trees[0].findings.operating_system.as_mut().unwrap();
        system.id = "i".repeat(256);
    });
    assert_eq!(refused, too_much("packages"));
    let refused = refusal_within(&limits, |report| {
        many(report);
        report.trees[0].findings.packages.clear();
        report.trees[0].findings.gaps = vec![report.trees[0].findings.gaps[0].clone(); 20_000];
        report.devices[1].name = "n".repeat(1024);
    });
    assert_eq!(refused, too_much("unknowns and notes"));
}

#[test]
fn a_text_that_is_too_long_is_refused_wherever_it_is() {
    fn long(most: usize) -> String {
        "x".repeat(most + 1)
    }
    const SHORT: usize = 1 << 10;
    const LONG: usize = 16 << 10;
    type Change = fn(&mut StorageReport);

    let short: [Change; 8] = [
        |report| report.devices[0].name = long(SHORT),
        |report| report.devices[0].label = Some(long(SHORT)),
        |report| report.devices[0].content = Content::Unread { format: None, reason: long(SHORT) },
        |report| {
            report.devices[1].kind =
                DeviceKind::Raid { array: None, level: long(SHORT), uuid: String::new() };
        },
        |report| report.filesystems[0].format = long(SHORT),
        |report| {
            report.filesystems[0].journal = agentless_core::report::Journal::Ignored { reason: long(SHORT) }
        },
        |report| report.trees[0].mounts[0].part = Some(long(SHORT)),
        |report| {
            let evidence = Evidence::default();
            let id = long(SHORT);
            let system = OperatingSystem { id, version: None, name: None, evidence };
            report.trees[0].findings.operating_system = Some(system);
        },
    ];
    let any: [Change; 8] = [
        |report| report.devices[0].problems = vec![long(LONG)],
        |report| report.filesystems[0].features = vec![long(LONG)],
        |report| {
            let mount = MountReport { path: long(LONG), filesystem: 0, part: None, assumed: None };
            report.trees[0].mounts.push(mount);
        },
        |report| report.trees[0].findings.packages[0].version = long(LONG),
        |report| report.trees[0].findings.gaps[0].reason = long(LONG),
        |report| report.trees[0].findings.sources[0].evidence.path = long(LONG),
        |report| report.trees[0].unmounted[0].source = long(LONG),
        |report| report.trees[0].held_by = [(long(LONG), 0)].into(),
    ];
    for (changes, most) in [(short, SHORT), (any, LONG)] {
        for change in changes {
            let expected = format!("a report with a text of {} bytes, where {most} are the limit", most + 1);
            assert_eq!(refusal(change), expected);
        }
    }
}

/// A text: mostly short, of any characters, and rarely longer than any text may be.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        30 => "\\PC{0,12}",
        1 => (0..20_000_usize).prop_map(|length| "é".repeat(length)),
    ]
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    prop_oneof![20 => vec(text(), 0..4), 1 => (0..50_000_usize).prop_map(|count| vec!["p".to_owned(); count])]
}

fn indexes(count: usize) -> impl Strategy<Value = Vec<usize>> {
    vec(any::<Index>(), 0..=count.min(4))
        .prop_map(move |indexes| indexes.iter().map(|index| index.index(count.max(1))).collect())
}

fn device(number: usize, filesystems: usize) -> impl Strategy<Value = DeviceReport> {
    let kind = prop_oneof![
        (0..2_usize).prop_map(|volume| DeviceKind::Disk { volume }),
        (any::<u32>(), any::<u64>(), text(), option::of(text()), text()).prop_map(
            |(number, offset, code, uuid, name)| DeviceKind::Partition { number, offset, code, uuid, name }
        ),
        (text(), text(), text(), text()).prop_map(|(group, volume, layout, uuid)| {
            DeviceKind::LogicalVolume { group, volume, layout, uuid }
        }),
        (option::of(text()), text(), text()).prop_map(|(array, level, uuid)| DeviceKind::Raid {
            array,
            level,
            uuid
        }),
    ];
    let content = prop_oneof![
        text().prop_map(|scheme| Content::Table { scheme }),
        (text(), text()).prop_map(|(format, of)| Content::Member { format, of }),
        (0..filesystems).prop_map(|filesystem| Content::Filesystem { filesystem }),
        text().prop_map(|what| Content::Irrelevant { what }),
        (option::of(text()), text()).prop_map(|(format, reason)| Content::Unread { format, reason }),
        Just(Content::Empty),
    ];
    let head = (text(), kind, indexes(number), option::of(any::<u64>()));
    let rest = (option::of(text()), option::of(text()), content, texts(), texts());
    (head, rest).prop_map(|((name, kind, below, size), (uuid, label, content, problems, notes))| {
        DeviceReport { name, kind, below, size, uuid, label, content, problems, notes }
    })
}

fn filesystem(devices: usize) -> impl Strategy<Value = FilesystemReport> {
    use agentless_core::report::Journal;

    let journal = prop_oneof![
        Just(Journal::Clean),
        any::<u64>().prop_map(|transactions| Journal::Replayed { transactions }),
        (any::<u64>(), text()).prop_map(|(transactions, reason)| Journal::Partial { transactions, reason }),
        text().prop_map(|reason| Journal::Ignored { reason }),
    ];
    let numbers = (option::of(any::<u64>()), option::of(any::<u32>()));
    (text(), indexes(devices), 0..devices, journal, numbers, texts()).prop_map(
        |(format, mut on, first, journal, (size, block_size), features)| {
            on.truncate(devices_but_one(&on));
            on.insert(0, first);
            FilesystemReport { format, devices: on, journal, size, block_size, features }
        },
    )
}

fn devices_but_one(on: &[usize]) -> usize {
    on.len().saturating_sub(1)
}

fn evidence() -> impl Strategy<Value = Evidence> {
    (text(), option::of(text()), text()).prop_map(|(path, within, extractor)| Evidence {
        path,
        within,
        extractor,
    })
}

fn package() -> impl Strategy<Value = Package> {
    let kind = prop::sample::select(vec![PackageKind::Deb, PackageKind::Npm]);
    (text(), text(), option::of(text()), kind, evidence(), details()).prop_map(
        |(name, version, architecture, kind, evidence, details)| Package {
            name,
            version,
            architecture,
            kind,
            evidence,
            details,
        },
    )
}

fn details() -> impl Strategy<Value = Details> {
    let texts = || vec(text(), 0..3);
    let source = (text(), text()).prop_map(|(name, version)| SourcePackage { name, version });
    let owner = text().prop_map(|name| Owner { kind: PackageKind::Rpm, name });
    let optional = (option::of(source), option::of(text()), option::of(text()), option::of(text()));
    let kernel = option::of(prop::sample::select(vec![Kernel::Default, Kernel::Other]));
    let record = prop::sample::select(vec![Record::Installed, Record::Locked]);
    let certainty = prop::sample::select(vec![Certainty::Recorded, Certainty::Derived, Certainty::Guessed]);
    (optional, texts(), texts(), option::of(owner), kernel, record, certainty).prop_map(
        |((source, maintainer, state, module), licenses, depends_on, owner, kernel, record, certainty)| {
            Details {
                source,
                maintainer,
                state,
                module,
                licenses,
                depends_on,
                owner,
                kernel,
                record,
                certainty,
            }
        },
    )
}

fn container() -> impl Strategy<Value = Container> {
    let texts = || vec(text(), 0..3);
    let optional = (option::of(text()), option::of(text()), option::of(text()), option::of(text()));
    (text(), text(), optional, option::of(text()), texts(), texts()).prop_map(
        |(engine, id, (name, image, digest, platform), state, tags, layers)| Container {
            engine,
            id,
            name,
            image,
            digest,
            tags,
            platform,
            state,
            layers,
        },
    )
}

fn tree(filesystems: usize) -> impl Strategy<Value = TreeReport> {
    use agentless_core::findings::{Findings, Source};

    let mount = move || {
        (text(), 0..filesystems, option::of(text()), option::of(text()))
            .prop_map(|(path, filesystem, part, assumed)| MountReport { path, filesystem, part, assumed })
    };
    let unmounted = (text(), text(), text(), any::<bool>())
        .prop_map(|(path, source, reason, is_gap)| Unmounted { path, source, reason, is_gap });
    let gap = (option::of(text()), option::of(text()), text()).prop_map(|(path, extractor, reason)| Gap {
        path,
        extractor,
        reason,
    });
    let source = (evidence(), any::<u64>()).prop_map(|(evidence, packages)| Source { evidence, packages });
    let system = (text(), option::of(text()), option::of(text()), evidence())
        .prop_map(|(id, version, name, evidence)| OperatingSystem { id, version, name, evidence });
    let findings = (option::of(system), vec(package(), 0..5), vec(gap, 0..5), vec(source, 0..3)).prop_map(
        |(operating_system, mut packages, gaps, sources)| {
            packages.sort_by(|a, b| a.identity().cmp(&b.identity()));
            packages.dedup_by(|a, b| a.identity() == b.identity());
            Findings { operating_system, packages, gaps, sources }
        },
    );
    let places = btree_map(text(), 0..filesystems, 0..4);
    let mounts = (mount(), vec(mount(), 0..4), vec(unmounted, 0..3));
    (any::<[bool; 2]>(), option::of(container()), mounts, findings, places).prop_map(
        |([is_system, has_agent], container, (mut root, mut mounts, unmounted), findings, held_by)| {
            let agent_lists_packages = has_agent && is_system && container.is_none();
            root.path = "/".to_owned();
            mounts.insert(0, root);
            TreeReport { is_system, container, agent_lists_packages, mounts, unmounted, findings, held_by }
        },
    )
}

prop_compose! {
    /// A report on the disks of the sample, in which everything that is named is there.
    fn report()(devices in 1..6_usize, filesystems in 1..4_usize)(
        devices in (0..devices).map(|number| device(number, filesystems)).collect::<Vec<_>>(),
        filesystems_ in vec(filesystem(devices), filesystems..=filesystems),
        trees in vec(tree(filesystems), 0..4),
    ) -> StorageReport {
        let volumes = samples::report().volumes;
        StorageReport { volumes, devices, filesystems: filesystems_, trees }
    }
}

fn limits() -> impl Strategy<Value = Limits> {
    (0..10_u64, 0..10_u64, 0..2000_u64, 0..2000_u64, 0..2000_u64).prop_map(
        |(packages, notes, package_bytes, note_bytes, text_bytes)| Limits {
            packages,
            notes,
            package_bytes,
            note_bytes,
            text_bytes,
            ..Limits::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the analyser found, the scanner takes it: each part fits into a frame, and all of them together make the
    /// report again.
    #[test]
    fn whatever_is_found_arrives(report in report(), limits in prop_oneof![Just(Limits::default()), limits()]) {
        let mut report = report;
        fit(&mut report, &limits);
        let mut wire = Connection::new(std::io::Cursor::new(Vec::new()));
        for part in parts(report.clone()) {
            wire.send(&FromChild::Part(part)).unwrap();
        }
        let mut wire = Connection::new(std::io::Cursor::new(wire.into_inner().into_inner()));
        let received = std::iter::from_fn(|| match wire.receive() {
            Ok(Frame::Message(FromChild::Part(part))) => Some(part),
            Err(WireError::Closed) => None,
            other => panic!("{other:?}"),
        });
        prop_assert_eq!(assemble(received, &limits).unwrap(), report);
    }
}
