//! Logs for developers, on standard error; of the service for everybody who runs it.

use std::fmt;
use std::io::{self, IsTerminal as _, Write};

use agentless_service::scrub::scrub;
use agentless_service::settings::LogLevel;
use clap::{ArgAction, Args, ValueEnum};
use tracing::{Level, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{EnvFilter, Registry, reload};

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
    pub(super) fn start(self) -> Started {
        // An empty variable is as good as none.
        let chosen = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|directives| !directives.is_empty());
        let chosen = chosen.and_then(|directives| EnvFilter::try_new(directives).ok());
        let is_fixed = chosen.is_some() || self.quiet || self.is_verbose();
        let level = match (self.quiet, self.verbose) {
            (true, _) => "off",
            (_, 0) => "warn",
            (_, 1) => "info",
            (_, _) => "debug",
        };
        let filter = chosen.unwrap_or_else(|| own(level));
        let (subscriber, filter) =
            subscriber(filter, self.format, io::stderr().is_terminal(), || Lines(io::stderr()));
        // A second start, in tests, changes nothing.
        let _ = tracing::subscriber::set_global_default(subscriber);
        Started { filter, is_fixed }
    }
}

/// The log as it was started. The service changes what is in it.
#[derive(Clone)]
pub(super) struct Started {
    filter: reload::Handle<EnvFilter, Registry>,
    /// Whether the command line or the environment say what is logged.
    is_fixed: bool,
}

impl Started {
    /// Logs what is at least as important as this from now on: as the configuration says, and again when it changes. The command
    /// line and the environment have the last word.
    pub(super) fn set_level(&self, level: Level) {
        if !self.is_fixed {
            // Without a subscriber there is no log.
            let _ = self.filter.reload(own(&level.as_str().to_ascii_lowercase()));
        }
    }
}

impl fmt::Debug for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Started").field("is_fixed", &self.is_fixed).finish_non_exhaustive()
    }
}

/// Only this program's own events: what the AWS SDK logs is not checked for secrets.
fn own(level: &str) -> EnvFilter {
    let own = OWN.map(|target| format!("{target}={level}")).join(",");
    EnvFilter::new(format!("off,{own}"))
}

/// What writes events, and what decides which. Each line says in which scan it was written.
fn subscriber(
    filter: EnvFilter,
    format: Format,
    is_terminal: bool,
    writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static,
) -> (Box<dyn Subscriber + Send + Sync>, reload::Handle<EnvFilter, Registry>) {
    let (filter, handle) = reload::Layer::new(filter);
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_ansi(is_terminal).with_writer(writer);
    let subscriber: Box<dyn Subscriber + Send + Sync> = match format {
        Format::Text => Box::new(registry.with(lines)),
        Format::Json => Box::new(registry.with(lines.json())),
    };
    (subscriber, handle)
}

/// What the configuration says, as a level of the log.
pub(super) const fn level(configured: LogLevel) -> Level {
    match configured {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    }
}

/// Where lines go: each is written at once, and no secret in it.
///
/// Whoever reads standard error may be gone. A log line that nobody can read is no reason to fail: the subscriber would
/// panic over it, and snapshots would stay.
struct Lines<W>(W);

impl<W: Write> Write for Lines<W> {
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

    use agentless_service::span;
    use uuid::Uuid;

    use super::*;

    /// Lines in memory.
    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(line)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written of what happens.
    fn logged(format: Format, is_fixed: bool, happen: impl FnOnce(&Started)) -> String {
        let memory = Memory::default();
        let lines = memory.clone();
        let (subscriber, filter) = subscriber(own("warn"), format, false, move || Lines(lines.clone()));
        tracing::subscriber::with_default(subscriber, || happen(&Started { filter, is_fixed }));
        String::from_utf8(memory.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn the_level_changes_while_the_service_runs() {
        let story = |log: &Started| {
            tracing::info!("one");
            log.set_level(Level::INFO);
            tracing::info!("two");
            tracing::info!(target: "aws_smithy_runtime", "of others");
            log.set_level(Level::ERROR);
            tracing::warn!("three");
        };
        let text = logged(Format::Text, false, story);
        assert!(text.contains("two") && text.lines().count() == 1, "{text}");
        let text = logged(Format::Text, true, story);
        assert!(text.contains("three") && text.lines().count() == 1, "{text}");
    }

    #[test]
    fn lines_are_json_and_say_of_which_scan() {
        let scan = Uuid::new_v4();
        let text = logged(Format::Json, false, |_| {
            span::scan(scan, "i-0123").in_scope(|| tracing::warn!(volume = "vol-0", "slow"));
        });
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["fields"]["message"], "slow");
        assert_eq!(line["span"]["scan"], scan.to_string());
        assert_eq!(line["span"]["target"], "i-0123");
    }

    #[test]
    fn no_form_of_the_logs_shows_a_secret() {
        for (format, is_terminal) in [(Format::Text, false), (Format::Text, true), (Format::Json, false)] {
            let written = Memory::default();
            let lines = written.clone();
            let (subscriber, _) = subscriber(own("info"), format, is_terminal, move || Lines(lines.clone()));
            tracing::subscriber::with_default(subscriber, || {
                let error = Some("https://user:hunter2@example.com/?X-Amz-Signature=hunter2&a=b");
                tracing::info!(password = "hunter2", session_token = ?Some("hunter2"), ?error, "{}", r#"{"secret": "hunter2"}"#);
            });
            let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
            assert!(
                text.lines().count() == 1 && text.contains("&a=b") && !text.contains("hunter2"),
                "{text}"
            );
        }
    }
}
