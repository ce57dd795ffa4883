//! What a system does that is in use: changes that must not be lost, in the middle of others that may be.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::fill;

/// Changes the system below `root`, as `dpkg` and a few services do; only a part of it is on the disk for sure when it
/// returns.
pub fn make(root: &Path) {
    // All before is in its place; from here on it is the journal that has what was synced.
    let everything = File::open(root).unwrap();
    rustix::fs::syncfs(&everything).unwrap();

    let service = root.join("var/lib/service");
    fs::create_dir(&service).unwrap();
    for round in 0..30 {
        replace(&root.join("var/lib/dpkg/status"), 300_000 + round * 1000, round);
        serve(&service, round);
    }
    fs::remove_dir_all(root.join("usr/share/doc")).unwrap();
    replace(&root.join("var/lib/dpkg/status"), 123_456, 99);
}

/// Writes what a package manager writes for so many packages, see [`install_package`].
pub fn install_packages(root: &Path, count: u64) {
    for index in 0..count {
        install_package(root, index);
    }
}

/// Writes what a package manager writes for its package of this number: small files that replace each other, each made
/// durable.
pub fn install_package(root: &Path, index: u64) {
    let dir = root.join("var/lib/dpkg");
    fs::create_dir_all(dir.join("info")).unwrap();
    let new = dir.join("status-new");
    fs::write(&new, fill::content(index, 3000 + usize::try_from(index).unwrap() * 17)).unwrap();
    File::open(&new).unwrap().sync_all().unwrap();
    fs::rename(&new, dir.join("status")).unwrap();
    fs::write(dir.join(format!("info/package-{index}.list")), format!("/usr/share/{index}\n")).unwrap();
    if index.is_multiple_of(3) && index > 6 {
        fs::remove_file(dir.join(format!("info/package-{}.list", index - 5))).unwrap();
    }
    File::open(&dir).unwrap().sync_all().unwrap();
}

/// One round of a service that keeps its state in `dir`: it makes files of all kinds, and deletes older ones.
pub fn serve(dir: &Path, round: u64) {
    for index in 0..5 {
        let name = format!("part-{round}-{index}");
        fs::write(dir.join(&name), fill::content(round, 3000)).unwrap();
        if index % 2 == 0 {
            fs::rename(dir.join(&name), dir.join(format!("{name}.whole"))).unwrap();
        }
    }
    fs::create_dir(dir.join(format!("dir-{round}"))).unwrap();
    symlink(format!("part-{round}-3"), dir.join(format!("link-{round}"))).unwrap();
    if let Some(older) = round.checked_sub(3) {
        fs::remove_file(dir.join(format!("part-{older}-1"))).unwrap();
        fs::hard_link(dir.join(format!("part-{older}-3")), dir.join(format!("hard-{round}"))).unwrap();
        fs::remove_dir(dir.join(format!("dir-{older}"))).unwrap();
    }
    let mut log = File::options().create(true).append(true).open(dir.join("log")).unwrap();
    log.write_all(&fill::content(round, 2777)).unwrap();
    if round.is_multiple_of(4) {
        log.sync_data().unwrap();
    }
    if round.is_multiple_of(16) {
        log.set_len(1234).unwrap();
    }
    replace(&dir.join("state"), 5000 + round * 100, round);
}

/// Replaces a file as `dpkg` does: the new one is on the disk before it gets the name, and the old one has another.
fn replace(path: &Path, length: u64, seed: u64) {
    let [new, old] = ["new", "old"].map(|which| path.with_extension(which));
    let mut file = File::create(&new).unwrap();
    file.write_all(&fill::content(seed, usize::try_from(length).unwrap())).unwrap();
    file.sync_all().unwrap();
    if path.exists() {
        let _ = fs::remove_file(&old);
        fs::hard_link(path, &old).unwrap();
    }
    fs::rename(new, path).unwrap();
    File::open(path.parent().unwrap()).unwrap().sync_all().unwrap();
}
