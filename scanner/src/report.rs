//! What a scan says about a target.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::extract::Findings;
use crate::package::{OperatingSystem, Package, PackageKind};

/// What one volume, or one directory, holds.
///
/// Everything in it comes from the disk: a reader of this report must expect any text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeReport {
    /// Its id: `vol-…` or `snap-…`, or the path of a local one.
    pub id: String,
    /// Its size in bytes; none for a directory.
    pub size: Option<u64>,
    /// The kind of its partition table: `gpt`, `mbr`, `none`; `empty` for a disk to which nothing was ever
    /// written, `directory` for what is no disk.
    pub layout: Option<String>,
    /// Its partitions. A disk without a table has one, with number 0.
    pub partitions: Vec<PartitionReport>,
    /// What is wrong with the volume as a whole.
    pub problems: Vec<Problem>,
}

/// Something wrong with a volume or its partition table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The partition it concerns.
    pub partition: Option<u32>,
    /// What is wrong.
    pub reason: String,
}

/// What one partition holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionReport {
    /// Its number as Linux counts, from 1; 0 for what is not partitioned.
    pub number: u32,
    /// Its name in the partition table, often empty.
    pub name: String,
    /// Where it begins on the volume, in bytes.
    pub offset: u64,
    /// Its size in bytes; none for a directory.
    pub size: Option<u64>,
    /// What was recognised.
    pub content: Content,
    /// What the extractors found.
    pub findings: Findings,
}

/// What a partition was recognised as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "lowercase")]
pub enum Content {
    /// A filesystem that was read.
    Filesystem {
        /// Its format, such as `ext4`.
        format: String,
        /// What was done about its journal.
        journal: Journal,
    },
    /// Something that holds no installed software, such as swap or the firmware's own partition.
    Irrelevant {
        /// What it is.
        what: String,
    },
    /// Something that could hold installed software and was not read.
    Unread {
        /// Its format, where that was recognised.
        format: Option<String>,
        /// Why it was not read.
        reason: String,
    },
}

/// What was done about a filesystem's journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Journal {
    /// It was empty.
    Clean,
    /// It was replayed in memory.
    Replayed {
        /// How many transactions it held.
        transactions: u64,
    },
    /// A part of it was replayed in memory.
    Partial {
        /// How many transactions were.
        transactions: u64,
        /// Why the rest was not.
        reason: String,
    },
    /// It was not replayed, so the filesystem shows an older state.
    Ignored {
        /// Why not.
        reason: String,
    },
}

/// Something that could not be read, with everything needed to find it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unknown {
    /// The volume or directory.
    pub volume: String,
    /// The partition, from 1; none where it concerns the whole volume.
    pub partition: Option<u32>,
    /// The file or directory in it.
    pub path: Option<String>,
    /// The extractor that wanted it.
    pub extractor: Option<String>,
    /// Why it could not be read.
    pub reason: String,
}

impl Unknown {
    /// Where it is, for people.
    pub fn place(&self) -> String {
        let partition = self.partition.map(|number| format!(" partition {number}")).unwrap_or_default();
        let path = self.path.as_ref().map(|path| format!(" {path}")).unwrap_or_default();
        format!("{}{partition}{path}", self.volume)
    }
}

impl VolumeReport {
    /// A report on a volume that could not be read at all.
    pub fn unread(id: impl Into<String>, size: Option<u64>, reason: impl Into<String>) -> Self {
        let problems = vec![Problem { partition: None, reason: reason.into() }];
        Self { id: id.into(), size, layout: None, partitions: Vec::new(), problems }
    }

    /// A report on a volume to which nothing was ever written.
    pub fn empty(id: impl Into<String>, size: u64) -> Self {
        Self {
            id: id.into(),
            size: Some(size),
            layout: Some("empty".to_owned()),
            partitions: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Everything about this volume that could not be read.
    pub fn unknowns(&self) -> Vec<Unknown> {
        let unknown = |partition, reason: &String| Unknown {
            volume: self.id.clone(),
            partition,
            path: None,
            extractor: None,
            reason: reason.clone(),
        };
        let mut unknowns: Vec<_> =
            self.problems.iter().map(|problem| unknown(problem.partition, &problem.reason)).collect();
        for partition in &self.partitions {
            let number = (partition.number > 0).then_some(partition.number);
            match &partition.content {
                Content::Irrelevant { .. } => {}
                Content::Unread { reason, .. } => unknowns.push(unknown(number, reason)),
                Content::Filesystem { journal, .. } => {
                    let problem = match journal {
                        Journal::Clean | Journal::Replayed { .. } => None,
                        Journal::Partial { reason, .. } => Some(("replayed only in part", reason)),
                        Journal::Ignored { reason } => Some(("not replayed", reason)),
                    };
                    unknowns.extend(problem.map(|(what, reason)| {
                        let reason = format!("the journal was {what}, so older contents may show: {reason}");
                        unknown(number, &reason)
                    }));
                }
            }
            unknowns.extend(partition.findings.gaps.iter().map(|gap| Unknown {
                path: gap.path.clone(),
                extractor: gap.extractor.clone(),
                ..unknown(number, &gap.reason)
            }));
        }
        unknowns
    }

    /// Whether some filesystem was read.
    pub fn is_readable(&self) -> bool {
        self.partitions.iter().any(|partition| matches!(partition.content, Content::Filesystem { .. }))
    }
}

/// What a whole target holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetReport {
    /// What was scanned, as the user named it: an id or a path.
    pub target: String,
    /// Its kind: `instance`, `volume`, `snapshot`, `image`, `device` or `directory`.
    pub kind: &'static str,
    /// Its volumes, the root volume first.
    pub volumes: Vec<VolumeReport>,
}

/// One package with where it is.
#[derive(Clone, Copy, Debug)]
pub struct Installed<'a> {
    /// The volume or directory.
    pub volume: &'a VolumeReport,
    /// The partition.
    pub partition: &'a PartitionReport,
    /// The package.
    pub package: &'a Package,
}

impl TargetReport {
    /// The partitions of all volumes.
    pub fn partitions(&self) -> impl Iterator<Item = (&VolumeReport, &PartitionReport)> {
        self.volumes
            .iter()
            .flat_map(|volume| volume.partitions.iter().map(move |partition| (volume, partition)))
    }

    /// The packages of all filesystems.
    pub fn packages(&self) -> impl Iterator<Item = Installed<'_>> {
        self.partitions().flat_map(|(volume, partition)| {
            partition.findings.packages.iter().map(move |package| Installed { volume, partition, package })
        })
    }

    /// The operating systems of all filesystems.
    pub fn operating_systems(&self) -> impl Iterator<Item = &OperatingSystem> {
        self.partitions().filter_map(|(_, partition)| partition.findings.operating_system.as_ref())
    }

    /// The number of packages by format.
    pub fn packages_by_kind(&self) -> BTreeMap<PackageKind, u64> {
        let mut counts: BTreeMap<_, u64> = BTreeMap::new();
        for (_, partition) in self.partitions() {
            for (kind, count) in partition.findings.packages_by_kind() {
                let sum = counts.entry(kind).or_default();
                *sum = sum.saturating_add(count);
            }
        }
        counts
    }

    /// Everything that could not be read.
    pub fn unknowns(&self) -> Vec<Unknown> {
        self.volumes.iter().flat_map(VolumeReport::unknowns).collect()
    }
}
