//! The command line: one verb a file.
//!
//! Data goes to standard output, everything else to standard error.

mod cleanup;
mod config;
mod confine;
mod discover;
mod image;
mod inspect;
mod list;
mod log;
mod permissions;
mod run;
mod scan;
mod shown;
mod signals;
mod status;
mod target;

use std::io::{self, Write};
use std::process::ExitCode;

use agentless_core::catalogue::Catalogue;
use agentless_core::text::printable;
use agentless_service::settings::Mistakes;
use clap::{Parser, Subcommand};

use crate::target::TargetError;

/// Lists what is installed on EC2 hosts, in their containers, in machine images and in Lambda functions.
///
/// Nothing is installed on a host, no port is opened, and no volume is attached or mounted: snapshots of disks are read
/// in user space, a few blocks of them.
#[derive(Debug, Parser)]
#[command(name = "agentless-scanner", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    log: log::Log,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Scan(scan::Scan),
    Inspect(inspect::Inspect),
    List(list::List),
    Discover(discover::Discover),
    Run(run::Run),
    Status(status::Status),
    Cleanup(cleanup::Cleanup),
    Config(config::Config),
    Permissions(permissions::Permissions),
    Image(image::Image),
}

/// How the program ends. The numbers are part of its interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// Everything was read.
    Complete,
    /// There is no result.
    Failed,
    /// The command line or the configuration is not understood.
    Usage,
    /// There is a result, and something could not be read.
    Incomplete,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Complete => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Incomplete => 3,
        })
    }
}

/// Runs the program with the arguments of the process. The catalogue says what the analyser reads.
pub fn main(catalogue: &Catalogue) -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version were asked for, and are data.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Complete };
            // Without anywhere to print to there is nothing left to do.
            let _ = error.print();
            return exit.into();
        }
    };
    // What can be changed of it, only the service changes.
    let log = cli.log.start();
    let exit = match cli.verb {
        Verb::Scan(scan) => scan.run(cli.log, catalogue),
        Verb::Inspect(inspect) => inspect.run(cli.log),
        Verb::Discover(discover) => discover.run(),
        Verb::List(list) => list.run(catalogue),
        Verb::Status(status) => status.run(),
        Verb::Permissions(permissions) => permissions.run(),
        Verb::Cleanup(cleanup) => cleanup.run(),
        Verb::Config(config) => config.run(),
        Verb::Image(image) => image.run(),
        Verb::Run(run) => run.run(&log, catalogue),
    };
    exit.unwrap_or_else(|error| {
        complain(&*error);
        // Not a question of what exists: no such target ever does.
        let is_usage = error.is::<Mistakes>()
            || error.is::<scan::NoTables>()
            || error.is::<scanner_policy::PolicyError>()
            || matches!(
                error.downcast_ref(),
                Some(TargetError::Id { .. } | TargetError::Disks { .. } | TargetError::Twice { .. })
            );
        if is_usage { Exit::Usage } else { Exit::Failed }
    })
    .into()
}

/// Prints an error and its causes, once.
fn complain(error: &(dyn std::error::Error + 'static)) {
    if let Some(mistakes) = error.downcast_ref::<Mistakes>() {
        for mistake in mistakes.iter() {
            say(&format!("error: {}", printable(&mistake.to_string())));
        }
        if mistakes.further() > 0 {
            say(&format!("error: and {} further mistakes", mistakes.further()));
        }
        return;
    }
    // What an error quotes may come from a disk.
    say(&format!("error: {}", printable(&crate::chain(error))));
}

/// Prints a line for people.
fn say(line: &str) {
    // Nobody is told that nobody can be told.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Writes to standard output.
fn write_stdout(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    write(&mut stdout)?;
    stdout.flush()
}

/// A reader that has seen enough of standard output, such as `head`, is no failure.
fn unless_closed(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn defaults_are_those_of_the_help() {
        let cli = Cli::try_parse_from(["agentless-scanner", "scan", "i-0123456789abcdef0"]).unwrap();
        let Verb::Scan(scan) = cli.verb else { panic!("not a scan") };
        assert_eq!(scan.place.target, "i-0123456789abcdef0");
        for wrong in [
            &["scan"][..],
            &["scan", "x", "--concurrency", "0"],
            &["scan", "x", "--snapshot-timeout", "soon"],
            &["scan", "x", "--format", "xml"],
            &["scan", "x", "-v", "--quiet"],
        ] {
            let arguments = ["agentless-scanner"].iter().chain(wrong);
            assert!(Cli::try_parse_from(arguments).unwrap_err().use_stderr(), "{wrong:?}");
        }
    }
}
