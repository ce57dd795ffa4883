//! `os/dpkg`: the packages of Debian, Ubuntu and their descendants.
//!
//! Reads dpkg's own database, and the directory in which images without dpkg ("distroless") keep one file per package.

mod copyright;
mod owners;
mod stanza;
mod updates;

use crate::extract::depend::Relations;
use crate::extract::format::control;
use crate::extract::{Claims, ExtractError, Extractor, Found, Input, Interest, Report};
use crate::fs::FsPath;
use crate::limits::Limits;

use stanza::{Layout, Stanza};
use updates::Updates;

/// Reads `/var/lib/dpkg/status` and `/var/lib/dpkg/status.d/*`.
#[derive(Clone, Copy, Debug)]
pub struct Dpkg;

const STATUS: &str = "/var/lib/dpkg/status";
const STATUS_D: &str = "/var/lib/dpkg/status.d";

impl Extractor for Dpkg {
    fn name(&self) -> &'static str {
        "os/dpkg"
    }

    fn version(&self) -> u16 {
        3
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
        let limits = input.limits();
        if *input.path() == FsPath::new(STATUS) {
            let changes = updates::read(input, report);
            let updates = Updates::of(&changes);
            parse(&content, &updates, Layout::Database, limits, &mut |finding| {
                emit(finding, input, report);
            });
        } else {
            parse(&content, &Updates::default(), Layout::FilePerPackage, limits, &mut |finding| {
                emit(finding, input, report);
            });
        }
        Ok(())
    }

    fn owners(&self, claims: &mut Claims<'_>) {
        owners::claim(claims);
    }
}

/// Reports a package, with its licences if they are asked for, or a problem.
fn emit(finding: Finding, input: &Input<'_>, report: &mut Report<'_>) {
    match finding {
        Ok(mut package) => {
            if input.scope().copyright {
                package.details.licenses = copyright::licenses(&package.name, input, report);
            }
            report.package(package);
        }
        Err(problem) => report.unknown(problem),
    }
}

/// Parses any bytes in both forms, for fuzzing: it must come back without a panic.
pub fn fuzz_dpkg(content: &[u8]) {
    let limits = Limits::default();
    for layout in [Layout::Database, Layout::FilePerPackage] {
        parse(content, &Updates::default(), layout, &limits, &mut |finding| drop(finding));
    }
    let changes = [(FsPath::root(), content.to_vec())];
    parse(content, &Updates::of(&changes), Layout::Database, &limits, &mut |finding| drop(finding));
    drop(copyright::parse(content));
}

/// What a stanza gives: an installed package, or what cannot be understood, and where.
type Finding = Result<Found, String>;

/// Reads the stanzas of `content`, one after the other, then the changes that were not in it yet.
fn parse(
    content: &[u8],
    updates: &Updates<'_>,
    layout: Layout,
    limits: &Limits,
    emit: &mut dyn FnMut(Finding),
) {
    let current = || stanzas(content).filter(|stanza| !updates.replace(stanza));
    let mut relations = Relations::new(limits);
    if layout == Layout::Database {
        current().for_each(|stanza| stanza.relate(layout, &mut relations));
        updates.stanzas().for_each(|(_, stanza)| stanza.relate(layout, &mut relations));
    }

    for stanza in current() {
        stanza.interpret(layout, limits, &mut relations, emit);
    }
    for (path, stanza) in updates.stanzas() {
        stanza.interpret(layout, limits, &mut relations, &mut |finding| {
            emit(finding.map_err(|problem| format!("{path}: {problem}")));
        });
    }
    if let Some(problem) = relations.problem() {
        emit(Err(problem));
    }
    // dpkg ends every line. A file that does not was cut off while it was written.
    if content.last().is_some_and(|&last| last != b'\n') {
        emit(Err("it ends within a line: the rest is missing".to_owned()));
    }
}

fn stanzas(content: &[u8]) -> impl Iterator<Item = Stanza<'_>> {
    let mut lines = control::lines(content).peekable();
    std::iter::from_fn(move || lines.peek().is_some().then(|| Stanza::read(&mut lines)))
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use agentless_core::fs::Directory;
    use proptest::prelude::*;

    use super::*;
    use crate::extract::run;
    use crate::fs::Tree;
    use crate::package::{Details, PackageKind, SourcePackage};

    fn packages(content: &[u8], layout: Layout) -> (Vec<Found>, Vec<String>) {
        let (mut packages, mut problems) = (Vec::new(), Vec::new());
        let limits = Limits::default();
        parse(content, &Updates::default(), layout, &limits, &mut |finding| match finding {
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
        assert_eq!(
            problems,
            ["the stanza at line 1 (package \"caf\u{fffd}\") has a Package that is not UTF-8"]
        );
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
    fn dependencies_are_the_installed_packages_that_meet_them() {
        let content = "Package: a\nStatus: install ok installed\nVersion: 1\nPre-Depends: libc6:any (>= 2.36), dpkg\n\
            Depends: mta | none, gone (= 1), removed, a,\n perl:any\nRecommends: unwanted\n\n\
            Package: libc6\nStatus: install ok installed\nVersion: 1\n\n\
            Package: unwanted\nStatus: install ok installed\nVersion: 1\n\n\
            Package: postfix\nStatus: install ok installed\nVersion: 1\nProvides: default-mta, mta (= 1)\n\n\
            Package: perl\nStatus: install ok installed\nVersion: 1\n\n\
            Package: removed\nStatus: deinstall ok config-files\nVersion: 1\n\n";
        let (found, problems) = packages(content.as_bytes(), Layout::Database);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(found[0].details.depends_on, ["libc6", "perl", "postfix"]);
        assert!(found[1..].iter().all(|package| package.details.depends_on.is_empty()));
    }

    #[test]
    fn an_odd_field_does_not_cost_the_package() {
        let long = "x".repeat(5000);
        let content = format!("Package: a\nStatus: install ok installed\nVersion: 1\nMaintainer: {long}\n");
        let (found, problems) = packages(content.as_bytes(), Layout::Database);
        assert_eq!((found.len(), problems.len()), (1, 1));
        assert!(problems[0].contains("has a Maintainer of 5000 bytes"), "{problems:?}");
    }

    #[test]
    fn a_file_per_package_needs_no_status() {
        let content = b"Package: base-files\nVersion: 12.4\nArchitecture: amd64\n";
        let (found, problems) = packages(content, Layout::FilePerPackage);
        assert_eq!((found.len(), problems.len()), (1, 0));
        assert!(Dpkg.wants(&FsPath::new("/var/lib/dpkg/status.d/base-files")));
        assert!(!Dpkg.wants(&FsPath::new("/var/lib/dpkg/status.d/base-files.md5sums")));
    }

    #[test]
    fn packages_that_each_have_a_file_need_each_other_however_many_they_are() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("var/lib/dpkg/status.d");
        std::fs::create_dir_all(&folder).unwrap();
        for number in 0..1000 {
            let next = (number + 1) % 1000;
            let stanza = format!(
                "Package: p{number:03}\nVersion: 1\nProvides: v{number}\nDepends: v{next} | absent, p{next:03}, p000\n"
            );
            std::fs::write(folder.join(format!("p{number:03}")), stanza).unwrap();
        }
        let limits = Limits::default();
        let read =
            |limits: Limits| run(&Tree::new(Rc::new(Directory::open(root.path(), &limits).unwrap()), limits));
        let findings = read(limits.clone());
        assert_eq!(findings.gaps, []);
        for (number, package) in findings.packages.iter().enumerate() {
            let next = format!("p{:03}", (number + 1) % 1000);
            let expected = if number == 999 { vec!["p000"] } else { vec!["p000", &next] };
            assert_eq!(package.details.depends_on, expected, "{}", package.name);
        }
        let findings = read(Limits { relations: 500, ..limits });
        assert_eq!(findings.packages.len(), 1000);
        let [gap] = &findings.gaps[..] else { panic!("{:?}", findings.gaps) };
        assert_eq!(gap.path.as_deref(), Some("/var/lib/dpkg/status.d/p500"));
        assert!(gap.reason.contains("the limit of 500 (`relations`)"), "{}", gap.reason);
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
