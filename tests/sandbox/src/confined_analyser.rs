//! The product's analyser, as the scanner starts it, and nothing else: no AWS has to be compiled for it.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use agentless_sandbox::child;

fn main() -> ExitCode {
    match child::wanted(std::env::args_os()) {
        Some(limits) => agentless_analyser::child::main(limits),
        // Only a scanner starts it.
        None => ExitCode::from(2),
    }
}
