//! From the bytes of a target's disks to a report on them.
//!
//! A pure function of the bytes and the limits: no credentials, no network, no clock. Whatever a hostile disk does, it
//! does in here, and comes out as a report.

use std::collections::{BTreeMap, BTreeSet};

use crate::extract::{self, Findings, Gap};
use crate::fs::{FsPath, Tree};
use crate::limits::Limits;
use crate::report::{StorageReport, TreeReport};
use crate::storage::{Source, Storage};

/// Reads what the disks of the target `id` are made of, the systems on them, and what is installed there; or does so with
/// its directory.
///
/// Never fails: what cannot be read is in the report. Blocks while it reads.
pub fn target(id: &str, source: Source<'_>, limits: &Limits) -> StorageReport {
    let storage = Storage::open(id, source, limits);
    let found: Vec<_> = storage
        .trees()
        .map(|(report, tree)| {
            let span = tracing::debug_span!("tree", root = storage.report.place_of(report.root()));
            let _entered = span.enter();
            let findings = extract_all(tree);
            let held_by = held_by(&storage, (report, tree), &findings);
            tracing::debug!(packages = findings.packages.len(), "read");
            (findings, held_by)
        })
        .collect();
    let mut report = storage.close();
    for (tree, (findings, held_by)) in report.trees.iter_mut().zip(found) {
        (tree.findings, tree.held_by) = (findings, held_by);
    }
    report
}

/// Runs the extractors, and reports a system whose package database is not where it should be: it may be on another
/// volume.
fn extract_all(tree: &Tree) -> Findings {
    let mut findings = extract::run(tree);
    if let Some(system) = &findings.operating_system
        && findings.packages.is_empty()
        && findings.gaps.is_empty()
    {
        let reason = if findings.sources.is_empty() {
            format!("there is an operating system ({}) without any known package database", system.id)
        } else {
            format!("there is an operating system ({}) whose package database lists nothing", system.id)
        };
        findings.gaps.push(Gap { path: None, extractor: None, reason });
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
    let packages = findings.packages.iter().map(|package| &package.evidence.path);
    let system = findings.operating_system.iter().map(|system| &system.evidence.path);
    let gaps = findings.gaps.iter().filter_map(|gap| gap.path.as_ref());
    let paths: BTreeSet<_> = packages.chain(system).chain(gaps).collect();
    let held = paths.into_iter().filter_map(|path| {
        let (node, _) = tree.lookup(&FsPath::new(path)).ok()??;
        let filesystem = storage.filesystem_of(tree.place(node).0)?;
        (filesystem != report.root()).then(|| (path.clone(), filesystem))
    });
    held.collect()
}
