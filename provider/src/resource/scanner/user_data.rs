//! The user data of scanner instances: cloud-config that writes the scanner's configuration, and runs nothing.

use std::collections::BTreeMap;
use std::fmt::Write;

use scanner_policy::Region;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::settings::ScannerSettings;
use crate::sdk::{Convert, Path, Raw};

/// Where the scanner looks for its configuration.
const CONFIG_PATH: &str = "/etc/agentless-scanner/config.json";

/// What EC2 accepts as user data, in bytes before Base64 ("Instance user data").
pub(super) const LIMIT: usize = 16 * 1024;

/// The scanner's configuration file: one JSON object.
///
/// `scanner_id` tells the scanners of one account apart and is on the tags of everything it makes; `region` is the one
/// that it scans. The other keys are the argument `settings`, under the same names and with the same values; what is
/// null there is absent here. All of them:
///
/// ```json
/// {
///   "scanner_id": "scanner", "region": "eu-central-1",
///   "log_level": "info", "scan_interval_hours": 12, "features": ["hosts"], "sandbox": "required",
///   "include_tags": {"env": "prod"}, "exclude_tags": {"scan": "*"},
///   "accounts": [{"delegate_role_arn": "arn:aws:iam::111122223333:role/delegate", "external_id": "id"}],
///   "sinks": {
///     "s3": {"bucket": "reports", "prefix": "sbom/", "kms_key_arn": "arn:aws:kms:…"},
///     "datadog": {"site": "datadoghq.com", "api_key": "ENC[arn:aws:secretsmanager:…]"},
///     "https": {"url": "https://example.com/reports", "authorization": "ENC[arn:aws:secretsmanager:…]"}
///   },
///   "rate_limits": {"read": 10, "mutating": 2, "block_get": 500, "block_list": 20, "function_get": 5, "lambda": 5,
///                   "registry": 5}
/// }
/// ```
///
/// A tag's value `*` stands for any value. Rate limits are requests a second.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ScannerConfig {
    /// Tells the scanners of one account apart.
    pub(super) scanner_id: String,
    /// The region whose resources it scans.
    pub(super) region: String,
    /// All else.
    pub(super) settings: ScannerSettings,
}

#[derive(Deserialize, Serialize)]
struct CloudConfig {
    write_files: Vec<File>,
}

#[derive(Deserialize, Serialize)]
struct File {
    path: String,
    owner: String,
    permissions: String,
    content: String,
}

impl ScannerConfig {
    pub(super) fn new(name: &str, region: &Region, settings: ScannerSettings) -> Self {
        Self { scanner_id: name.to_owned(), region: region.to_string(), settings }
    }

    /// The keys of the file with their values.
    fn content(&self) -> Map<String, Json> {
        let mut content = match to_json(&self.settings.to_raw()) {
            Json::Object(settings) => settings,
            _ => Map::new(),
        };
        content.insert("scanner_id".to_owned(), self.scanner_id.as_str().into());
        content.insert("region".to_owned(), self.region.as_str().into());
        content
    }

    /// The cloud-config document. It is JSON, which is also YAML: no value can end its string and become something
    /// else, and no shell sees any of it.
    pub(super) fn to_user_data(&self) -> String {
        let file = File {
            path: CONFIG_PATH.to_owned(),
            owner: "root:root".to_owned(),
            permissions: "0644".to_owned(),
            content: Json::Object(self.content()).to_string(),
        };
        let document = serde_json::json!(CloudConfig { write_files: vec![file] }).to_string();
        format!("#cloud-config\n{}\n", ascii(&document))
    }

    /// How many bytes of the document each key takes, the largest first.
    pub(super) fn sizes(&self) -> Vec<(String, usize)> {
        let written = |value: &Json| ascii(&Json::String(value.to_string()).to_string()).len();
        let mut sizes: Vec<_> =
            self.content().into_iter().map(|(key, value)| (key, written(&value))).collect();
        sizes.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
        sizes
    }

    /// The configuration that a document of [`to_user_data`](Self::to_user_data) writes; `None` for any other.
    pub(super) fn from_user_data(document: &str) -> Option<Self> {
        let document: CloudConfig = serde_json::from_str(document.strip_prefix("#cloud-config\n")?).ok()?;
        let file = document.write_files.into_iter().find(|file| file.path == CONFIG_PATH)?;
        let content: Json = serde_json::from_str(&file.content).ok()?;
        let text = |key| Some(content.get(key)?.as_str()?.to_owned());
        Some(Self {
            scanner_id: text("scanner_id")?,
            region: text("region")?,
            settings: ScannerSettings::from_raw(&from_json(&content), &Path::root()).ok()?,
        })
    }
}

/// A value of a configuration as JSON. What is null or unknown in an object is left out.
fn to_json(raw: &Raw) -> Json {
    match raw {
        Raw::Null | Raw::Unknown => Json::Null,
        Raw::Bool(value) => (*value).into(),
        Raw::Number(number) => number.as_i64().map_or(Json::Null, Json::from),
        Raw::String(text) => text.as_str().into(),
        Raw::List(elements) => elements.iter().map(to_json).collect(),
        Raw::Map(elements) => {
            let elements = elements.iter().map(|(key, value)| (key.clone(), to_json(value)));
            Json::Object(elements.filter(|(_, value)| !value.is_null()).collect())
        }
        Raw::Dynamic(inner) => to_json(&inner.1),
    }
}

/// The reverse of [`to_json`].
fn from_json(json: &Json) -> Raw {
    match json {
        Json::Null => Raw::Null,
        Json::Bool(value) => (*value).into(),
        Json::Number(number) => number.as_i64().map_or(Raw::Null, Raw::from),
        Json::String(text) => text.as_str().into(),
        Json::Array(elements) => Raw::List(elements.iter().map(from_json).collect()),
        Json::Object(elements) => Raw::Map(
            elements.iter().map(|(key, value)| (key.clone(), from_json(value))).collect::<BTreeMap<_, _>>(),
        ),
    }
}

/// JSON with everything but printable ASCII escaped. YAML does not allow some characters that JSON leaves as they are
/// (YAML 1.2.2, section 5.1); outside of strings JSON has none of these.
fn ascii(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if matches!(character, ' '..='~') {
            escaped.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                _ = write!(escaped, "\\u{unit:04x}");
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::settings::{Account, DatadogSink, HttpsSink, RateLimits, S3Sink, Sinks};
    use super::*;
    use crate::sdk::Value;

    fn config(name: &str) -> ScannerConfig {
        let settings = ScannerSettings {
            log_level: "info".into(),
            scan_interval_hours: 12.into(),
            include_tags: Value::Known([(name.to_owned(), name.to_owned())].into()),
            ..ScannerSettings::default()
        };
        ScannerConfig::new(name, &"eu-central-1".parse().unwrap(), settings)
    }

    #[test]
    fn the_document_is_cloud_config_with_one_file() {
        assert_eq!(
            config("scanner").to_user_data(),
            "#cloud-config\n\
             {\"write_files\":[{\"content\":\"{\\\"include_tags\\\":{\\\"scanner\\\":\\\"scanner\\\"},\
             \\\"log_level\\\":\\\"info\\\",\\\"region\\\":\\\"eu-central-1\\\",\\\"scan_interval_hours\\\":12,\
             \\\"scanner_id\\\":\\\"scanner\\\"}\",\"owner\":\"root:root\",\
             \"path\":\"/etc/agentless-scanner/config.json\",\"permissions\":\"0644\"}]}\n"
        );
    }

    #[test]
    fn every_setting_is_in_the_file_and_comes_back() {
        let settings = ScannerSettings {
            log_level: "info".into(),
            scan_interval_hours: 12.into(),
            features: Value::Known(["hosts".to_owned(), "images".to_owned()].into()),
            include_tags: Value::Known([("env".to_owned(), "prod".to_owned())].into()),
            // Empty is not the same as absent.
            exclude_tags: Value::Known(BTreeMap::new()),
            accounts: vec![
                Account {
                    delegate_role_arn: "arn:aws:iam::111122223333:role/delegate".into(),
                    external_id: "id".into(),
                },
                Account {
                    delegate_role_arn: "arn:aws:iam::444455556666:role/delegate".into(),
                    external_id: Value::Null,
                },
            ]
            .into(),
            sinks: Sinks {
                s3: S3Sink { bucket: "reports".into(), prefix: "sbom/".into(), kms_key_arn: Value::Null }
                    .into(),
                datadog: DatadogSink { site: "datadoghq.eu".into(), api_key: "ENC[arn]".into() }.into(),
                https: HttpsSink { url: "https://example.com".into(), authorization: Value::Null }.into(),
            }
            .into(),
            rate_limits: RateLimits { block_get: 500.into(), ..RateLimits::default() }.into(),
            sandbox: "required".into(),
        };
        let config = ScannerConfig::new("scanner", &"eu-central-1".parse().unwrap(), settings);
        assert_eq!(ScannerConfig::from_user_data(&config.to_user_data()), Some(config.clone()));
        assert_eq!(
            Json::Object(config.content()),
            serde_json::json!({
                "scanner_id": "scanner", "region": "eu-central-1", "log_level": "info", "scan_interval_hours": 12,
                "features": ["hosts", "images"], "sandbox": "required",
                "include_tags": {"env": "prod"}, "exclude_tags": {},
                "accounts": [
                    {"delegate_role_arn": "arn:aws:iam::111122223333:role/delegate", "external_id": "id"},
                    {"delegate_role_arn": "arn:aws:iam::444455556666:role/delegate"},
                ],
                "sinks": {
                    "s3": {"bucket": "reports", "prefix": "sbom/"},
                    "datadog": {"site": "datadoghq.eu", "api_key": "ENC[arn]"},
                    "https": {"url": "https://example.com"},
                },
                "rate_limits": {"block_get": 500},
            })
        );
    }

    #[test]
    fn what_takes_the_space_comes_first() {
        let config = config(&"x".repeat(1000));
        let sizes = config.sizes();
        assert_eq!((sizes[0].0.as_str(), sizes[1].0.as_str()), ("include_tags", "scanner_id"));
        assert!((2000..2050).contains(&sizes[0].1), "{sizes:?}");
    }

    #[test]
    fn other_user_data_is_not_taken_for_ours() {
        for other in ["", "#!/bin/sh\nreboot\n", "#cloud-config\nruncmd: [reboot]\n", "#cloud-config\n{}\n"] {
            assert_eq!(ScannerConfig::from_user_data(other), None, "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn any_value_stays_within_its_string(name in any::<String>()) {
            let document = config(&name).to_user_data();
            let (first, rest) = document.split_once('\n').unwrap();
            prop_assert_eq!(first, "#cloud-config");
            prop_assert!(rest.trim_end_matches('\n').bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert_eq!(ScannerConfig::from_user_data(&document), Some(config(&name)));
        }
    }
}
