//! One package in dpkg's database: a stanza of fields (Debian Policy, section 5.3).

use crate::extract::Found;
use crate::extract::depend::Relations;
use crate::extract::format::control::{Folded, Line};
use crate::extract::format::field::{Fields, shown};
use crate::limits::Limits;
use crate::package::{Details, PackageKind, SourcePackage};

use super::Finding;

/// Which of the two forms a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// dpkg's database: each stanza says in which state its package is.
    Database,
    /// One package in one file: there is no state, what is there is installed.
    FilePerPackage,
}

/// The fields of one stanza that are wanted, as bytes.
#[derive(Debug, Default)]
pub(super) struct Stanza<'a> {
    /// Number of its first line. `None` if it has no lines: more than one blank line in a row.
    pub(super) line: Option<u64>,
    pub(super) package: Option<&'a [u8]>,
    pub(super) status: Option<&'a [u8]>,
    version: Option<&'a [u8]>,
    pub(super) architecture: Option<&'a [u8]>,
    pub(super) multi_arch: Option<&'a [u8]>,
    source: Option<&'a [u8]>,
    maintainer: Option<&'a [u8]>,
    pre_depends: Option<Folded<'a>>,
    depends: Option<Folded<'a>>,
    provides: Option<Folded<'a>>,
    /// The first line that cannot be understood.
    malformed: Option<u64>,
    /// A wanted field that is there twice.
    repeated: Option<&'static str>,
}

impl<'a> Stanza<'a> {
    /// Reads up to the next blank line.
    pub(super) fn read(lines: &mut impl Iterator<Item = Line<'a>>) -> Self {
        let mut stanza = Self::default();
        for line in lines {
            match line {
                Line::Blank => break,
                Line::Malformed { number } => {
                    stanza.line.get_or_insert(number);
                    stanza.malformed.get_or_insert(number);
                }
                Line::Field { number, name, value, folded } => {
                    stanza.line.get_or_insert(number);
                    stanza.field(name, value, folded);
                }
            }
        }
        stanza
    }

    fn field(&mut self, name: &[u8], value: &'a [u8], folded: Folded<'a>) {
        // The names of fields are not case-sensitive (Debian Policy, section 5.1).
        let wanted = [
            ("Package", &mut self.package),
            ("Status", &mut self.status),
            ("Version", &mut self.version),
            ("Architecture", &mut self.architecture),
            ("Multi-Arch", &mut self.multi_arch),
            ("Source", &mut self.source),
            ("Maintainer", &mut self.maintainer),
        ];
        for (known, slot) in wanted {
            if name.eq_ignore_ascii_case(known.as_bytes()) {
                if slot.replace(slot.unwrap_or(value)).is_some() {
                    self.repeated.get_or_insert(known);
                }
                return;
            }
        }
        let relations = [
            ("Pre-Depends", &mut self.pre_depends),
            ("Depends", &mut self.depends),
            ("Provides", &mut self.provides),
        ];
        for (known, slot) in relations {
            if name.eq_ignore_ascii_case(known.as_bytes()) {
                slot.get_or_insert(folded);
            }
        }
    }

    /// Says by which names the package can be needed, if it is installed.
    pub(super) fn relate(&self, layout: Layout, relations: &mut Relations<'a>) {
        if let (Ok(Some(_)), Some(package)) = (self.installed(layout), self.package) {
            relations.package(package);
            for name in names(self.provides) {
                relations.provide(name, package);
            }
        }
    }

    /// Gives what it says, and what is wrong with it.
    pub(super) fn interpret(
        &self,
        layout: Layout,
        limits: &Limits,
        relations: &mut Relations<'a>,
        emit: &mut dyn FnMut(Finding),
    ) {
        let Some(line) = self.line else { return };
        if let Some(number) = self.malformed {
            emit(Err(format!("line {number} is not a field")));
        }
        if let Some(name) = self.repeated {
            emit(Err(format!("the stanza at line {line} has more than one {name}")));
        }
        let mut fields = Fields::new(limits);
        let (found, problem) = match self.installed(layout) {
            Ok(Some(state)) => (self.found(state, layout, &mut fields, relations), None),
            Ok(None) => (None, None),
            Err(problem) => (None, Some(problem)),
        };
        let subject = self.package.map(|name| format!(" (package {:?})", shown(name))).unwrap_or_default();
        for problem in fields.problems().into_iter().chain(problem) {
            emit(Err(format!("the stanza at line {line}{subject} {problem}")));
        }
        if let Some(found) = found {
            emit(Ok(found));
        }
    }

    /// The package's state, if its files are on the disk.
    ///
    /// `Status` is "want flag state" (dpkg-query(1)). Of the states, `not-installed`, `config-files` and
    /// `half-installed` mean that the version named is not there or not whole. All others have it unpacked, so that
    /// whatever is wrong with that version is on the disk.
    fn installed(&self, layout: Layout) -> Result<Option<&'static str>, String> {
        let Some(status) = self.status else {
            return match layout {
                Layout::FilePerPackage => Ok(Some("installed")),
                Layout::Database => Err("has no Status".to_owned()),
            };
        };
        let mut words = status.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let (Some(_want), Some(_flag), Some(state), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err("has a Status that is not of three words".to_owned());
        };
        match state {
            b"not-installed" | b"config-files" | b"half-installed" => Ok(None),
            b"unpacked" => Ok(Some("unpacked")),
            b"half-configured" => Ok(Some("half-configured")),
            b"triggers-awaited" => Ok(Some("triggers-awaited")),
            b"triggers-pending" => Ok(Some("triggers-pending")),
            b"installed" => Ok(Some("installed")),
            other => Err(format!("is in the unknown state {:?}", shown(other))),
        }
    }

    fn found(
        &self,
        state: &str,
        layout: Layout,
        fields: &mut Fields<'_>,
        relations: &mut Relations<'a>,
    ) -> Option<Found> {
        let name = fields.required("Package", self.package, "names no package")?;
        let version = fields.required("Version", self.version, "has no Version")?;
        let source = match fields.optional("Source", self.source) {
            Some(value) => source(&value, &version),
            None => SourcePackage { name: name.clone(), version: version.clone() },
        };
        let needs = names(self.pre_depends).chain(names(self.depends));
        let (depends_on, provides) = match layout {
            Layout::Database => (relations.needed(name.as_bytes(), needs), Vec::new()),
            // Who provides it is in other files.
            Layout::FilePerPackage => {
                (relations.unresolved(needs), relations.unresolved(names(self.provides)))
            }
        };
        Some(Found {
            provides,
            architecture: fields.optional("Architecture", self.architecture),
            details: Details {
                source: Some(source),
                maintainer: fields.optional("Maintainer", self.maintainer),
                state: (state != "installed").then(|| state.to_owned()),
                depends_on,
                ..Details::default()
            },
            ..Found::new(PackageKind::Deb, name, version)
        })
    }
}

/// The names in a list of relations, each without version and architecture: `a (>= 1), b:any | c` (Debian Policy, section
/// 7.1). Which of the alternatives is meant is not recorded: whichever is installed serves.
fn names(list: Option<Folded<'_>>) -> impl Iterator<Item = &[u8]> {
    let lines = list.into_iter().flat_map(Folded::lines);
    let relations = lines.flat_map(|line| line.split(|byte| b",|".contains(byte)));
    let names = relations
        .filter_map(|relation| relation.trim_ascii_start().split(|byte| b" \t\r(:[".contains(byte)).next());
    names.filter(|name| !name.is_empty())
}

/// `Source: name` or `Source: name (version)`; the version is written where it differs from the package's own.
fn source(value: &str, version: &str) -> SourcePackage {
    let (name, version) = match value.split_once('(') {
        Some((name, rest)) => (name.trim(), rest.trim_end().trim_end_matches(')').trim()),
        None => (value, version),
    };
    SourcePackage { name: name.to_owned(), version: version.to_owned() }
}
