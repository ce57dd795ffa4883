//! What finding the systems costs beside reading their packages.

use std::fs;
use std::rc::Rc;
use std::sync::Arc;

use agentless_analyser::fs::Tree;
use agentless_analyser::limits::Limits;
use agentless_analyser::storage::{Disk, DiskState, Source};
use agentless_analyser::{analyse, extract};
use agentless_core::task::Scope;

use agentless_disk_tests::counting::CountingVolume;
use agentless_disk_tests::fill;
use agentless_disk_tests::image::{Mount, Workspace, can_mount};

#[test]
fn finding_the_system_costs_few_blocks_beside_its_packages() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let image = workspace.format("image", 2 << 30, &["mkfs.ext4"]);
    {
        let mount = Mount::writable(&image);
        let root = mount.path();
        let directories =
            ["etc", "usr/lib/systemd/system", "usr/share", "var/lib/dpkg/info", "etc/systemd/system"];
        for directory in directories {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        for index in 0..8000_u64 {
            let directory = directories[usize::try_from(index % 5).unwrap()];
            let length = usize::try_from(index % 7 * 4000).unwrap();
            let path = root.join(directory).join(format!("file-{index}"));
            fs::write(path, fill::content(index, length)).unwrap();
        }
        fs::write(root.join("usr/lib/os-release"), "ID=debian\n").unwrap();
        fs::write(root.join("etc/fstab"), "LABEL=x / ext4\n").unwrap();
        let stanza = "Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n";
        fs::write(root.join("var/lib/dpkg/status"), stanza).unwrap();
    }
    let limits = Limits::default();

    let volume = Arc::new(CountingVolume::new(&image));
    let opened = agentless_analyser::fs::open(volume.clone(), &limits).unwrap();
    let packages = extract::run(&Tree::new(Rc::from(opened), limits.clone())).packages;
    let alone = volume.touched();

    let volume = Arc::new(CountingVolume::new(&image));
    let disk = Disk { id: "disk".to_owned(), device: None, state: DiskState::Open(volume.clone()) };
    let report = analyse::target("disk", Source::Disks(&[disk]), Scope::default(), &limits);
    assert_eq!(report.trees[0].findings.packages, packages);
    println!("packages touch {alone} blocks of 512 KiB, with what finds their system {}", volume.touched());
    assert!(volume.touched() <= alone + 1, "{}", volume.touched());
}
