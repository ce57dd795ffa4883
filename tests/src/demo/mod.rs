//! The demo: from `terraform apply` to a package list, and back to nothing, against a local AWS.
//!
//! It is what a user runs first, and what the end-to-end test runs: [`run`] returns what it found out, so that the test
//! can hold it to what the README promises. Whatever happens in between, an interrupt included, [`run`] destroys what
//! was applied and leaves no process behind.

mod console;
mod interrupt;
mod report;
mod steps;

use std::io::Write;
use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use crate::judge::{JudgeError, Policy, Verdict};
use crate::leftovers::{LookError, left_behind};
use crate::local_aws::{self, LocalAws};
use crate::machine_image::{ImageError, MachineImage};
use crate::packages::Difference;
use crate::process::ProcessError;
use crate::programs::BuildError;
use crate::terraform::{self, Terraform};
use crate::tools::ToolError;

use console::Console;
pub use interrupt::{INTERRUPTED, Interrupt};
pub use report::ScanSummary;

/// How the demo runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Leave the local AWS and what was applied there until the next interrupt.
    pub keep: bool,
    /// The loopback port of the local AWS; a free one if none is given.
    pub port: Option<u16>,
    /// Where the package list and the figures go. Made if it is not there.
    pub folder: PathBuf,
}

/// What the demo found out.
#[derive(Debug)]
pub struct Outcome {
    /// The image that was scanned.
    pub image: MachineImage,
    /// How many packages the scan found.
    pub packages: usize,
    /// How that differs from what dpkg says of this machine.
    pub difference: Difference,
    /// What the official schema finds wrong with the package list.
    pub schema_errors: Vec<String>,
    /// The policy of the role that scanned, as IAM had it.
    pub policy: Policy,
    /// What the judge says of the calls that the scan made.
    pub verdict: Verdict,
    /// The calls of the scan as the local AWS recorded them: how often each action was called.
    pub recorded_calls: std::collections::BTreeMap<String, u64>,
    /// The scanner's own figures.
    pub summary: ScanSummary,
    /// Where the package list is.
    pub bom: PathBuf,
}

impl Outcome {
    /// What is not as the README promises, a sentence each. Empty where all is well.
    pub fn problems(&self) -> Vec<String> {
        let Self { difference, schema_errors, verdict, summary, recorded_calls, .. } = self;
        let mut problems = Vec::new();
        if !difference.is_empty() {
            problems.push(format!("the package list differs from dpkg-query: {difference}"));
        }
        if !schema_errors.is_empty() {
            problems.push(format!(
                "the package list is not valid CycloneDX 1.6:\n  {}",
                schema_errors.join("\n  ")
            ));
        }
        problems.extend(verdict.denied.iter().map(|denied| format!("the role's policy denies {denied}")));
        problems.extend(
            verdict.needless.iter().map(|action| format!("the scan did not need {action} of its policy")),
        );
        if !summary.complete {
            problems.push("the scan reports unknowns".to_owned());
        }
        if *recorded_calls != summary.api_calls {
            problems.push(format!(
                "the scanner counted the calls {:?}, the local AWS recorded {recorded_calls:?}",
                summary.api_calls
            ));
        }
        if summary.bytes_fetched.saturating_mul(10) > summary.bytes_allocated {
            problems.push(format!(
                "{} bytes were fetched, more than a tenth of the {} allocated",
                summary.bytes_fetched, summary.bytes_allocated
            ));
        }
        problems
    }
}

/// Why the demo ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// The user pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// A file or a process.
    #[error("could not {doing} {}", path.display())]
    Io {
        /// What was being done, as a verb.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The programs do not build.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The local AWS did not start.
    #[error(transparent)]
    LocalAws(#[from] local_aws::StartError),
    /// Nothing could be put into the local AWS.
    #[error(transparent)]
    Seed(#[from] local_aws::SeedError),
    /// The local AWS could not be looked into.
    #[error(transparent)]
    Look(#[from] LookError),
    /// Something that a step before should have made sure of.
    #[error("{0}")]
    Unexpected(String),
    /// No disk image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A program of the system.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// Terraform.
    #[error(transparent)]
    Terraform(#[from] terraform::Error),
    /// The scanner failed.
    #[error("`agentless-scanner scan {target}` ended with {ended}:\n{output}")]
    Scan {
        /// What was scanned.
        target: String,
        /// Its exit code or signal.
        ended: String,
        /// What it wrote to stderr.
        output: String,
    },
    /// The scanner did not run.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The package list could not be read.
    #[error("the package list {} is not what it should be: {problem}", path.display())]
    PackageList {
        /// Where it is.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The schema of the package list.
    #[error(transparent)]
    Schema(#[from] crate::cyclonedx::SchemaError),
    /// The permissions could not be judged.
    #[error(transparent)]
    Judge(#[from] JudgeError),
    /// Something that must not be there any more.
    #[error("left behind: {}", .0.join(", "))]
    LeftBehind(Vec<String>),
}

/// Runs the demo and prints each step to `out`.
pub async fn run(
    options: &Options,
    out: Box<dyn Write + Send>,
    interrupt: &Interrupt,
) -> Result<Outcome, DemoError> {
    let console = Console::new(out, interrupt.clone(), steps::COUNT);
    let mut demo = Demo { options, console, interrupt: interrupt.clone(), aws: None, terraform: None };
    let outcome = demo.steps().await;
    let outcome = match outcome {
        Err(_) if interrupt.happened() => {
            demo.console.line("\nInterrupted: cleaning up. Press Ctrl-C again to stop at once.");
            Err(DemoError::Interrupted)
        }
        other => other,
    };
    let clean = tokio::select! {
        clean = demo.clean_up() => clean,
        () = interrupt.wait_for_impatience() => Err(DemoError::Interrupted),
    };
    match (outcome, clean) {
        (Ok(outcome), clean) => clean.map(|()| outcome),
        (Err(error), Ok(())) => Err(error),
        (Err(error), Err(also)) => {
            demo.console.line(format_args!("\nThe clean-up failed as well: {also}"));
            Err(error)
        }
    }
}

/// A demo under way: what has to be taken away again.
struct Demo<'a> {
    options: &'a Options,
    console: Console,
    interrupt: Interrupt,
    aws: Option<LocalAws>,
    terraform: Option<Terraform>,
}

impl Demo<'_> {
    /// Destroys what was applied, looks whether anything is left, and stops the local AWS. Does nothing where nothing
    /// was begun.
    async fn clean_up(&mut self) -> Result<(), DemoError> {
        let aws = self.aws.take();
        let destroyed = match self.terraform.take() {
            Some(terraform) => self.destroy(terraform).await,
            None => Ok(()),
        };
        let left = match &aws {
            Some(aws) => left_behind(aws).await?,
            None => Vec::new(),
        };
        destroyed?;
        if left.is_empty() { Ok(()) } else { Err(DemoError::LeftBehind(left)) }
    }

    async fn destroy(&mut self, mut terraform: Terraform) -> Result<(), DemoError> {
        let began = std::time::Instant::now();
        self.console.line("\nterraform destroy");
        // The interrupt that led here must not stop it.
        terraform.set_interrupt(CancellationToken::new());
        terraform.destroy().await?;
        let time = console::seconds(began.elapsed());
        self.console.line(format_args!("      done in {time}  every resource is gone"));
        Ok(())
    }
}
