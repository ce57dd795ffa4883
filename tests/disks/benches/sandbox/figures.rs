//! The table.

use std::time::Duration;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};

use crate::cases::Case;
use crate::measure::Run;

/// A case and its measurements.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) case: &'static Case,
    /// By one process.
    pub(crate) inside: Vec<Run>,
    /// By an analyser.
    pub(crate) confined: Vec<Run>,
}

/// The most CPU time for that of one process, and the most that it may be more where that is little.
const MOST_CPU: f64 = 1.1;
const MOST_MORE: Duration = Duration::from_millis(10);

/// A row for each case.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        "",
        "CPU, ms",
        "confined: scanner + analyser",
        "ratio",
        "more, ms",
        "limit",
        "wall, ms",
        "confined",
        "reads",
        "hints",
        "MiB",
        "memory, MiB",
        "confined",
    ]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for row in rows {
        table.add_row(cells(row));
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("{table}\nMedians; {cores} cores. Limit of CPU time: 10 %, or 10 ms.")
}

fn cells(Row { case, inside, confined }: &Row) -> Vec<String> {
    let total = |run: &Run| run.cpu[0] + run.cpu[1];
    let (one, two) = (median(inside, total), median(confined, total));
    let [scanner, analyser] = [0, 1].map(|who| median(confined, |run| run.cpu[who]));
    let ratio = two.as_secs_f64() / one.as_secs_f64();
    let more = two.saturating_sub(one);
    let is_met = ratio <= MOST_CPU || more <= MOST_MORE;
    let last = confined.last().unwrap();
    let peak =
        |runs: &[Run], who: usize| runs.iter().map(|run| run.peak[who]).max().unwrap_or_default() / 1024;
    vec![
        case.title.to_owned(),
        milliseconds(one),
        format!("{} + {}", milliseconds(scanner), milliseconds(analyser)),
        format!("{ratio:.2} ×"),
        format!("{:.1}", (two.as_secs_f64() - one.as_secs_f64()) * 1000.0),
        if is_met { "met" } else { "NOT MET" }.to_owned(),
        milliseconds(median(inside, |run| run.wall)),
        milliseconds(median(confined, |run| run.wall)),
        last.reads.to_string(),
        last.hints.to_string(),
        (last.bytes >> 20).to_string(),
        peak(inside, 0).to_string(),
        format!("{} + {}", peak(confined, 0), peak(confined, 1)),
    ]
}

fn median(runs: &[Run], time: impl Fn(&Run) -> Duration) -> Duration {
    let mut times: Vec<_> = runs.iter().map(time).collect();
    times.sort_unstable();
    times[times.len() / 2]
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1000.0)
}
