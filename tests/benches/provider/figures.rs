//! What was measured, and the table of it.

use std::time::Duration;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};

use crate::error::Error;
use crate::handshake::Start;
use crate::lifecycle::{COMMANDS, Cost};
use crate::meter::Usage;
use crate::subject::{Objects, Subject};

/// What was measured of one provider.
#[derive(Debug)]
pub(crate) struct Figures {
    title: String,
    /// The same rows for every provider.
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    title: String,
    unit: Unit,
    values: Vec<f64>,
}

#[derive(Clone, Copy, Debug)]
enum Unit {
    Count,
    Mebibytes,
    Seconds,
}

/// The rows before those of the commands.
const FIXED: [(&str, Unit); 3] = [
    ("program", Unit::Mebibytes),
    ("start to handshake", Unit::Seconds),
    ("memory at handshake", Unit::Mebibytes),
];

/// The rows of each command.
const OF_COMMANDS: [(&str, Unit); 5] = [
    ("CPU time", Unit::Seconds),
    ("peak memory", Unit::Mebibytes),
    ("anonymous memory", Unit::Mebibytes),
    ("requests to AWS", Unit::Count),
    ("whole command", Unit::Seconds),
];

impl Figures {
    /// With the size of the program.
    pub(crate) fn of(subject: &Subject) -> Result<Self, Error> {
        let path = &subject.program;
        let bytes = std::fs::metadata(path).map_err(Error::io("look at", path))?.len();
        let fixed = FIXED.map(|(title, unit)| (title.to_owned(), unit));
        let commands = Objects::ALL
            .into_iter()
            .flat_map(|objects| COMMANDS.iter().map(move |command| (objects, command)));
        let of_commands = commands.flat_map(|(objects, command)| {
            let title = format!("{}{}", objects.title(), command.title);
            OF_COMMANDS.map(|(what, unit)| (format!("{title}: {what}"), unit))
        });
        let rows = fixed.into_iter().chain(of_commands);
        let rows = rows.map(|(title, unit)| Row { title, unit, values: Vec::new() }).collect();
        let mut figures = Self { title: subject.title.clone(), rows };
        figures.add(0, [mebibytes(bytes / 1024)]);
        Ok(figures)
    }

    pub(crate) fn add_start(&mut self, start: &Start) {
        self.add(1, [start.time.as_secs_f64(), mebibytes(start.peak_kib)]);
    }

    /// With the costs of [`COMMANDS`], by objects.
    pub(crate) fn add_lives(&mut self, costs: &[Cost]) {
        let seconds = Duration::as_secs_f64;
        let values = costs.iter().flat_map(|cost| {
            let calls = f64::from(u32::try_from(cost.calls).unwrap_or(u32::MAX));
            let Usage { cpu, peak_kib, anonymous_kib } = cost.usage;
            [seconds(&cpu), mebibytes(peak_kib), mebibytes(anonymous_kib), calls, seconds(&cost.wall)]
        });
        self.add(FIXED.len(), values);
    }

    /// One more value for each row from `first` on.
    fn add(&mut self, first: usize, values: impl IntoIterator<Item = f64>) {
        for (row, value) in self.rows.iter_mut().skip(first).zip(values) {
            row.values.push(value);
        }
    }
}

/// A column for each provider; with two, also how many times more the second takes, by the medians.
pub(crate) fn table(figures: &[Figures]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    let mut header = vec![String::new()];
    header.extend(figures.iter().map(|figures| figures.title.clone()));
    if figures.len() == 2 {
        header.push("ratio".to_owned());
    }
    table.set_header(header);
    let [ours, others @ ..] = figures else { return table.to_string() };
    for (index, row) in ours.rows.iter().enumerate() {
        let others = others.iter().filter_map(|figures| figures.rows.get(index));
        let mut cells = vec![row.title.clone(), row.shown()];
        for other in others {
            cells.push(other.shown());
            cells.push(format!("{:.1} ×", other.median() / row.median()));
        }
        table.add_row(cells);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

impl Row {
    fn minimum(&self) -> f64 {
        self.values.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn median(&self) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        // The two in the middle of an even number; of an odd one, twice the same.
        let middle = |length: usize| sorted.get(length / 2).copied().unwrap_or(f64::NAN);
        f64::midpoint(middle(sorted.len().saturating_sub(1)), middle(sorted.len()))
    }

    /// Minimum and median, or the only value.
    fn shown(&self) -> String {
        let (decimals, unit) = match self.unit {
            Unit::Count => (0, ""),
            Unit::Mebibytes => (1, " MiB"),
            Unit::Seconds => (3, " s"),
        };
        let (minimum, median) = (self.minimum(), self.median());
        if self.values.len() == 1 {
            return format!("{median:.decimals$}{unit}");
        }
        format!("{minimum:.decimals$} / {median:.decimals$}{unit}")
    }
}

fn mebibytes(kibibytes: u64) -> f64 {
    // Exact up to four tebibytes.
    f64::from(u32::try_from(kibibytes).unwrap_or(u32::MAX)) / 1024.0
}
