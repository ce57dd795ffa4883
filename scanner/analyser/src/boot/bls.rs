//! Entries of menus, a file each, as the Boot Loader Specification describes them (type 1).

use std::cmp::Ordering;

use super::{Doubt, version};
use crate::fs::{FsError, FsPath, Tree};

/// One entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// The file's name without `.conf`, and without what counts attempts to boot it.
    pub(super) id: String,
    pub(super) title: String,
    pub(super) linux: Option<String>,
    version: String,
    sort_key: String,
    machine: String,
    /// Whether all attempts to boot it are used up.
    is_bad: bool,
}

/// How many entries are read. A menu has a few; each costs a file.
const ENTRIES: usize = 1000;

/// The entries of a directory.
pub(super) fn entries(tree: &Tree, directory: &FsPath) -> Result<Vec<Entry>, Doubt> {
    let listed = match tree.read_dir(directory) {
        Err(FsError::Invalid { .. }) => return Ok(Vec::new()),
        listed => listed.map_err(Doubt::at(directory))?.unwrap_or_default(),
    };
    let files = || listed.iter().filter(|entry| entry.name.ends_with(b".conf"));
    if files().nth(ENTRIES).is_some() {
        return Err(Doubt::new(directory, format!("it has more than {ENTRIES} entries")));
    }
    let mut entries = Vec::new();
    for entry in files() {
        if let Some(content) = super::text(tree, &directory.join(&entry.name))? {
            entries.push(Entry::new(&String::from_utf8_lossy(&entry.name), &content));
        }
    }
    Ok(entries)
}

impl Entry {
    /// Reads a file: on each line a word, space, and its value.
    pub(super) fn new(file: &str, content: &[u8]) -> Self {
        let name = file.strip_suffix(".conf").unwrap_or(file);
        // `NAME+LEFT-DONE`: how many attempts are left.
        let (id, is_bad) = match name.rsplit_once('+') {
            Some((id, counts)) if counts.starts_with(|first: char| first.is_ascii_digit()) => {
                (id, counts.split('-').next() == Some("0"))
            }
            _ => (name, false),
        };
        let mut entry = Self { id: id.to_owned(), is_bad, ..Self::default() };
        for line in String::from_utf8_lossy(content).lines() {
            let Some((key, value)) = line.trim().split_once([' ', '\t']) else { continue };
            let value = value.trim().to_owned();
            match key {
                "title" => entry.title = value,
                "linux" => entry.linux = Some(value),
                "version" => entry.version = value,
                "sort-key" => entry.sort_key = value,
                "machine-id" => entry.machine = value,
                _ => {}
            }
        }
        entry
    }

    /// The order in which GRUB shows them, by the names of the files as if these were names, versions and releases of packages:
    /// the newest first.
    pub(super) fn in_grub(&self, other: &Self) -> Ordering {
        let parts = |id: &str| {
            let (rest, release) = id.rsplit_once('-').unwrap_or((id, ""));
            let (name, version) = rest.rsplit_once('-').unwrap_or((rest, ""));
            [name.to_owned(), version.to_owned(), release.to_owned()]
        };
        let (left, right) = (parts(&self.id), parts(&other.id));
        let orders = left.iter().zip(&right).map(|(a, b)| version::compare(b.as_bytes(), a.as_bytes()));
        orders.fold(Ordering::Equal, Ordering::then)
    }

    /// The order in which the specification has them ("Sorting").
    pub(super) fn in_specification(&self, other: &Self) -> Ordering {
        let newest = |a: &str, b: &str| version::compare(b.as_bytes(), a.as_bytes());
        let by_key = match (self.sort_key.is_empty(), other.sort_key.is_empty()) {
            (false, false) => (self.sort_key.cmp(&other.sort_key))
                .then_with(|| self.machine.cmp(&other.machine))
                .then_with(|| newest(&self.version, &other.version)),
            (left, right) => left.cmp(&right),
        };
        self.is_bad.cmp(&other.is_bad).then(by_key).then_with(|| newest(&self.id, &other.id))
    }
}
