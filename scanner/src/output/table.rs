//! Package lists as text, one package a line, for people and for `grep`.

use std::collections::BTreeSet;
use std::io::{self, Write};

use crate::package::{Package, Record};
use crate::report::{Installed, TargetReport};
use crate::sbom::document::location;
use agentless_core::text::printable;

/// A cell that is wider moves the rest of its own line only. Against one name of a thousand characters, for which every
/// line would be filled up with spaces.
const MAX_WIDTH: usize = 64;

/// Writes columns without lines between them: as wide as they must be, whatever the terminal's width.
pub fn render<W: Write + ?Sized, R: AsRef<[String]>>(
    writer: &mut W,
    head: &[&str],
    rows: impl Iterator<Item = R> + Clone,
) -> io::Result<()> {
    let cells = |row: R| row.as_ref().iter().map(|cell| printable(cell)).collect::<Vec<_>>();
    let head_line: Vec<_> = head.iter().map(|&cell| cell.to_owned()).collect();
    let lines = std::iter::once(head_line).chain(rows.map(cells));
    let mut widths = vec![0; head.len()];
    for line in lines.clone() {
        for (width, cell) in widths.iter_mut().zip(&line) {
            *width = cell.chars().count().clamp(*width, MAX_WIDTH.max(*width));
        }
    }
    for line in lines {
        let mut gap = 0;
        for (cell, &width) in line.iter().zip(&widths) {
            write!(writer, "{:gap$}{cell}", "")?;
            gap = width.saturating_sub(cell.chars().count()).saturating_add(2);
        }
        writeln!(writer)?;
    }
    Ok(())
}

/// Writes the packages of a target. The file is told of those for languages, which may be there many times; the place, if there
/// are packages in more than one.
pub fn write(report: &TargetReport, writer: &mut (impl Write + ?Sized)) -> io::Result<()> {
    let packages: Vec<_> = report.packages().collect();
    // Of a container by its address: as many as there are.
    let place_of = |installed: &Installed<'_>| match installed.tree.container {
        Some(_) => Err(std::ptr::from_ref(installed.tree)),
        None => Ok(installed.filesystem),
    };
    let has_places = packages.iter().map(place_of).collect::<BTreeSet<_>>().len() > 1;
    let has_paths = packages.iter().any(|installed| !installed.package.kind.is_of_the_system());
    let places = report.storage.places();
    let columns = |installed: &Installed<'_>| {
        let Package { name, version, architecture, kind, evidence, details } = installed.package;
        let mark = match details.record {
            Record::Installed => "",
            Record::Locked => " (locked)",
        };
        let architecture = architecture.clone().unwrap_or_else(|| "-".to_owned());
        let mut row = vec![name.clone(), version.clone(), architecture, format!("{}{mark}", kind.name())];
        if has_paths {
            row.push(if kind.is_of_the_system() { "-".to_owned() } else { location(evidence) });
        }
        if has_places {
            row.push(match &installed.tree.container {
                Some(container) => container.title(),
                None => places.get(installed.filesystem).cloned().unwrap_or_default(),
            });
        }
        row
    };
    let mut head = vec!["NAME", "VERSION", "ARCHITECTURE", "TYPE"];
    head.extend(has_paths.then_some("PATH"));
    head.extend(has_places.then_some("PLACE"));
    render(writer, &head, packages.iter().map(columns))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::PackageKind;
    use crate::sbom::testing::{container, deb, debian, package, target};

    #[test]
    fn a_cell_of_any_length_widens_its_own_line_only() {
        let rows = [["bash".to_owned(), "5.2".to_owned()], ["x".repeat(1000), "\u{1b}[2J".to_owned()]];
        let mut text = Vec::new();
        render(&mut text, &["NAME", "VERSION"], rows.into_iter()).unwrap();
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1], format!("bash{}5.2", " ".repeat(62)));
        assert_eq!(lines[2], format!("{}  \\u{{1b}}[2J", "x".repeat(1000)));
    }

    #[test]
    fn files_and_places_are_told_where_there_are_several() {
        let written = |report: &TargetReport| {
            let mut text = Vec::new();
            write(report, &mut text).unwrap();
            String::from_utf8(text).unwrap()
        };
        let one = target(vec![debian(vec![deb("bash", "5.2", "amd64")], vec![])]);
        assert_eq!(written(&one), "NAME  VERSION  ARCHITECTURE  TYPE\nbash  5.2      amd64         deb\n");
        let mut locked = package(PackageKind::Npm, "left-pad", "1.3.0");
        locked.details.record = Record::Locked;
        locked.evidence.within = Some("app/package-lock.json".to_owned());
        let two = target(vec![
            debian(vec![deb("bash", "5.2", "amd64"), locked], vec![]),
            container("c0ffee", vec![]),
        ]);
        let expected = [
            ["NAME", "VERSION", "ARCHITECTURE", "TYPE", "PATH", "PLACE"],
            ["bash", "5.2", "amd64", "deb", "-", "vol-1 partition 1"],
            [
                "left-pad",
                "1.3.0",
                "-",
                "npm (locked)",
                "/srv/node_modules/left-pad/package.json!/app/package-lock.json",
                "vol-1 partition 1",
            ],
            ["musl", "1.2.5-r0", "x86_64", "apk", "-", "docker container web (nginx:1.27)"],
            [
                "left-pad",
                "1.3.0",
                "-",
                "npm",
                "/srv/node_modules/left-pad/package.json",
                "docker container web (nginx:1.27)",
            ],
        ];
        let text = written(&two);
        let rows: Vec<Vec<_>> = text
            .lines()
            .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
            .collect();
        assert_eq!(rows, expected);
    }
}
