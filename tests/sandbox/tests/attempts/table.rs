//! Tables of outcomes.

use comfy_table::presets::UTF8_FULL_CONDENSED;

/// Rows for people.
pub(crate) struct Table(comfy_table::Table);

impl Table {
    pub(crate) fn new(head: &[&str]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(UTF8_FULL_CONDENSED).set_header(head);
        Self(table)
    }

    pub(crate) fn add<const N: usize>(&mut self, row: [&str; N]) {
        /// Columns of a terminal, for the longest cell.
        const MOST: usize = 100;

        self.0.add_row(row.map(|cell| match cell.char_indices().nth(MOST) {
            Some((end, _)) => format!("{}…", &cell[..end]),
            None => cell.to_owned(),
        }));
    }

    pub(crate) fn print(&self) {
        println!("{}", self.0);
    }
}
