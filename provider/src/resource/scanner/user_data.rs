//! The user data of scanner instances: cloud-config that writes the scanner's configuration, and runs nothing.

use std::collections::BTreeMap;
use std::fmt::Write;

use scanner_policy::Region;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::settings::ScannerSettings;
use crate::sdk::{Convert, Path, Raw};

/// Where the scanner looks for its configuration.
const CONFIG_PATH: &str = "/etc/agentless-scanner/config.yaml";

/// What EC2 accepts as user data, in bytes before Base64 ("Instance user data").
pub(super) const LIMIT: usize = 16 * 1024;

/// The scanner's configuration file: one JSON object, which is YAML as well.
///
/// `scanner_id` tells the scanners of one account apart and is on the tags of everything it makes; `region` is the one
/// that it is in; `lifecycle` names its Auto Scaling group, and those of the group's hooks that it is to complete. The
/// other keys are the argument `settings`, under the same names and with the same values; what is null there is absent
/// here. All of them:
///
/// ```json
/// {
///   "scanner_id": "scanner", "region": "eu-central-1",
///   "lifecycle": {
///     "group": "scanner", "launch_hook": "agentless-scanner-launch",
///     "termination_hook": "agentless-scanner-termination"
///   },
///   "regions": ["eu-central-1"], "scan_own_account": true,
///   "accounts": [{"delegate_role_arn": "arn:aws:iam::111122223333:role/delegate", "external_id": "id"}],
///   "features": ["hosts"], "hosts": {"volumes": "all", "stopped": true, "vendor_agent": "skip"},
///   "images": {"owned": true, "used": true},
///   "include_tags": {"env": "prod"}, "exclude_tags": {"scan": "*"},
///   "scan_interval_hours": 12, "discovery_minutes": 15, "snapshot_timeout_minutes": 60, "scan_timeout_minutes": 180,
///   "incremental": false,
///   "queue": {"workers": 4, "snapshots": 100, "length": 10000},
///   "rate_limits": {"read": 10, "mutating": 4, "block_get": 800, "block_list": 25, "function_get": 50, "lambda": 7,
///                   "registry": 500},
///   "tasks": {"url": "https://example.com/tasks.json", "public_key": "RW…", "poll_seconds": 60,
///             "directory": "/srv/tasks", "file": "/srv/tasks.json"},
///   "sinks": {
///     "files": {"directory": "/srv/reports"},
///     "s3": {"bucket": "reports", "prefix": "sbom/", "kms_key_arn": "arn:aws:kms:…", "region": "eu-central-1"},
///     "datadog": {"site": "datadoghq.com", "api_key": "ENC[arn:aws:secretsmanager:…]",
///                 "url": "https://intake.example.com", "env": "prod"},
///     "https": {"url": "https://example.com/reports", "authorization": "ENC[arn:aws:secretsmanager:…]"}
///   },
///   "spool": {"directory": "/var/lib/agentless-scanner/spool", "megabytes": 512},
///   "ca_file": "/etc/ssl/own.pem", "status": {"enabled": true, "port": 5009}, "log_level": "info",
///   "sandbox": "required", "limits": {"steps": 500000000}
/// }
/// ```
///
/// A tag's value `*` stands for any value. Rate limits are requests a second.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ScannerConfig {
    /// Tells the scanners of one account apart.
    pub(super) scanner_id: String,
    /// The region that it is in.
    pub(super) region: String,
    /// Its group.
    pub(super) lifecycle: Lifecycle,
    /// All else.
    pub(super) settings: ScannerSettings,
}

/// The Auto Scaling group of the instances, and the hooks of it that the scanner is to complete.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub(super) struct Lifecycle {
    /// The group's name.
    pub(super) group: String,
    /// The hook at which instances wait when they come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) launch_hook: Option<String>,
    /// The hook at which instances wait when they go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) termination_hook: Option<String>,
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
    pub(super) fn new(lifecycle: Lifecycle, region: &Region, settings: ScannerSettings) -> Self {
        Self { scanner_id: lifecycle.group.clone(), region: region.to_string(), lifecycle, settings }
    }

    /// The keys of the file with their values.
    fn content(&self) -> Map<String, Json> {
        let mut content = match to_json(&self.settings.to_raw()) {
            Json::Object(settings) => settings,
            _ => Map::new(),
        };
        content.insert("scanner_id".to_owned(), self.scanner_id.as_str().into());
        content.insert("region".to_owned(), self.region.as_str().into());
        content.insert("lifecycle".to_owned(), serde_json::json!(self.lifecycle));
        content
    }

    /// The cloud-config document. It is JSON, which is also YAML: no value can end its string and become something
    /// else, and no shell sees any of it.
    pub(super) fn to_user_data(&self) -> String {
        let file = File {
            path: CONFIG_PATH.to_owned(),
            owner: "root:root".to_owned(),
            permissions: "0644".to_owned(),
            content: escaped(&Json::Object(self.content()).to_string()),
        };
        let document = serde_json::json!(CloudConfig { write_files: vec![file] }).to_string();
        format!("#cloud-config\n{}\n", escaped(&document))
    }

    /// How many bytes of the document each key takes, the largest first.
    pub(super) fn sizes(&self) -> Vec<(String, usize)> {
        let written = |value: &Json| escaped(&Json::String(escaped(&value.to_string())).to_string()).len();
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
            lifecycle: serde_json::from_value(content.get("lifecycle")?.clone()).ok()?,
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

/// JSON that is YAML as well. Of the characters that JSON leaves as they are YAML forbids some, and takes others for ends of
/// lines (YAML 1.2.2, sections 5.1 and 5.4); so all but printable ASCII is escaped. Those beyond the basic plane stay: JSON
/// would escape each as two surrogates, which YAML takes for two characters, neither of them one. Outside of strings JSON
/// has none of these.
fn escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if matches!(character, ' '..='~' | '\u{10000}'..) {
            escaped.push(character);
        } else {
            // Writing to a string cannot fail.
            _ = write!(escaped, "\\u{:04x}", u32::from(character));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::settings::{
        Account, DatadogSink, FilesSink, Hosts, HttpsSink, Images, Queue, RateLimits, S3Sink, Sinks, Spool,
        Status, Tasks,
    };
    use super::*;
    use crate::sdk::Value;

    fn config(name: &str) -> ScannerConfig {
        let settings = ScannerSettings {
            log_level: "info".into(),
            scan_interval_hours: 12.into(),
            include_tags: Value::Known([(name.to_owned(), name.to_owned())].into()),
            ..ScannerSettings::default()
        };
        let lifecycle = Lifecycle { group: name.to_owned(), ..Lifecycle::default() };
        ScannerConfig::new(lifecycle, &"eu-central-1".parse().unwrap(), settings)
    }

    #[test]
    fn the_document_is_cloud_config_with_one_file() {
        assert_eq!(
            config("scanner").to_user_data(),
            "#cloud-config\n\
             {\"write_files\":[{\"content\":\"{\\\"include_tags\\\":{\\\"scanner\\\":\\\"scanner\\\"},\
             \\\"lifecycle\\\":{\\\"group\\\":\\\"scanner\\\"},\\\"log_level\\\":\\\"info\\\",\
             \\\"region\\\":\\\"eu-central-1\\\",\\\"scan_interval_hours\\\":12,\
             \\\"scanner_id\\\":\\\"scanner\\\"}\",\"owner\":\"root:root\",\
             \"path\":\"/etc/agentless-scanner/config.yaml\",\"permissions\":\"0644\"}]}\n"
        );
    }

    /// Every key has a value, so that one that is forgotten does not compile.
    fn complete() -> ScannerSettings {
        let tags = |key: &str, value: &str| Value::Known([(key.to_owned(), value.to_owned())].into());
        ScannerSettings {
            log_level: "info".into(),
            regions: Value::Known(["eu-central-1".to_owned(), "eu-west-1".to_owned()].into()),
            scan_own_account: false.into(),
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
            features: Value::Known(["hosts".to_owned(), "images".to_owned()].into()),
            hosts: Hosts { volumes: "root".into(), stopped: false.into(), vendor_agent: "scan".into() }
                .into(),
            images: Images { owned: true.into(), used: false.into() }.into(),
            include_tags: tags("env", "prod"),
            // Empty is not the same as absent.
            exclude_tags: Value::Known(BTreeMap::new()),
            scan_interval_hours: 12.into(),
            discovery_minutes: 30.into(),
            snapshot_timeout_minutes: 90.into(),
            scan_timeout_minutes: 240.into(),
            incremental: true.into(),
            queue: Queue { workers: 8.into(), snapshots: 50.into(), length: 20_000.into() }.into(),
            rate_limits: RateLimits {
                read: 5.into(),
                mutating: 2.into(),
                block_get: 500.into(),
                block_list: 20.into(),
                function_get: 25.into(),
                lambda: 3.into(),
                registry: 250.into(),
            }
            .into(),
            tasks: Tasks {
                directory: "/srv/tasks".into(),
                file: "/srv/tasks.json".into(),
                url: "https://example.com/tasks.json".into(),
                public_key: "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3".into(),
                poll_seconds: 30.into(),
            }
            .into(),
            sinks: Sinks {
                files: FilesSink { directory: "/srv/reports".into() }.into(),
                s3: S3Sink {
                    bucket: "reports".into(),
                    prefix: "sbom/".into(),
                    kms_key_arn: "arn:aws:kms:eu-west-1:111122223333:key/1234".into(),
                    region: "eu-west-1".into(),
                }
                .into(),
                datadog: DatadogSink {
                    site: "datadoghq.eu".into(),
                    api_key: "ENC[arn]".into(),
                    url: "https://intake.example.com".into(),
                    env: "prod".into(),
                }
                .into(),
                https: HttpsSink { url: "https://example.com".into(), authorization: "ENC[arn]".into() }
                    .into(),
            }
            .into(),
            spool: Spool { directory: "/srv/spool".into(), megabytes: 1_024.into() }.into(),
            ca_file: "/etc/ssl/own.pem".into(),
            status: Status { enabled: true.into(), port: 6_000.into() }.into(),
            sandbox: "required".into(),
            limits: Value::Known([("steps".to_owned(), 5_000_000_000)].into()),
        }
    }

    #[test]
    fn every_setting_is_in_the_file_and_comes_back() {
        let lifecycle = Lifecycle {
            group: "scanner".to_owned(),
            launch_hook: Some("agentless-scanner-launch".to_owned()),
            termination_hook: Some("agentless-scanner-termination".to_owned()),
        };
        let config = ScannerConfig::new(lifecycle, &"eu-central-1".parse().unwrap(), complete());
        assert_eq!(ScannerConfig::from_user_data(&config.to_user_data()), Some(config.clone()));
        // A key that a model has and this test does not give would be absent.
        let keys: Vec<_> = config.content().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys.len(), <ScannerSettings as crate::sdk::Model>::FIELDS.len() + 3, "{keys:?}");
        assert_eq!(
            Json::Object(config.content()),
            serde_json::json!({
                "scanner_id": "scanner", "region": "eu-central-1",
                "lifecycle": {
                    "group": "scanner", "launch_hook": "agentless-scanner-launch",
                    "termination_hook": "agentless-scanner-termination",
                },
                "log_level": "info", "regions": ["eu-central-1", "eu-west-1"], "scan_own_account": false,
                "accounts": [
                    {"delegate_role_arn": "arn:aws:iam::111122223333:role/delegate", "external_id": "id"},
                    {"delegate_role_arn": "arn:aws:iam::444455556666:role/delegate"},
                ],
                "features": ["hosts", "images"],
                "hosts": {"volumes": "root", "stopped": false, "vendor_agent": "scan"},
                "images": {"owned": true, "used": false},
                "include_tags": {"env": "prod"}, "exclude_tags": {},
                "scan_interval_hours": 12, "discovery_minutes": 30, "snapshot_timeout_minutes": 90,
                "scan_timeout_minutes": 240, "incremental": true,
                "queue": {"workers": 8, "snapshots": 50, "length": 20000},
                "rate_limits": {
                    "read": 5, "mutating": 2, "block_get": 500, "block_list": 20, "function_get": 25, "lambda": 3,
                    "registry": 250,
                },
                "tasks": {
                    "directory": "/srv/tasks", "file": "/srv/tasks.json", "url": "https://example.com/tasks.json",
                    "public_key": "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3", "poll_seconds": 30,
                },
                "sinks": {
                    "files": {"directory": "/srv/reports"},
                    "s3": {
                        "bucket": "reports", "prefix": "sbom/", "region": "eu-west-1",
                        "kms_key_arn": "arn:aws:kms:eu-west-1:111122223333:key/1234",
                    },
                    "datadog": {
                        "site": "datadoghq.eu", "api_key": "ENC[arn]", "url": "https://intake.example.com",
                        "env": "prod",
                    },
                    "https": {"url": "https://example.com", "authorization": "ENC[arn]"},
                },
                "spool": {"directory": "/srv/spool", "megabytes": 1024},
                "ca_file": "/etc/ssl/own.pem", "status": {"enabled": true, "port": 6000}, "sandbox": "required",
                "limits": {"steps": 5_000_000_000_i64},
            })
        );
    }

    #[test]
    fn what_takes_the_space_comes_first() {
        let config = config(&"x".repeat(1000));
        let sizes = config.sizes();
        assert_eq!((sizes[0].0.as_str(), sizes[1].0.as_str()), ("include_tags", "lifecycle"));
        assert!((2000..2050).contains(&sizes[0].1), "{sizes:?}");
    }

    #[test]
    fn no_character_is_written_as_two() {
        let document = config("\u{feff}\u{1f600}").to_user_data();
        assert!(document.contains("\u{1f600}") && !document.contains("ud83d"), "{document}");
        assert!(document.contains("ufeff") && !document.contains('\u{feff}'), "{document}");
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
            let is_plain = |character| matches!(character, ' '..='~' | '\u{10000}'..);
            prop_assert!(rest.trim_end_matches('\n').chars().all(is_plain));
            // Of the file itself as well, which another reader of YAML reads.
            let written: CloudConfig = serde_json::from_str(rest).unwrap();
            prop_assert!(written.write_files[0].content.chars().all(is_plain));
            prop_assert_eq!(ScannerConfig::from_user_data(&document), Some(config(&name)));
        }
    }
}
