//! Package lists as text, one package a line, for people and for `grep`.

use std::collections::BTreeSet;
use std::io::{self, Write};

use comfy_table::{Table, presets};

use super::text::printable;
use crate::report::TargetReport;

/// Columns without lines between them. Columns are as wide as they must be, whatever the terminal's width.
pub fn render<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(head);
    table.add_rows(rows.into_iter().map(|row| row.map(|cell| printable(&cell))));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// Writes the packages of a target, with the volume if there are packages on more than one.
pub fn write(report: &TargetReport, mut writer: impl Write) -> io::Result<()> {
    let volumes: BTreeSet<_> = report.packages().map(|installed| &*installed.volume.id).collect();
    let columns = |installed: crate::report::Installed<'_>| {
        let package = installed.package;
        let architecture = package.architecture.as_deref().unwrap_or("-");
        [&*package.name, &package.version, architecture, package.kind.name()].map(str::to_owned)
    };
    let text = if volumes.len() > 1 {
        let rows = report.packages().map(|installed| {
            let [name, version, architecture, kind] = columns(installed);
            [name, version, architecture, kind, installed.volume.id.clone()]
        });
        render(["NAME", "VERSION", "ARCHITECTURE", "TYPE", "VOLUME"], rows)
    } else {
        render(["NAME", "VERSION", "ARCHITECTURE", "TYPE"], report.packages().map(columns))
    };
    writeln!(writer, "{text}")
}
