//! What it reports: lies, and too much.

use agentless_core::findings::Gap;
use agentless_core::package::{Details, Evidence, Package, PackageKind};
use agentless_core::report::{Content, DeviceKind, DeviceReport, FilesystemReport, Journal, MountReport};
use agentless_sandbox::protocol::message::FromChild;
use agentless_sandbox::protocol::part::Part;

use super::{Hijacked, send_frame};

/// Makes an attempt; nothing if this is not one of them. What is said stands for the refusal, which did not come.
pub(super) fn attempt(attempt: &str, hijacked: &mut Hijacked) -> Option<String> {
    match attempt {
        "honest" => hijacked.report_honestly(),
        "unread-volume" => {
            let kind = DeviceKind::Disk { volume: 1 };
            hijacked.send_part(Part::Devices(vec![DeviceReport { kind, ..device() }]));
        }
        "directory-for-disks" => {
            let kind = DeviceKind::Directory;
            hijacked.send_part(Part::Devices(vec![DeviceReport { kind, ..device() }]));
        }
        "index-of-volume" => {
            hijacked.send_part(Part::Devices(vec![DeviceReport {
                kind: DeviceKind::Disk { volume: 7 },
                ..device()
            }]));
        }
        "index-of-device" => {
            hijacked.send_part(Part::Devices(vec![DeviceReport { below: vec![0], ..device() }]));
        }
        "index-of-filesystem" => {
            let content = Content::Filesystem { filesystem: usize::MAX };
            hijacked.send_part(Part::Devices(vec![DeviceReport { content, ..device() }]));
            hijacked.send(&FromChild::Done);
        }
        "index-of-mount" => {
            hijacked.begin_tree();
            let path = "/".to_owned();
            let mount = MountReport { path, filesystem: 1, part: None, assumed: None };
            hijacked.send_part(Part::Mounts(vec![mount]));
        }
        "tree-without-root" => {
            hijacked.begin_tree();
            hijacked.send(&FromChild::Done);
        }
        "long-name" => {
            hijacked.begin_tree();
            hijacked.send_part(Part::Packages(vec![package("x".repeat(200_000))]));
        }
        "name-of-gigabytes" => {
            hijacked.begin_tree();
            send_package_with_name(&[0xdb, 0xff, 0xff, 0xff, 0xff]);
        }
        "name-in-no-encoding" => {
            hijacked.begin_tree();
            send_package_with_name(&[0xa4, 0xff, 0xfe, 0xc0, 0x80]);
        }
        "names-without-end" => {
            hijacked.begin_tree();
            send_packages(15_000, 16, 10_000);
        }
        "packages-without-end" => {
            hijacked.begin_tree();
            send_packages(8, 2000, 5000);
        }
        "gaps-without-end" => {
            hijacked.begin_tree();
            send_often(&Part::Gaps(vec![gap("x".to_owned()); 5000]), 2000);
        }
        "reasons-without-end" => {
            hijacked.begin_tree();
            send_often(&Part::Gaps(vec![gap("x".repeat(15_000)); 16]), 10_000);
        }
        "notes-without-end" => {
            let notes = vec![String::new(); 200_000];
            send_often(&Part::Devices(vec![DeviceReport { notes, ..device() }]), 5000);
        }
        "layers-without-end" => {
            hijacked.send_part(Part::Devices(vec![device()]));
            let below = vec![0; 200_000];
            send_often(&Part::Devices(vec![DeviceReport { below, ..device() }]), 5000);
        }
        "trees-without-end" => {
            send_often(
                &Part::Tree {
                    is_system: true,
                    container: None,
                    operating_system: None,
                    agent_lists_packages: false,
                },
                10_000_000,
            );
        }
        _ => return None,
    }
    Some("the report was taken".to_owned())
}

impl Hijacked {
    /// Ends as if nothing had been found on the disks.
    pub(super) fn report_honestly(&mut self) {
        self.send(&FromChild::Done);
        self.wait_for_the_end();
    }

    /// A report as far as the first tree.
    fn begin_tree(&mut self) {
        self.send_part(Part::Devices(vec![device()]));
        self.send_part(Part::Filesystems(vec![FilesystemReport {
            format: "ext4".to_owned(),
            devices: vec![0],
            journal: Journal::Clean,
            size: None,
            block_size: None,
            features: Vec::new(),
        }]));
        self.send_part(Part::Tree {
            is_system: true,
            container: None,
            operating_system: None,
            agent_lists_packages: false,
        });
    }

    fn send_part(&mut self, part: Part) {
        self.send(&FromChild::Part(part));
    }
}

/// Sends a part again and again, until nobody takes it.
fn send_often(part: &Part, times: u32) {
    let message = rmp_serde::to_vec_named(&FromChild::Part(part.clone())).unwrap();
    for _ in 0..times {
        if !send_frame(0, &message) {
            return;
        }
    }
}

/// Sends packages in order, each with a name of so many digits, until nobody takes them.
fn send_packages(digits: usize, at_once: u32, times: u32) {
    for part in 0..times {
        let numbers = part * at_once..(part + 1) * at_once;
        let packages = numbers.map(|number| package(format!("{number:0>digits$}"))).collect();
        let message = rmp_serde::to_vec_named(&FromChild::Part(Part::Packages(packages))).unwrap();
        if !send_frame(0, &message) {
            return;
        }
    }
}

/// Sends a package, with these bytes in the place of its encoded name.
fn send_package_with_name(encoded: &[u8]) {
    const NAME: &[u8] = b"\xaaabcdefghij";

    let package = package("abcdefghij".to_owned());
    let mut message = rmp_serde::to_vec_named(&FromChild::Part(Part::Packages(vec![package]))).unwrap();
    let at = message.windows(NAME.len()).position(|bytes| bytes == NAME).unwrap();
    message.splice(at..at + NAME.len(), encoded.iter().copied());
    send_frame(0, &message);
}

fn device() -> DeviceReport {
    DeviceReport {
        name: String::new(),
        kind: DeviceKind::Disk { volume: 0 },
        below: Vec::new(),
        size: None,
        uuid: None,
        label: None,
        content: Content::Empty,
        problems: Vec::new(),
        notes: Vec::new(),
    }
}

fn package(name: String) -> Package {
    Package {
        name,
        version: String::new(),
        architecture: None,
        kind: PackageKind::Deb,
        evidence: Evidence::default(),
        details: Details::default(),
    }
}

fn gap(reason: String) -> Gap {
    Gap { path: None, extractor: None, reason }
}
