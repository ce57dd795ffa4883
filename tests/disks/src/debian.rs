//! A real system: Debian, or Ubuntu, as `debootstrap` installs it from the sources that this machine's apt has.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::image::run;

/// Puts a Debian system into `root`, which is empty: some 7000 files of 250 MB, with the packages they came from in
/// `var/cache/apt/archives`.
pub fn install(root: &Path) {
    let archive = archive();
    run(Command::new("tar")
        .args(TAR)
        .arg("--extract")
        .arg("--file")
        .arg(archive)
        .arg("--directory")
        .arg(root));
}

/// Owners by number, and every extended attribute.
const TAR: [&str; 3] = ["--numeric-owner", "--xattrs", "--xattrs-include=*"];

/// The system as a tar archive. The first to ask makes it, in a minute or two; it stays in cargo's target directory.
fn archive() -> PathBuf {
    let folder = target_directory().join("debian-tree");
    fs::create_dir_all(&folder).unwrap();
    let archive = folder.join("minbase.tar");
    // Of all tests and processes that ask at the same time, one makes it and the others wait.
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    if !archive.exists() {
        let unfinished = tempfile::tempdir_in(&folder).unwrap();
        let root = unfinished.path().join("root");
        debootstrap(&root);
        let packed = unfinished.path().join("packed.tar");
        run(Command::new("tar")
            .args(TAR)
            .args(["--create", "--one-file-system", "--file"])
            .arg(&packed)
            .arg("--directory")
            .arg(&root)
            .arg("."));
        fs::rename(packed, &archive).unwrap();
    }
    archive
}

fn debootstrap(root: &Path) {
    let Source { mirror, release } = source();
    let output = Command::new("debootstrap")
        .args(["--variant=minbase", &release])
        .arg(root)
        .arg(&mirror)
        .output()
        .unwrap_or_else(|error| panic!("debootstrap: {error}"));
    assert!(
        output.status.success(),
        "debootstrap could not install {release} from {mirror}; its log is {}\n{}{}",
        root.join("debootstrap/debootstrap.log").display(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}

/// Where packages come from.
#[derive(Debug, PartialEq, Eq)]
struct Source {
    mirror: String,
    release: String,
}

/// The first source of this machine's apt that `debootstrap` can install a system from.
fn source() -> Source {
    let targets = run(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(SITE) $(RELEASE) $(COMPONENT)",
        "Created-By: Packages",
    ]));
    let known = |release: &str| Path::new("/usr/share/debootstrap/scripts").join(release).exists();
    first_source(&targets, known, |list| fs::read_to_string(list).unwrap_or_default()).unwrap_or_else(|| {
        panic!("apt of this machine has no source that debootstrap can install from, but only\n{targets}")
    })
}

/// The first line of `site release component` whose release `is_known`, and which has the base system.
fn first_source(
    targets: &str,
    is_known: impl Fn(&str) -> bool,
    read_list: impl Fn(&str) -> String,
) -> Option<Source> {
    targets.lines().find_map(|line| {
        let [site, release, "main"] = line.split(' ').collect::<Vec<_>>()[..] else { return None };
        // A list of mirrors in a file, as on the machines of GitHub: one in each line, with options behind it.
        let mirror = match site.strip_prefix("mirror+file:") {
            Some(list) => read_list(list).split_whitespace().next()?.to_owned(),
            None => site.to_owned(),
        };
        is_known(release).then(|| Source { mirror, release: release.to_owned() })
    })
}

/// Cargo marks its target directory, which this program is in.
fn target_directory() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let target = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    target.unwrap_or_else(|| panic!("{} is not in a target directory", program.display())).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_a_release_with_its_base_system() {
        let known = |release: &str| ["bookworm", "noble"].contains(&release);
        let list = |path: &str| format!("http://from{path}/ubuntu\tpriority:1\nhttp://second/ubuntu\n");
        let find = |targets| first_source(targets, known, list).map(|found| (found.mirror, found.release));
        let expected = |mirror: &str, release: &str| Some((mirror.to_owned(), release.to_owned()));
        assert_eq!(
            find(
                "http://a/debian-security bookworm-security main\nhttp://b/debian bookworm contrib\nhttp://c/debian bookworm main"
            ),
            expected("http://c/debian", "bookworm")
        );
        assert_eq!(
            find("mirror+file:/etc/apt/mirrors.txt noble main"),
            expected("http://from/etc/apt/mirrors.txt/ubuntu", "noble")
        );
        assert_eq!(find(""), None);
    }
}
