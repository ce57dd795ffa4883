//! Extractors: each knows one record of installed software and reads it.
//!
//! An extractor declares which files it reads and parses one of them at a time. Finding and opening files, and the
//! bounds on both, are the work of [`run`].

#![warn(clippy::arithmetic_side_effects)]

mod control;
pub mod os;
mod registry;
mod report;
mod unread;

use std::collections::HashSet;
use std::fmt::Debug;

use crate::fs::{File, FsError, FsPath, Tree};
use crate::limits::Limits;
use crate::package::OperatingSystem;

pub use agentless_core::findings::{Findings, Gap, Source};
pub use registry::EXTRACTORS;
pub use report::{Found, Report, Room};

use report::Gathering;

/// One parsing logic for one on-disk record of packages.
///
/// Implementations are stateless; everything that varies between scans arrives in [`Input`].
pub trait Extractor: Debug + Send + Sync {
    /// Stable name: the module's path below `extract`, such as `os/dpkg`. Appears in the package list, in logs and on the
    /// command line.
    fn name(&self) -> &'static str;

    /// Raised whenever a change alters what this extractor finds.
    fn version(&self) -> u16 {
        1
    }

    /// What it reads, as one line for people.
    fn description(&self) -> &'static str;

    /// The files this extractor reads, the most telling first. Declarative, so that exact paths are looked up directly
    /// and a directory is listed only where some extractor has an interest.
    fn interest(&self) -> &'static [Interest];

    /// Whether it reads this file of those that its interest covers.
    fn wants(&self, _path: &FsPath) -> bool {
        true
    }

    /// Reads one file and reports what it records. What was reported before a failure is kept.
    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError>;
}

/// Which files an extractor reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interest {
    /// Exactly this path.
    Exact(&'static str),
    /// Every file directly in this directory.
    Within(&'static str),
}

impl Interest {
    /// The interest as a pattern for people: a path, or a directory's files.
    pub fn pattern(self) -> String {
        match self {
            Self::Exact(path) => path.to_owned(),
            Self::Within(directory) => format!("{directory}/*"),
        }
    }
}

/// One file, for an extractor.
#[derive(Debug)]
pub struct Input<'a> {
    tree: &'a Tree,
    path: &'a FsPath,
    file: File<'a>,
}

impl Input<'_> {
    /// The file's path as the extractor's interest names it: links on the way are not resolved in it.
    pub fn path(&self) -> &FsPath {
        self.path
    }

    /// What reading may cost.
    pub fn limits(&self) -> &Limits {
        self.tree.limits()
    }

    /// The file's bytes. Bounded by the limit on a file's size.
    pub fn read_all(&self) -> Result<Vec<u8>, FsError> {
        self.file.read_all()
    }

    /// The file's bytes, for a file of a few lines.
    pub fn read_small(&self) -> Result<Vec<u8>, FsError> {
        self.file.read_small()
    }

    /// The bytes of a small file beside it, such as the one that holds a system's point release.
    pub fn read_side(&self, path: &FsPath) -> Result<Option<Vec<u8>>, FsError> {
        self.tree.open(path)?.map(|file| file.read_small()).transpose()
    }

    /// The files of a directory beside it, sorted; none if there is no such directory.
    pub fn list_side(&self, directory: &FsPath) -> Result<Vec<FsPath>, FsError> {
        let entries = self.tree.read_dir(directory)?.unwrap_or_default();
        Ok(entries.iter().map(|entry| directory.join(&entry.name)).collect())
    }
}

/// Why a file could not be read to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// The filesystem below.
    #[error(transparent)]
    Fs(#[from] FsError),
}

/// Runs every extractor on one tree.
pub fn run(tree: &Tree) -> Findings {
    run_within(tree, &mut Room::new(tree.limits()))
}

/// Runs every extractor on one tree of a target, and takes what it finds from the room for all of them.
pub fn run_within(tree: &Tree, room: &mut Room) -> Findings {
    let mut gathering = gather(tree, EXTRACTORS, *room);
    unread::report(tree, &mut gathering);
    *room = gathering.room;
    gathering.finish()
}

/// What the system in a tree calls itself, and nothing else.
pub fn operating_system(tree: &Tree) -> Option<OperatingSystem> {
    gather(tree, &[&os::Release], Room::new(tree.limits())).finish().operating_system
}

fn gather(tree: &Tree, extractors: &[&dyn Extractor], room: Room) -> Gathering {
    let mut gathering = Gathering::within(room, tree.limits());
    for &extractor in extractors {
        // A path may be a link to another one that is wanted too, such as /etc/os-release.
        let mut seen = HashSet::new();
        for &interest in extractor.interest() {
            for path in paths(tree, extractor, interest, &mut gathering) {
                let found = tree.lookup(&path).and_then(|found| match found {
                    Some((node, stat)) if seen.insert(node) => tree.open_node(node, &stat).map(Some),
                    _ => Ok(None),
                });
                match found {
                    Ok(Some(file)) => extract(extractor, &Input { tree, path: &path, file }, &mut gathering),
                    Ok(None) => {}
                    Err(error) => gathering.gap(extractor, &path, &error),
                }
            }
        }
    }
    gathering
}

/// The paths that an interest stands for in this tree.
fn paths(
    tree: &Tree,
    extractor: &dyn Extractor,
    interest: Interest,
    gathering: &mut Gathering,
) -> Vec<FsPath> {
    let directory = match interest {
        Interest::Exact(path) => return vec![FsPath::new(path)],
        Interest::Within(directory) => FsPath::new(directory),
    };
    match tree.read_dir(&directory) {
        Ok(entries) => entries
            .unwrap_or_default()
            .iter()
            .map(|entry| directory.join(&entry.name))
            .filter(|path| extractor.wants(path))
            .collect(),
        Err(error) => {
            gathering.gap(extractor, &directory, &error);
            Vec::new()
        }
    }
}

fn extract(extractor: &dyn Extractor, input: &Input<'_>, gathering: &mut Gathering) {
    let span = tracing::debug_span!("extract", extractor = extractor.name(), path = %input.path());
    let _entered = span.enter();
    let mut report = Report::new(gathering, extractor, input.path());
    if let Err(error) = extractor.extract(input, &mut report) {
        report.unknown(crate::chain(&error));
    }
    report.finish();
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::rc::Rc;

    use agentless_core::fs::Directory;

    use super::*;
    use crate::limits::Limits;

    fn tree(root: &Path) -> Tree {
        let limits = Limits::default();
        Tree::new(Rc::new(Directory::open(root, &limits).unwrap()), limits)
    }

    fn write(root: &Path, path: &str, content: impl AsRef<[u8]>) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    #[test]
    fn a_debian_tree_gives_its_release_and_packages() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "usr/lib/os-release", "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian 12\"\n");
        write(root.path(), "etc/debian_version", "12.15\n");
        std::os::unix::fs::symlink("../usr/lib/os-release", root.path().join("etc/os-release")).unwrap();
        write(
            root.path(),
            "var/lib/dpkg/status",
            "Package: b\nStatus: install ok installed\nVersion: 2\nArchitecture: i386\n\n\
             Package: b\nStatus: install ok installed\nVersion: 2\nArchitecture: amd64\n\n",
        );
        write(root.path(), "var/lib/dpkg/status.d/a", "Package: a\nVersion: 1\nArchitecture: amd64\n");
        write(root.path(), "var/lib/dpkg/status.d/a.md5sums", "0 usr/bin/a\n");

        let findings = run(&tree(root.path()));
        assert_eq!(findings.gaps, []);
        let system = findings.operating_system.unwrap();
        assert_eq!((&system.id[..], system.version.as_deref()), ("debian", Some("12.15")));
        assert_eq!(system.evidence.path, "/etc/os-release");
        let packages: Vec<_> = findings
            .packages
            .iter()
            .map(|package| {
                (&package.name[..], package.architecture.as_deref().unwrap(), &package.evidence.path[..])
            })
            .collect();
        let status = "/var/lib/dpkg/status";
        let expected =
            [("a", "amd64", "/var/lib/dpkg/status.d/a"), ("b", "amd64", status), ("b", "i386", status)];
        assert_eq!(packages, expected);
        assert_eq!(findings.sources.len(), 2);
    }

    #[test]
    fn what_cannot_be_read_is_reported_with_path_and_reason() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("var/lib/dpkg/status")).unwrap();
        write(root.path(), "var/lib/rpm/rpmdb.sqlite", "SQLite");
        write(root.path(), "lib/apk/db/installed", "");
        let findings = run(&tree(root.path()));
        let gaps: Vec<_> =
            findings.gaps.iter().map(|gap| (gap.path.as_deref().unwrap(), &gap.reason[..])).collect();
        let expected = [
            ("/var/lib/dpkg/status", "not a regular file"),
            ("/var/lib/rpm/rpmdb.sqlite", "this version does not read rpm databases"),
        ];
        assert_eq!(gaps, expected);
    }

    #[test]
    fn a_change_that_dpkg_had_not_finished_makes_the_list_incomplete() {
        let root = tempfile::tempdir().unwrap();
        let stanza = |version| {
            format!("Package: a\nStatus: install ok installed\nVersion: {version}\nArchitecture: all\n\n")
        };
        write(root.path(), "var/lib/dpkg/status", stanza(1));
        write(root.path(), "var/lib/dpkg/updates/0007", stanza(2));
        write(root.path(), "var/lib/dpkg/updates/tmp.i", "Pack");
        let findings = run(&tree(root.path()));
        assert_eq!(findings.packages[0].version, "1");
        let reasons: Vec<_> = findings.gaps.iter().map(|gap| &gap.reason[..]).collect();
        let expected = "dpkg was at work, and /var/lib/dpkg/updates/0007 is not in the database yet: package \"a\", \
                        version \"2\", status \"install ok installed\"";
        assert_eq!(reasons, [expected]);
    }

    #[test]
    fn an_empty_tree_gives_nothing() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(run(&tree(root.path())), Findings::default());
    }
}
