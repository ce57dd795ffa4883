//! What a system does that is in use: changes that must not be lost, in the middle of others that may be.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;

use agentless_disk_tests::fill;

/// Changes the system below `root`, as `dpkg` and a few services do; only a part of it is on the disk for sure when it
/// returns.
pub(super) fn make(root: &Path) {
    // All before is in its place; from here on it is the journal that has what was synced.
    let everything = File::open(root).unwrap();
    rustix::fs::syncfs(&everything).unwrap();

    let dir = root.join("var/lib/service");
    fs::create_dir_all(&dir).unwrap();
    let mut log = File::create(dir.join("log")).unwrap();
    for round in 0..30 {
        replace(&root.join("var/lib/dpkg"), "status", 300_000 + round * 1000, round);
        for index in 0..5 {
            let name = format!("package-{round}-{index}");
            fs::write(dir.join(&name), fill::content(round, 3000)).unwrap();
            if index % 2 == 0 {
                fs::rename(dir.join(&name), dir.join(format!("{name}.list"))).unwrap();
            }
        }
        if round >= 3 {
            fs::remove_file(dir.join(format!("package-{}-1", round - 3))).unwrap();
            fs::hard_link(dir.join(format!("package-{}-3", round - 3)), dir.join(format!("hard-{round}")))
                .unwrap();
        }
        symlink(format!("package-{round}-3"), dir.join(format!("link-{round}"))).unwrap();
        fs::create_dir(dir.join(format!("dir-{round}"))).unwrap();
        if round >= 5 {
            fs::remove_dir(dir.join(format!("dir-{}", round - 5))).unwrap();
        }
        log.write_all(&fill::content(round, 2777)).unwrap();
        if round % 4 == 0 {
            log.sync_data().unwrap();
        }
    }
    fs::remove_dir_all(root.join("usr/share/doc")).unwrap();
    replace(&root.join("var/lib/dpkg"), "status", 123_456, 99);
}

/// Replaces a file as `dpkg` does: the new one is on the disk before it gets the name.
fn replace(dir: &Path, name: &str, length: u64, seed: u64) {
    let new = dir.join(format!("{name}-new"));
    let mut file = File::create(&new).unwrap();
    file.write_all(&fill::content(seed, usize::try_from(length).unwrap())).unwrap();
    file.sync_all().unwrap();
    let _ = fs::remove_file(dir.join(format!("{name}-old")));
    fs::hard_link(dir.join(name), dir.join(format!("{name}-old"))).unwrap();
    fs::rename(new, dir.join(name)).unwrap();
    File::open(dir).unwrap().sync_all().unwrap();
}
