//! Reports for the tests of this folder.

use std::collections::BTreeMap;

use agentless_core::catalogue::{Catalogue, ExtractorInfo};
use agentless_core::findings::{Findings, Gap};
use time::OffsetDateTime;
use time::macros::datetime;

use super::document::{Document, Options};
use crate::package::{
    Certainty, Details, Evidence, Kernel, OperatingSystem, Owner, Package, PackageKind, Record, SourcePackage,
};
use crate::report::{
    Container, Content, DeviceKind, DeviceReport, FilesystemReport, Journal, MountReport, StorageReport,
    TargetReport, TreeReport, VolumeReport, VolumeState,
};

pub(crate) const TIME: OffsetDateTime = datetime!(2026-11-21 06:00:00 UTC);

pub(crate) fn catalogue() -> Catalogue {
    let extractor = |name, version| ExtractorInfo { name, version, description: "", reads: Vec::new() };
    Catalogue {
        filesystems: vec!["ext4"],
        extractors: vec![extractor("lang/node", 1), extractor("os/dpkg", 2)],
    }
}

/// The list of the whole target of [`report`].
pub(crate) fn document() -> Document {
    whole(&report())
}

pub(crate) fn whole(report: &TargetReport) -> Document {
    Document::whole(report, Options { time: TIME, catalogue: &catalogue(), upstream: false })
}

pub(crate) fn all(report: &TargetReport) -> Vec<Document> {
    Document::all(report, Options { time: TIME, catalogue: &catalogue(), upstream: false })
}

/// A package without details, where packages of its kind are.
pub(crate) fn package(kind: PackageKind, name: &str, version: &str) -> Package {
    let (path, extractor) = match kind {
        PackageKind::Apk => ("/lib/apk/db/installed".to_owned(), "os/apk"),
        PackageKind::Deb => ("/var/lib/dpkg/status".to_owned(), "os/dpkg"),
        PackageKind::Rpm => ("/var/lib/rpm/rpmdb.sqlite".to_owned(), "os/rpm"),
        PackageKind::Golang => (format!("/usr/bin/{name}"), "lang/go"),
        PackageKind::Npm => (format!("/srv/node_modules/{name}/package.json"), "lang/node"),
        _ => (format!("/srv/{name}"), "lang/other"),
    };
    Package {
        name: name.to_owned(),
        version: version.to_owned(),
        architecture: None,
        kind,
        evidence: Evidence { path, within: None, extractor: extractor.to_owned() },
        details: Details::default(),
    }
}

pub(crate) fn deb(name: &str, version: &str, architecture: &str) -> Package {
    Package { architecture: Some(architecture.to_owned()), ..package(PackageKind::Deb, name, version) }
}

pub(crate) fn system(id: &str, version: &str) -> OperatingSystem {
    OperatingSystem {
        id: id.to_owned(),
        version: Some(version.to_owned()),
        name: Some(format!("{id} for people {version}")),
        evidence: Evidence {
            path: "/etc/os-release".to_owned(),
            within: None,
            extractor: "os/release".to_owned(),
        },
    }
}

/// The packages of a Debian system: of everything that a format distinguishes, one.
fn packages() -> Vec<Package> {
    let mut bsdutils = deb("bsdutils", "1:2.38.1-5+deb12u3", "amd64");
    bsdutils.details = Details {
        source: Some(SourcePackage {
            name: "util-linux".to_owned(),
            version: "2:2.38.1-5+deb12u3".to_owned(),
        }),
        maintainer: Some("Debian \"quoted\" <x@y>".to_owned()),
        licenses: vec!["GPL-2".to_owned(), "MIT".to_owned()],
        depends_on: vec!["zlib1g".to_owned(), "not-there".to_owned()],
        ..Details::default()
    };
    let mut half = deb("half", "1.0", "amd64");
    half.details.state = Some("half-configured".to_owned());
    let mut kernel = deb("linux-image-6.1.0-9-amd64", "6.1.27-1", "amd64");
    kernel.details.kernel = Some(Kernel::Other);
    let mut tool = package(PackageKind::Npm, "@scope/tool", "1.0.0");
    tool.details.licenses = vec!["MIT OR Apache-2.0".to_owned()];
    tool.details.depends_on = vec!["left-pad".to_owned()];
    let mut jar = package(PackageKind::Maven, "org.example:lib", "2.0");
    jar.evidence.within = Some("BOOT-INF/lib/lib-2.0.jar".to_owned());
    jar.details.certainty = Certainty::Guessed;
    let mut locked = package(PackageKind::Pypi, "Flask_Thing", "3.0");
    locked.evidence.path = "/srv/app/requirements.txt".to_owned();
    locked.details.record = Record::Locked;
    let mut owned = package(PackageKind::Pypi, "six", "1.16.0");
    owned.details.owner = Some(Owner { kind: PackageKind::Deb, name: "half".to_owned() });
    vec![
        bsdutils,
        half,
        kernel,
        deb("zlib1g", "1:1.2.13", "amd64"),
        deb("zlib1g", "1:1.2.13", "i386"),
        tool,
        package(PackageKind::Npm, "left-pad", "1.3.0"),
        jar,
        locked,
        owned,
        package(PackageKind::Golang, "github.com/Docker/cli", "v28.2.2"),
        package(PackageKind::Golang, "./local", "v0"),
    ]
}

pub(crate) fn gap() -> Gap {
    Gap { path: Some("/var/lib/rpm/Packages".to_owned()), extractor: None, reason: "not read".to_owned() }
}

/// An instance with these trees, each on a filesystem of a volume of its own.
pub(crate) fn target(trees: Vec<TreeReport>) -> TargetReport {
    let mut storage = StorageReport::default();
    for (index, mut tree) in trees.into_iter().enumerate() {
        let id = format!("vol-{}", index + 1);
        storage.volumes.push(VolumeReport {
            id: id.clone(),
            device: None,
            size: Some(1 << 30),
            state: VolumeState::Read,
        });
        let disk = DeviceReport {
            name: id.clone(),
            kind: DeviceKind::Disk { volume: index },
            below: Vec::new(),
            size: Some(1 << 30),
            uuid: None,
            label: None,
            content: Content::Table { scheme: "mbr".to_owned() },
            problems: Vec::new(),
            notes: Vec::new(),
        };
        let partition = DeviceReport {
            name: format!("{id} partition 1"),
            kind: DeviceKind::Partition {
                number: 1,
                offset: 1 << 20,
                code: "0x83".to_owned(),
                uuid: None,
                name: String::new(),
            },
            below: vec![index * 2],
            content: Content::Filesystem { filesystem: index },
            ..disk.clone()
        };
        storage.devices.extend([disk, partition]);
        storage.filesystems.push(FilesystemReport {
            format: "ext4".to_owned(),
            devices: vec![index * 2 + 1],
            journal: Journal::Clean,
            size: None,
            block_size: None,
            features: Vec::new(),
        });
        tree.mounts =
            vec![MountReport { path: "/".to_owned(), filesystem: index, part: None, assumed: None }];
        storage.trees.push(tree);
    }
    TargetReport {
        target: "i-0123456789abcdef0".to_owned(),
        kind: "instance",
        about: BTreeMap::new(),
        storage,
    }
}

/// A system with these packages.
pub(crate) fn debian(packages: Vec<Package>, gaps: Vec<Gap>) -> TreeReport {
    let operating_system = Some(system("debian", "12.15"));
    TreeReport {
        is_system: true,
        findings: Findings { operating_system, packages, gaps, ..Findings::default() },
        held_by: BTreeMap::new(),
        ..TreeReport::default()
    }
}

/// A container of Alpine, with a package that the host has, too.
pub(crate) fn container(id: &str, gaps: Vec<Gap>) -> TreeReport {
    let mut musl = package(PackageKind::Apk, "musl", "1.2.5-r0");
    musl.architecture = Some("x86_64".to_owned());
    let packages = vec![musl, package(PackageKind::Npm, "left-pad", "1.3.0")];
    let operating_system = Some(system("alpine", "3.20.3"));
    TreeReport {
        container: Some(Container {
            engine: "docker".to_owned(),
            id: id.to_owned(),
            name: Some("web".to_owned()),
            image: Some("nginx:1.27".to_owned()),
            digest: Some("sha256:0123".to_owned()),
            tags: vec!["nginx:latest".to_owned(), "nginx:1.27".to_owned()],
            platform: Some("linux/amd64".to_owned()),
            state: Some("running".to_owned()),
            layers: vec!["sha256:bb".to_owned(), "sha256:aa".to_owned()],
        }),
        findings: Findings { operating_system, packages, gaps, ..Findings::default() },
        ..TreeReport::default()
    }
}

/// An instance with a Debian system, a container, and something that was not read.
pub(crate) fn report() -> TargetReport {
    target(vec![debian(packages(), vec![gap()]), container("c0ffee", Vec::new())])
}
