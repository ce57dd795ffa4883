//! The table of extractors in the README, from the analyser's own catalogue.

use std::fs;
use std::path::PathBuf;

use agentless_core::catalogue::ExtractorInfo;

/// What stands before the table.
const BEGIN: &str = "<!-- Written by `cargo run --bin support-table`. -->\n";
/// What stands after it.
const END: &str = "<!-- The end of what is written. -->\n";

/// The README.
pub fn readme() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md"))
}

/// What the README says, and what it should say.
pub fn current_and_expected() -> (String, String) {
    let current = fs::read_to_string(readme()).unwrap();
    let (before, rest) = current.split_once(BEGIN).expect("the README has a place for the table");
    let (_, after) = rest.split_once(END).expect("the table in the README has an end");
    let expected = format!("{before}{BEGIN}{}{END}{after}", table());
    (current, expected)
}

/// A row for each extractor, sorted by name.
fn table() -> String {
    let rows = agentless_analyser::catalogue().extractors.into_iter().map(|extractor| row(&extractor));
    ["| extractor | lists | reads |\n|---|---|---|\n".to_owned()].into_iter().chain(rows).collect()
}

fn row(extractor: &ExtractorInfo) -> String {
    let reads: Vec<_> = extractor.reads.iter().map(|pattern| format!("`{pattern}`")).collect();
    format!("| `{}` | {} | {} |\n", extractor.name, cell(extractor.description), cell(&reads.join(", ")))
}

/// A bar would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
