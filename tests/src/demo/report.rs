//! The figures at the end of the demo.

use std::collections::BTreeMap;
use std::path::Path;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use serde::Deserialize;

use super::Outcome;
use super::console::bytes;

/// What `agentless-scanner scan --summary` writes, as far as the demo shows it.
#[derive(Clone, Debug, Deserialize)]
pub struct ScanSummary {
    /// Whether everything was read.
    pub complete: bool,
    /// Packages by type.
    pub packages: BTreeMap<String, u64>,
    /// Blocks that were fetched.
    pub blocks_fetched: u64,
    /// Bytes of them.
    pub bytes_fetched: u64,
    /// Blocks that the snapshots hold.
    pub blocks_allocated: u64,
    /// Bytes of them.
    pub bytes_allocated: u64,
    /// Requests by action, retries included.
    pub api_calls: BTreeMap<String, u64>,
    /// How long it took.
    pub seconds: f64,
    /// The most memory that the scanner used.
    pub scanner_peak_rss_bytes: Option<u64>,
    /// The most memory that its analyser used.
    pub analyser_peak_rss_bytes: Option<u64>,
}

/// The table.
pub(super) fn table(outcome: &Outcome) -> String {
    let summary = &outcome.summary;
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    for (kind, count) in &summary.packages {
        table.add_row([format!("packages: {kind}"), count.to_string()]);
    }
    let fetched = format!(
        "{} of {} ({} %, {} of {} blocks)",
        bytes(summary.bytes_fetched),
        bytes(summary.bytes_allocated),
        percent(summary.bytes_fetched, summary.bytes_allocated),
        summary.blocks_fetched,
        summary.blocks_allocated,
    );
    table.add_row(["bytes fetched".to_owned(), fetched]);
    for (action, count) in &summary.api_calls {
        table.add_row([format!("API calls: {action}"), count.to_string()]);
    }
    table.add_row(["time".to_owned(), format!("{:.2} s", summary.seconds)]);
    for (process, peak) in
        [("scanner", summary.scanner_peak_rss_bytes), ("analyser", summary.analyser_peak_rss_bytes)]
    {
        let memory = peak.map_or_else(|| "unknown".to_owned(), bytes);
        table.add_row([format!("peak memory: {process}"), memory]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// A part of a whole, in per cent with two decimals, in whole numbers.
fn percent(part: u64, whole: u64) -> String {
    let hundredths = u128::from(part) * 10_000 / u128::from(whole.max(1));
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// A path as the user would type it from where the demo was started.
pub(super) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_has_two_decimals() {
        assert_eq!(percent(11, 2000), "0.55");
        assert_eq!(percent(1, 1), "100.00");
        assert_eq!(percent(0, 0), "0.00");
    }
}
