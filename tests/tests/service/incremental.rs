//! `incremental: true`: what a scan read is kept for the next one, with its snapshot, and nothing else is.

use std::collections::BTreeSet;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use agentless_service::board::{Last, Outcome};
use agentless_tests::packages::{self, Package};
use agentless_tests::service::{Machine, eventually};

use crate::scene::{LISTS, Scene, configure, copy, copy_of_image, only_list};

/// What is kept is on the disk in compressed form. Far fewer blocks than a small disk has.
const MOST_BLOCKS: usize = 60;
const BLOCK: usize = 512 << 10;

#[tokio::test]
async fn a_second_scan_reads_what_has_changed_and_says_what_a_full_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, changed) = (folder.path().join("disk.img"), folder.path().join("changed.img"));
    copy_of_image(&disk).await;
    copy(&disk, &changed);
    rename_package(&changed, "bash", "bosh");
    let scene = Scene::with_disk("ap-southeast-2", &disk).await;
    let id = &scene.instance.instance_id;
    let machine = scene.machine("incremental: true\n");

    let service = machine.ready().await.unwrap();
    let (service, last) = service.scan(id).await.unwrap();
    let full = reads(&scene, &last);
    assert!((1..=MOST_BLOCKS).contains(&full), "{full} blocks");
    let first = listed(&machine).await;
    assert_eq!(first, packages::installed_here().unwrap());
    let kept = scene.left().await;
    assert_eq!(kept.len(), 1, "the snapshot that the blocks came from: {kept:?}");
    assert_bounded(&machine, full);

    // Nothing has changed: nothing is read, and the new snapshot takes the old one's place.
    let (service, last) = service.scan(id).await.unwrap();
    assert_eq!(reads(&scene, &last), 0);
    assert_eq!(listed(&machine).await, first);
    let newer = scene.left().await;
    assert_eq!(newer.len(), 1);
    assert_ne!(newer, kept);
    assert_bounded(&machine, full);

    // A few blocks have changed: these are read, and what they say is said.
    scene.aws.set_volume_content(&scene.instance.volume_id, &changed);
    let (service, last) = service.scan(id).await.unwrap();
    let few = reads(&scene, &last);
    assert!((1..=full / 2).contains(&few), "{few} of {full} blocks");
    let incremental = listed(&machine).await;
    assert_eq!(names(&incremental, &["bash", "bosh"]), ["bosh"]);
    assert_bounded(&machine, full + few);

    // Whoever switches it off has nothing kept any longer, and reads everything again.
    assert_eq!(service.end().await.unwrap().code, Some(0));
    assert_eq!(scene.left().await.len(), 1, "what is kept outlives the service");
    configure(&machine, "");
    let service = machine.ready().await.unwrap();
    scene.until_nothing_is_left().await;
    assert_eq!(kept_files(&machine), [0_u64; 0]);
    scene.aws.clear_calls();
    let (service, last) = service.scan(id).await.unwrap();
    assert!(reads(&scene, &last) >= full);
    assert_eq!(listed(&machine).await, incremental);
    assert_eq!(service.end().await.unwrap().code, Some(0));
    assert!(scene.left().await.is_empty());
    scene.aws.assert_no_unimplemented();
}

/// How many blocks a scan that just ended has read.
fn reads(scene: &Scene, last: &Last) -> usize {
    assert_eq!(last.outcome, Outcome::Complete, "{last:?}");
    let count = scene.aws.calls().iter().filter(|call| call.action == "GetSnapshotBlock").count();
    scene.aws.clear_calls();
    count
}

/// What the list of a scan that just ended has. It is taken away, so that the next one is known as such.
async fn listed(machine: &Machine) -> BTreeSet<Package> {
    let document = eventually("the list is there", || async { only_list(machine) }).await.expect("a list");
    for list in machine.lists(LISTS).expect("lists") {
        std::fs::remove_file(list).expect("it is there");
    }
    packages::in_bom(&document).expect("package URLs")
}

fn names<'a>(packages: &'a BTreeSet<Package>, wanted: &[&str]) -> Vec<&'a str> {
    let names = packages.iter().map(|package| package.name.as_str());
    names.filter(|name| wanted.contains(name)).collect()
}

/// There is one file, of no more than the blocks that were read.
fn assert_bounded(machine: &Machine, blocks: usize) {
    let files = kept_files(machine);
    let [only] = files[..] else { panic!("{files:?}") };
    assert!(only <= u64::try_from(blocks * BLOCK).expect("a length"), "{only} bytes of {blocks} blocks");
}

/// The lengths of the files that are kept.
fn kept_files(machine: &Machine) -> Vec<u64> {
    let files = std::fs::read_dir(machine.path("state").join("kept")).expect("the directory of what is kept");
    files.map(|file| file.and_then(|file| file.metadata()).expect("a file").len()).collect()
}

/// Renames a package in the database on a disk, without moving anything: the names are equally long.
fn rename_package(disk: &Path, from: &str, to: &str) {
    let line = format!("^Package: {from}$");
    let found = Command::new("grep").args(["-abo", &line]).arg(disk).output().expect("grep");
    let found = String::from_utf8(found.stdout).expect("offsets");
    let file = std::fs::File::options().write(true).open(disk).expect("the disk");
    assert!(!found.is_empty() && from.len() == to.len());
    for hit in found.lines() {
        let (offset, text) = hit.split_once(':').expect("an offset");
        let offset: u64 = offset.parse().expect("an offset");
        file.write_all_at(text.replace(from, to).as_bytes(), offset).expect("a name");
    }
}
