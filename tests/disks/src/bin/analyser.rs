//! The process that the benchmark of the sandbox starts: an analyser, and nothing else.

use std::process::ExitCode;

use agentless_disk_tests::confined;
use agentless_sandbox::child;

fn main() -> ExitCode {
    match child::wanted(std::env::args_os()) {
        Some(limits) => child::run(limits, confined::perform),
        None => ExitCode::from(2),
    }
}
