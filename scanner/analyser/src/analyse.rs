//! From the bytes of a target's disks to a report on them.
//!
//! A pure function of the bytes and the limits: no credentials, no network, no clock. Whatever a hostile disk does, it
//! does in here, and comes out as a report.

mod containers;
pub mod survey;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use agentless_core::task::{Scope, Task};

use crate::chain;
use crate::contain::{Panicked, contained};
use crate::container::Stores;
use crate::extract::{self, Around, Findings, Gap, Room, agent};
use crate::files::{self, FileError};
use crate::fs::{FsPath, Tree};
use crate::limits::Limits;
use crate::report::{StorageReport, TreeReport};
use crate::storage::{Source, Storage};
use containers::Containers;

/// Does what is asked with the disks of the target `id`, or with its directory. The report is that of the storage; what is
/// printed of a file goes to `out`.
///
/// # Errors
///
/// [`FileError`] if a single file was asked for and could not be printed. A report never fails: what cannot be read stands
/// in it.
pub fn perform(
    task: &Task,
    id: &str,
    source: Source<'_>,
    limits: &Limits,
    out: &mut dyn Write,
) -> Result<StorageReport, FileError> {
    match task {
        Task::Packages(scope) => Ok(target(id, source, *scope, limits)),
        Task::Systems => Ok(systems(id, source, limits)),
        Task::File(file) => {
            let storage = Storage::open(id, source, limits);
            files::show(file, &storage, limits, out)?;
            Ok(storage.close())
        }
    }
}

/// Reads what the disks of the target `id` are made of, the systems on them, and what is installed there and in their
/// containers; or does so with its directory.
///
/// Never fails: what cannot be read is in the report. Blocks while it reads.
pub fn target(id: &str, source: Source<'_>, scope: Scope, limits: &Limits) -> StorageReport {
    let storage = Storage::open(id, source, limits);
    let mut room = Room::new(limits);
    let mut containers = Containers::new(&storage, scope, limits);
    let found: Vec<_> = storage
        .trees()
        .map(|(report, tree)| {
            let span = tracing::debug_span!("tree", root = storage.report.place_of(report.root()));
            let _entered = span.enter();
            let stores = contained(|| Stores::find(tree));
            let read = contained(|| {
                let layers = stores.as_ref().map(|stores| stores.layers(tree)).unwrap_or_default();
                extract_all(tree, scope, &mut room, Around { layers, shared: None })
            });
            let mut findings = read.unwrap_or_else(failed);
            tracing::debug!(packages = findings.packages.len(), "read");
            let containers = match stores {
                Ok(stores) => containers.of(&stores, (report, tree), &mut room, &mut findings.gaps),
                Err(error) => {
                    findings.gaps.extend(failed(error).gaps);
                    Vec::new()
                }
            };
            let held_by = contained(|| held_by(&storage, (report, tree), &findings)).unwrap_or_default();
            let has_agent = report.is_system && contained(|| agent::lists_packages(tree)).unwrap_or_default();
            (findings, held_by, has_agent, containers)
        })
        .collect();
    let mut report = storage.close();
    let hosts = std::mem::take(&mut report.trees);
    for (mut tree, (findings, held_by, has_agent, containers)) in hosts.into_iter().zip(found) {
        (tree.findings, tree.held_by, tree.agent_lists_packages) = (findings, held_by, has_agent);
        report.trees.push(tree);
        report.trees.extend(containers);
    }
    report
}

/// The findings in a tree that this program could not read.
fn failed(error: Panicked) -> Findings {
    let gap = Gap::new(None, None, chain(&error));
    Findings { gaps: vec![gap], ..Findings::default() }
}

/// As [`target`], but of what is installed only the operating systems.
fn systems(id: &str, source: Source<'_>, limits: &Limits) -> StorageReport {
    let storage = Storage::open(id, source, limits);
    let found: Vec<_> = storage
        .trees()
        .map(|(_, tree)| contained(|| extract::operating_system(tree)).ok().flatten())
        .collect();
    let mut report = storage.close();
    for (tree, system) in report.trees.iter_mut().zip(found) {
        tree.findings.operating_system = system;
    }
    report
}

/// Runs the extractors, and reports a system whose package database is not where it should be: it may be on another
/// volume.
fn extract_all(tree: &Tree, scope: Scope, room: &mut Room, around: Around) -> Findings {
    let mut findings = extract::run_within(tree, scope, room, around);
    if let Some(system) = &findings.operating_system
        && findings.packages.is_empty()
        && findings.gaps.is_empty()
    {
        let reason = if findings.sources.is_empty() {
            format!("there is an operating system ({}) without any known package database", system.id)
        } else {
            format!("there is an operating system ({}) whose package database lists nothing", system.id)
        };
        findings.gaps.push(Gap::new(None, None, reason));
    }
    findings
}

/// The filesystems of the files in which something was found, where that is not the root's.
fn held_by(
    storage: &Storage,
    (report, tree): (&TreeReport, &Tree),
    findings: &Findings,
) -> BTreeMap<String, usize> {
    if report.mounts.len() < 2 {
        return BTreeMap::new();
    }
    let filesystem = |path: &str| {
        let (node, _) = tree.lookup(&FsPath::new(path)).ok()??;
        storage.holder(tree, node)
    };
    places(findings, report.root(), filesystem)
}

/// Those of the files in which something was found whose filesystem is not `root`.
fn places(
    findings: &Findings,
    root: usize,
    filesystem: impl Fn(&str) -> Option<usize>,
) -> BTreeMap<String, usize> {
    let packages = findings.packages.iter().map(|package| &package.evidence.path);
    let system = findings.operating_system.iter().map(|system| &system.evidence.path);
    let gaps = findings.gaps.iter().filter_map(|gap| gap.path.as_ref());
    let paths: BTreeSet<_> = packages.chain(system).chain(gaps).collect();
    let held = paths.into_iter().filter_map(|path| {
        let filesystem = filesystem(path)?;
        (filesystem != root).then(|| (path.clone(), filesystem))
    });
    held.collect()
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::sync::Arc;

    use agentless_core::fs::Directory;

    use super::*;
    use crate::fs::{DirEntry, FileSystem, FsError, Identity, Inode, Journal as FsJournal, Stat, Xattr};
    use crate::storage::test_image::ext4;
    use crate::storage::{Disk, DiskState};
    use crate::volume::MemoryVolume;

    /// A directory whose files this program cannot read without an error of its own.
    #[derive(Debug)]
    struct Cursed(Directory);

    impl FileSystem for Cursed {
        fn kind(&self) -> &'static str {
            self.0.kind()
        }

        fn journal(&self) -> FsJournal {
            self.0.journal()
        }

        fn identity(&self) -> Identity {
            self.0.identity()
        }

        fn root(&self) -> Inode {
            self.0.root()
        }

        fn stat(&self, inode: Inode) -> Result<Stat, FsError> {
            self.0.stat(inode)
        }

        fn read_dir(
            &self,
            dir: Inode,
            visit: &mut dyn FnMut(DirEntry<'_>) -> ControlFlow<()>,
        ) -> Result<(), FsError> {
            self.0.read_dir(dir, visit)
        }

        fn lookup(&self, dir: Inode, name: &[u8]) -> Result<Option<Inode>, FsError> {
            self.0.lookup(dir, name)
        }

        fn read(&self, _: Inode, _: u64, _: &mut [u8]) -> Result<usize, FsError> {
            panic!("an error of this program");
        }

        fn read_link(&self, inode: Inode) -> Result<Vec<u8>, FsError> {
            self.0.read_link(inode)
        }

        fn xattrs(
            &self,
            inode: Inode,
            visit: &mut dyn FnMut(Xattr<'_>) -> ControlFlow<()>,
        ) -> Result<(), FsError> {
            self.0.xattrs(inode, visit)
        }
    }

    #[test]
    fn an_agent_that_lists_the_packages_itself_is_reported() {
        const ON: &str = "sbom:\n  enabled: true\n  host:\n    enabled: true\n";
        let limits = Limits::default();
        for (release, configuration, expected) in [
            ("ID=test\n", ON, true),
            ("ID=test\n", "sbom:\n  enabled: true\n", false),
            // Not a system, so whatever lies there is of none.
            ("", ON, false),
        ] {
            let mut files = vec![("etc/datadog-agent/datadog.yaml", configuration)];
            files
                .extend([("etc/os-release", release)].into_iter().filter(|(_, release)| !release.is_empty()));
            let state = DiskState::Open(Arc::new(MemoryVolume::new(ext4(&files, &[]))));
            let disk = Disk { id: "vol-1".to_owned(), device: None, state };
            let report = target("i-1", Source::Disks(&[disk]), Scope::default(), &limits);
            let found: Vec<_> = report.trees.iter().map(|tree| tree.agent_lists_packages).collect();
            assert_eq!(found, [expected], "{files:?}");
        }
    }

    #[test]
    fn a_panic_costs_its_own_tree_and_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("etc")).unwrap();
        std::fs::write(folder.path().join("etc/os-release"), "ID=test\n").unwrap();
        let limits = Limits::default();
        let cursed = Cursed(Directory::open(folder.path(), &limits).unwrap());
        let report = target("directory", Source::Directory(Box::new(cursed)), Scope::default(), &limits);
        let unknowns: Vec<_> = report.unknowns().into_iter().map(|unknown| unknown.reason).collect();
        assert_eq!(unknowns, ["an error of this program ended the reading of it"]);
    }
}
