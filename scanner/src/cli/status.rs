//! `agentless-scanner status`: how the service on this machine is.

use std::error::Error;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::time::Duration;

use agentless_core::text::{JsonText, printable};
use agentless_service::board::text::{Look, render};
use agentless_service::status::client::{Client, ClientError};
use clap::{Args, Subcommand};

use super::{Exit, say, unless_closed, write_stdout};
use crate::chain;

/// Show how the service on this machine is: what it scans, what is next, what came of it, where lists go, what is wrong.
///
/// Asks the service over its status interface, on loopback; needs the right to read its token, which root and the service's
/// user have.
///
/// Exit status: 0 the service is healthy, or the order was accepted; 3 it answers, and is not healthy; 1 there is no answer,
/// or the order was refused; 2 the command line is not understood.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct Status {
    #[command(subcommand)]
    order: Option<Order>,
    /// Show it again and again, until Ctrl-C.
    #[arg(long)]
    watch: bool,
    /// Print JSON, as the service gives it; with --watch a line each time.
    #[arg(long)]
    json: bool,
    /// How many rows to show of each table.
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    rows: usize,
    /// The folder in which the service wrote its address, certificate and token.
    #[arg(long, value_name = "FOLDER", default_value = "/run/agentless-scanner", global = true)]
    runtime_directory: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  agentless-scanner status
  agentless-scanner status --watch
  agentless-scanner status scan i-0123456789abcdef0
  agentless-scanner status cancel i-0123456789abcdef0";

#[derive(Debug, Subcommand)]
enum Order {
    /// Scan a target now, before what is due by the schedule.
    Scan {
        /// Its ARN, or its id.
        target: String,
    },
    /// Cancel the scan of a target. Its snapshots are deleted.
    Cancel {
        /// Its ARN or its id, or the id of the scan.
        target: String,
    },
}

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(2);

impl Status {
    pub(super) fn run(self) -> Result<Exit, Box<dyn Error>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let client = Client::new(&self.runtime_directory);
            match &self.order {
                Some(Order::Scan { target }) => accepted(&client.scan(target).await?),
                Some(Order::Cancel { target }) => accepted(&client.cancel(target).await?),
                None if self.watch => self.watch(&client).await,
                None => {
                    let (text, is_healthy) = self.look(&client).await?;
                    unless_closed(write_stdout(|out| out.write_all(text.as_bytes())))?;
                    Ok(if is_healthy { Exit::Complete } else { Exit::Incomplete })
                }
            }
        })
    }

    /// The board as it is to be printed, and whether the service is healthy.
    async fn look(&self, client: &Client) -> Result<(String, bool), Box<dyn Error>> {
        let (json, view) = client.status().await?;
        let text = if self.json {
            let mut text = JsonText(Vec::new());
            if self.watch {
                serde_json::to_writer(&mut text, &json)?;
            } else {
                serde_json::to_writer_pretty(&mut text, &json)?;
            }
            let JsonText(mut text) = text;
            text.push(b'\n');
            String::from_utf8(text)?
        } else {
            let terminal = Terminal::of_stdout();
            render(&view, Look { width: terminal.width, colours: terminal.has_colours, rows: self.rows })
        };
        Ok((text, view.health.healthy))
    }

    /// Shows the board until nobody looks any more. A service that does not answer may be one that is starting again.
    async fn watch(&self, client: &Client) -> Result<Exit, Box<dyn Error>> {
        let mut ticks = tokio::time::interval(INTERVAL);
        loop {
            ticks.tick().await;
            let terminal = Terminal::of_stdout();
            let text = match self.look(client).await {
                Ok((text, _)) => text,
                // Waiting does not help.
                Err(error) if is_final(&*error) => return Err(error),
                Err(error) => {
                    let text = format!("error: {}\n", printable(&chain(&*error)));
                    if !terminal.is_one {
                        say(text.trim_end());
                        continue;
                    }
                    text
                }
            };
            let text = if terminal.is_one && !self.json { screen(&text, terminal.height) } else { text };
            match write_stdout(|out| out.write_all(text.as_bytes())) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Exit::Complete),
                result => result?,
            }
        }
    }
}

fn accepted(accepted: &agentless_service::status::Accepted) -> Result<Exit, Box<dyn Error>> {
    let line = format!("{}: {}", printable(&accepted.target), printable(&accepted.state));
    unless_closed(write_stdout(|out| writeln!(out, "{line}")))?;
    Ok(Exit::Complete)
}

/// Whether it will be the same the next time.
fn is_final(error: &(dyn Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(ClientError::Permission { .. } | ClientError::Version { .. }))
}

/// A screen over the one before it: from the top, each line to its end, and nothing after. No more lines than there is room for,
/// as the top would be gone otherwise.
fn screen(text: &str, height: usize) -> String {
    let lines = text.lines().take(height.saturating_sub(1).max(1));
    let lines = lines.flat_map(|line| [line, "\u{1b}[K\n"]);
    ["\u{1b}[H"].into_iter().chain(lines).chain(["\u{1b}[J"]).collect()
}

/// What standard output is.
struct Terminal {
    is_one: bool,
    has_colours: bool,
    width: Option<usize>,
    height: usize,
}

impl Terminal {
    fn of_stdout() -> Self {
        let stdout = io::stdout();
        if !stdout.is_terminal() {
            return Self { is_one: false, has_colours: false, width: None, height: usize::MAX };
        }
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|name| name == "dumb");
        let size = terminal_size::terminal_size_of(&stdout);
        let (width, height) = size.map_or((80, 24), |(width, height)| (width.0, height.0));
        Self {
            is_one: !is_dumb,
            has_colours: !is_dumb && !is_set("NO_COLOR"),
            width: Some(width.into()),
            height: height.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::{Cli, Verb};
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Status, clap::Error> {
        let arguments = ["agentless-scanner", "status"].iter().chain(arguments);
        match Cli::try_parse_from(arguments)?.verb {
            Verb::Status(status) => Ok(status),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn orders_have_one_target() {
        assert!(parse(&[]).unwrap().order.is_none());
        let status = parse(&["scan", "i-0", "--runtime-directory", "/tmp/x"]).unwrap();
        assert!(matches!(status.order, Some(Order::Scan { target }) if target == "i-0"));
        assert_eq!(status.runtime_directory, PathBuf::from("/tmp/x"));
        for wrong in [&["scan"][..], &["scan", "i-0", "i-1"], &["stop", "i-0"], &["--watch", "scan", "i-0"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn without_a_service_it_is_said_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_str().unwrap();
        let error = parse(&["--runtime-directory", path]).unwrap().run().unwrap_err();
        assert!(error.to_string().contains("no service is running"), "{error}");
        assert!(!is_final(&*error), "it may come");
    }

    #[test]
    fn a_screen_has_the_height_of_the_terminal() {
        assert_eq!(screen("one\ntwo\nthree\n", 3), "\u{1b}[Hone\u{1b}[K\ntwo\u{1b}[K\n\u{1b}[J");
    }
}
