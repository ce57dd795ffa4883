//! `os/dpkg`: the packages of Debian, Ubuntu and their descendants.
//!
//! Reads dpkg's own database, and the directory in which images without dpkg ("distroless") keep one file per package.

mod owners;

use std::borrow::Cow;

use crate::extract::control::{self, Line};
use crate::extract::{Claims, ExtractError, Extractor, Found, Input, Interest, Report};
use crate::fs::FsPath;
use crate::limits::Limits;
use crate::package::{Details, PackageKind, SourcePackage};

/// Reads `/var/lib/dpkg/status` and `/var/lib/dpkg/status.d/*`.
#[derive(Clone, Copy, Debug)]
pub struct Dpkg;

const STATUS: &str = "/var/lib/dpkg/status";
const STATUS_D: &str = "/var/lib/dpkg/status.d";
/// While dpkg works it writes each change into a file here, whose name is a number, and into `status` only at the end. A
/// snapshot may be taken in between.
const UPDATES: &str = "/var/lib/dpkg/updates";

impl Extractor for Dpkg {
    fn name(&self) -> &'static str {
        "os/dpkg"
    }

    fn description(&self) -> &'static str {
        "Debian packages"
    }

    fn interest(&self) -> &'static [Interest] {
        &[Interest::Exact(STATUS), Interest::Within(STATUS_D)]
    }

    fn wants(&self, path: &FsPath) -> bool {
        // Beside each package's file stands one with the checksums of its files.
        !path.file_name().is_some_and(|name| name.ends_with(b".md5sums"))
    }

    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
        report.database();
        let content = input.read_all()?;
        let is_database = *input.path() == FsPath::new(STATUS);
        if is_database {
            report_updates(input, report);
        }
        let layout = if is_database { Layout::Database } else { Layout::FilePerPackage };
        parse(&content, layout, input.limits(), &mut |finding| match finding {
            Ok(package) => report.package(package),
            Err(problem) => report.unknown(problem),
        });
        Ok(())
    }

    fn owners(&self, claims: &mut Claims<'_>) {
        owners::claim(claims);
    }
}

/// Says which packages dpkg was changing: the database has their older state.
fn report_updates(input: &Input<'_>, report: &mut Report<'_>) {
    let files = match input.list_side(&FsPath::new(UPDATES)) {
        Ok(files) => files,
        Err(error) => return report.unknown(format!("{UPDATES}: {}", crate::chain(&error))),
    };
    let is_change = |path: &&FsPath| path.file_name().is_some_and(|name| name.iter().all(u8::is_ascii_digit));
    for path in files.iter().filter(is_change) {
        let content = match input.read_side(path) {
            Ok(content) => content.unwrap_or_default(),
            Err(error) => {
                report.unknown(format!("{path}: {}", crate::chain(&error)));
                continue;
            }
        };
        let stanza = Stanza::read(&mut control::lines(&content));
        let field = |value: Option<&[u8]>| shown(value.unwrap_or_default()).into_owned();
        report.unknown(format!(
            "dpkg was at work, and {path} is not in the database yet: package {:?}, version {:?}, status {:?}",
            field(stanza.package),
            field(stanza.version),
            field(stanza.status)
        ));
    }
}

/// Parses any bytes in both forms, for fuzzing: it must come back without a panic.
pub fn fuzz_dpkg(content: &[u8]) {
    for layout in [Layout::Database, Layout::FilePerPackage] {
        parse(content, layout, &Limits::default(), &mut |finding| drop(finding));
    }
}

/// Which of the two forms a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// dpkg's database: each stanza says in which state its package is.
    Database,
    /// One package in one file: there is no state, what is there is installed.
    FilePerPackage,
}

/// What a stanza gives: an installed package, or what cannot be understood, and where.
type Finding = Result<Found, String>;

/// Reads the stanzas of `content`, one after the other.
fn parse(content: &[u8], layout: Layout, limits: &Limits, emit: &mut dyn FnMut(Finding)) {
    let mut lines = control::lines(content).peekable();
    while lines.peek().is_some() {
        Stanza::read(&mut lines).interpret(layout, limits, emit);
    }
    // dpkg ends every line. A file that does not was cut off while it was written.
    if content.last().is_some_and(|&last| last != b'\n') {
        emit(Err("it ends within a line: the rest is missing".to_owned()));
    }
}

/// The fields of one stanza that are wanted, as bytes.
#[derive(Debug, Default)]
struct Stanza<'a> {
    /// Number of its first line. `None` if it has no lines: more than one blank line in a row.
    line: Option<u64>,
    package: Option<&'a [u8]>,
    status: Option<&'a [u8]>,
    version: Option<&'a [u8]>,
    architecture: Option<&'a [u8]>,
    source: Option<&'a [u8]>,
    maintainer: Option<&'a [u8]>,
    /// The first line that cannot be understood.
    malformed: Option<u64>,
    /// A wanted field that is there twice.
    repeated: Option<&'static str>,
}

impl<'a> Stanza<'a> {
    /// Reads up to the next blank line.
    fn read(lines: &mut impl Iterator<Item = Line<'a>>) -> Self {
        let mut stanza = Self::default();
        for line in lines {
            match line {
                Line::Blank => break,
                Line::Malformed { number } => {
                    stanza.line.get_or_insert(number);
                    stanza.malformed.get_or_insert(number);
                }
                Line::Field { number, name, value } => {
                    stanza.line.get_or_insert(number);
                    stanza.field(name, value);
                }
            }
        }
        stanza
    }

    fn field(&mut self, name: &[u8], value: &'a [u8]) {
        // The names of fields are not case-sensitive (Debian Policy, section 5.1).
        let wanted = [
            ("Package", &mut self.package),
            ("Status", &mut self.status),
            ("Version", &mut self.version),
            ("Architecture", &mut self.architecture),
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
    }

    fn interpret(&self, layout: Layout, limits: &Limits, emit: &mut dyn FnMut(Finding)) {
        let Some(line) = self.line else { return };
        if let Some(number) = self.malformed {
            emit(Err(format!("line {number} is not a field")));
        }
        if let Some(name) = self.repeated {
            emit(Err(format!("the stanza at line {line} has more than one {name}")));
        }
        let found =
            self.installed(layout).and_then(|state| state.map(|state| self.found(state, limits)).transpose());
        match found {
            Ok(None) => {}
            Ok(Some((package, damaged))) => {
                for name in damaged {
                    emit(Err(format!("the {name} in the stanza at line {line} is not UTF-8")));
                }
                emit(Ok(package));
            }
            Err(problem) => {
                let subject =
                    self.package.map(|name| format!(" (package {:?})", shown(name))).unwrap_or_default();
                emit(Err(format!("the stanza at line {line}{subject} {problem}")));
            }
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

    /// The package, with the names of the fields that were not UTF-8.
    fn found(&self, state: &str, limits: &Limits) -> Result<(Found, Vec<&'static str>), String> {
        let mut damaged = Vec::new();
        let mut text = |name: &'static str, value: Option<&[u8]>| -> Result<Option<String>, String> {
            let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(None) };
            if value.len() > limits.field_bytes {
                return Err(format!(
                    "has a {name} of {} bytes; the limit is {} (`field_bytes`)",
                    value.len(),
                    limits.field_bytes
                ));
            }
            let text = String::from_utf8_lossy(value);
            if matches!(text, Cow::Owned(_)) {
                damaged.push(name);
            }
            if text.chars().any(char::is_control) {
                return Err(format!("has control characters in its {name}"));
            }
            Ok(Some(text.into_owned()))
        };
        let name = text("Package", self.package)?.ok_or("names no package")?;
        let version = text("Version", self.version)?.ok_or("has no Version")?;
        for (field, value) in [("Package", &name), ("Version", &version)] {
            if value.contains(char::is_whitespace) {
                return Err(format!("has space in its {field}"));
            }
        }
        let source = match text("Source", self.source)? {
            Some(value) => source(&value, &version),
            None => SourcePackage { name: name.clone(), version: version.clone() },
        };
        let found = Found {
            kind: PackageKind::Deb,
            architecture: text("Architecture", self.architecture)?,
            within: None,
            details: Details {
                // Who maintains a package is not worth losing it for.
                maintainer: text("Maintainer", self.maintainer).unwrap_or_default(),
                state: (state != "installed").then(|| state.to_owned()),
                source: Some(source),
                ..Details::default()
            },
            name,
            version,
        };
        Ok((found, damaged))
    }
}

/// `Source: name` or `Source: name (version)`; the version is written where it differs from the package's own.
fn source(value: &str, version: &str) -> SourcePackage {
    let (name, version) = match value.split_once('(') {
        Some((name, rest)) => (name.trim(), rest.trim_end().trim_end_matches(')').trim()),
        None => (value, version),
    };
    SourcePackage { name: name.to_owned(), version: version.to_owned() }
}

/// The beginning of a value, for a message.
fn shown(value: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(value.get(..value.len().min(64)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packages(content: &[u8], layout: Layout) -> (Vec<Found>, Vec<String>) {
        let (mut packages, mut problems) = (Vec::new(), Vec::new());
        parse(content, layout, &Limits::default(), &mut |finding| match finding {
            Ok(package) => packages.push(package),
            Err(problem) => problems.push(problem),
        });
        (packages, problems)
    }

    fn names(content: &[u8]) -> Vec<String> {
        packages(content, Layout::Database).0.into_iter().map(|package| package.name).collect()
    }

    fn stanza(name: &str, status: &str) -> String {
        format!("Package: {name}\nStatus: {status}\nVersion: 1.0-1\nArchitecture: amd64\n\n")
    }

    #[test]
    fn a_stanza_gives_a_package_with_its_source() {
        let content = b"Package: libc6\nStatus: install ok installed\nMaintainer: GNU Libc Maintainers <x@y>\n\
            Architecture: amd64\nMulti-Arch: same\nSource: glibc (2.36-9)\nVersion: 1:2.36-9+b1\nDescription: GNU C\n \
            Package: not-a-field\n .\n";
        let (found, problems) = packages(content, Layout::Database);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(
            found,
            [Found {
                architecture: Some("amd64".to_owned()),
                details: Details {
                    source: Some(SourcePackage { name: "glibc".to_owned(), version: "2.36-9".to_owned() }),
                    maintainer: Some("GNU Libc Maintainers <x@y>".to_owned()),
                    ..Details::default()
                },
                ..Found::new(PackageKind::Deb, "libc6", "1:2.36-9+b1")
            }]
        );
    }

    #[test]
    fn without_a_source_field_the_package_is_its_own_source() {
        let (found, _) = packages(stanza("bash", "install ok installed").as_bytes(), Layout::Database);
        let expected = SourcePackage { name: "bash".to_owned(), version: "1.0-1".to_owned() };
        assert_eq!(found[0].details.source, Some(expected));
        let (found, _) =
            packages(b"Package: a\nStatus: install ok installed\nVersion: 2\nSource: b\n", Layout::Database);
        assert_eq!(
            found[0].details.source,
            Some(SourcePackage { name: "b".to_owned(), version: "2".to_owned() })
        );
    }

    #[test]
    fn packages_count_when_their_files_are_unpacked() {
        for (status, counts) in [
            ("install ok installed", true),
            ("hold ok installed", true),
            ("deinstall ok installed", true),
            ("install reinstreq installed", true),
            ("install ok unpacked", true),
            ("install ok half-configured", true),
            ("install ok triggers-awaited", true),
            ("install ok triggers-pending", true),
            ("install reinstreq half-installed", false),
            ("deinstall ok config-files", false),
            ("purge ok not-installed", false),
        ] {
            let (found, problems) = packages(stanza("a", status).as_bytes(), Layout::Database);
            assert_eq!(!found.is_empty(), counts, "{status}");
            assert!(problems.is_empty(), "{status}: {problems:?}");
            if let [package] = &found[..] {
                assert_eq!(package.details.state.is_none(), status.ends_with(" installed"), "{status}");
            }
        }
    }

    #[test]
    fn a_damaged_stanza_costs_only_itself() {
        for (damaged, expected) in [
            ("Status: install ok installed\nVersion: 1\n", "names no package"),
            ("Package: x\nVersion: 1\n", "(package \"x\") has no Status"),
            ("Package: x\nStatus: install ok installed\n", "(package \"x\") has no Version"),
            ("Package: x\nStatus: installed\nVersion: 1\n", "not of three words"),
            ("Package: x\nStatus: install ok exploded\nVersion: 1\n", "unknown state \"exploded\""),
            (
                "Package: x\u{1b}[2J\nStatus: install ok installed\nVersion: 1\n",
                "control characters in its Package",
            ),
            ("Package: x y\nStatus: install ok installed\nVersion: 1\n", "space in its Package"),
            ("\0\0\0\0\0\0\n", "line 6 is not a field"),
        ] {
            let ok = "install ok installed";
            let content = format!("{}{damaged}\n{}", stanza("before", ok), stanza("after", ok));
            let (found, problems) = packages(content.as_bytes(), Layout::Database);
            let names: Vec<_> = found.iter().map(|package| &package.name[..]).collect();
            assert_eq!(names, ["before", "after"], "{damaged}");
            assert!(problems.iter().any(|problem| problem.contains(expected)), "{damaged}: {problems:?}");
        }
    }

    #[test]
    fn repeated_fields_and_odd_lines_are_reported_and_the_package_kept() {
        let content = b"Package: a\nStatus: install ok installed\nVersion: 1\nVersion: 2\nwhat is this\n";
        let (found, problems) = packages(content, Layout::Database);
        assert_eq!((found[0].version.as_str(), problems.len()), ("1", 2));
        assert!(
            problems[0].contains("line 5") && problems[1].contains("more than one Version"),
            "{problems:?}"
        );
    }

    #[test]
    fn bytes_that_are_not_utf8_are_reported_and_replaced() {
        let content = b"Package: caf\xe9\nStatus: install ok installed\nVersion: 1\nDescription: \xff\n";
        let (found, problems) = packages(content, Layout::Database);
        assert_eq!(found[0].name, "caf\u{fffd}");
        assert_eq!(problems, ["the Package in the stanza at line 1 is not UTF-8"]);
    }

    #[test]
    fn a_file_that_was_cut_off_says_so() {
        let whole = stanza("a", "install ok installed") + &stanza("b", "install ok installed");
        let cut = &whole.as_bytes()[..whole.len() - 6];
        let (found, problems) = packages(cut, Layout::Database);
        assert_eq!(found.len(), 2);
        assert_eq!(problems, ["it ends within a line: the rest is missing"]);
    }

    #[test]
    fn long_lines_and_long_stanzas_do_not_matter() {
        let mut content = stanza("before", "install ok installed");
        content += "Package: long\nStatus: install ok installed\nVersion: 1\nConffiles:\n";
        content += &" /etc/file 0123456789abcdef\n".repeat(20_000);
        content += "Depends: ";
        content += &"x, ".repeat(100_000);
        content += "\n\n";
        content += &stanza("after", "install ok installed");
        assert_eq!(names(content.as_bytes()), ["before", "long", "after"]);
    }

    #[test]
    fn windows_line_ends_and_blank_lines_do_not_matter() {
        let content =
            stanza("a", "install ok installed") + "\n\n \t\n" + &stanza("b", "install ok installed");
        assert_eq!(names(content.replace('\n', "\r\n").as_bytes()), ["a", "b"]);
        assert!(names(b"").is_empty());
    }

    #[test]
    fn a_file_per_package_needs_no_status() {
        let content = b"Package: base-files\nVersion: 12.4\nArchitecture: amd64\n";
        let (found, problems) = packages(content, Layout::FilePerPackage);
        assert_eq!((found.len(), problems.len()), (1, 0));
        assert!(Dpkg.wants(&FsPath::new("/var/lib/dpkg/status.d/base-files")));
        assert!(!Dpkg.wants(&FsPath::new("/var/lib/dpkg/status.d/base-files.md5sums")));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            written in proptest::collection::btree_map("[a-z0-9][a-z0-9+.-]{1,12}", "[0-9][A-Za-z0-9.+~-]{0,12}", 0..20),
        ) {
            let stanzas = written.iter().map(|(name, version)| {
                format!("Package: {name}\nStatus: install ok installed\nVersion: {version}\n\n")
            });
            let content: String = stanzas.collect();
            let (found, problems) = packages(content.as_bytes(), Layout::Database);
            prop_assert!(problems.is_empty());
            let read: std::collections::BTreeMap<_, _> =
                found.into_iter().map(|package| (package.name, package.version)).collect();
            prop_assert_eq!(read, written);
        }

        #[test]
        fn any_bytes_are_read_without_panic(content in proptest::collection::vec(
            prop_oneof![Just(b'\n'), Just(b':'), Just(b' '), any::<u8>()], 0..200))
        {
            for layout in [Layout::Database, Layout::FilePerPackage] {
                for package in packages(&content, layout).0 {
                    prop_assert!(!package.name.is_empty() && !package.version.is_empty());
                }
            }
        }
    }
}
