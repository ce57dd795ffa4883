//! What confined processes still can do, and what they no longer can.
//!
//! Each attempt is a process of its own: this program, started again with the name of what it shall try.

#![forbid(unsafe_code)]

mod attempt;
mod child;
mod parent;

use std::panic::catch_unwind;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments.as_slice() {
        ["confined-child", what] => attempt::run(what),
        ["confined-parent", what, directory] => parent::run(what, directory.as_ref()),
        ["itself"] => parent::ITSELF,
        ["--list", ..] => ExitCode::SUCCESS,
        _ => run(arguments.iter().find(|argument| !argument.starts_with('-')).copied().unwrap_or("")),
    }
}

/// Runs the tests whose name contains a text, one after the other: no process here may have a second thread.
fn run(filter: &str) -> ExitCode {
    let mut failed = 0;
    for (name, test) in child::TESTS.iter().chain(parent::TESTS) {
        if name.contains(filter) {
            let outcome = catch_unwind(*test);
            println!("test {name} ... {}", if outcome.is_ok() { "ok" } else { "FAILED" });
            failed += usize::from(outcome.is_err());
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A test and its name.
type Test = (&'static str, fn());
