//! Reports in parts.
//!
//! A part is a list of items that fits into a frame. Of the volumes there is none: what the scanner gave to the analyser, it
//! knows itself.

use agentless_core::findings::{Findings, Gap, Source};
use agentless_core::number::to_u64;
use agentless_core::package::{OperatingSystem, Package};
use agentless_core::report::{
    Container, DeviceReport, FilesystemReport, MountReport, StorageReport, TreeReport, Unmounted,
};
use serde::{Deserialize, Serialize};

/// A part of a report. What follows a tree belongs to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Part {
    /// Devices.
    Devices(Vec<DeviceReport>),
    /// Filesystems.
    Filesystems(Vec<FilesystemReport>),
    /// The next tree begins.
    Tree {
        /// Whether it is that of a system.
        is_system: bool,
        /// The container whose files these are, if it is one.
        container: Option<Box<Container>>,
        /// What the system calls itself.
        operating_system: Option<OperatingSystem>,
        /// Whether a Datadog agent on it is configured to list its packages by itself.
        agent_lists_packages: bool,
    },
    /// What is mounted in the tree.
    Mounts(Vec<MountReport>),
    /// What is not.
    Unmounted(Vec<Unmounted>),
    /// The packages of the tree.
    Packages(Vec<Package>),
    /// What could not be read in it.
    Gaps(Vec<Gap>),
    /// Its package databases.
    Sources(Vec<Source>),
    /// The filesystems of the files in which something was found.
    HeldBy(Vec<(String, usize)>),
}

/// Divides a report, which was made to [`fit`](super::fit::fit), into parts that fit into frames.
pub fn parts(report: StorageReport) -> impl Iterator<Item = Part> {
    let StorageReport { volumes: _, devices, filesystems, trees } = report;
    let storage = batches(devices).map(Part::Devices).chain(batches(filesystems).map(Part::Filesystems));
    let trees = trees.into_iter().flat_map(|tree| {
        let TreeReport { is_system, container, agent_lists_packages, mounts, unmounted, findings, held_by } =
            tree;
        let container = container.map(Box::new);
        let Findings { operating_system, packages, gaps, sources } = findings;
        std::iter::once(Part::Tree { is_system, container, operating_system, agent_lists_packages })
            .chain(batches(mounts).map(Part::Mounts))
            .chain(batches(unmounted).map(Part::Unmounted))
            .chain(batches(packages).map(Part::Packages))
            .chain(batches(gaps).map(Part::Gaps))
            .chain(batches(sources).map(Part::Sources))
            .chain(batches(held_by).map(Part::HeldBy))
    });
    storage.chain(trees)
}

/// Divides items into lists that fit into a frame, if each of them does.
pub(crate) fn batches<T: Serialize>(items: impl IntoIterator<Item = T>) -> impl Iterator<Item = Vec<T>> {
    let mut items = items.into_iter().map(|item| (encoded_length(&item), item)).peekable();
    std::iter::from_fn(move || {
        let (first, item) = items.next()?;
        let (mut batch, mut length) = (vec![item], first);
        while let Some((more, item)) =
            items.next_if(|(more, _)| length.checked_add(*more).is_some_and(|sum| sum <= MOST_ITEM_BYTES))
        {
            length = length.saturating_add(more);
            batch.push(item);
        }
        Some(batch)
    })
}

/// The most bytes that the items of one message may have, with room for what it has beside them.
pub(crate) const MOST_ITEM_BYTES: u64 = 255 << 10;

/// How many bytes an item has in a message.
pub(crate) fn encoded_length(item: &impl Serialize) -> u64 {
    /// Counts what is written to it.
    struct Counter(u64);

    impl std::io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.saturating_add(to_u64(bytes.len()));
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let mut counter = Counter(0);
    match rmp_serde::encode::write_named(&mut counter, item) {
        Ok(()) => counter.0,
        // It fails again where it is sent, and is reported there.
        Err(_) => u64::MAX,
    }
}
