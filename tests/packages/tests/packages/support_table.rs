//! The README's table of extractors, against the catalogue.

use agentless_package_tests::support_table;

#[test]
fn the_readme_lists_every_extractor() {
    let (current, expected) = support_table::current_and_expected();
    assert!(
        current == expected,
        "the README is not up to date: `cargo run --bin support-table` writes its table"
    );
}
