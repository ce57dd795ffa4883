//! Packages of Debian, unpacked and not installed.

use std::path::Path;
use std::process::Command;

use crate::tool;

/// Downloads packages and unpacks them into a folder.
pub fn unpack(packages: &[&str], into: &Path) {
    let downloads = tempfile::tempdir().unwrap();
    let mut apt = Command::new("apt-get");
    tool::run(apt.args(["download", "-q"]).args(packages).current_dir(downloads.path()));
    for package in std::fs::read_dir(downloads.path()).unwrap() {
        tool::run(Command::new("dpkg").arg("-x").arg(package.unwrap().path()).arg(into));
    }
}
