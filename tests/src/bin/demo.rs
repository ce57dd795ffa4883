//! `cargo demo`: see [`agentless_tests::demo`].

use std::path::PathBuf;
use std::process::ExitCode;

use agentless_tests::causes::with_causes;
use agentless_tests::demo::{self, DemoError, INTERRUPTED, Interrupt, Options, Outcome};
use clap::Parser;

/// From terraform apply to a package list and back to nothing, against a local AWS. Needs no AWS account.
#[derive(Debug, Parser)]
#[command(name = "cargo demo --", version)]
struct Arguments {
    /// Leave the local AWS and what was applied there until Ctrl-C, and say how to use them.
    #[arg(long)]
    keep: bool,
    /// Loopback port of the local AWS, instead of a free one.
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Where the package list and the figures go.
    #[arg(long, value_name = "FOLDER", default_value = "target/demo")]
    folder: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { keep, port, folder } = Arguments::parse();
    let interrupt = match Interrupt::listen() {
        Ok(interrupt) => interrupt,
        Err(error) => return failed(&error),
    };
    let folder = std::path::absolute(&folder).unwrap_or(folder);
    match demo::run(&Options { keep, port, folder }, Box::new(std::io::stdout()), &interrupt).await {
        Ok(outcome) => judged(&outcome),
        Err(DemoError::Interrupted) => ExitCode::from(INTERRUPTED),
        Err(error) => failed(&error),
    }
}

/// A demo that ran to its end may still have shown that something is wrong.
#[expect(clippy::print_stderr, reason = "a command-line program's last words")]
fn judged(outcome: &Outcome) -> ExitCode {
    let problems: Vec<String> = outcome.problems();
    for problem in &problems {
        eprintln!("error: {problem}");
    }
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[expect(clippy::print_stderr, reason = "a command-line program's last words")]
fn failed(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("\nerror: {}", with_causes(error));
    ExitCode::FAILURE
}
