//! What runs a benchmark: its tables go to standard output, what it does meanwhile to standard error, and Ctrl-C ends it.

use std::error::Error;
use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;

use tokio::runtime::Runtime;

use crate::causes::with_causes;
use crate::demo::{INTERRUPTED, Interrupt};

/// Why a benchmark has no tables.
#[derive(Debug, thiserror::Error)]
enum Ended<E: Error + 'static> {
    #[error("interrupted")]
    Interrupted,
    #[error("could not run asynchronous code")]
    Runtime(#[source] std::io::Error),
    #[error(transparent)]
    Failed(E),
}

/// Runs a benchmark, which returns its tables, and prints them.
pub fn run<E: Error + 'static>(bench: impl Future<Output = Result<String, E>>) -> ExitCode {
    match finished(bench) {
        Ok(tables) => {
            // That nobody reads it any more is no failure.
            let _ = writeln!(std::io::stdout(), "{tables}");
            ExitCode::SUCCESS
        }
        Err(Ended::Interrupted) => ExitCode::from(INTERRUPTED),
        Err(error) => {
            say(format_args!("error: {}", with_causes(&error)));
            ExitCode::FAILURE
        }
    }
}

/// Says what a benchmark does.
#[expect(clippy::print_stderr, reason = "progress, beside the tables on standard output")]
pub fn say(text: impl Display) {
    eprintln!("{text}");
}

fn finished<E: Error + 'static>(bench: impl Future<Output = Result<String, E>>) -> Result<String, Ended<E>> {
    Runtime::new().map_err(Ended::Runtime)?.block_on(async {
        let interrupt = Interrupt::listen().map_err(Ended::Runtime)?;
        // Dropping what is under way ends the programs that it started; the local AWS ends with this process.
        tokio::select! {
            result = bench => result.map_err(Ended::Failed),
            () = interrupt.wait() => Err(Ended::Interrupted),
        }
    })
}
