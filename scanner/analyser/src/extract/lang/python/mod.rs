//! `lang/python`: installed Python distributions.

mod metadata;
mod requirement;

use std::collections::{HashMap, HashSet};

use crate::archive::Allowance;
use crate::archive::zip::{Archive, Entry};
use crate::extract::format::text;
use crate::extract::{ExtractError, Extractor, Found, Input, Interest, Reads, Report};
use crate::fs::FsPath;
use crate::limits::Limits;

/// Reads `*.dist-info/METADATA`, `*.egg-info/PKG-INFO`, `EGG-INFO/PKG-INFO`, and `*.egg-info` that is a file; the first
/// three in eggs and wheels that are archives, too.
#[derive(Clone, Copy, Debug)]
pub struct Python;

impl Extractor for Python {
    fn name(&self) -> &'static str {
        "lang/python"
    }

    fn description(&self) -> &'static str {
        "installed Python packages"
    }

    fn interest(&self) -> &'static [Interest] {
        &[
            Interest::Suffix("metadata"),
            Interest::Suffix("pkg-info"),
            Interest::Suffix(".egg-info"),
            Interest::Suffix(".egg"),
            Interest::Suffix(".whl"),
        ]
    }

    fn wants(&self, path: &FsPath) -> bool {
        is_archive(path) || is_record(path)
    }

    fn reads(&self, path: &FsPath) -> Reads {
        if is_archive(path) { Reads::End } else { Reads::Whole }
    }

    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
        if is_archive(input.path()) {
            return read_archive(input, report);
        }
        let requirements = beside(input.path()).map(|path| input.read_side(&path)).transpose();
        let requirements = requirements.unwrap_or_else(|error| {
            report.unknown(format!("{REQUIREMENTS}: {}", crate::chain(&error)));
            None
        });
        let record = Record { metadata: input.read_document()?, requirements: requirements.flatten() };
        emit(record.found(input.path(), input.limits()), report);
        Ok(())
    }
}

/// What setuptools writes beside the metadata of an egg, instead of `Requires-Dist` in it.
const REQUIREMENTS: &str = "requires.txt";

/// Where that file is, of metadata that may have one.
fn beside(metadata: &FsPath) -> Option<FsPath> {
    let is_egg = metadata.file_name().is_some_and(|name| name.eq_ignore_ascii_case(b"pkg-info"));
    is_egg.then(|| metadata.join("..").join(REQUIREMENTS))
}

/// Whether a path is that of metadata.
fn is_record(path: &FsPath) -> bool {
    let mut names = path.components().rev();
    let (Some(file), folder) = (names.next(), names.next().unwrap_or_default()) else { return false };
    let in_egg_info = folder.eq_ignore_ascii_case(b"egg-info") || ends_with(folder, b".egg-info");
    (file.eq_ignore_ascii_case(b"metadata") && ends_with(folder, b".dist-info"))
        || (file.eq_ignore_ascii_case(b"pkg-info") && in_egg_info)
        || ends_with(file, b".egg-info")
}

/// Whether a file is a distribution in one archive, from which Python imports as from a directory.
fn is_archive(path: &FsPath) -> bool {
    path.file_name().is_some_and(|name| ends_with(name, b".egg") || ends_with(name, b".whl"))
}

/// Reads the records in an egg or a wheel.
fn read_archive(input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
    let allowance = Allowance::new(input.limits());
    let archive = Archive::read(input, &allowance)?;
    for problem in archive.problems() {
        report.unknown(crate::chain(problem));
    }
    let is_file = |entry: &&Entry| !entry.is_dir() && !entry.is_symlink() && !entry.is_superseded();
    let files = || archive.entries().iter().filter(is_file);
    let read = |entry: &Entry| archive.read_all(entry, input.limits().lock_bytes, &allowance);
    let records: Vec<_> = files().filter(|entry| is_record(entry.path())).collect();
    let wanted: HashSet<_> = records.iter().filter_map(|entry| beside(entry.path())).collect();
    let mut requirements: HashMap<_, _> =
        files().filter(|entry| wanted.contains(entry.path())).map(|entry| (entry.path(), entry)).collect();
    for entry in records {
        let requirements = beside(entry.path()).and_then(|path| requirements.remove(&path));
        let requirements = requirements.map(read).transpose();
        let record = read(entry)
            .and_then(|metadata| Ok(Record { metadata, requirements: requirements? }))
            .map_err(|error| crate::chain(&error));
        let within = String::from_utf8_lossy(entry.path().as_relative_bytes()).into_owned();
        let place = input.path().join(entry.path().as_relative_bytes());
        let found = record
            .and_then(|record| record.found(&place, input.limits()))
            .map(|found| Found { within: Some(within), ..found })
            .map_err(|problem| format!("{}: {problem}", entry.path()));
        emit(found, report);
        if allowance.is_spent() {
            break;
        }
    }
    Ok(())
}

fn emit(finding: Result<Found, String>, report: &mut Report<'_>) {
    match finding {
        Ok(found) => report.package(found),
        Err(problem) => report.unknown(problem),
    }
}

/// The files that describe one distribution.
#[derive(Debug)]
struct Record {
    metadata: Vec<u8>,
    requirements: Option<Vec<u8>>,
}

impl Record {
    /// The distribution that they describe, at this path.
    fn found(self, path: &FsPath, limits: &Limits) -> Result<Found, String> {
        let metadata = text::decoded(self.metadata);
        let requirements = text::decoded(self.requirements.unwrap_or_default());
        metadata::found(&metadata, &requirements, &file_name_of(path), limits)
    }
}

/// The part of the path that has name and version in it: `NAME-VERSION.dist-info`, `NAME-VERSION-py3.11.egg-info`.
fn file_name_of(path: &FsPath) -> String {
    let is_record = |name: &&[u8]| {
        [&b".dist-info"[..], b".egg-info", b".egg"].iter().any(|suffix| ends_with(name, suffix))
    };
    let name = path.components().rev().take(3).find(is_record).unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

/// Reads metadata of any bytes, for fuzzing: it must come back without a panic.
pub fn fuzz_python_metadata(content: &[u8]) {
    let content = text::decoded(content.to_vec());
    drop(metadata::found(&content, &content, "name-1.0.dist-info", &Limits::default()));
}

fn ends_with(name: &[u8], suffix: &[u8]) -> bool {
    let tail = name.len().checked_sub(suffix.len()).and_then(|start| name.get(start..));
    tail.is_some_and(|tail| tail.eq_ignore_ascii_case(suffix))
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use agentless_core::fs::Directory;

    use super::*;
    use crate::archive::zip::test_archive::{Written, Zip};
    use crate::fs::Tree;

    #[test]
    fn records_are_known_by_their_place_in_any_case() {
        for (path, expected) in [
            ("/s/a-1.dist-info/METADATA", true),
            ("/s/A-1.DIST-INFO/metadata", true),
            ("/s/a.egg-info/PKG-INFO", true),
            ("/s/a.egg/EGG-INFO/PKG-INFO", true),
            ("/s/a-1-py3.9.egg-info", true),
            ("/s/a-1-py3.9.egg", true),
            ("/s/a-1-py3-none-any.WHL", true),
            ("/s/a-1.dist-info/PKG-INFO", false),
            ("/s/METADATA", false),
            ("/PKG-INFO", false),
        ] {
            assert_eq!(Python.wants(&FsPath::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn names_of_records_are_those_of_the_directory() {
        for (path, expected) in [
            ("/s/a_b-1.0.dist-info/METADATA", "a_b-1.0.dist-info"),
            ("/s/a-1.0-py3.11.egg-info", "a-1.0-py3.11.egg-info"),
            ("/s/a-1.0-py3.11.egg/EGG-INFO/PKG-INFO", "a-1.0-py3.11.egg"),
            ("/PKG-INFO", ""),
        ] {
            assert_eq!(file_name_of(&FsPath::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn eggs_and_wheels_are_looked_into() {
        let root = tempfile::tempdir().unwrap();
        let metadata = b"Name: a\nVersion: 1\n";
        let egg = Zip::of([
            Written::deflated("EGG-INFO/requires.txt", b"b\n"),
            Written::deflated("EGG-INFO/PKG-INFO", metadata),
            Written::stored("a.py", b""),
        ]);
        std::fs::write(root.path().join("a-1-py3.9.egg"), egg).unwrap();
        let wheel = Zip::of([
            Written::stored("b/_vendor/c-3.dist-info/METADATA", b""),
            Written::stored("b-2.dist-info/METADATA", b"Name: b\nVersion: 2\nRequires-Dist: a\n"),
            Written { crc: 0, ..Written::stored("d-1.dist-info/METADATA", metadata) },
        ]);
        std::fs::write(root.path().join("b-2-py3-none-any.whl"), wheel).unwrap();
        std::fs::write(root.path().join("x.egg"), "no archive").unwrap();

        let limits = Limits::default();
        let tree = Tree::new(Rc::new(Directory::open(root.path(), &limits).unwrap()), limits);
        let findings = crate::extract::run(&tree);
        let packages = findings.packages.iter().map(|package| {
            let within = package.evidence.within.as_deref().unwrap();
            (&package.name[..], &package.version[..], within, &package.details.depends_on[..])
        });
        let expected: [(_, _, _, &[String]); 3] = [
            ("a", "1", "EGG-INFO/PKG-INFO", &["b".to_owned()]),
            ("b", "2", "b-2.dist-info/METADATA", &["a".to_owned()]),
            ("c", "3", "b/_vendor/c-3.dist-info/METADATA", &[]),
        ];
        assert_eq!(packages.collect::<Vec<_>>(), expected);
        let gaps: Vec<_> = findings.gaps.iter().map(|gap| gap.path.as_deref().unwrap()).collect();
        assert_eq!(gaps, ["/b-2-py3-none-any.whl", "/x.egg"]);
    }
}
