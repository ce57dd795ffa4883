//! `cargo bench`: what the provider costs whoever runs Terraform, beside hashicorp/aws where that is installed.
//!
//! Both make the same AWS objects in the same local AWS, in turns, so that a busy moment of the machine meets both. What is
//! compared is the provider's process alone, without Terraform: [`meter`] says how it is measured.
//!
//! ```text
//! cargo bench
//! AWS_PROVIDER_MIRROR=/path/of/a/filesystem/mirror cargo bench -- --rounds 5
//! ```

mod error;
mod figures;
mod handshake;
mod lifecycle;
mod meter;
mod subject;

use std::process::ExitCode;

use agentless_tests::bench::say;
use agentless_tests::local_aws::{LocalAws, Options};
use clap::Parser;

use error::Error;
use figures::Figures;
use handshake::Client;
use lifecycle::Scene;
use subject::{Objects, Subject};

/// What the provider costs, beside hashicorp/aws where that is installed: in Terraform's default mirrors, or in the
/// filesystem mirror that the environment variable `AWS_PROVIDER_MIRROR` names.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --", version)]
struct Arguments {
    /// How often each provider goes through plan, apply, plan and destroy.
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How often each provider is started up to its handshake.
    #[arg(long, value_name = "NUMBER", default_value_t = 11, value_parser = clap::value_parser!(u32).range(1..))]
    starts: u32,
    /// Cargo says it to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    // Terraform starts this program in the place of a provider's.
    if let Some(provider) = meter::metered_provider() {
        return meter::run(&provider);
    }
    agentless_tests::bench::run(bench(&Arguments::parse()))
}

/// Measures, and returns the table.
async fn bench(arguments: &Arguments) -> Result<String, Error> {
    say("building the provider");
    let mut subjects = vec![tokio::task::spawn_blocking(Subject::ours).await??];
    match Subject::hashicorp_aws() {
        Some(theirs) => subjects.push(theirs),
        None => say(
            "hashicorp/aws is not installed, so it is left out; AWS_PROVIDER_MIRROR may name a filesystem mirror with it",
        ),
    }

    let mut figures: Vec<Figures> = Vec::new();
    for subject in &subjects {
        figures.push(Figures::of(subject)?);
    }
    let client = Client::new()?;
    say(format_args!("{} starts of each", arguments.starts));
    for _ in 0..arguments.starts {
        for (subject, figures) in subjects.iter().zip(&mut figures) {
            figures.add_start(&client.start(&subject.program).await?);
        }
    }

    let aws = LocalAws::start(Options::default()).await?;
    let scene = Scene::new(&aws).await?;
    let mirror = meter::Mirror::new(&subjects)?;
    let mut terraform = String::new();
    for round in 1..=arguments.rounds {
        for (subject, figures) in subjects.iter().zip(&mut figures) {
            say(format_args!("round {round} of {}: {}", arguments.rounds, subject.title));
            let mut costs = Vec::new();
            for objects in Objects::ALL {
                let life = scene.live(subject, objects, &mirror, round).await?;
                costs.extend(life.costs);
                terraform = life.terraform;
            }
            figures.add_lives(&costs);
        }
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Ok(format!("\n{}\n{terraform}, {cores} cores; minimum / median", figures::table(&figures)))
}
