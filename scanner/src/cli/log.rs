//! Logs for developers, on standard error.

use std::io::{self, Write};

use clap::{ArgAction, Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// Whose events are logged: the crates of the scanner, and the analyser in its own process.
const OWN: [&str; 5] =
    ["agentless_scanner", "agentless_core", "agentless_cache", "agentless_sandbox", "analyser"];

/// What is said on standard error.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Messages")]
pub(super) struct Log {
    /// Log what happens, on standard error; -vv logs every file and request. RUST_LOG selects by module instead.
    #[arg(short, long, action = ArgAction::Count, global = true)]
    #[expect(clippy::doc_markdown, reason = "the text is the option's help, where backticks would show")]
    verbose: u8,
    /// Say nothing on standard error but errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// Form of the logs.
    #[arg(id = "log-format", long = "log-format", value_name = "FORMAT", value_enum, default_value_t = Format::Text, global = true)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Log {
    /// Whether there will be log lines among what is printed.
    pub(super) fn is_verbose(self) -> bool {
        self.verbose > 0
    }

    /// Starts logging.
    pub(super) fn start(self) {
        let level = match (self.quiet, self.verbose) {
            (true, _) => "off",
            (_, 0) => "warn",
            (_, 1) => "info",
            (_, _) => "debug",
        };
        // Only this program's own events: what the AWS SDK logs is not checked for secrets.
        let own = OWN.map(|target| format!("{target}={level}")).join(",");
        let default = format!("off,{own}");
        // An empty variable is as good as none.
        let chosen = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|directives| !directives.is_empty());
        let filter = chosen.and_then(|directives| EnvFilter::try_new(directives).ok());
        let filter = filter.unwrap_or_else(|| EnvFilter::new(default));
        let builder = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
            .with_writer(|| Unfailing(io::stderr()));
        // A second start, in tests, changes nothing.
        let _ = match self.format {
            Format::Text => builder.try_init(),
            Format::Json => builder.json().try_init(),
        };
    }
}

/// Standard error, whose reader may be gone. A log line that nobody can read is no reason to fail: the subscriber would
/// panic over it, and snapshots would stay.
struct Unfailing(io::Stderr);

impl Write for Unfailing {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let _ = self.0.write_all(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
