//! Each promise of the design has a test that is named after it, and the table in `tests/README.md` knows which.
#![expect(clippy::expect_used, reason = "helpers of tests, outside of #[test] functions")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Tests by the number of their promise.
type Tests = BTreeMap<u32, BTreeSet<String>>;

const NAME: &str = "promise_";
/// Where tests are, below the workspace.
const CODE: [&str; 3] = ["tests", "scanner", "provider"];

#[test]
fn every_promise_of_the_design_has_a_test_that_is_named_after_it() {
    let promised: BTreeSet<u32> = promised(&read("DESIGN.md")).into_iter().collect();
    let (table, tests) = (table(&read("tests/README.md")), tests());
    assert!(promised.len() >= 7, "{promised:?}");
    assert_eq!(promised, table.keys().copied().collect(), "DESIGN.md and the table of tests/README.md");
    assert_eq!(table, tests, "the table of tests/README.md and the tests that there are");
    assert!(table.values().all(|names| !names.is_empty()), "{table:?}");
}

/// The numbers of the list of promises.
fn promised(design: &str) -> Vec<u32> {
    section(design, "## The promises").filter_map(|line| line.split_once(". ")?.0.parse().ok()).collect()
}

/// The tests of each row: its promise's number, and the names in code that are those of tests.
fn table(readme: &str) -> Tests {
    let row = |line: &str| {
        let number = line.strip_prefix("| ")?.split([' ', '.']).next()?.parse().ok()?;
        let names = line.split('`').filter(|part| part.starts_with(NAME));
        Some((number, names.map(str::to_owned).collect()))
    };
    section(readme, "## The promises").filter_map(row).collect()
}

/// The lines below a heading, up to the next.
fn section<'a>(document: &'a str, heading: &str) -> impl Iterator<Item = &'a str> {
    let lines = document.lines().skip_while(move |line| !line.starts_with(heading)).skip(1);
    lines.take_while(|line| !line.starts_with("## "))
}

/// The tests that are named after a promise, anywhere in the workspace.
fn tests() -> Tests {
    let mut tests = Tests::new();
    let mut folders: Vec<PathBuf> = CODE.iter().map(|folder| workspace().join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                for (number, name) in named(&std::fs::read_to_string(path).expect("code")) {
                    assert!(tests.entry(number).or_default().insert(name.clone()), "{name} is there twice");
                }
            }
        }
    }
    tests
}

/// The functions of a file that are named after a promise.
fn named(code: &str) -> Vec<(u32, String)> {
    let function = |line: &str| {
        let line = line.trim_start();
        let rest = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")?;
        let name = rest.split('(').next()?;
        Some((name.strip_prefix(NAME)?.split('_').next()?.parse().ok()?, name.to_owned()))
    };
    code.lines().filter_map(function).collect()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(workspace().join(path)).expect("a document")
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn what_is_not_as_it_should_be_is_found() {
    assert_eq!(promised("## The promises (x)\n1. One\n2. Two\n## Next\n3. None"), [1, 2]);
    let readme = "## The promises\n| promise | test |\n|---|---|\n| 1. x | `promise_1_a`, `promise_1_b` in `x.rs` |\n| 2. y | |\n";
    let expected = [(1, ["promise_1_a", "promise_1_b"].map(str::to_owned).into()), (2, BTreeSet::new())];
    assert_eq!(table(readme), expected.into());
    let code = "async fn promise_4_x() {\nfn promise_10_y() {\nlet promise_1 = 1;\nfn promises() {";
    assert_eq!(named(code), [(4, "promise_4_x".to_owned()), (10, "promise_10_y".to_owned())]);
}
