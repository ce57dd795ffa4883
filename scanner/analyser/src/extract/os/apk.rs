//! `os/apk`: the packages of Alpine, Wolfi and Chainguard.
//!
//! apk's database is one text file: a block of lines for each package, each line a letter, a colon and a value, a blank line
//! after each block (apk-package(5), apk-db in the sources of apk-tools). Lines have any length: that of a package's
//! dependencies is easily longer than a common line reader's buffer.

use std::collections::HashSet;

use crate::extract::depend::Relations;
use crate::extract::format::field::{Fields, shown};
use crate::extract::owner::Claims;
use crate::extract::{ExtractError, Extractor, Found, Input, Interest, Report};
use crate::fs::FsPath;
use crate::limits::Limits;
use crate::package::{Details, PackageKind, SourcePackage};

/// Reads apk's `installed`, which is in `/usr` since apk-tools 3.
#[derive(Clone, Copy, Debug)]
pub struct Apk;

const INSTALLED: [&str; 2] = ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"];

impl Extractor for Apk {
    fn name(&self) -> &'static str {
        "os/apk"
    }

    fn description(&self) -> &'static str {
        "Alpine packages"
    }

    fn interest(&self) -> &'static [Interest] {
        const { &[Interest::Exact(INSTALLED[0]), Interest::Exact(INSTALLED[1])] }
    }

    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
        report.database();
        let content = input.read_all()?;
        parse(&content, input.limits(), &mut |finding| match finding {
            Ok(package) => report.package(package),
            Err(problem) => report.unknown(problem),
        });
        Ok(())
    }

    fn owners(&self, claims: &mut Claims<'_>) {
        let mut seen = HashSet::new();
        for path in INSTALLED.map(FsPath::new) {
            if let Some(node) = claims.look_up(self, &path)
                && seen.insert(node)
                && let Some(content) = claims.read(self, &path)
            {
                claim(&content, claims);
            }
        }
    }
}

/// Parses any bytes, for fuzzing: it must come back without a panic.
pub fn fuzz_apk(content: &[u8]) {
    parse(content, &Limits::default(), &mut |finding| drop(finding));
}

/// What a block gives: an installed package, or what cannot be understood, and where.
type Finding = Result<Found, String>;

/// Reads the blocks of `content`, one after the other.
fn parse(content: &[u8], limits: &Limits, emit: &mut dyn FnMut(Finding)) {
    let mut relations = Relations::new(limits);
    for block in blocks(content) {
        if let (Some(name), Some(_)) = (block.name, block.version) {
            relations.package(name);
            for provided in words(block.provides) {
                relations.provide(without_version(provided), name);
            }
        }
    }
    for block in blocks(content) {
        block.interpret(limits, &mut relations, emit);
    }
    if let Some(problem) = relations.problem() {
        emit(Err(problem));
    }
    // apk ends every line. A file that does not was cut off while it was written.
    if content.last().is_some_and(|&last| last != b'\n') {
        emit(Err("it ends within a line: the rest is missing".to_owned()));
    }
}

/// The fields of one package that are wanted, as bytes.
#[derive(Debug, Default)]
struct Block<'a> {
    /// Number of its first line, from 1.
    line: u64,
    name: Option<&'a [u8]>,
    version: Option<&'a [u8]>,
    architecture: Option<&'a [u8]>,
    license: Option<&'a [u8]>,
    origin: Option<&'a [u8]>,
    maintainer: Option<&'a [u8]>,
    depends: Option<&'a [u8]>,
    provides: Option<&'a [u8]>,
    /// The first line that cannot be understood.
    malformed: Option<u64>,
    /// A wanted field that is there twice.
    repeated: Option<char>,
}

/// The blocks of a database, without empty ones.
fn blocks(content: &[u8]) -> impl Iterator<Item = Block<'_>> {
    let mut lines = (1..).zip(lines(content));
    std::iter::from_fn(move || {
        let (first, line) = lines.find(|(_, line)| !line.is_empty())?;
        let mut block = Block { line: first, ..Block::default() };
        block.add(first, line);
        for (number, line) in lines.by_ref().take_while(|(_, line)| !line.is_empty()) {
            block.add(number, line);
        }
        Some(block)
    })
}

/// The lines of a database, without their ends.
fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

impl<'a> Block<'a> {
    fn add(&mut self, number: u64, line: &'a [u8]) {
        let [letter, b':', value @ ..] = line else {
            self.malformed.get_or_insert(number);
            return;
        };
        let slot = match letter {
            b'P' => &mut self.name,
            b'V' => &mut self.version,
            b'A' => &mut self.architecture,
            b'L' => &mut self.license,
            b'o' => &mut self.origin,
            b'm' => &mut self.maintainer,
            b'D' => &mut self.depends,
            b'p' => &mut self.provides,
            // Checksums, sizes, the files: `owners` reads these.
            _ => return,
        };
        if slot.replace(slot.unwrap_or(value)).is_some() {
            self.repeated.get_or_insert_with(|| char::from(*letter));
        }
    }

    fn interpret(&self, limits: &Limits, relations: &mut Relations<'a>, emit: &mut dyn FnMut(Finding)) {
        let line = self.line;
        if let Some(number) = self.malformed {
            emit(Err(format!("line {number} is not a field")));
        }
        if let Some(letter) = self.repeated {
            emit(Err(format!("the block at line {line} has more than one {letter:?}")));
        }
        let mut fields = Fields::new(limits);
        let found = self.found(&mut fields, relations);
        let subject = self.name.map(|name| format!(" (package {:?})", shown(name))).unwrap_or_default();
        for problem in fields.problems() {
            emit(Err(format!("the block at line {line}{subject} {problem}")));
        }
        if let Some(found) = found {
            emit(Ok(found));
        }
    }

    fn found(&self, fields: &mut Fields<'_>, relations: &mut Relations<'a>) -> Option<Found> {
        let name = fields.required("name", self.name, "names no package")?;
        let version = fields.required("version", self.version, "has no version")?;
        let depends_on = relations.needed(name.as_bytes(), words(self.depends).filter_map(required));
        let origin = fields.optional("origin", self.origin).unwrap_or_else(|| name.clone());
        Some(Found {
            architecture: fields.optional("architecture", self.architecture),
            details: Details {
                // A source package gives all of its packages its own version.
                source: Some(SourcePackage { name: origin, version: version.clone() }),
                maintainer: fields.optional("maintainer", self.maintainer),
                licenses: fields.optional("license", self.license).into_iter().collect(),
                depends_on,
                ..Details::default()
            },
            ..Found::new(PackageKind::Apk, name, version)
        })
    }
}

/// The words of a list of dependencies.
fn words(list: Option<&[u8]>) -> impl Iterator<Item = &[u8]> {
    list.unwrap_or_default().split(|&byte| byte == b' ').filter(|word| !word.is_empty())
}

/// The name of what a dependency requires: nothing if it is a conflict.
fn required(dependency: &[u8]) -> Option<&[u8]> {
    (!dependency.starts_with(b"!")).then(|| without_version(dependency))
}

/// A name without `=1.2`, `<3`, `>=4`, `~5`, and without the repository that a package is to come from, `@edge`.
fn without_version(name: &[u8]) -> &[u8] {
    name.split(|byte| b"<>=~@".contains(byte)).next().unwrap_or_default()
}

/// Claims the files of each package: `F:` names a directory, from the root, and each `R:` after it a file in there.
fn claim(content: &[u8], claims: &mut Claims<'_>) {
    let (mut package, mut directory) = (&b""[..], &b""[..]);
    for line in lines(content) {
        match line {
            [] => (package, directory) = (b"", b""),
            [b'P', b':', name @ ..] => package = name,
            [b'F', b':', path @ ..] => directory = path,
            [b'R', b':', name @ ..] => claims.file(PackageKind::Apk, package, directory, name),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packages(content: &[u8]) -> (Vec<Found>, Vec<String>) {
        let (mut packages, mut problems) = (Vec::new(), Vec::new());
        parse(content, &Limits::default(), &mut |finding| match finding {
            Ok(package) => packages.push(package),
            Err(problem) => problems.push(problem),
        });
        (packages, problems)
    }

    fn names(content: &[u8]) -> Vec<String> {
        packages(content).0.into_iter().map(|package| package.name).collect()
    }

    const BUSYBOX: &str = "C:Q1abc=\nP:busybox-binsh\nV:1.36.1-r15\nA:x86_64\nS:1\nT:busybox ash\nL:GPL-2.0-only\n\
        o:busybox\nm:A B <a@b>\nD:busybox=1.36.1-r15 !bash so:libc.musl-x86_64.so.1 pc:absent>=2\np:/bin/sh cmd:sh=1.36.1-r15\n\
        F:bin\nR:sh\na:0:0:777\nZ:Q1def=\n\n";
    const MUSL: &str =
        "P:musl\nV:1.2.4-r2\nA:x86_64\nL:MIT\np:so:libc.musl-x86_64.so.1=1\nF:lib\nR:ld.so\n\n";

    #[test]
    fn a_block_gives_a_package_with_its_origin() {
        let apk = "P:busybox\nV:1.36.1-r15\nD:/bin/sh busybox-binsh@edge~1\n\n";
        let (found, problems) = packages(format!("{BUSYBOX}{MUSL}{apk}").as_bytes());
        assert!(problems.is_empty(), "{problems:?}");
        let version = "1.36.1-r15";
        let source = |name: &str, version: &str| {
            Some(SourcePackage { name: name.to_owned(), version: version.to_owned() })
        };
        assert_eq!(
            found[0],
            Found {
                architecture: Some("x86_64".to_owned()),
                details: Details {
                    source: source("busybox", version),
                    maintainer: Some("A B <a@b>".to_owned()),
                    licenses: vec!["GPL-2.0-only".to_owned()],
                    depends_on: vec!["busybox".to_owned(), "musl".to_owned()],
                    ..Details::default()
                },
                ..Found::new(PackageKind::Apk, "busybox-binsh", version)
            }
        );
        assert_eq!(found[1].details.source, source("musl", "1.2.4-r2"));
        assert_eq!(found[2].details.depends_on, ["busybox-binsh"]);
    }

    #[test]
    fn a_damaged_block_costs_only_itself() {
        for (damaged, expected) in [
            ("V:1\n", "the block at line 9 names no package"),
            ("P:x\n", "(package \"x\") has no version"),
            ("P:x\nV:\x1b[2J\n", "(package \"x\") has control characters in its version"),
            ("P:x y\nV:1\n", "has space in its name"),
            ("\0\0\0\0\n", "line 9 is not a field"),
        ] {
            let content = format!("{MUSL}{damaged}\nP:after\nV:1\n\n");
            let (found, problems) = packages(content.as_bytes());
            let names: Vec<_> = found.iter().map(|package| &package.name[..]).collect();
            assert_eq!(names, ["musl", "after"], "{damaged}");
            assert!(problems.iter().any(|problem| problem.contains(expected)), "{damaged}: {problems:?}");
        }
    }

    #[test]
    fn odd_fields_are_reported_and_the_package_kept() {
        let long = "x".repeat(5000);
        let content = format!("P:a\nV:1\nV:2\nL:{long}\nwhat is this\n\nP:b\nV:1");
        let (found, problems) = packages(content.as_bytes());
        assert_eq!((found[0].version.as_str(), found[1].name.as_str()), ("1", "b"));
        let expected =
            ["line 5 is not a field", "more than one 'V'", "has a license of 5000", "within a line"];
        for (problem, expected) in problems.iter().zip(expected) {
            assert!(problem.contains(expected), "{problem}");
        }
        assert_eq!(problems.len(), expected.len());
    }

    #[test]
    fn bytes_that_are_not_utf8_are_reported_and_replaced() {
        let (found, problems) = packages(b"P:a\nV:1\nL:caf\xe9\nT:\xff\n\nP:b\nV:1\n\n");
        assert_eq!((&found[0].details.licenses[..], found.len()), (&["caf\u{fffd}".to_owned()][..], 2));
        assert_eq!(problems, ["the block at line 1 (package \"a\") has a license that is not UTF-8"]);
    }

    #[test]
    fn long_lines_do_not_matter() {
        let long = "so:libthing.so.1 ".repeat(20_000);
        let content = format!("{MUSL}P:long\nV:1\nD:{long}musl\n\nP:after\nV:1\n\n");
        let (found, problems) = packages(content.as_bytes());
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(found[1].details.depends_on, ["musl"]);
        assert_eq!(names(content.replace('\n', "\r\n").as_bytes()), ["musl", "long", "after"]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(content in proptest::collection::vec(
            prop_oneof![Just(b'\n'), Just(b':'), Just(b' '), Just(b'P'), Just(b'V'), any::<u8>()], 0..200))
        {
            for package in packages(&content).0 {
                prop_assert!(!package.name.is_empty() && !package.version.is_empty());
            }
        }
    }
}
