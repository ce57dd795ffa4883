//! The configuration: one file, in JSON, the same for the command line and for an instance.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use agentless_core::limits::{LimitError, Limits};
use agentless_sandbox::parent::Mode;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

/// What a configuration says. Everything is optional.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// What to do where the system cannot confine the scanner or the analyser.
    pub sandbox: Option<Mode>,
    /// What a target may cost.
    pub limits: Limits,
}

/// Why a configuration cannot be used. All are mistakes of whoever wrote it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("could not read the configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is not JSON, or has a key that does not exist, or one whose value is of another kind.
    #[error("the configuration {} is not understood", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is not understood, and where.
        source: serde_json::Error,
    },
    /// A limit is no number.
    #[error(
        "the configuration {} sets the limit `{name}` to {value}; a limit is a whole number, without quotes",
        path.display()
    )]
    NoNumber {
        /// The file.
        path: PathBuf,
        /// The limit.
        name: String,
        /// What stands there.
        value: Value,
    },
    /// A limit does not exist, or cannot have this value.
    #[error("the configuration {} has limits that cannot be used", path.display())]
    Limit {
        /// The file.
        path: PathBuf,
        /// Which, and why.
        source: LimitError,
    },
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    sandbox: Option<Mode>,
    #[serde(default)]
    limits: Map<String, Value>,
    // What the Terraform provider writes for the service on an instance. A scan by hand takes it from its arguments.
    #[serde(rename = "scanner_id")]
    _scanner_id: Option<IgnoredAny>,
    #[serde(rename = "region")]
    _region: Option<IgnoredAny>,
    #[serde(rename = "log_level")]
    _log_level: Option<IgnoredAny>,
    #[serde(rename = "scan_interval_hours")]
    _scan_interval_hours: Option<IgnoredAny>,
    #[serde(rename = "features")]
    _features: Option<IgnoredAny>,
    #[serde(rename = "include_tags")]
    _include_tags: Option<IgnoredAny>,
    #[serde(rename = "exclude_tags")]
    _exclude_tags: Option<IgnoredAny>,
    #[serde(rename = "accounts")]
    _accounts: Option<IgnoredAny>,
    #[serde(rename = "sinks")]
    _sinks: Option<IgnoredAny>,
    #[serde(rename = "rate_limits")]
    _rate_limits: Option<IgnoredAny>,
}

impl Config {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let content = fs::read(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&content, path)
    }

    fn parse(content: &[u8], path: &Path) -> Result<Self, ConfigError> {
        let content: Content = serde_json::from_slice(content)
            .map_err(|source| ConfigError::Content { path: path.to_owned(), source })?;
        let mut limits = Limits::default();
        for (name, value) in content.limits {
            let Some(number) = value.as_u64() else {
                return Err(ConfigError::NoNumber { path: path.to_owned(), name, value });
            };
            limits
                .set(&name, number)
                .map_err(|source| ConfigError::Limit { path: path.to_owned(), source })?;
        }
        Ok(Self { sandbox: content.sandbox, limits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(content: &str) -> Result<Config, String> {
        Config::parse(content.as_bytes(), Path::new("config.json")).map_err(|error| crate::chain(&error))
    }

    #[test]
    fn everything_is_optional() {
        assert_eq!(parse("{}").unwrap(), Config::default());
        let config = parse(r#"{"sandbox": "required", "limits": {"steps": 5, "symlinks": 0}}"#).unwrap();
        assert_eq!(config.sandbox, Some(Mode::Required));
        assert_eq!(config.limits, Limits { steps: 5, symlinks: 0, ..Limits::default() });
    }

    #[test]
    fn the_configuration_of_an_instance_is_one() {
        // As `ScannerConfig` of the provider writes it.
        let content = r#"{"features":["hosts"],"log_level":"info","region":"eu-central-1","sandbox":"required",
            "scan_interval_hours":12,"scanner_id":"scanner","include_tags":{"env":"prod"},"exclude_tags":{},
            "accounts":[{"delegate_role_arn":"arn:aws:iam::111122223333:role/delegate","external_id":"id"}],
            "sinks":{"s3":{"bucket":"reports"}},"rate_limits":{"read":10}}"#;
        assert_eq!(parse(content).unwrap().sandbox, Some(Mode::Required));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_file() {
        for (content, expected) in [
            (
                "",
                "the configuration config.json is not understood: EOF while parsing a value at line 1 column 0",
            ),
            (r#"{"sanbox": "required"}"#, "unknown field `sanbox`, expected one of `sandbox`, `limits`"),
            (r#"{"sandbox": "off"}"#, "unknown variant `off`, expected `required` or `best-effort`"),
            (r#"{"limits": 5}"#, "invalid type: integer `5`, expected a map at line 1"),
            (
                r#"{"limits": {"stps": 5}}"#,
                "the configuration config.json has limits that cannot be used: there is no limit named `stps`",
            ),
            (r#"{"limits": {"steps": 0}}"#, "the limit `steps` must be at least 1"),
            (
                r#"{"limits": {"steps": "5"}}"#,
                "the configuration config.json sets the limit `steps` to \"5\"; a limit is a whole number",
            ),
            (r#"{"limits": {"steps": -1}}"#, "sets the limit `steps` to -1;"),
        ] {
            let error = parse(content).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
