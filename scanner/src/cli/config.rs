//! `agentless-scanner config`: whether the configuration is right, and what is in effect.

use std::error::Error;
use std::path::PathBuf;

use agentless_service::settings::{Mistakes, Settings};
use clap::{Args, Subcommand};

use super::{Exit, unless_closed, write_stdout};

/// Check the configuration, or print what is in effect.
///
/// Exit status: 0 the configuration is right; 2 it is not, and every mistake is told with its place.
#[derive(Debug, Args)]
pub(super) struct Config {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Tell every mistake, or what the scanner would do.
    Check(Given),
    /// Print every key with its value in YAML, and where the value comes from. Secrets are not shown.
    Print(Given),
}

/// Where a configuration comes from.
#[derive(Debug, Args)]
pub(super) struct Given {
    /// Configuration in YAML. Without it, the file that AGENTLESS_SCANNER_CONFIG names, or else
    /// /etc/agentless-scanner/config.yaml if it exists.
    #[arg(long, value_name = "FILE")]
    #[expect(clippy::doc_markdown, reason = "the text is the option's help, where backticks would show")]
    config: Option<PathBuf>,
    /// A key of the configuration with its value, such as queue.workers=8. It goes before the environment, in which the same
    /// is AGENTLESS_SCANNER_QUEUE_WORKERS, and that before the file. Can be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    #[expect(clippy::doc_markdown, reason = "the text is the option's help, where backticks would show")]
    sets: Vec<String>,
}

impl Given {
    /// Reads the configuration.
    pub(super) fn load(&self) -> Result<Settings, Mistakes> {
        Settings::load_here(self.config.as_deref(), &self.sets)
    }

    /// What of it is understood, whatever is wrong with the rest.
    pub(super) fn understood(&self) -> Settings {
        Settings::understood_here(self.config.as_deref(), &self.sets)
    }
}

impl Config {
    pub(super) fn run(self) -> Result<Exit, Box<dyn Error>> {
        let text = match self.verb {
            Verb::Check(given) => format!("ok: {}\n", summary(&given.load()?)),
            Verb::Print(given) => given.load()?.print().to_owned(),
        };
        unless_closed(write_stdout(|out| out.write_all(text.as_bytes())))?;
        Ok(Exit::Complete)
    }
}

/// What the scanner would do, in one line.
fn summary(settings: &Settings) -> String {
    let features: Vec<_> = settings.features.iter().map(|feature| feature.name()).collect();
    let accounts = settings.accounts.len().saturating_add(usize::from(settings.scan_own_account));
    let accounts = if accounts == 1 { "1 account".to_owned() } else { format!("{accounts} accounts") };
    let regions =
        if settings.regions.is_empty() { "its own region".to_owned() } else { settings.regions.join(", ") };
    let sinks = &settings.sinks;
    let sinks: Vec<_> = [
        ("files", sinks.files.is_some()),
        ("s3", sinks.s3.is_some()),
        ("datadog", sinks.datadog.is_some()),
        ("https", sinks.https.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, is_there)| is_there.then_some(name))
    .collect();
    let sinks = if sinks.is_empty() {
        "no sink, which the service needs".to_owned()
    } else {
        format!("to {}", sinks.join(", "))
    };
    format!("{} scans {} of {accounts} in {regions}; {sinks}", settings.scanner_id, features.join(", "))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_summary_says_what_is_scanned_and_where_it_goes() {
        assert_eq!(
            summary(&Settings::default()),
            "agentless-scanner scans hosts of 1 account in its own region; no sink, which the service needs"
        );
        let text = "scanner_id: a\nregion: eu-west-1\nfeatures: [functions, hosts]\nsinks: {files: {directory: /a}, s3: {bucket: abc}}
accounts: [{delegate_role_arn: 'arn:aws:iam::111122223333:role/r'}]";
        let settings = Settings::parse(Path::new("config.yaml"), text).unwrap();
        assert_eq!(summary(&settings), "a scans hosts, functions of 2 accounts in eu-west-1; to files, s3");
    }
}
