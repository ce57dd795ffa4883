//! Snapshots of a running system: `dpkg` installs and removes packages, a service writes, and now and then the disk is
//! copied at one moment, as a snapshot of an EBS volume copies it. What we show of each copy is what the kernel recovers.

mod dpkg;

use std::sync::mpsc::{self, TryRecvError};
use std::thread;

use agentless_analyser::fs::Journal;

use agentless_disk_tests::image::{Workspace, can_mount};
use agentless_disk_tests::kinds::Kind;
use agentless_disk_tests::layout::{Disk, Layout};
use agentless_disk_tests::{changes, debian};

use crate::matrix::in_use::InUse;

const SIZE: u64 = 2 << 30;
/// Snapshots of each system.
const MOMENTS: usize = 6;
/// How many changes of a package's state `dpkg` reports between two of them: some six packages.
const STATES_BETWEEN: usize = 61;

fn compare(mkfs: &'static [&'static str], mount_options: &'static str) {
    if !can_mount() {
        return;
    }
    let kind = Kind { name: "a running system", layout: Layout::Gpt, mkfs, mount: mount_options, many: 0 };
    let workspace = Workspace::with_snapshots();
    let disk = Disk::new(&workspace, kind.layout, SIZE);
    disk.format(kind.mkfs);
    let snapshots: Vec<_> = {
        let mount = disk.mount(&disk.image, kind.mount);
        debian::install(mount.path());
        let service = mount.path().join("var/lib/service");
        std::fs::create_dir(&service).unwrap();
        thread::scope(|scope| {
            // The service goes on until the sender is gone, also when `dpkg` fails.
            let (_running, ended) = mpsc::channel::<()>();
            scope.spawn(move || {
                let mut rounds = 0..;
                while ended.try_recv() == Err(TryRecvError::Empty) {
                    changes::serve(&service, rounds.next().unwrap());
                }
            });
            let mut dpkg = dpkg::Running::start(mount.path(), &workspace.path("dpkg-errors"));
            let snapshots = (0..MOMENTS).map(|moment| {
                dpkg.wait_for(STATES_BETWEEN);
                workspace.snapshot(&disk.image, &format!("moment-{moment}"))
            });
            snapshots.collect()
        })
    };

    let name = mkfs.join(" ");
    let mut report = String::new();
    let mut recovered = 0;
    for (moment, snapshot) in snapshots.iter().enumerate() {
        let in_use = InUse::compare(&workspace, &kind, &disk, snapshot, &mut report);
        println!("{name}, moment {moment}: {in_use}");
        recovered += usize::from(in_use.journal != Journal::Clean);
    }
    assert!(report.is_empty(), "{name}: what the kernel recovers is not what we show\n{report}");
    assert_ne!(recovered, 0, "{name}: no snapshot had anything to recover");
}

#[test]
fn ext3_with_data_in_the_journal() {
    compare(&["mkfs.ext3", "-b", "1024"], "rw,data=journal");
}

#[test]
fn ext4() {
    compare(&["mkfs.ext4"], "rw");
}

#[test]
fn ext4_with_a_journal_that_wraps() {
    compare(&["mkfs.ext4", "-J", "size=4"], "rw");
}

#[test]
fn xfs() {
    compare(&["mkfs.xfs"], "rw");
}

#[test]
fn xfs_as_on_new_systems() {
    compare(&["mkfs.xfs", "-m", "rmapbt=1", "-i", "nrext64=1"], "rw");
}

#[test]
fn btrfs() {
    compare(&["mkfs.btrfs"], "rw");
}

#[test]
fn btrfs_that_compresses() {
    compare(&["mkfs.btrfs", "--csum", "xxhash"], "rw,compress=zstd");
}
