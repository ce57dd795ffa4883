//! The `agentless-scanner` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    agentless_scanner::cli::main()
}
