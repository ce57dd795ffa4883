//! Packages of programming languages, as the languages' own tools install them: on most disks they are what takes the blocks.

use std::fs;
use std::path::Path;
use std::process::Command;

use agentless_package_tests::corpus::ROOTS;

use crate::image::run;

/// Those of the trees that applications bring: some 300 MB. Jars and programs, of which a part is read, and small files.
const TREES: [&str; 5] = ["go", "java", "node", "python", "ruby"];

/// Puts them into a folder. No package of the system owns any of it.
pub fn install(folder: &Path) {
    for (name, made) in ROOTS.iter().filter(|(name, _)| TREES.contains(name)) {
        let to = folder.join(name);
        fs::create_dir_all(&to).unwrap();
        run(Command::new("cp").arg("-a").arg(made().join(".")).arg(to));
    }
}
