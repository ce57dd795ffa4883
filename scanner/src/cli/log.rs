//! Logs for developers, on standard error.

use std::io::{self, Write};

use agentless_service::scrub::scrub;
use clap::{ArgAction, Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// Whose events are logged: the crates of the scanner, and the analyser in its own process.
const OWN: [&str; 6] = [
    "agentless_scanner",
    "agentless_core",
    "agentless_cache",
    "agentless_sandbox",
    "agentless_service",
    "analyser",
];

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

/// Standard error, whose reader may be gone, and to which no secret goes. A log line that nobody can read is no reason to
/// fail: the subscriber would panic over it, and snapshots would stay.
struct Unfailing<W>(W);

impl<W: Write> Write for Unfailing<W> {
    /// Writes a line, which the subscriber gives as a whole.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let _ = self.0.write_all(scrub(&String::from_utf8_lossy(line)).as_bytes());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What was written.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_form_of_the_logs_shows_a_secret() {
        let written = Written::default();
        for (json, ansi) in [(false, false), (false, true), (true, false)] {
            let out = written.clone();
            let builder =
                tracing_subscriber::fmt().with_ansi(ansi).with_writer(move || Unfailing(out.clone()));
            let log = || {
                let error = Some("https://user:hunter2@example.com/?X-Amz-Signature=hunter2&a=b");
                tracing::info!(password = "hunter2", session_token = ?Some("hunter2"), ?error, "{}", r#"{"secret": "hunter2"}"#);
            };
            if json {
                tracing::subscriber::with_default(builder.json().finish(), log);
            } else {
                tracing::subscriber::with_default(builder.finish(), log);
            }
        }
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert!(text.lines().count() == 3 && text.contains("&a=b") && !text.contains("hunter2"), "{text}");
    }
}
