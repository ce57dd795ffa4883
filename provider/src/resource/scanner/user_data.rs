//! The user data of scanner instances: cloud-config that writes the scanner's configuration, and runs nothing.

use std::fmt::Write;

use scanner_policy::Region;
use serde::{Deserialize, Serialize};

/// Where the scanner looks for its configuration.
const CONFIG_PATH: &str = "/etc/agentless-scanner/config.json";

/// What EC2 accepts as user data, in bytes before Base64 ("Instance user data").
pub(super) const LIMIT: usize = 16 * 1024;

/// The scanner's configuration file.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct ScannerConfig {
    /// Tells the scanners of one account apart; on the tags of everything it makes.
    pub(super) scanner_id: String,
    /// The region whose volumes it scans.
    pub(super) region: String,
    /// How much it logs.
    pub(super) log_level: String,
    /// How often it scans each volume.
    pub(super) scan_interval_hours: i32,
    /// What it does where the system cannot confine it. Absent in what earlier versions wrote.
    #[serde(default)]
    pub(super) sandbox: Sandbox,
}

/// Whether the scanner reads disks without protection from them.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Sandbox {
    /// It does, as far as nothing else is configured.
    #[default]
    BestEffort,
    /// It does not: on an instance of ours, a kernel without protection is a mistake in the image.
    Required,
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
    pub(super) fn new(name: &str, region: &Region, log_level: &str, scan_interval_hours: i32) -> Self {
        Self {
            scanner_id: name.to_owned(),
            region: region.to_string(),
            log_level: log_level.to_owned(),
            scan_interval_hours,
            sandbox: Sandbox::Required,
        }
    }

    /// The cloud-config document. It is JSON, which is also YAML: no value can end its string and become something
    /// else, and no shell sees any of it.
    pub(super) fn to_user_data(&self) -> String {
        let file = File {
            path: CONFIG_PATH.to_owned(),
            owner: "root:root".to_owned(),
            permissions: "0644".to_owned(),
            content: serde_json::json!(self).to_string(),
        };
        let document = serde_json::json!(CloudConfig { write_files: vec![file] }).to_string();
        format!("#cloud-config\n{}\n", ascii(&document))
    }

    /// The configuration that a document of [`to_user_data`](Self::to_user_data) writes; `None` for any other.
    pub(super) fn from_user_data(document: &str) -> Option<Self> {
        let document: CloudConfig = serde_json::from_str(document.strip_prefix("#cloud-config\n")?).ok()?;
        let file = document.write_files.into_iter().find(|file| file.path == CONFIG_PATH)?;
        serde_json::from_str(&file.content).ok()
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

    use super::*;

    fn config(name: &str) -> ScannerConfig {
        ScannerConfig::new(name, &"eu-central-1".parse().unwrap(), "info", 12)
    }

    #[test]
    fn the_document_is_cloud_config_with_one_file() {
        assert_eq!(
            config("scanner").to_user_data(),
            "#cloud-config\n\
             {\"write_files\":[{\"content\":\"{\\\"log_level\\\":\\\"info\\\",\\\"region\\\":\\\"eu-central-1\\\",\
             \\\"sandbox\\\":\\\"required\\\",\\\"scan_interval_hours\\\":12,\\\"scanner_id\\\":\\\"scanner\\\"}\",\"owner\":\"root:root\",\
             \"path\":\"/etc/agentless-scanner/config.json\",\"permissions\":\"0644\"}]}\n"
        );
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
