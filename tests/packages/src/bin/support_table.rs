//! Writes the table of extractors into the README.
#![expect(clippy::unwrap_used, reason = "a tool of tests")]

use agentless_package_tests::support_table;

fn main() {
    let (_, expected) = support_table::current_and_expected();
    std::fs::write(support_table::readme(), expected).unwrap();
}
