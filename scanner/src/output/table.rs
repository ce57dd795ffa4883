//! Package lists as text, one package a line, for people and for `grep`.

use std::collections::BTreeSet;
use std::io::{self, Write};

use crate::report::{Installed, TargetReport};
use agentless_core::text::printable;

/// A cell that is wider moves the rest of its own line only. Against one name of a thousand characters, for which every
/// line would be filled up with spaces.
const MAX_WIDTH: usize = 64;

/// Writes columns without lines between them: as wide as they must be, whatever the terminal's width.
pub fn render<const N: usize, W: Write + ?Sized>(
    writer: &mut W,
    head: [&str; N],
    rows: impl Iterator<Item = [String; N]> + Clone,
) -> io::Result<()> {
    let cells = |row: [String; N]| row.map(|cell| printable(&cell));
    let lines = std::iter::once(head.map(str::to_owned)).chain(rows.map(cells));
    let mut widths = [0; N];
    for line in lines.clone() {
        for (width, cell) in widths.iter_mut().zip(&line) {
            *width = cell.chars().count().clamp(*width, MAX_WIDTH.max(*width));
        }
    }
    for line in lines {
        let mut gap = 0;
        for (cell, width) in line.iter().zip(widths) {
            write!(writer, "{:gap$}{cell}", "")?;
            gap = width.saturating_sub(cell.chars().count()).saturating_add(2);
        }
        writeln!(writer)?;
    }
    Ok(())
}

/// Writes the packages of a target, with the place if there are packages in more than one.
pub fn write(report: &TargetReport, writer: &mut (impl Write + ?Sized)) -> io::Result<()> {
    let on: BTreeSet<_> = report.packages().map(|installed| installed.filesystem).collect();
    let places = report.storage.places();
    let columns = |installed: Installed<'_>| {
        let package = installed.package;
        let architecture = package.architecture.as_deref().unwrap_or("-");
        [&*package.name, &package.version, architecture, package.kind.name()].map(str::to_owned)
    };
    let packages: Vec<_> = report.packages().collect();
    let packages = packages.iter().copied();
    if on.len() > 1 {
        let rows = packages.map(|installed| {
            let [name, version, architecture, kind] = columns(installed);
            let place = places.get(installed.filesystem).cloned().unwrap_or_default();
            [name, version, architecture, kind, place]
        });
        render(writer, ["NAME", "VERSION", "ARCHITECTURE", "TYPE", "PLACE"], rows)
    } else {
        render(writer, ["NAME", "VERSION", "ARCHITECTURE", "TYPE"], packages.map(columns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_of_any_length_widens_its_own_line_only() {
        let rows = [["bash".to_owned(), "5.2".to_owned()], ["x".repeat(1000), "\u{1b}[2J".to_owned()]];
        let mut text = Vec::new();
        render(&mut text, ["NAME", "VERSION"], rows.into_iter()).unwrap();
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1], format!("bash{}5.2", " ".repeat(62)));
        assert_eq!(lines[2], format!("{}  \\u{{1b}}[2J", "x".repeat(1000)));
    }
}
