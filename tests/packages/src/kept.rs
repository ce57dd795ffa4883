//! Trees of files that take long to make, and are kept in cargo's target directory.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The tree of this name, which the first to ask makes in an empty folder. Others wait for it. Nobody may change it.
///
/// A change of how it is made must change its name.
pub fn tree(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let folder = target_directory().join("package-trees");
    fs::create_dir_all(&folder).unwrap();
    let lock = File::create(folder.join(format!("{name}.lock"))).unwrap();
    lock.lock().unwrap();
    let tree = folder.join(name);
    if !tree.exists() {
        let unfinished = folder.join(format!("{name}.unfinished"));
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).unwrap();
        }
        fs::create_dir(&unfinished).unwrap();
        make(&unfinished);
        fs::rename(unfinished, &tree).unwrap();
    }
    tree
}

/// Cargo marks its target directory, which this program is in.
fn target_directory() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let target = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    target.unwrap_or_else(|| panic!("{} is not in a target directory", program.display())).to_owned()
}
