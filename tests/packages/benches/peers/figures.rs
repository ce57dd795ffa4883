//! The table.

use std::collections::BTreeMap;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};

use crate::Listed;
use crate::tools::Tool;

/// A row for each program on each tree. Ratios are to ours, everything.
pub(crate) fn table(trees: &[(&str, BTreeMap<Tool, Listed>)]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["tree", "", "packages", "CPU s", "ratio", "wall s", "peak MiB", "ratio"]);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for (tree, listed) in trees {
        let ours = listed[&Tool::Everything].usage;
        for (tool, Listed { list, usage }) in listed {
            table.add_row([
                if *tool == Tool::System { (*tree).to_owned() } else { String::new() },
                tool.title().to_owned(),
                list.len().to_string(),
                format!("{:.3}", usage.cpu.as_secs_f64()),
                format!("{:.1} ×", usage.cpu.as_secs_f64() / ours.cpu.as_secs_f64()),
                format!("{:.3}", usage.wall.as_secs_f64()),
                format!("{:.1}", mebibytes(usage.peak_kib)),
                format!("{:.1} ×", mebibytes(usage.peak_kib) / mebibytes(ours.peak_kib)),
            ]);
        }
    }
    table.to_string()
}

fn mebibytes(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap()) / 1024.0
}
