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
