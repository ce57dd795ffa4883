//! The configuration: one YAML file, the environment, the command line, and the defaults.
//!
//! Every key is in one list, [`keys::all`], which says what its value is. What is given for a key on the command line
//! (`--set sinks.s3.bucket=reports`) goes before the environment (`AGENTLESS_SCANNER_SINKS_S3_BUCKET`), which goes before the
//! file, which goes before the default. A reader tells all mistakes that it finds, each with its place: whoever mends one
//! should not have to start the scanner to learn of the next.

mod agree;
mod form;
mod given;
pub mod keys;
mod mistake;
mod node;
mod print;
#[cfg(test)]
mod tests;
mod typed;
mod values;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::form::{Form, SITES};
pub use self::keys::{Key, Kind};
pub use self::mistake::{Mistake, Mistakes, Origin};
pub use self::typed::{
    Account, DatadogSink, Feature, FilesSink, Hosts, HttpsSink, Images, Lifecycle, LogLevel, Queue,
    RateLimits, S3Sink, SandboxMode, SecretBackend, Settings, Sinks, Spool, Status, Tasks, VendorAgent,
    Volumes,
};

use self::given::{FILE_VARIABLE, Given};
use self::values::Values;

/// The file that is read where no other is named, if it exists.
pub const DEFAULT_FILE: &str = "/etc/agentless-scanner/config.yaml";

/// Bytes of a configuration. Against a file that is something else altogether.
const MOST_BYTES: usize = 1 << 20;

impl Settings {
    /// Reads the configuration: from the file at `path`, or else the one that the variable `AGENTLESS_SCANNER_CONFIG` names, or
    /// else [`DEFAULT_FILE`] if it exists; then from the environment, then from arguments `key.path=value`.
    pub fn load(
        path: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
        sets: &[String],
    ) -> Result<Self, Mistakes> {
        unless_mistaken(Self::understood(path, env, sets))
    }

    /// As [`load`](Self::load), with the environment of this process.
    pub fn load_here(path: Option<&Path>, sets: &[String]) -> Result<Self, Mistakes> {
        Self::load(path, variables(), sets)
    }

    /// What of the configuration is understood, with the environment of this process, whatever else is wrong with it. Nothing is
    /// scanned with it; it says whom to tell that the scanner cannot start.
    pub fn understood_here(path: Option<&Path>, sets: &[String]) -> Self {
        Self::understood(path, variables(), sets).0
    }

    fn understood(
        path: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
        sets: &[String],
    ) -> (Self, Mistakes) {
        let env: Vec<_> = env.collect();
        let named = env.iter().find(|(name, value)| name == FILE_VARIABLE && !value.is_empty());
        let path = match (path, named) {
            (Some(path), _) => Some(path.to_owned()),
            (None, Some((_, path))) => Some(PathBuf::from(path)),
            (None, None) => Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()),
        };
        let Some(path) = path else { return Self::read(None, env.into_iter(), sets) };
        match content(&path) {
            Ok(text) => Self::read(Some((&path, &text)), env.into_iter(), sets),
            Err(error) => {
                let mut mistakes = Mistakes::default();
                mistakes.add(&Origin::Default, "", || {
                    format!(
                        "could not read the configuration {}: {error}",
                        mistake::shown(&path.to_string_lossy())
                    )
                });
                (Self::default(), mistakes)
            }
        }
    }

    /// Reads a configuration from its text.
    pub fn parse(file: &Path, text: &str) -> Result<Self, Mistakes> {
        unless_mistaken(Self::read(Some((file, text)), std::iter::empty(), &[]))
    }

    fn read(
        file: Option<(&Path, &str)>,
        env: impl Iterator<Item = (String, String)>,
        sets: &[String],
    ) -> (Self, Mistakes) {
        let (mut given, mut mistakes) = (Given::default(), Mistakes::default());
        if let Some((file, text)) = file {
            let file: Arc<Path> = Arc::from(file);
            let at = |line, column| Origin::File { file: Arc::clone(&file), line, column };
            given.take_file(text, &at, &mut mistakes);
        }
        given.take_variables(env, &mut mistakes);
        for argument in sets {
            given.take_flag(argument, &mut mistakes);
        }
        given.check(&mut mistakes);
        given.derive();
        let settings = Self::from_values(&Values(&given), print::effective(&given));
        agree::check(&settings, &Values(&given), &mut mistakes);
        (settings, mistakes)
    }

    /// The complete configuration that is in effect, in YAML, with where each value comes from; without secrets.
    pub fn print(&self) -> &str {
        self.effective.text()
    }

    /// What the service has no use without: somewhere for what it finds.
    pub fn require_sinks(&self) -> Result<(), Mistakes> {
        let Sinks { files, s3, datadog, https } = &self.sinks;
        if files.is_some() || s3.is_some() || datadog.is_some() || https.is_some() {
            return Ok(());
        }
        let mut mistakes = Mistakes::default();
        mistakes.add(&Origin::Default, "sinks", || {
            "there is none: what is found would go nowhere; configure sinks.files, sinks.s3, sinks.datadog or sinks.https"
        });
        Err(mistakes)
    }
}

fn unless_mistaken((settings, mistakes): (Settings, Mistakes)) -> Result<Settings, Mistakes> {
    if mistakes.is_empty() { Ok(settings) } else { Err(mistakes) }
}

/// The environment of this process.
fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().map(|(name, value)| (name.to_string_lossy().into(), value.to_string_lossy().into()))
}

/// The defaults.
impl Default for Settings {
    fn default() -> Self {
        let given = Given::default();
        Self::from_values(&Values(&given), print::effective(&given))
    }
}

/// Reads a file, unless it is too large to be a configuration.
fn content(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    let most = u64::try_from(MOST_BYTES).unwrap_or(u64::MAX);
    #[expect(clippy::disallowed_methods, reason = "the bound stands here")]
    File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() > MOST_BYTES {
        return Err(io::Error::other(format!(
            "it has more than {MOST_BYTES} bytes, which no configuration has"
        )));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..at).unwrap_or_default();
        let line = before.split(|&byte| byte == b'\n').count();
        io::Error::other(format!("line {line} has bytes that are not UTF-8"))
    })
}
