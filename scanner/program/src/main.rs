//! The `agentless-scanner` program.
//!
//! Started by a user it is the scanner, which holds credentials; started by the scanner it is an analyser, which holds
//! nothing and reads what disks say. Here is the only place that knows both.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use agentless_sandbox::child;

fn main() -> ExitCode {
    match child::wanted(std::env::args_os()) {
        Some(limits) => agentless_analyser::child::main(limits),
        None => agentless_scanner::cli::main(&agentless_analyser::catalogue()),
    }
}
