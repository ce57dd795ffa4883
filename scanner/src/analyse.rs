//! From the bytes of a volume to a report on it.
//!
//! A pure function of the bytes and the limits: no credentials, no network, no clock. Whatever a hostile disk does, it
//! does in here, and comes out as a report.

use std::rc::Rc;
use std::sync::Arc;

use crate::chain;
use crate::extract::{self, Findings, Gap};
use crate::fs::{self, Recognised, Tree};
use crate::limits::Limits;
use crate::report::{Content, Journal, PartitionReport, Problem, VolumeReport};
use crate::volume::Volume;
use crate::volume::partition::{self, Partition, Scheme};

/// Reads a disk: its partitions, their filesystems, and what is installed in them.
///
/// Never fails: what cannot be read is in the report. Blocks while it reads.
pub fn disk(id: &str, disk: &Arc<dyn Volume>, limits: &Limits) -> VolumeReport {
    let size = disk.size();
    let table = match partition::read(disk, limits) {
        Ok(table) => table,
        Err(error) => return VolumeReport::unread(id, Some(size), chain(&error)),
    };
    let problems = table.problems.iter().map(|found| Problem {
        partition: found.partition,
        reason: format!("partition table: {}", found.problem),
    });
    let layout = match table.scheme {
        Scheme::Bare => "none",
        Scheme::Mbr => "mbr",
        Scheme::Gpt { .. } => "gpt",
    };
    VolumeReport {
        id: id.to_owned(),
        size: Some(size),
        layout: Some(layout.to_owned()),
        problems: problems.collect(),
        partitions: table
            .partitions
            .iter()
            .map(|partition| read_partition(partition, disk, limits))
            .collect(),
    }
}

/// Reads a tree that is not on a disk of its own, such as a directory.
pub fn tree(id: &str, tree: &Tree) -> VolumeReport {
    let partition = PartitionReport {
        number: 0,
        name: String::new(),
        offset: 0,
        size: None,
        content: content_of(tree),
        findings: extract_all(tree),
    };
    VolumeReport {
        id: id.to_owned(),
        size: None,
        layout: Some("directory".to_owned()),
        partitions: vec![partition],
        problems: Vec::new(),
    }
}

fn read_partition(partition: &Partition, disk: &Arc<dyn Volume>, limits: &Limits) -> PartitionReport {
    let span = tracing::debug_span!("partition", number = partition.number);
    let _entered = span.enter();
    let (content, findings) = read_content(partition, disk, limits);
    tracing::debug!(?content, packages = findings.packages.len(), "read");
    PartitionReport {
        number: partition.number,
        name: partition.name.clone(),
        offset: partition.offset,
        size: Some(partition.size),
        content,
        findings,
    }
}

fn read_content(partition: &Partition, disk: &Arc<dyn Volume>, limits: &Limits) -> (Content, Findings) {
    let nothing = |content| (content, Findings::default());
    let unread = |format: Option<&str>, reason: String| {
        nothing(Content::Unread { format: format.map(str::to_owned), reason })
    };
    let firmware = || nothing(Content::Irrelevant { what: "firmware".to_owned() });
    let volume: Arc<dyn Volume> = match partition.open(disk) {
        Ok(volume) => Arc::new(volume),
        Err(error) => return unread(None, chain(&error)),
    };
    let driver = match fs::probe(&*volume) {
        Ok(Recognised::Driver(driver)) => driver,
        // A machine starts from its root filesystem whatever the table says of it, so the table alone is not believed.
        Ok(Recognised::Other { name: "FAT", .. } | Recognised::Unknown) if partition.kind.is_firmware() => {
            return firmware();
        }
        Ok(Recognised::Other { name, holds_files: false }) => {
            return nothing(Content::Irrelevant { what: name.to_owned() });
        }
        Ok(Recognised::Other { name, .. }) => {
            return unread(Some(name), format!("{name}: this version does not read it"));
        }
        Ok(Recognised::Unknown) => {
            let what = match partition.number {
                0 => "neither a partition table nor a filesystem was recognised",
                _ => "no filesystem was recognised",
            };
            return unread(None, what.to_owned());
        }
        Err(error) => return unread(None, chain(&error)),
    };
    match driver.open(&[volume], limits) {
        Ok(file_system) => {
            let tree = Tree::new(Rc::from(file_system), limits.clone());
            // The content after the findings: what a driver says of its journal is final when it has been used.
            let findings = extract_all(&tree);
            (content_of(&tree), findings)
        }
        Err(error) => unread(Some(driver.name()), format!("{}: {}", driver.name(), chain(&error))),
    }
}

fn content_of(tree: &Tree) -> Content {
    let (file_system, _) = tree.place(tree.root());
    let journal = match file_system.journal() {
        fs::Journal::Clean => Journal::Clean,
        fs::Journal::Replayed { transactions } => Journal::Replayed { transactions },
        fs::Journal::Partial { transactions, reason } => {
            Journal::Partial { transactions, reason: reason.to_owned() }
        }
        fs::Journal::Ignored { reason } => Journal::Ignored { reason: reason.to_owned() },
    };
    Content::Filesystem { format: file_system.kind().to_owned(), journal }
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
