//! The figures of a scan, as JSON for programs and as text for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use agentless_core::text::printable;
use serde::Serialize;
use time::format_description::well_known::Rfc3339;

use super::memory::PeakMemory;
use super::storage::{self, DeviceSummary, MountSummary};
use super::text::{bytes, percent};
use crate::package::PackageKind;
use crate::report::{
    Container, Content, DeviceKind, DeviceReport, StorageReport, TreeReport, Unknown, Unmounted, VolumeState,
};
use crate::scan::Scan;
use agentless_core::findings::Source;

/// Everything about a scan but its packages.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    target: TargetSummary,
    /// Whether everything was read.
    complete: bool,
    /// In RFC 3339.
    time: String,
    volumes: Vec<VolumeSummary>,
    devices: Vec<DeviceSummary>,
    trees: Vec<TreeSummary>,
    packages: BTreeMap<PackageKind, u64>,
    /// Packages of languages that are not listed, as a package of the operating system brought them.
    packages_left_out: BTreeMap<PackageKind, u64>,
    unknowns: Vec<Unknown>,
    blocks_fetched: u64,
    bytes_fetched: u64,
    /// Of a local disk; null for what is fetched, and for a directory.
    bytes_read: Option<u64>,
    blocks_allocated: u64,
    bytes_allocated: u64,
    api_calls: BTreeMap<String, u64>,
    leftover_snapshots: Vec<String>,
    seconds: f64,
    /// Of the process that holds credentials and fetches blocks.
    scanner_peak_rss_bytes: Option<u64>,
    /// Of the process that reads what they say.
    analyser_peak_rss_bytes: Option<u64>,
}

/// What was read.
#[derive(Clone, Debug, Serialize)]
pub(super) struct TargetSummary {
    pub(super) id: String,
    pub(super) kind: &'static str,
    pub(super) region: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct VolumeSummary {
    id: String,
    device: Option<String>,
    snapshot: Option<String>,
    size_bytes: Option<u64>,
    state: VolumeState,
    /// Its partition table: `gpt`, `mbr` or `none`; null if it was not read.
    layout: Option<String>,
    block_size: Option<u64>,
    blocks_allocated: Option<u64>,
    blocks_fetched: Option<u64>,
    bytes_fetched: Option<u64>,
}

#[derive(Clone, Debug, Serialize)]
struct TreeSummary {
    /// Where its root is.
    place: String,
    system: bool,
    container: Option<Container>,
    mounts: Vec<MountSummary>,
    unmounted: Vec<Unmounted>,
    operating_system: Option<SystemSummary>,
    packages: BTreeMap<PackageKind, u64>,
    packages_left_out: BTreeMap<PackageKind, u64>,
    sources: Vec<SourceSummary>,
}

#[derive(Clone, Debug, Serialize)]
struct SystemSummary {
    id: String,
    version: Option<String>,
    name: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct SourceSummary {
    path: String,
    /// Where the file is.
    place: String,
    extractor: String,
    packages: u64,
}

/// What only the program that ran the scan knows.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// HTTP requests sent, by action.
    pub calls: BTreeMap<String, u64>,
    /// Snapshots that could not be deleted.
    pub leftover: Vec<String>,
    /// How long it took.
    pub duration: Duration,
    /// The most memory that it used.
    pub memory: PeakMemory,
}

impl Summary {
    /// The figures of a scan.
    pub fn new(scan: &Scan, run: Run) -> Self {
        let report = &scan.report;
        let unknowns = report.unknowns();
        let storage = &report.storage;
        let places = storage.places();
        let volumes = storage.volumes.iter().enumerate().map(|(index, volume)| {
            let cost = scan.costs.get(&volume.id);
            VolumeSummary {
                id: volume.id.clone(),
                device: volume.device.clone(),
                snapshot: cost.and_then(|cost| cost.snapshot.clone()),
                size_bytes: volume.size,
                state: volume.state.clone(),
                layout: layout(storage, index),
                block_size: cost.map(|cost| cost.block_size),
                blocks_allocated: cost.map(|cost| cost.allocated_blocks),
                blocks_fetched: cost.map(|cost| cost.fetched_blocks),
                bytes_fetched: cost.map(|cost| cost.fetched_bytes),
            }
        });
        let left_out = scan.left_out.iter().cloned().chain(std::iter::repeat(BTreeMap::new()));
        let trees = storage.trees.iter().zip(left_out);
        let trees = trees.map(|(tree, left_out)| TreeSummary::new(storage, &places, tree, left_out));
        let costs = || scan.costs.values();
        Self {
            target: TargetSummary {
                id: report.target.clone(),
                kind: report.kind,
                region: scan.region.clone(),
            },
            complete: unknowns.is_empty(),
            time: scan.time.format(&Rfc3339).unwrap_or_default(),
            volumes: volumes.collect(),
            devices: storage::devices(storage),
            trees: trees.collect(),
            packages: report.packages_by_kind(),
            packages_left_out: sum(&scan.left_out),
            unknowns,
            blocks_fetched: costs().map(|cost| cost.fetched_blocks).sum(),
            bytes_fetched: costs().map(|cost| cost.fetched_bytes).sum(),
            bytes_read: scan.local_bytes,
            blocks_allocated: costs().map(|cost| cost.allocated_blocks).sum(),
            bytes_allocated: costs()
                .map(|cost| cost.allocated_blocks.saturating_mul(cost.block_size))
                .fold(0, u64::saturating_add),
            api_calls: run.calls,
            leftover_snapshots: run.leftover,
            seconds: run.duration.as_secs_f64(),
            scanner_peak_rss_bytes: run.memory.scanner,
            analyser_peak_rss_bytes: run.memory.analyser,
        }
    }

    /// Whether everything was read.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// The figures for people. Ends with a line end.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_text(&mut text);
        text
    }

    fn write_text(&self, out: &mut String) -> std::fmt::Result {
        let TargetSummary { id, kind, region } = &self.target;
        let place = region.as_ref().map(|region| format!(" in {region}")).unwrap_or_default();
        writeln!(out, "Target    {} ({kind}{place})", printable(id))?;
        for volume in &self.volumes {
            volume.write_text(out)?;
            storage::write_devices(out, &self.devices, &volume.id)?;
        }
        storage::write_assembled(out, &self.devices)?;
        for tree in &self.trees {
            tree.write_text(out)?;
        }
        writeln!(out, "Packages  {}", counts(&self.packages).unwrap_or_else(|| "none".to_owned()))?;
        if let Some(left_out) = counts(&self.packages_left_out) {
            writeln!(out, "  and {left_out} that packages of the system brought: --owned lists them")?;
        }
        match self.unknowns.len() {
            0 => writeln!(out, "Unknown   nothing: everything that was found was read")?,
            count => writeln!(out, "Unknown   {count}: the list is incomplete")?,
        }
        storage::write_unknowns(out, &self.unknowns)?;
        if region.is_some() {
            writeln!(
                out,
                "Fetched   {} blocks, {} of {} allocated ({})",
                self.blocks_fetched,
                bytes(self.bytes_fetched),
                bytes(self.bytes_allocated),
                percent(self.bytes_fetched, self.bytes_allocated)
            )?;
            let calls: Vec<_> =
                self.api_calls.iter().map(|(name, count)| format!("{name} {count}")).collect();
            writeln!(out, "Requests  {}", calls.join(", "))?;
        }
        if let Some(read) = self.bytes_read {
            writeln!(out, "Read      {}", bytes(read))?;
        }
        write!(out, "Time      {:.1} s", self.seconds)?;
        // Both were there at the same time, though each perhaps had its most at another.
        let peak = self.scanner_peak_rss_bytes.zip(self.analyser_peak_rss_bytes);
        match peak.map(|(scanner, analyser)| scanner.saturating_add(analyser)) {
            Some(peak) => writeln!(out, ", at most {} of memory", bytes(peak)),
            None => writeln!(out),
        }
    }
}

impl VolumeSummary {
    fn write_text(&self, out: &mut String) -> std::fmt::Result {
        let device = self.device.as_ref().map(|device| format!(" {}", printable(device))).unwrap_or_default();
        let size = self.size_bytes.map(|size| format!(", {}", bytes(size))).unwrap_or_default();
        let state = match (&self.state, self.layout.as_deref()) {
            (VolumeState::Empty, _) => ", never written to",
            (VolumeState::Unread { .. }, _) => ", not read",
            (VolumeState::Read, Some("gpt")) => ", GPT",
            (VolumeState::Read, Some("mbr")) => ", MBR",
            (VolumeState::Read, Some(_)) => ", no partition table",
            (VolumeState::Read, None) => "",
        };
        writeln!(out, "Volume    {}{device}{size}{state}", printable(&self.id))
    }
}

/// Numbers of packages for people, such as `707 deb, 22 npm`. `None` if there are none.
fn counts(packages: &BTreeMap<PackageKind, u64>) -> Option<String> {
    let counts: Vec<_> = packages.iter().map(|(kind, count)| format!("{count} {}", kind.name())).collect();
    (!counts.is_empty()).then(|| counts.join(", "))
}

/// The numbers of several trees together.
fn sum(trees: &[BTreeMap<PackageKind, u64>]) -> BTreeMap<PackageKind, u64> {
    let mut sums: BTreeMap<_, u64> = BTreeMap::new();
    for (kind, count) in trees.iter().flatten() {
        let sum = sums.entry(*kind).or_default();
        *sum = sum.saturating_add(*count);
    }
    sums
}

/// The kind of a volume's partition table.
fn layout(storage: &StorageReport, volume: usize) -> Option<String> {
    let is_volume = |device: &&DeviceReport| device.kind == DeviceKind::Disk { volume };
    storage.devices.iter().find(is_volume).map(|disk| match &disk.content {
        Content::Table { scheme } => scheme.clone(),
        _ => "none".to_owned(),
    })
}

impl TreeSummary {
    fn new(
        storage: &StorageReport,
        places: &[String],
        tree: &TreeReport,
        packages_left_out: BTreeMap<PackageKind, u64>,
    ) -> Self {
        let findings = &tree.findings;
        let place = |filesystem: usize| places.get(filesystem).cloned().unwrap_or_default();
        let source = |source: &Source| SourceSummary {
            path: source.evidence.path.clone(),
            place: place(tree.filesystem_of(&source.evidence.path)),
            extractor: source.evidence.extractor.clone(),
            packages: source.packages,
        };
        Self {
            place: place(tree.root()),
            system: tree.is_system,
            container: tree.container.clone(),
            mounts: storage::mounts(storage, places, tree),
            unmounted: tree.unmounted.clone(),
            operating_system: findings.operating_system.as_ref().map(|system| SystemSummary {
                id: system.id.clone(),
                version: system.version.clone(),
                name: system.name.clone(),
            }),
            packages: findings.packages_by_kind(),
            packages_left_out,
            sources: findings.sources.iter().map(source).collect(),
        }
    }

    fn write_text(&self, out: &mut String) -> std::fmt::Result {
        match &self.container {
            Some(container) => write!(out, "Container {}", printable(&container.title()))?,
            None if self.system => write!(out, "System    {}", printable(&self.place))?,
            // A filesystem that is part of no system and has no packages was said with its device.
            None if self.packages.is_empty() => return Ok(()),
            None => write!(out, "Files     {}", printable(&self.place))?,
        }
        if let Some(system) = &self.operating_system {
            let name = system.name.as_ref().unwrap_or(&system.id);
            let version = system.version.as_ref().map(|version| format!(", {version}")).unwrap_or_default();
            write!(out, "; {}{}", printable(name), printable(&version))?;
        }
        match counts(&self.packages) {
            Some(counts) => writeln!(out, "; {counts}")?,
            None => writeln!(out)?,
        }
        storage::write_mounts(out, &self.mounts, false)?;
        storage::write_unmounted(out, &self.unmounted)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::package::{Details, Evidence, Package};
    use crate::report::{FilesystemReport, Journal, MountReport, TargetReport, VolumeReport};
    use crate::scan::VolumeCost;
    use agentless_core::findings::{Findings, Gap};

    fn scan() -> Scan {
        let package = Package {
            name: "bash".to_owned(),
            version: "5.2".to_owned(),
            architecture: None,
            kind: PackageKind::Deb,
            evidence: Evidence {
                path: "/var/lib/dpkg/status".to_owned(),
                within: None,
                extractor: "os/dpkg".to_owned(),
            },
            details: Details::default(),
        };
        let gap = Gap {
            path: Some("/var/lib/rpm/Packages".to_owned()),
            extractor: None,
            reason: "evil \u{1b}[2J".to_owned(),
        };
        let disk = DeviceReport {
            name: "vol-1".to_owned(),
            kind: DeviceKind::Disk { volume: 0 },
            below: vec![],
            size: Some(30 << 30),
            uuid: None,
            label: None,
            content: Content::Table { scheme: "gpt".to_owned() },
            problems: vec![],
            notes: vec![],
        };
        let partition = DeviceReport {
            name: "vol-1 partition 1".to_owned(),
            kind: DeviceKind::Partition {
                number: 1,
                offset: 1 << 20,
                code: "0x83".to_owned(),
                uuid: None,
                name: "root".to_owned(),
            },
            below: vec![0],
            size: Some(29 << 30),
            content: Content::Filesystem { filesystem: 0 },
            ..disk.clone()
        };
        let group = DeviceReport {
            name: "vol-2".to_owned(),
            kind: DeviceKind::Disk { volume: 1 },
            content: Content::Member { format: "LVM2 physical volume".to_owned(), of: "data".to_owned() },
            ..disk.clone()
        };
        let var = DeviceReport {
            name: "data/var".to_owned(),
            kind: DeviceKind::LogicalVolume {
                group: "data".to_owned(),
                volume: "var".to_owned(),
                layout: "striped".to_owned(),
                uuid: "0Ytc6g".to_owned(),
            },
            below: vec![2],
            size: Some(10 << 30),
            label: Some("var".to_owned()),
            content: Content::Filesystem { filesystem: 1 },
            ..disk.clone()
        };
        let filesystem = |device, journal| FilesystemReport {
            format: "ext4".to_owned(),
            devices: vec![device],
            journal,
            size: None,
            block_size: None,
            features: vec![],
        };
        let mount = |path: &str, filesystem| MountReport {
            path: path.to_owned(),
            filesystem,
            part: None,
            assumed: None,
        };
        let tree = TreeReport {
            is_system: true,
            mounts: vec![mount("/", 0), mount("/var", 1)],
            findings: Findings { packages: vec![package], gaps: vec![gap], ..Findings::default() },
            held_by: BTreeMap::from([("/var/lib/rpm/Packages".to_owned(), 1)]),
            ..TreeReport::default()
        };
        let volume = |id: &str, device: &str| VolumeReport {
            id: id.to_owned(),
            device: Some(device.to_owned()),
            size: Some(30 << 30),
            state: VolumeState::Read,
        };
        let storage = StorageReport {
            volumes: vec![volume("vol-1", "/dev/xvda"), volume("vol-2", "/dev/xvdf")],
            devices: vec![disk, partition, group, var],
            filesystems: vec![
                filesystem(1, Journal::Replayed { transactions: 12 }),
                filesystem(3, Journal::Clean),
            ],
            trees: vec![tree],
        };
        let cost = VolumeCost {
            snapshot: Some("snap-1".to_owned()),
            block_size: 512 << 10,
            allocated_blocks: 14_411,
            fetched_blocks: 15,
            fetched_bytes: 15 * (512 << 10),
        };
        Scan {
            report: TargetReport {
                target: "i-1".to_owned(),
                kind: "instance",
                about: BTreeMap::new(),
                storage,
            },
            left_out: vec![BTreeMap::from([(PackageKind::Npm, 22), (PackageKind::Pypi, 1)])],
            time: datetime!(2026-11-21 06:00:00 UTC),
            region: Some("eu-central-1".to_owned()),
            local_bytes: None,
            costs: BTreeMap::from([("vol-1".to_owned(), cost)]),
        }
    }

    fn run() -> Run {
        Run {
            calls: BTreeMap::from([("ec2:CreateSnapshot".to_owned(), 1)]),
            duration: Duration::from_millis(3210),
            memory: PeakMemory { scanner: Some(30 << 20), analyser: Some(12 << 20) },
            ..Run::default()
        }
    }

    #[test]
    fn people_get_the_figures_in_a_few_lines() {
        let text = Summary::new(&scan(), run()).text();
        assert_eq!(
            text,
            "Target    i-1 (instance in eu-central-1)\n\
             Volume    vol-1 /dev/xvda, 30.0 GiB, GPT\n\
             \u{20}  1 29.0 GiB ext4, journal replayed (12 transactions)\n\
             Volume    vol-2 /dev/xvdf, 30.0 GiB, no partition table\n\
             \u{20}    LVM2 physical volume of data\n\
             Device    data/var, 10.0 GiB, striped logical volume on vol-2\n\
             \u{20}    ext4 \"var\"\n\
             System    vol-1 partition 1; 1 deb\n\
             \u{20} /var is data/var on vol-2\n\
             Packages  1 deb\n\
             \u{20} and 22 npm, 1 pypi that packages of the system brought: --owned lists them\n\
             Unknown   1: the list is incomplete\n\
             \u{20} data/var on vol-2 /var/lib/rpm/Packages: evil \\u{1b}[2J\n\
             Fetched   15 blocks, 7.5 MiB of 7.0 GiB allocated (0.10 %)\n\
             Requests  ec2:CreateSnapshot 1\n\
             Time      3.2 s, at most 42.0 MiB of memory\n"
        );
    }

    #[test]
    fn what_was_read_of_a_local_disk_is_told() {
        let local = Scan { region: None, local_bytes: Some(3 << 20), costs: BTreeMap::new(), ..scan() };
        assert!(Summary::new(&local, run()).text().contains("\nRead      3.0 MiB\n"));
    }

    #[test]
    fn programs_get_the_figures_as_json() {
        let summary = serde_json::to_value(Summary::new(&scan(), run())).unwrap();
        assert_eq!(summary["target"]["id"], "i-1");
        assert_eq!(summary["complete"], false);
        assert_eq!(summary["time"], "2026-11-21T06:00:00Z");
        assert_eq!(summary["packages"]["deb"], 1);
        assert_eq!(summary["packages_left_out"]["npm"], 22);
        assert_eq!(summary["trees"][0]["packages_left_out"]["pypi"], 1);
        assert_eq!(summary["bytes_fetched"], 7_864_320);
        assert_eq!(summary["bytes_allocated"], 14_411_u64 * 524_288);
        assert_eq!(summary["api_calls"]["ec2:CreateSnapshot"], 1);
        assert_eq!(summary["volumes"][0]["layout"], "gpt");
        let partition = &summary["devices"][1];
        assert_eq!((&partition["kind"], &partition["on"][0]), (&"partition".into(), &"vol-1".into()));
        assert_eq!(partition["content"]["format"], "ext4");
        assert_eq!(partition["content"]["journal"]["state"], "replayed");
        assert_eq!(partition["content"]["journal"]["transactions"], 12);
        assert_eq!(summary["trees"][0]["mounts"][1]["place"], "data/var on vol-2");
        assert_eq!(summary["unknowns"][0]["volumes"][0], "vol-2");
        assert_eq!(summary["unknowns"][0]["path"], "/var/lib/rpm/Packages");
    }
}
