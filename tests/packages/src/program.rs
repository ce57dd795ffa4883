//! Programs in machine code, made by this machine's own assembler and linker.

use std::path::Path;
use std::process::Command;

use crate::tool;

/// Assembles and links what is in `source`, which is to have a symbol `_start`, to a program of its own at `path`.
pub fn link(path: &Path, source: &str, arguments: &[&str]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("program.s");
    std::fs::write(&file, source).unwrap();
    tool::run(Command::new("cc").args(["-nostdlib", "-o"]).arg(path).arg(file).args(arguments));
}

/// A program with the list of crates that `cargo auditable` puts into those that it builds: as a section, which `objcopy` adds
/// and Python compresses.
pub fn audited(path: &Path, list: &str) {
    link(path, ".globl _start\n.text\n_start: .space 100000\n", &["-static"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("list");
    let compress = "import sys, zlib; open(sys.argv[1], 'wb').write(zlib.compress(sys.argv[2].encode()))";
    tool::run(Command::new("python3").args(["-c", compress]).arg(&file).arg(list));
    let section = format!(".dep-v0={}", file.display());
    tool::run(Command::new("objcopy").args(["--add-section", &section]).arg(path));
}
