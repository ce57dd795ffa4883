//! The texts of a report, one by one, and how much of them there may be.

use agentless_core::findings::{Gap, Source};
use agentless_core::limits::Limits;
use agentless_core::number::to_u64;
use agentless_core::package::{Details, Evidence, OperatingSystem, Owner, Package, SourcePackage};
use agentless_core::report::{
    Container, Content, DeviceKind, DeviceReport, FilesystemReport, Journal, MountReport, Unmounted,
};

/// The most bytes of a text of what a report is made of: a device, a filesystem, the root and the name of a system. They
/// are shown wherever something was found on it, so they are short.
pub(super) const MOST_SHORT: u64 = 1 << 10;

/// The most bytes of any other text. However the limits are set, what has a dozen texts fits into a message, and there is
/// room to say what was cut.
pub(super) fn most_text(limits: &Limits) -> u64 {
    limits.text_bytes.clamp(256, 16 << 10)
}

/// Something that has texts.
pub(super) trait Texts {
    /// Calls `visit` with each of its texts. Those in the lists of a device or a filesystem are left out, as there can be
    /// any number of them.
    fn texts(&mut self, visit: &mut dyn FnMut(&mut String));

    /// The lengths in bytes of the longest text, and of all together.
    fn lengths(&mut self) -> (u64, u64) {
        let (mut longest, mut sum) = (0, 0_u64);
        self.texts(&mut |text| {
            let length = to_u64(text.len());
            longest = length.max(longest);
            sum = sum.saturating_add(length);
        });
        (longest, sum)
    }
}

/// How many items of a kind there may be, and how many bytes of text they may have together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) count: u64,
    pub(super) bytes: u64,
    /// Bytes that stand with each item wherever it is listed: what is said once in a report is said there for each of a
    /// hundred thousand.
    pub(super) each: u64,
}

impl Room {
    pub(super) fn for_packages(limits: &Limits) -> Self {
        Self { count: limits.packages, bytes: limits.package_bytes, each: 0 }
    }

    /// For where files are: those of packages and of unknowns.
    pub(super) fn for_places(limits: &Limits) -> Self {
        Self { count: limits.packages.saturating_add(limits.notes), bytes: limits.package_bytes, each: 0 }
    }

    pub(super) fn for_notes(limits: &Limits) -> Self {
        Self { count: limits.notes, bytes: limits.note_bytes, each: 0 }
    }

    /// Takes what an item needs, if there is as much.
    pub(super) fn take(&mut self, bytes: u64) -> bool {
        match (self.count.checked_sub(1), self.bytes.checked_sub(bytes.saturating_add(self.each))) {
            (Some(count), Some(bytes)) => {
                *self = Self { count, bytes, ..*self };
                true
            }
            _ => false,
        }
    }
}

/// The most bytes of the names of the devices by which a list says where something is.
pub(super) fn longest_place(devices: &[DeviceReport], filesystems: &[FilesystemReport]) -> u64 {
    /// As many of a filesystem's devices are named.
    const NAMED: usize = 3;

    let name = |&device: &usize| devices.get(device).map_or(0, |device| to_u64(device.name.len()));
    let place = |filesystem: &FilesystemReport| filesystem.devices.iter().take(NAMED).map(name).sum();
    filesystems.iter().map(place).max().unwrap_or(0)
}

/// The bytes of a system's id and version that stand with each of its packages: both are in its URL, the id also in its
/// namespace, and beside it.
pub(super) fn repeated(system: Option<&OperatingSystem>) -> u64 {
    system.map_or(0, |OperatingSystem { id, version, .. }| {
        let version = version.as_ref().map_or(0, |version| to_u64(version.len()));
        to_u64(id.len()).saturating_mul(3).saturating_add(version)
    })
}

type Visit<'a> = dyn FnMut(&mut String) + 'a;

fn all<const N: usize>(fields: [&mut dyn Texts; N], visit: &mut Visit<'_>) {
    for field in fields {
        field.texts(visit);
    }
}

impl Texts for String {
    fn texts(&mut self, visit: &mut Visit<'_>) {
        visit(self);
    }
}

impl<T: Texts> Texts for Option<T> {
    fn texts(&mut self, visit: &mut Visit<'_>) {
        if let Some(value) = self {
            value.texts(visit);
        }
    }
}

impl Texts for DeviceReport {
    fn texts(&mut self, visit: &mut Visit<'_>) {
        let Self { name, kind, below: _, size: _, uuid, label, content, problems: _, notes: _ } = self;
        all([name, kind, uuid, label, content], visit);
    }
}

impl Texts for DeviceKind {
    fn texts(&mut self, visit: &mut Visit<'_>) {
        match self {
            Self::Disk { volume: _ } | Self::Directory => {}
            Self::Partition { number: _, offset: _, code, uuid, name } => all([code, uuid, name], visit),
            Self::LogicalVolume { group, volume, layout, uuid } => all([group, volume, layout, uuid], visit),
            Self::Raid { array, level, uuid } => all([array, level, uuid], visit),
        }
    }
}

impl Texts for Content {
    fn texts(&mut self, visit: &mut Visit<'_>) {
        match self {
            Self::Table { scheme } => visit(scheme),
            Self::Member { format, of } => all([format, of], visit),
            Self::Filesystem { filesystem: _ } | Self::Empty => {}
            Self::Irrelevant { what } => visit(what),
            Self::Unread { format, reason } => all([format, reason], visit),
        }
    }
}

impl Texts for FilesystemReport {
    fn texts(&mut self, visit: &mut Visit<'_>) {
        let Self { format, devices: _, journal, size: _, block_size: _, features: _ } = self;
        all([format, journal], visit);
    }
}

impl Texts for Journal {
    fn texts(&mut self, visit: &mut Visit<'_>) {
        match self {
            Self::Clean | Self::Replayed { transactions: _ } => {}
            Self::Partial { transactions: _, reason } | Self::Ignored { reason } => visit(reason),
        }
    }
}

impl Texts for OperatingSystem {
    fn texts(&mut self, visit: &mut Visit<'_>) {
        let Self { id, version, name, evidence } = self;
        all([id, version, name, evidence], visit);
    }
}

impl Texts for Evidence {
    fn texts(&mut self, visit: &mut Visit<'_>) {
        let Self { path, within, extractor } = self;
        all([path, within, extractor], visit);
    }
}

impl Texts for MountReport {
    fn texts(&mut self, visit: &mut Visit<'_>) {
        let Self { path, filesystem: _, part, assumed } = self;
        all([path, part, assumed], visit);
    }
}

impl Texts for Unmounted {
    fn texts(&mut self, visit: &mut Visit<'_>) {
        let Self { path, source, reason, is_gap: _ } = self;
        all([path, source, reason], visit);
    }
}

impl Texts for Package {
    fn texts(&mut self, visit: &mut Visit<'_>) {
        let Self { name, version, architecture, kind: _, evidence, details } = self;
        all([name, version, architecture, evidence, details], visit);
    }
}

impl Texts for Details {
    fn texts(&mut self, visit: &mut Visit<'_>) {
        let Self {
            source,
            maintainer,
            state,
            module,
            licenses,
            depends_on,
            owner,
            kernel: _,
            record: _,
            certainty: _,
        } = self;
        all([source, maintainer, state, module, owner], visit);
        for text in licenses.iter_mut().chain(depends_on) {
            visit(text);
        }
    }
}

impl Texts for Owner {
    fn texts(&mut self, visit: &mut Visit<'_>) {
        let Self { kind: _, name } = self;
        visit(name);
    }
}

impl Texts for Container {
    fn texts(&mut self, visit: &mut Visit<'_>) {
        let Self { engine, id, name, image, digest, tags: _, platform, state, layers: _ } = self;
        all([engine, id, name, image, digest, platform, state], visit);
    }
}

impl Texts for SourcePackage {
    fn texts(&mut self, visit: &mut Visit<'_>) {
        let Self { name, version } = self;
        all([name, version], visit);
    }
}

impl Texts for Gap {
    fn texts(&mut self, visit: &mut Visit<'_>) {
        let Self { path, extractor, reason } = self;
        all([path, extractor, reason], visit);
    }
}

impl Texts for Source {
    fn texts(&mut self, visit: &mut Visit<'_>) {
        let Self { evidence, packages: _ } = self;
        evidence.texts(visit);
    }
}

/// Where a file is: its path and its filesystem.
impl Texts for (String, usize) {
    fn texts(&mut self, visit: &mut Visit<'_>) {
        visit(&mut self.0);
    }
}
