//! The scripts themselves.

use std::path::PathBuf;
use std::process::Command;

use crate::made::packer;
use crate::{run, tell};

#[test]
fn shellcheck_finds_nothing() {
    if Command::new("shellcheck").arg("--version").output().is_err() {
        let on_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
        assert!(!on_ci, "`shellcheck` is missing (Debian and Ubuntu: apt-get install shellcheck)");
        tell("left out: lacks shellcheck");
        return;
    }
    let scripts = shell_scripts(packer());
    assert!(scripts.len() >= 10, "{scripts:?}");
    run(Command::new("shellcheck").args(["--severity=style"]).args(scripts));
}

fn shell_scripts(folder: PathBuf) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(folder).expect("a directory").map(|entry| entry.expect("an entry").path());
    let below = |path: PathBuf| if path.is_dir() { shell_scripts(path) } else { vec![path] };
    entries.flat_map(below).filter(|path| path.extension().is_some_and(|it| it == "sh")).collect()
}
