//! Extractors: each knows one record of installed software and reads it.
//!
//! An extractor declares which files it reads and parses one of them at a time. Finding and opening files, and the
//! bounds on both, are the work of [`run`].

#![warn(clippy::arithmetic_side_effects)]

pub(crate) mod agent;
mod depend;
mod find;
mod format;
mod input;
mod interest;
mod kernel;
pub mod lang;
pub mod lock;
pub mod os;
mod owner;
mod registry;
mod report;
mod shared;
mod unread;

use std::collections::HashSet;
use std::fmt::Debug;

use agentless_core::task::Scope;

use crate::fs::{FsError, FsPath, Node, Tree};
use crate::package::{OperatingSystem, Owner};
use crate::volume::bytes::to_u64;

pub use agentless_core::findings::{Findings, Gap, Source};
pub use input::{Input, Reader};
pub use interest::{Interest, Reads};
pub use owner::{Claims, is_of_the_distribution};
pub use registry::EXTRACTORS;
pub use report::{Found, Report, Room};
pub use shared::{Memory, Shared};

use owner::Owners;
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

    /// What it surely reads of such a file, if only a walk finds it.
    fn reads(&self, _path: &FsPath) -> Reads {
        Reads::Whole
    }

    /// Reads one file and reports what it records. What was reported before a failure is kept.
    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError>;

    /// Says which files the packages of its database installed, each with [`Claims::file`]. Only asked if somebody wants to
    /// know, and before any executable is opened. What is in question is in [`Claims`]: the lists of files pass by, and
    /// nothing of them is kept.
    fn owners(&self, _claims: &mut Claims<'_>) {}
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
    run_within(tree, Scope::default(), &mut Room::new(tree.limits()), Around::default())
}

/// What a tree has to do with others of its target.
#[derive(Debug, Default)]
pub struct Around {
    /// Directories in it that hold files of other trees: they are not searched.
    pub layers: HashSet<Node>,
    /// What is known of the files that it shares with others.
    pub shared: Option<Shared>,
}

/// Runs the extractors that are in scope on one tree of a target, and takes what they find from the room for all of them.
pub fn run_within(tree: &Tree, scope: Scope, room: &mut Room, around: Around) -> Findings {
    run_these(tree, EXTRACTORS, scope, room, around)
}

/// As [`run_within`], with these extractors.
pub fn run_these(
    tree: &Tree,
    extractors: &[&dyn Extractor],
    scope: Scope,
    room: &mut Room,
    around: Around,
) -> Findings {
    let mut gathering = Gathering::within(*room, tree.limits());
    gathering.scope = scope;
    gathering.shared = around.shared;
    look_up(tree, extractors, &mut gathering);
    if scope.languages {
        search(tree, extractors, &around.layers, &mut gathering);
        lock::leave_out_installed(gathering.packages_mut());
    }
    unread::report(tree, &mut gathering);
    kernel::mark(tree, &mut gathering);
    *room = gathering.room;
    gathering.finish()
}

/// What the system in a tree calls itself, and nothing else.
pub fn operating_system(tree: &Tree) -> Option<OperatingSystem> {
    let mut gathering = Gathering::within(Room::new(tree.limits()), tree.limits());
    look_up(tree, &[&os::Release], &mut gathering);
    gathering.finish().operating_system
}

/// Reads the files whose paths are known.
fn look_up(tree: &Tree, extractors: &[&dyn Extractor], gathering: &mut Gathering) {
    for &extractor in extractors {
        // A path may be a link to another one that is wanted too, such as /etc/os-release.
        let mut seen = HashSet::new();
        for &interest in extractor.interest() {
            for path in paths(tree, extractor, interest, gathering) {
                match tree.lookup(&path) {
                    Ok(Some((node, _))) if seen.insert(node) => {
                        read(tree, extractor, (&path, node), None, gathering);
                    }
                    Ok(_) => {}
                    Err(error) => gathering.gap(extractor, &path, &error),
                }
            }
        }
    }
}

/// The paths that an interest stands for in this tree, if that can be said without a walk.
fn paths(
    tree: &Tree,
    extractor: &dyn Extractor,
    interest: Interest,
    gathering: &mut Gathering,
) -> Vec<FsPath> {
    let directory = match interest {
        Interest::Exact(path) => return vec![FsPath::new(path)],
        Interest::Within(directory) => FsPath::new(directory),
        Interest::Name(_) | Interest::Suffix(_) | Interest::Executable { .. } => return Vec::new(),
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

/// Finds the files that only a walk finds, and reads them.
fn search(tree: &Tree, extractors: &[&dyn Extractor], layers: &HashSet<Node>, gathering: &mut Gathering) {
    /// Files that are asked for together, and their bytes.
    const AHEAD: usize = 256;
    const AHEAD_BYTES: u64 = 16 << 20;

    let mut wanted = find::walked(tree, extractors, layers, gathering);
    let owners = Owners::of(&wanted, tree, extractors, gathering);
    // The distribution's own programs are hundreds of large files, and what is in them is known by their packages.
    wanted.retain(|wanted| !(wanted.is_program && owners.is_of_the_distribution(wanted)));
    let mut rest = wanted.as_slice();
    while !rest.is_empty() {
        let (mut count, mut bytes, mut ahead) = (0_usize, 0_u64, Vec::new());
        for wanted in rest.iter().take(AHEAD) {
            // What cannot be read costs nothing here, and is reported when it is its turn.
            let size = tree.stat(wanted.node).map_or(0, |stat| stat.size);
            let reads = extractors.get(wanted.extractor).map(|extractor| extractor.reads(&wanted.path));
            let parts: Vec<_> = reads.into_iter().flat_map(|reads| reads.ahead(size)).collect();
            let sizes = parts.iter().map(|part| part.end.saturating_sub(part.start));
            bytes = sizes.fold(bytes, u64::saturating_add);
            if bytes > AHEAD_BYTES {
                break;
            }
            ahead.extend(parts.into_iter().map(|part| (wanted.node, part)));
            count = count.saturating_add(1);
        }
        tree.prefetch_parts(&ahead);
        let (now, later) = rest.split_at(count.clamp(1, rest.len()));
        for find::Wanted { extractor, path, node, is_program: _ } in now {
            if let Some(extractor) = extractors.get(*extractor) {
                read(tree, *extractor, (path, *node), owners.of_file(*node), gathering);
            }
        }
        rest = later;
    }
    tracing::debug!(files = to_u64(wanted.len()), "searched");
}

/// Reads a file, if it is one.
fn read(
    tree: &Tree,
    extractor: &dyn Extractor,
    (path, node): (&FsPath, Node),
    owner: Option<&Owner>,
    gathering: &mut Gathering,
) {
    match tree.stat(node).and_then(|stat| tree.open_node(node, &stat)) {
        Ok(file) => {
            let input = Input::new(tree, path, file).in_scope(gathering.scope);
            extract(extractor, &input, owner, gathering);
        }
        Err(error) => gathering.gap(extractor, path, &error),
    }
}

fn extract(extractor: &dyn Extractor, input: &Input<'_>, owner: Option<&Owner>, gathering: &mut Gathering) {
    let span = tracing::debug_span!("extract", extractor = extractor.name(), path = %input.path());
    let _entered = span.enter();
    let shared = gathering.shared.clone();
    let known = shared.as_ref().and_then(|shared| shared.known(extractor, input));
    let mut report = Report::new(gathering, extractor, input.path()).owned_by(owner);
    if let Some(known) = known {
        report.repeat(&known);
        report.finish();
        return;
    }
    if let Some(shared) = &shared {
        shared.start();
    }
    if let Err(error) = extractor.extract(input, &mut report) {
        report.unknown(crate::chain(&error));
    }
    if let (Some(shared), Some(events)) = (shared, report.finish()) {
        shared.keep(extractor, input, events);
    }
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
        write(root.path(), "usr/lib/opkg/status", "Package: a\n");
        write(root.path(), "lib/apk/db/installed", "");
        let findings = run(&tree(root.path()));
        let gaps: Vec<_> =
            findings.gaps.iter().map(|gap| (gap.path.as_deref().unwrap(), &gap.reason[..])).collect();
        let expected = [
            ("/usr/lib/opkg/status", "this version does not read opkg databases"),
            ("/var/lib/dpkg/status", "not a regular file"),
        ];
        assert_eq!(gaps, expected);
    }

    #[test]
    fn a_database_of_gigabytes_costs_itself_alone() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "usr/lib/apk/db/installed", "P:a");
        let file = std::fs::OpenOptions::new().write(true).open(root.path().join("usr/lib/apk/db/installed"));
        file.unwrap().set_len(2 << 30).unwrap();
        write(root.path(), "var/lib/dpkg/status", "Package: b\nStatus: install ok installed\nVersion: 2\n\n");
        let findings = run(&tree(root.path()));
        assert_eq!(findings.packages.len(), 1);
        let [gap] = &findings.gaps[..] else { panic!("{:?}", findings.gaps) };
        assert_eq!(gap.path.as_deref(), Some("/usr/lib/apk/db/installed"));
        assert!(gap.reason.contains("(`file_bytes`)"), "{}", gap.reason);
    }

    #[test]
    fn an_empty_tree_gives_nothing() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(run(&tree(root.path())), Findings::default());
    }
}
