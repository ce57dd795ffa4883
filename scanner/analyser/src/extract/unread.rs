//! Package databases that no extractor reads yet.
//!
//! A list without them would look complete, so each one that exists is reported. An entry goes when its extractor comes.

use super::report::Gathering;
use crate::fs::{FileType, FsPath, Tree};

/// Databases by path, with their format.
const DATABASES: &[(&str, &str)] = &[("/usr/lib/opkg/status", "opkg"), ("/var/lib/pacman/local", "pacman")];

/// Reports those of the databases that the tree has.
pub(super) fn report(tree: &Tree, gathering: &mut Gathering) {
    for (path, format) in DATABASES {
        let path = FsPath::new(path);
        let reason = match tree.lookup(&path) {
            // What a package manager that is installed but not used leaves: nothing is recorded there.
            Ok(Some((_, stat))) if stat.file_type == FileType::Regular && stat.size == 0 => continue,
            Ok(Some(_)) => format!("this version does not read {format} databases"),
            Ok(None) => continue,
            Err(error) => crate::chain(&error),
        };
        gathering.push_gap(path.to_string(), None, reason);
    }
}
