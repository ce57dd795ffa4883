//! `cargo bench --bench load`: what it takes to scan a large account, and what it would cost.
//!
//! Several scanners, started as on instances, each with its part of the targets and of the requests that the account may send,
//! find everything due at once in a local AWS. What they send is counted as AWS counts it.
//!
//! ```text
//! cargo bench --bench load
//! AGENTLESS_LOAD=100,50,5 cargo bench --bench load -- --scanners 2
//! ```

mod cost;
mod figures;

use std::process::ExitCode;
use std::time::Duration;

use agentless_tests::bench::say;
use agentless_tests::load::{Class, Load, LoadError, Size};
use agentless_tests::local_aws::{LocalAws, Options};
use clap::Parser;

use figures::Figures;

/// What it takes to scan a large account. The environment variable `AGENTLESS_LOAD` says how large it is: instances, functions and
/// images, as in 1000,500,50.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench load --", version)]
struct Arguments {
    /// The scanners, among which targets and requests are divided.
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=16))]
    scanners: u16,
    /// Each scanner may send what a scanner alone may: together they are then faster than AWS allows.
    #[arg(long)]
    whole_rates: bool,
    /// When it is given up.
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    limit: u64,
    /// Cargo says it to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{VARIABLE}: {0}")]
    Size(String),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("{0} targets have no package list, or one by a scanner whose they are not, such as {1}")]
    Unreported(usize, String),
}

fn main() -> ExitCode {
    agentless_tests::bench::run(bench(&Arguments::parse()))
}

/// Measures, and returns the tables.
async fn bench(arguments: &Arguments) -> Result<String, Error> {
    let size = match std::env::var(VARIABLE) {
        Ok(text) => text.parse().map_err(|error| Error::Size(format!("{error}")))?,
        Err(_) => Size::FULL,
    };
    let aws =
        LocalAws::start(Options { region: HOME, ..Options::default() }).await.map_err(LoadError::from)?;
    let rates: fn(&Class, usize) -> u32 =
        if arguments.whole_rates { |class, _| class.usual } else { Class::share };
    let load = Load {
        aws: &aws,
        regions: &REGIONS,
        size,
        scanners: usize::from(arguments.scanners),
        rates,
        limit: Duration::from_mins(arguments.limit),
    };
    say(format_args!("making {} targets in {} regions", size.targets(), REGIONS.len()));
    let scanners = arguments.scanners;
    let outcome = load.bear(|_| say(format_args!("{scanners} scanners find all of them due"))).await?;
    let unreported = outcome.unreported();
    if !unreported.is_empty() {
        return Err(Error::Unreported(unreported.len(), format!("{:?}", unreported.first())));
    }
    let unimplemented = aws.unimplemented();
    if !unimplemented.is_empty() {
        say(format_args!("the local AWS met calls that it does not implement: {}", unimplemented.join("; ")));
    }
    Ok(Figures { load: &load, outcome: &outcome, calls: &aws.calls() }.tables())
}

/// Says how much there is to scan.
const VARIABLE: &str = "AGENTLESS_LOAD";
/// Prices are those of this region.
const HOME: &str = "us-east-1";
const REGIONS: [&str; 3] = [HOME, "eu-central-1", "ap-northeast-1"];
