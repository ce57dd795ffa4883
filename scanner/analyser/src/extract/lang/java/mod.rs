//! `lang/java`: what Java archives say of themselves, and of what was put into them.
//!
//! Maven writes a `pom.properties` into each jar that it builds, and tools that merge jars keep them. What other tools built
//! is known from the manifest, with less certainty, or only from the file's name; a group that would be a guess is not said.
//! Archives are looked into wherever they are: libraries of a web application, and of an executable jar of Spring Boot.

mod group;
mod identity;
mod manifest;
mod name;
mod pom;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::archive::Allowance;
use crate::archive::zip::{Archive, Entry};
use crate::extract::{ExtractError, Extractor, Found, Input, Interest, Reads, Report};
use crate::fs::{FsError, FsPath};
use crate::limits::Limits;
use crate::package::{Details, PackageKind};
use crate::read_at::ReadAt;
use identity::Jar;
use manifest::Manifest;
use pom::Pom;

/// Reads jars and what else is one under another name.
#[derive(Clone, Copy, Debug)]
pub struct Java;

/// What archives of Java are named: libraries, web and enterprise applications, plug-ins of Jenkins, and, of names that have
/// other meanings too, resource adapters and the archives of `JBoss`, Apache `NiFi`, Karaf and Liferay.
const NAMES: [Interest; 11] = [
    Interest::Suffix(".jar"),
    Interest::Suffix(".war"),
    Interest::Suffix(".ear"),
    Interest::Suffix(".hpi"),
    Interest::Suffix(".jpi"),
    Interest::Suffix(".kar"),
    Interest::Suffix(".lpkg"),
    Interest::Suffix(".nar"),
    Interest::Suffix(".par"),
    Interest::Suffix(".rar"),
    Interest::Suffix(".sar"),
];

/// How many of these names, from the first, have no other meaning.
const ONLY_JAVA: usize = 5;

/// Which of the names a file has.
fn kind(file_name: &[u8]) -> Option<usize> {
    let name = file_name.to_ascii_lowercase();
    NAMES.iter().position(|known| matches!(known, Interest::Suffix(end) if name.ends_with(end.as_bytes())))
}

/// Whether a file has a name that nothing else has.
fn is_surely_java(file_name: &[u8]) -> bool {
    kind(file_name).is_some_and(|kind| kind < ONLY_JAVA)
}

impl Extractor for Java {
    fn name(&self) -> &'static str {
        "lang/java"
    }

    fn description(&self) -> &'static str {
        "Java archives, and those in them"
    }

    fn interest(&self) -> &'static [Interest] {
        &NAMES
    }

    fn reads(&self, path: &FsPath) -> Reads {
        // What is no archive at all is known by its start. Of one, the directory is at the end, and the manifest mostly the
        // first entry: whoever reads a jar as a stream needs it there (`java.util.jar.JarInputStream`).
        if is_surely_java(path.file_name().unwrap_or_default()) { Reads::Ends } else { Reads::Start }
    }

    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
        if input.size() == 0 {
            return Ok(());
        }
        let file_name = input.path().file_name().unwrap_or_default();
        inspect(input, file_name, input.limits(), &mut |finding| match finding {
            Ok(package) => report.package(package),
            Err(problem) => report.unknown(problem),
        })?;
        Ok(())
    }
}

/// Reads any bytes as a jar, for fuzzing: it must come back without a panic.
pub fn fuzz_java(content: &[u8]) {
    let limits = Limits { archive_bytes: 32 << 20, ..Limits::default() };
    let _ = inspect(&content, b"fuzz-1.0.jar", &limits, &mut |finding| drop(finding));
}

/// Reads any bytes as a manifest and as `pom.properties`, for fuzzing: it must come back without a panic.
pub fn fuzz_manifest(content: &[u8]) {
    let limits = Limits::default();
    let manifest = Manifest::parse(content, &limits);
    let _ = Pom::parse(content, &FsPath::root(), &limits);
    let name = String::from_utf8_lossy(content);
    Jar { file_name: &name, manifest: &manifest }.identity();
}

/// What an archive gives: a package, or what cannot be read, and where.
type Finding = Result<Found, String>;

/// Reads an archive and those in it. An error means that nothing of it can be read.
fn inspect(
    source: &dyn ReadAt,
    file_name: &[u8],
    limits: &Limits,
    emit: &mut dyn FnMut(Finding),
) -> Result<(), FsError> {
    if !is_surely_java(file_name) {
        let mut start = [0; 2];
        let count = source.read_at(0, &mut start)?;
        if start.get(..count) != Some(b"PK") {
            tracing::debug!("not a Java archive");
            return Ok(());
        }
    }
    let allowance = Allowance::new(limits);
    let archive = Archive::read(source, &allowance)?;
    let mut inspection = Inspection { allowance: &allowance, limits_met: BTreeSet::new(), emit };
    inspection.archive(&archive, &String::from_utf8_lossy(file_name), None);
    Ok(())
}

/// One file while it is read.
struct Inspection<'a> {
    allowance: &'a Allowance,
    /// The limits that were met and said: what they stop is not reported one by one.
    limits_met: BTreeSet<&'static str>,
    emit: &'a mut dyn FnMut(Finding),
}

impl Inspection<'_> {
    /// Reads an archive: `within` says where in the file it is.
    fn archive<S: ReadAt>(&mut self, archive: &Archive<S>, file_name: &str, within: Option<&str>) {
        for problem in archive.problems() {
            self.unknown(within, problem);
        }
        let mut manifest = Manifest::default();
        let mut poms = Vec::new();
        for entry in archive.entries().iter().filter(|entry| !entry.is_dir()) {
            if self.allowance.is_spent() {
                break;
            }
            let Some(role) = Role::of(entry) else { continue };
            let place = match self.place(within, entry.path()) {
                Ok(place) => place,
                Err(error) => {
                    self.unknown(within, &error);
                    continue;
                }
            };
            let read = match role {
                Role::Manifest => self.read(archive, entry).map(|content| {
                    manifest = Manifest::parse(&content, self.allowance.limits());
                }),
                Role::Pom => self.read(archive, entry).map(|content| {
                    match Pom::parse(&content, entry.path(), self.allowance.limits()) {
                        Ok(pom) => poms.push((pom, place.clone())),
                        Err(problem) => (self.emit)(Err(format!("{place}: {problem}"))),
                    }
                }),
                Role::Archive => archive.nested(entry, self.allowance).map(|nested| {
                    let name = String::from_utf8_lossy(entry.path().file_name().unwrap_or_default());
                    self.archive(&nested, &name, Some(&place));
                }),
            };
            if let Err(error) = read {
                self.unknown(Some(&place), &error);
            }
        }
        self.packages(&Jar { file_name, manifest: &manifest }, poms, within);
    }

    /// Reports what an archive is, and what was merged into it.
    fn packages(&mut self, jar: &Jar<'_>, mut poms: Vec<(Pom, String)>, within: Option<&str>) {
        // Tools that merge jars may keep a file twice.
        let mut seen = BTreeSet::new();
        poms.retain(|(_, place)| seen.insert(place.clone()));
        let candidates: Vec<&Pom> = poms.iter().map(|(pom, _)| pom).collect();
        let own = jar.own(&candidates);
        let licenses = || jar.manifest.licenses.clone();
        let within = within.map(str::to_owned);
        if own.is_none()
            && let Some(identity) = jar.identity()
        {
            let details =
                Details { certainty: identity.certainty, licenses: licenses(), ..Details::default() };
            let found = Found::new(PackageKind::Maven, identity.name, identity.version);
            (self.emit)(Ok(Found { within: within.clone(), details, ..found }));
        }
        for (index, (pom, place)) in poms.into_iter().enumerate() {
            let is_own = own == Some(index);
            let licenses = if is_own { licenses() } else { Vec::new() };
            let found = Found::new(PackageKind::Maven, pom.name(), pom.version);
            let within = if is_own { within.clone() } else { Some(place) };
            (self.emit)(Ok(Found { within, details: Details { licenses, ..Details::default() }, ..found }));
        }
    }

    fn read<S: ReadAt>(&self, archive: &Archive<S>, entry: &Entry) -> Result<Vec<u8>, FsError> {
        archive.read_all(entry, self.allowance.limits().small_file_bytes, self.allowance)
    }

    /// Where in the file something is. Paths in archives in archives grow, and each is in the report.
    fn place(&self, within: Option<&str>, path: &FsPath) -> Result<String, FsError> {
        let path = path.to_string();
        let path = path.strip_prefix('/').unwrap_or(&path);
        let place = within.map_or_else(|| path.to_owned(), |within| format!("{within}!/{path}"));
        let limit = self.allowance.limits().path_bytes;
        if place.len() > limit {
            let what = "the length of a path in archives in each other (`path_bytes`)";
            return Err(FsError::Limit { what, limit: crate::volume::bytes::to_u64(limit) });
        }
        Ok(place)
    }

    fn unknown(&mut self, within: Option<&str>, error: &FsError) {
        if let FsError::Limit { what, .. } = error
            && !self.limits_met.insert(what)
        {
            return;
        }
        let problem = crate::chain(error);
        (self.emit)(Err(within.map_or_else(|| problem.clone(), |within| format!("{within}: {problem}"))));
    }
}

/// What an entry is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Manifest,
    Pom,
    Archive,
}

impl Role {
    fn of(entry: &Entry) -> Option<Self> {
        let path = entry.path();
        let name = path.file_name()?;
        if name == b"pom.properties" {
            return Some(Self::Pom);
        }
        // The name of the manifest is not case-sensitive (JAR File Specification, "JAR Manifest").
        if path.as_relative_bytes().eq_ignore_ascii_case(b"META-INF/MANIFEST.MF") {
            return (!entry.is_superseded()).then_some(Self::Manifest);
        }
        (kind(name).is_some() && entry.size() > 0).then_some(Self::Archive)
    }
}
