//! Reports to test with, on the disks of [`target`].

use agentless_core::findings::{Findings, Gap, Source as Database};
use agentless_core::limits::Limits;
use agentless_core::package::{Details, Evidence, OperatingSystem, Package, PackageKind, SourcePackage};
use agentless_core::report::{
    Content, DeviceKind, DeviceReport, FilesystemReport, Journal, MountReport, StorageReport, TreeReport,
    Unmounted,
};
use agentless_core::source::Source;

use super::assembly::Assembly;
use crate::fuzz::target;

/// A report with something in each of its lists.
pub(crate) fn report() -> StorageReport {
    let disks = target::disks();
    let volumes = Assembly::new("", &Source::Disks(&disks), &Limits::default()).finish().unwrap().volumes;
    let disk =
        device("first", DeviceKind::Disk { volume: 0 }, &[], Content::Table { scheme: "gpt".to_owned() });
    let partition = DeviceKind::Partition {
        number: 1,
        offset: 512,
        code: "0fc63daf-8483-4772-8e79-3d69d8477de4".to_owned(),
        uuid: Some("part".to_owned()),
        name: "root".to_owned(),
    };
    let partition = device("first partition 1", partition, &[0], Content::Filesystem { filesystem: 0 });
    let empty = device("empty", DeviceKind::Disk { volume: 2 }, &[], Content::Empty);
    let filesystem = FilesystemReport {
        format: "ext4".to_owned(),
        devices: vec![1],
        journal: Journal::Replayed { transactions: 3 },
        size: Some(1024),
        block_size: Some(1024),
        features: vec!["extents".to_owned()],
    };
    StorageReport {
        volumes,
        devices: vec![disk, partition, empty],
        filesystems: vec![filesystem],
        trees: vec![tree()],
    }
}

fn device(name: &str, kind: DeviceKind, below: &[usize], content: Content) -> DeviceReport {
    DeviceReport {
        name: name.to_owned(),
        kind,
        below: below.to_vec(),
        size: Some(1800),
        uuid: Some("uuid".to_owned()),
        label: None,
        content,
        problems: vec!["a problem".to_owned()],
        notes: vec!["a note".to_owned()],
    }
}

fn tree() -> TreeReport {
    let evidence = Evidence {
        path: "/var/lib/dpkg/status".to_owned(),
        extractor: "os/dpkg".to_owned(),
        ..Evidence::default()
    };
    let package = Package {
        name: "bash".to_owned(),
        version: "5.2-1".to_owned(),
        architecture: Some("amd64".to_owned()),
        kind: PackageKind::Deb,
        evidence: evidence.clone(),
        details: Details {
            source: Some(SourcePackage { name: "bash".to_owned(), version: "5.2-1".to_owned() }),
            depends_on: vec!["libc6".to_owned()],
            ..Details::default()
        },
    };
    let gap = Gap { path: Some("/opt".to_owned()), extractor: None, reason: "it is damaged".to_owned() };
    let operating_system = Some(OperatingSystem {
        id: "debian".to_owned(),
        version: Some("12".to_owned()),
        name: None,
        evidence: evidence.clone(),
    });
    let unmounted = Unmounted {
        path: "/srv".to_owned(),
        source: "LABEL=data".to_owned(),
        reason: "there is no such device".to_owned(),
        is_gap: true,
    };
    TreeReport {
        is_system: true,
        container: None,
        agent_lists_packages: true,
        mounts: vec![MountReport { path: "/".to_owned(), filesystem: 0, part: None, assumed: None }],
        unmounted: vec![unmounted],
        held_by: [(evidence.path.clone(), 0)].into(),
        findings: Findings {
            operating_system,
            packages: vec![package],
            gaps: vec![gap],
            sources: vec![Database { evidence, packages: 1 }],
        },
    }
}
