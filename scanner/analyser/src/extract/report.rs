//! What extractors report, gathered for one filesystem.

use std::collections::HashSet;
use std::error::Error;

use agentless_core::findings::{Findings, Gap, Source};
use agentless_core::limits::Limits;
use agentless_core::number::to_u64;
use agentless_core::task::Scope;
use agentless_core::text;

use super::shared::Shared;
use super::{Extractor, depend};
use crate::fs::FsPath;
use crate::package::{Details, Evidence, OperatingSystem, Owner, Package, PackageKind};

/// What may still be found. The systems of a target share it: with one each, dozens of small hostile ones would have
/// dozens of times the memory.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    packages: u64,
    /// In bytes.
    text: u64,
    /// What could not be read, and the bytes of the paths and reasons.
    gaps: u64,
    gap_text: u64,
}

impl Room {
    /// That of a whole target.
    pub fn new(limits: &Limits) -> Self {
        Self {
            packages: limits.packages,
            text: limits.package_bytes,
            gaps: limits.notes,
            gap_text: limits.note_bytes,
        }
    }

    /// Takes what a gap needs, if there is as much.
    fn take_gap(&mut self, text: usize) -> bool {
        match (self.gaps.checked_sub(1), self.gap_text.checked_sub(to_u64(text))) {
            (Some(gaps), Some(gap_text)) => {
                (self.gaps, self.gap_text) = (gaps, gap_text);
                true
            }
            _ => false,
        }
    }

    /// Takes what a package needs, if there is as much.
    fn take(&mut self, text: usize) -> bool {
        match (self.packages.checked_sub(1), self.text.checked_sub(to_u64(text))) {
            (Some(packages), Some(text)) => {
                (self.packages, self.text) = (packages, text);
                true
            }
            _ => false,
        }
    }
}

/// Findings while they are gathered.
#[derive(Debug)]
pub(super) struct Gathering {
    findings: Findings,
    /// What may still be found.
    pub(super) room: Room,
    /// What is asked for.
    pub(super) scope: Scope,
    /// What packages provide, where that is not resolved by who reads their database.
    providers: depend::Providers,
    /// How often what they provide may be needed.
    most_relations: u64,
    /// The identities of the packages of the operating system.
    seen: HashSet<(PackageKind, String, String, Option<String>)>,
    /// How many gaps are reported one by one, of all and of one file.
    most_gaps: usize,
    most_gaps_per_file: u64,
    /// Bytes of what is kept of one file in case it is met again.
    event_bytes: u64,
    /// Gaps beyond these.
    more_gaps: u64,
    /// What other trees of the target know of the files that this one shares with them.
    pub(super) shared: Option<Shared>,
}

impl Gathering {
    pub(super) fn within(room: Room, limits: &Limits) -> Self {
        Self {
            findings: Findings::default(),
            room,
            scope: Scope::default(),
            providers: depend::Providers::new(),
            most_relations: limits.relations,
            seen: HashSet::new(),
            most_gaps: limits.gaps,
            most_gaps_per_file: limits.gaps_per_file,
            event_bytes: super::shared::most_bytes(limits),
            more_gaps: 0,
            shared: None,
        }
    }

    /// The packages so far.
    pub(super) fn packages(&self) -> &[Package] {
        &self.findings.packages
    }

    /// The packages so far, for who compares them with each other.
    pub(super) fn packages_mut(&mut self) -> &mut Vec<Package> {
        &mut self.findings.packages
    }

    /// The operating system, if one was found so far.
    pub(super) fn system(&self) -> Option<&OperatingSystem> {
        self.findings.operating_system.as_ref()
    }

    /// A file or directory that could not be read.
    pub(super) fn gap(&mut self, extractor: &dyn Extractor, path: &FsPath, error: &dyn Error) {
        self.push_gap(path.to_string(), Some(extractor.name().to_owned()), crate::chain(error));
    }

    pub(super) fn push_gap(&mut self, path: String, extractor: Option<String>, reason: String) {
        let bytes = path.len();
        let gap = Gap::new(Some(path), extractor, reason);
        let has_room = self.findings.gaps.len() < self.most_gaps;
        if has_room && self.room.take_gap(bytes.saturating_add(gap.reason.len())) {
            self.findings.gaps.push(gap);
        } else {
            self.more_gaps = self.more_gaps.saturating_add(1);
        }
    }

    /// Everything, in an order that does not depend on that of the files.
    pub(super) fn finish(mut self) -> Findings {
        let mut packages = std::mem::take(&mut self.findings.packages);
        packages.sort();
        packages.dedup_by(|a, b| a.identity() == b.identity());
        let limit = self.most_relations;
        let incomplete = depend::keep_what_is_there(&mut packages, &self.providers, limit);
        if let Some(Evidence { path, extractor, .. }) = incomplete.map(|package| package.evidence.clone()) {
            let reason = format!(
                "there are more relations of packages than the limit of {limit} (`relations`): some are missing"
            );
            self.push_gap(path, Some(extractor), reason);
        }
        let mut findings = Findings { packages, ..self.findings };
        findings.gaps.sort();
        findings.gaps.dedup();
        if self.more_gaps > 0 {
            let reason = format!("{} more problems in this filesystem", self.more_gaps);
            findings.gaps.push(Gap::new(None, None, reason));
        }
        findings.sources.sort();
        findings
    }
}

/// Where an extractor reports what it finds in one file.
#[derive(Debug)]
pub struct Report<'a> {
    gathering: &'a mut Gathering,
    evidence: Evidence,
    /// The package of the operating system that installed the file.
    owner: Option<&'a Owner>,
    is_database: bool,
    is_full: bool,
    packages: u64,
    gaps: u64,
    /// What was reported, where the same file may be met again; none either where it was more than the limits allow.
    events: Option<Vec<Event>>,
    /// Bytes that these may still have: more of them are not remembered either.
    event_bytes: u64,
}

/// One thing that an extractor reports of a file: each method of [`Report`] by which it does so is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Database,
    Package(Box<Found>),
    OperatingSystem(String, Option<String>, Option<String>),
    Unknown(String),
}

impl Event {
    /// Bytes that it takes in memory, roughly.
    pub(super) fn bytes(&self) -> usize {
        let text = match self {
            Self::Database => 0,
            Self::Package(found) => found.text().saturating_add(size_of::<Found>()),
            Self::OperatingSystem(id, version, name) => {
                let optional = [version, name].into_iter().flatten().map(String::len);
                optional.chain([id.len()]).fold(0, usize::saturating_add)
            }
            Self::Unknown(reason) => reason.len(),
        };
        text.saturating_add(size_of::<Self>())
    }
}

impl<'a> Report<'a> {
    pub(super) fn new(gathering: &'a mut Gathering, extractor: &dyn Extractor, path: &FsPath) -> Self {
        let evidence =
            Evidence { path: path.to_string(), within: None, extractor: extractor.name().to_owned() };
        let events = gathering.shared.is_some().then(Vec::new);
        let event_bytes = gathering.event_bytes;
        Self {
            gathering,
            evidence,
            owner: None,
            is_database: false,
            is_full: false,
            packages: 0,
            gaps: 0,
            events,
            event_bytes,
        }
    }

    /// Attributes what is found in the file to the package that installed it.
    pub(super) fn owned_by(self, owner: Option<&'a Owner>) -> Self {
        Self { owner, ..self }
    }

    /// Reports again what was reported of the same file elsewhere.
    pub(super) fn repeat(&mut self, events: &[Event]) {
        self.events = None;
        for event in events {
            match event.clone() {
                Event::Database => self.database(),
                Event::Package(found) => self.package(*found),
                Event::OperatingSystem(id, version, name) => self.operating_system(id, version, name),
                Event::Unknown(reason) => self.unknown(reason),
            }
        }
    }

    /// Keeps what is reported, for who meets the same file again.
    fn keep(&mut self, event: impl FnOnce() -> Event) {
        let Some(events) = &mut self.events else { return };
        let event = event();
        match self.event_bytes.checked_sub(to_u64(event.bytes())) {
            Some(left) => {
                self.event_bytes = left;
                events.push(event);
            }
            None => self.events = None,
        }
    }

    /// Says that the file is a package database, though it may list nothing.
    pub fn database(&mut self) {
        self.keep(|| Event::Database);
        self.is_database = true;
    }

    /// An installed package. One of the operating system that was reported before, by another file or another place in this
    /// one, is left out.
    pub fn package(&mut self, mut found: Found) {
        found.leave_out_passwords();
        // Without the owner, which may be another one where the same file is met again.
        self.keep(|| Event::Package(Box::new(found.clone())));
        if !found.kind.is_of_the_system() && found.details.owner.is_none() {
            found.details.owner = self.owner.cloned();
        }
        if !self.gathering.room.take(found.text()) {
            self.events = None;
            if !std::mem::replace(&mut self.is_full, true) {
                self.unknown(
                    "the target has more packages, or more bytes of their names, versions and the like, than the limits allow (`packages`, `package_bytes`)",
                );
            }
            return;
        }
        let Found { kind, name, version, architecture, within, provides, details } = found;
        self.packages = self.packages.saturating_add(1);
        if kind.is_of_the_system() {
            let identity = (kind, name.clone(), version.clone(), architecture.clone());
            if !self.gathering.seen.insert(identity) {
                return;
            }
        }
        for provided in provides {
            self.gathering.providers.entry((kind, provided)).or_default().push(name.clone());
        }
        let evidence = Evidence { within, ..self.evidence.clone() };
        let package = Package { name, version, architecture, kind, evidence, details };
        self.gathering.findings.packages.push(package);
    }

    /// What the system calls itself. The first one reported stands.
    pub fn operating_system(&mut self, id: String, version: Option<String>, name: Option<String>) {
        self.keep(|| Event::OperatingSystem(id.clone(), version.clone(), name.clone()));
        let evidence = self.evidence.clone();
        self.gathering.findings.operating_system.get_or_insert(OperatingSystem {
            id,
            version,
            name,
            evidence,
        });
    }

    /// A part of the file that could not be read and may have recorded packages.
    pub fn unknown(&mut self, reason: impl Into<String>) {
        self.gaps = self.gaps.saturating_add(1);
        if self.gaps <= self.gathering.most_gaps_per_file {
            let Gap { reason, .. } = Gap::new(None, None, reason);
            self.keep(|| Event::Unknown(reason.clone()));
            self.push_gap(reason);
        } else {
            self.events = None;
        }
    }

    /// What was reported is complete. Returns it where the same file may be met again.
    pub(super) fn finish(mut self) -> Option<Vec<Event>> {
        if let Some(more @ 1..) = self.gaps.checked_sub(self.gathering.most_gaps_per_file) {
            self.push_gap(format!("{more} more problems in the same file"));
        }
        tracing::debug!(packages = self.packages, unknowns = self.gaps, "read");
        if self.is_database {
            self.gathering
                .findings
                .sources
                .push(Source { evidence: self.evidence.clone(), packages: self.packages });
        }
        self.events.take()
    }

    fn push_gap(&mut self, reason: String) {
        let Evidence { path, extractor, within: _ } = self.evidence.clone();
        self.gathering.push_gap(path, Some(extractor), reason);
    }
}

/// A package as an extractor reports it: in which file it was found is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// As in [`Package::kind`].
    pub kind: PackageKind,
    /// As in [`Package::name`].
    pub name: String,
    /// As in [`Package::version`].
    pub version: String,
    /// As in [`Package::architecture`].
    pub architecture: Option<String>,
    /// As in [`Evidence::within`].
    pub within: Option<String>,
    /// Other names by which it can be needed. Only of a database that is several files, one of which does not tell who provides
    /// what is needed in it: what the package needs is then all that it says it does.
    pub provides: Vec<String>,
    /// As in [`Package::details`].
    pub details: Details,
}

impl Found {
    /// A package of which nothing but name and version is known.
    pub fn new(kind: PackageKind, name: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
            version: version.into(),
            architecture: None,
            within: None,
            provides: Vec::new(),
            details: Details::default(),
        }
    }

    /// Leaves out the passwords in addresses, wherever somebody wrote one instead of a name, a version or a licence.
    fn leave_out_passwords(&mut self) {
        let Self { kind: _, name, version, architecture, within: _, provides, details } = self;
        let Details { source, maintainer, state, module, licenses, depends_on, .. } = details;
        let of_source = source.iter_mut().flat_map(|source| [&mut source.name, &mut source.version]);
        let optional = [architecture, maintainer, state, module].into_iter().flatten();
        let texts = [name, version].into_iter().chain(of_source).chain(optional);
        for text in texts.chain(licenses).chain(depends_on).chain(provides) {
            text::leave_out_passwords(text);
        }
    }

    /// How many bytes its fields have, and of the texts in lists, which may be as short as they are many, what each costs.
    pub(super) fn text(&self) -> usize {
        /// An entry of the table of who provides what.
        const PROVIDED: usize = 128;

        let Self { kind: _, name, version, architecture, within, provides, details } = self;
        let Details { source, maintainer, state, module, licenses, depends_on, owner, .. } = details;
        let source =
            source.as_ref().map_or(0, |source| source.name.len().saturating_add(source.version.len()));
        let owner = owner.as_ref().map_or(0, |owner| owner.name.len());
        let optional = [architecture, within, maintainer, state, module];
        let optional = optional.into_iter().filter_map(|field| Some(field.as_ref()?.len()));
        let listed = licenses.iter().chain(depends_on);
        let listed = listed.map(|text| text.len().saturating_add(size_of::<String>()));
        let lengths = [name.len(), version.len(), source, owner];
        let provided =
            provides.iter().map(|text| text.len().saturating_add(name.len()).saturating_add(PROVIDED));
        optional.chain(listed).chain(lengths).chain(provided).fold(0, usize::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::os::Dpkg;

    fn gathering() -> Gathering {
        let limits = Limits::default();
        Gathering::within(Room::new(&limits), &limits)
    }

    #[test]
    fn packages_of_endless_fields_end_at_the_limit_and_say_so() {
        let mut gathering = gathering();
        let mut report = Report::new(&mut gathering, &Dpkg, &FsPath::new("/x"));
        for number in 0..300 {
            report.package(Found::new(PackageKind::Deb, format!("p{number}"), "1".repeat(1 << 20)));
        }
        report.finish();
        let findings = gathering.finish();
        assert_eq!(findings.packages.len(), 255);
        assert_eq!(findings.gaps.len(), 1);
        assert!(findings.gaps[0].reason.contains("than the limits allow"), "{:?}", findings.gaps);
    }

    #[test]
    fn systems_of_one_target_share_the_room_for_packages() {
        let mut room = Room { packages: 3, text: 1000, ..Room::new(&Limits::default()) };
        for expected in [2, 1, 0] {
            let mut gathering = Gathering::within(room, &Limits::default());
            let mut report = Report::new(&mut gathering, &Dpkg, &FsPath::new("/x"));
            for name in ["a", "b"] {
                report.package(Found::new(PackageKind::Deb, name, "1"));
            }
            report.finish();
            room = gathering.room;
            let findings = gathering.finish();
            assert_eq!(findings.packages.len(), expected);
            assert_eq!(findings.gaps.is_empty(), expected == 2);
        }
    }

    #[test]
    fn many_files_of_problems_are_reported_in_bounded_lines() {
        let mut gathering = gathering();
        for file in 0..3000 {
            gathering.push_gap(format!("/file-{file}"), None, "damaged".to_owned());
        }
        let gaps = gathering.finish().gaps;
        assert_eq!(gaps.len(), 2001);
        assert_eq!(gaps[2000].reason, "1000 more problems in this filesystem");
    }

    #[test]
    fn a_file_of_problems_is_reported_in_few_lines() {
        let mut gathering = gathering();
        let mut report = Report::new(&mut gathering, &Dpkg, &FsPath::new("/x"));
        for line in 0..1000 {
            report.unknown(format!("line {line}"));
        }
        report.finish();
        let gaps = gathering.findings.gaps;
        assert_eq!(gaps.len(), 51);
        assert_eq!(gaps[50].reason, "950 more problems in the same file");
    }

    #[test]
    fn trees_of_one_target_share_the_room_for_problems() {
        let mut room = Room::new(&Limits { notes: 3, ..Limits::default() });
        for expected in [2, 2, 1] {
            let mut gathering = Gathering::within(room, &Limits::default());
            for file in 0..2 {
                gathering.push_gap(format!("/file-{file}"), None, "damaged".to_owned());
            }
            room = gathering.room;
            let gaps = gathering.finish().gaps;
            // What has no room is counted.
            assert_eq!(gaps.len(), expected, "{gaps:?}");
        }
        let mut gathering = Gathering::within(Room::new(&Limits::default()), &Limits::default());
        for file in 0..100 {
            gathering.push_gap(format!("/file-{file}"), None, "r".repeat(1 << 20));
        }
        assert!(gathering.findings.gaps.iter().all(|gap| gap.reason.len() < 5000));
    }

    #[test]
    fn no_password_leaves_with_a_package() {
        let mut gathering = gathering();
        let mut report = Report::new(&mut gathering, &Dpkg, &FsPath::new("/x"));
        let secret = || "https://user:secret@example.com/a".to_owned();
        let details = Details { licenses: vec![secret()], depends_on: vec![secret()], ..Details::default() };
        report.package(Found { details, ..Found::new(PackageKind::Npm, secret(), secret()) });
        report.unknown(secret());
        report.finish();
        let shown = format!("{:?}", gathering.finish());
        assert!(shown.contains("https://example.com/a") && !shown.contains("secret"), "{shown}");
    }
}
